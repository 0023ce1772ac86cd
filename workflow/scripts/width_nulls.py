"""Nulls for width alone, of every family on one corpus: its metrics, if the shape of the spectrum stayed the same."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geomkit.config import resolve_layers
from geomkit.logs import logged
from geomkit.measures.entropy import absent as missing_metrics
from geomkit.measures.entropy import measure
from geomkit.measures.nulls import fixed_spectrum, relative, stretched
from geomkit.measures.spectra import Spectrum
from geomkit.store.dumps import State
from geomkit.store.eigenvalues import Eigenvalues
from geomkit.store.metric_rows import add_metrics
from geomkit.store.tables import TableWriter

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

LAYERS = (0, "last", "final")
"""Layers that models of different depth have in common."""


@dataclass(frozen=True)
class Member:
    """One model of a family, its file open."""

    name: str
    family: str
    seed: int | None
    file: Eigenvalues

    @property
    def facts(self) -> dict[str, int]:
        return {name: int(self.file.attributes[name]) for name in ("params_nonembedding", "params_total", "depth")}


def main(
    spectra: Mapping[str, Path],
    families: Mapping[str, str],
    seeds: Mapping[str, int | None],
    output: Path,
    modes: Sequence[str],
    lengths: Sequence[int],
    metrics: Sequence[str] | None,
    eps2: float,
) -> None:
    table, absent = TableWriter(corpus=output.stem), {}
    if "raw" in modes:
        absent["nulls for width, raw"] = "rows of any length have no common scale"
    with ExitStack() as stack:
        models = [
            Member(name, families[name], seeds[name], stack.enter_context(Eigenvalues(path))) for name, path in spectra.items()
        ]
        for family, group in groupby(sorted(models, key=lambda model: model.family), key=lambda model: model.family):
            members = list(group)
            if reason := incomparable(members):
                absent[f"nulls for width, {family}"] = reason
                continue
            for layer in LAYERS:
                for mode in modes:
                    for n in [*lengths, None] if mode != "raw" else []:
                        absent |= add_nulls(table, members, layer, mode, n, metrics, eps2)
    table.write(output, absent)


def incomparable(members: Sequence[Member]) -> str | None:
    """Why a family has no nulls for width, if it has none."""
    if len({model.facts["params_nonembedding"] for model in members}) < 2:
        return "a family of one size"
    texts = members[0].file.text_list
    if any((model.file.text_list.document, model.file.text_list.tokens) != (texts.document, texts.tokens) for model in members):
        return "its models read different texts (their tokenizers differ)"
    return None


def add_nulls(
    table: TableWriter,
    members: Sequence[Member],
    layer: int | str,
    mode: str,
    n: int | None,
    metrics: Sequence[str] | None,
    eps2: float,
) -> dict[str, str]:
    """Adds both nulls of every member at one layer, normalisation and length (None: the corpus), if all were measured there.
    Returns what is missing, with reasons."""
    states = [State(resolve_layers(layer, model.facts["depth"])[0]) for model in members]
    found = [model.file.at("trained", mode, n, state) for model, state in zip(members, states, strict=True)]
    measured = [spectrum for spectrum in found if spectrum is not None]
    missing: dict[str, str] = {}
    if len(measured) < len(members):
        return missing
    whole = np.all([spectrum.trace > 0 for spectrum in measured], axis=0)
    family = [replace(spectrum, eigenvalues=spectrum.eigenvalues[whole]) for spectrum in measured] if n else measured
    width = max(spectrum.d for spectrum in family)
    widest = [spectrum for spectrum in family if spectrum.d == width]
    common = replace(widest[0], eigenvalues=np.mean([relative(spectrum) for spectrum in widest], axis=0))
    rows: dict[str, object] = {"text": -1}
    if n:
        texts = members[0].file.text_list
        numbers = [text for text, tokens in enumerate(texts.tokens) if tokens >= n]
        kept = [text for text, keep in zip(numbers, whole, strict=True) if keep]
        rows = {"text": kept, "document": [texts.document[text] for text in kept]}
    for model, state, like in zip(members, states, family, strict=True):
        where = {"model": model.name, "family": model.family, "seed": model.seed, **model.facts, **state._asdict(), **rows}
        nulls: dict[str, Spectrum] = {"fixed-spectrum": fixed_spectrum(common, like), "stretched": stretched(family, like)}
        for variant, null in nulls.items():
            missing |= {
                f"{name}, {variant} of {model.name}, {mode}, n = {null.n}": why
                for name, why in missing_metrics(null, metrics).items()
            }
            add_metrics(table, null, measure(null, metrics, eps2=eps2), **where, variant=variant, normalise=mode)
    return missing


with logged(snakemake.log[0]):
    main(
        {Path(path).parent.name: Path(path) for path in snakemake.input},
        snakemake.params.families,
        snakemake.params.seeds,
        Path(snakemake.output[0]),
        snakemake.params.modes,
        snakemake.params.lengths,
        snakemake.params.metrics,
        snakemake.params.eps2,
    )
