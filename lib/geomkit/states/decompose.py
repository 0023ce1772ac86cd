"""Compute the eigenvalues of one model and corpus: each text at each length, and the whole corpus, for every variant.
Of whole texts also every token's information gain, trained and shuffled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from geomkit.core.logs import progress
from geomkit.core.variants import TRAINED
from geomkit.states.drawn import Drawn
from geomkit.states.extracts import Requested
from geomkit.states.partial_spectra import write_part
from geomkit.states.parts import PART, requested
from geomkit.states.refusals import refused_files
from geomkit.states.row_sums import read_row_sums, write_row_sums
from geomkit.states.spectra import SpectraWriter, write_spectra
from geomkit.states.stream import Open, States
from geomkit.states.stream_spectra import Plan, Work, measure_variant, missing_spectra, texts_read

NOTHING: Mapping[str, Any] = {}
Beside = Callable[[SpectraWriter, str, States], Mapping[str, str]]
"""Function that writes what it measures of a variant, and returns what is absent of it, with reasons."""


def decompose(
    states: Open,
    output: Path,
    modes: Sequence[str],
    lengths: Sequence[int],
    variants: Sequence[str],
    drawn: Sequence[str],
    gain: Mapping[str, Any] | None,
    seed: int,
    left_out: Mapping[str, str] = NOTHING,
    whitened: Any = None,
    sinks: Mapping[str, Any] | None = None,
    part: str | None = None,
    sums: Sequence[Path] = (),
    kept: Mapping[str, Any] = NOTHING,
    plain: bool = False,
    documents: bool = True,
    of_texts: Mapping[str, Sequence[int] | None] = NOTHING,
    beside: Beside | None = None,
) -> None:
    """Write the spectra of one model and corpus, or a file that says why the model was refused.

    drawn: nulls of drawn rows; left_out: nulls that the model has none of, and why; gain, whitened, sinks, and in kept all
    else: see `geomkit.states.extracts.Requested`; plain, documents: see `geomkit.states.stream_spectra.Plan`; of_texts:
    variants of which only texts are measured, without surprisals and without the corpus: the numbers of those texts, or None for
    all. beside: what else is measured of each variant while its model is there. part: the name of the part of the
    texts that is measured, where it is not all of them; sums: then the files of `sum_rows` for every part, where the modes need
    them. Raises DataError for sums of another run.
    """
    whole, name = Plan(modes, lengths, Requested(gain, whitened, sinks, **kept), plain, documents), output.parent.name
    texts_alone = {
        one: replace(whole, scored=False, corpus=False, documents=False, texts=texts) for one, texts in of_texts.items()
    }
    with refused_files([output]):
        open_variant = states()
        with open_variant(TRAINED) as trained:
            known, counts, own_texts = dict(trained.attributes), trained.vocabulary(), trained.texts.part(trained.share)
            measured = known | whole.requested.attributes
            absent = {**left_out, **trained.absent, **missing_spectra(trained, lengths)}
            borders, nulls = list(trained.borders), {null: Drawn(null, trained, seed) for null in drawn}
            how: dict[str, Any] = {"modes": modes, "lengths": lengths, "variants": variants, "drawn": drawn, "gain": gain}
            how |= {"together": len(trained.groups()) == 1} if borders else {}  # a part without texts has no states
            settings = requested(**how, whitened=whitened, sinks=sinks, pooled=list(kept.get("pooled", ())))
            plans = {variant: texts_alone.get(variant, whole) for variant in ((*variants, *drawn) if borders else ())}
            work = Work(sum(texts_read(nulls.get(one, trained), plan, part is not None) for one, plan in plans.items()))
        with (
            write_spectra(output, own_texts, measured, absent)
            if part is None
            else write_part(output, own_texts, measured | settings | {PART: part}, absent, borders)
        ) as writer:
            if counts is not None:
                writer.vocabulary(counts)
            for variant, plan in plans.items():
                before = read_row_sums(sums, known, variant) if part and plan.two_passes else None
                with nulls.get(variant) or open_variant(variant) as own:
                    measure_variant(writer, variant, own, plan, f"{name} {variant}", before, work)
                    absent |= beside(writer, variant, own) if beside else {}


def sum_rows(states: Open, output: Path, variants: Sequence[str], drawn: Sequence[str], part: str, seed: int) -> None:
    """Write the sums of rows of every batch in a part of the texts, or a file that says why the model was refused."""
    with refused_files([output]):
        open_variant = states()
        with open_variant(TRAINED) as trained:
            known, batches = {**trained.attributes, PART: part}, len(trained.borders)
            nulls = {null: Drawn(null, trained, seed) for null in drawn}
        with write_row_sums(output, known, batches) as writer:
            for variant in (*variants, *drawn) if batches else ():
                with nulls.get(variant) or open_variant(variant) as own:
                    for group in own.groups():
                        name = f"{output.parent.name} {variant}, means"
                        for number, batch in enumerate(progress(own.batches(group), name, batches)):
                            writer.append(variant, number, batch)
