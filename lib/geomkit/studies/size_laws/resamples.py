"""Measure metrics of a whole corpus, and their nulls, in resamples of its documents: the corpus's sampling error.

Models that read the same documents get the same draws, in every variant, so differences between them are paired. A resample is
the covariance of the documents drawn at the corpus's own number of tokens; centred rows stay centred on the corpus's mean.

Where a corpus has one row for each text, a resample repeats so many of its few rows that a rank falls. What is of use is how much
resamples scatter: they are shifted so that their mean is the value of the corpus."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np

from geomkit.core.logs import progress
from geomkit.core.provenance import rng
from geomkit.core.variants import VARIANTS, base
from geomkit.laws.resampling import Documents
from geomkit.measures.entropy import measure
from geomkit.measures.nulls import width_nulls
from geomkit.measures.resampled_rows import resampled_metrics
from geomkit.measures.spectra import Spectrum, is_centred, redrawn
from geomkit.states.families import Member, incomparable, opened_families, spectra_at
from geomkit.states.projected_texts import projected_texts
from geomkit.tables.tidy import write_resamples

LAYERS = ("last", "final")
"""Those of which sums over documents are stored."""


def resample_corpora(
    spectra: Sequence[Path],
    families: Mapping[str, str],
    seeds: Mapping[str, int | None],
    output: Path,
    modes: Sequence[str],
    metrics: Sequence[str] | None,
    parameters: Mapping[str, float],
    resamples: int,
    seed: int,
) -> None:
    """Write the metrics of one corpus in all of its resamples."""
    rows: list[dict[str, object]] = []
    with opened_families(spectra, families, seeds) as groups:
        for family, members in groups.items():
            draws = [
                Documents.draw(member.document_names, resamples, rng(seed, "corpus", output.stem)).draws.T for member in members
            ]
            for layer, mode in progress(list(product(LAYERS, modes)), f"{family} on {output.stem}"):
                for model, variant, spectrum in resampled(members, layer, mode, draws):
                    where = {"family": family, "model": model, "variant": variant, "layer": layer, "normalise": mode}
                    for name, result in measure(spectrum, metrics, **parameters).items():
                        eps2, values = result.parameters.get("eps2"), np.broadcast_to(result.value, resamples)
                        rows.append({**where, "metric": name, "eps2": eps2, "values": values})
                for kind in members[0].file.pooled_kinds:
                    for model, variant, cloud, counts in pooled_clouds(members, layer, mode, kind, draws):
                        where = {"family": family, "model": model, "variant": variant, "layer": layer, "rows": kind}
                        for name, own in resampled_metrics(cloud, counts, is_centred(mode), metrics, parameters).items():
                            eps2 = own.measured.parameters.get("eps2")
                            rows.append({**where, "normalise": mode, "metric": name, "eps2": eps2, "values": own.drawn})
    write_resamples(output, rows)


def pooled_clouds(
    members: Sequence[Member], layer: str, mode: str, kind: str, draws: Sequence[np.ndarray]
) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """(model, variant, rows of whole texts (texts, d), how often each is drawn (resamples, texts)), as far as all members have
    them: of models that run, and of the widest model on as many directions as each member has."""
    counts = [own[:, text_documents(member)] for member, own in zip(members, draws, strict=True)]
    for variant in members[0].file.variants:
        if VARIANTS[base(variant)].kind == "model":
            clouds = [member.file.cloud(variant, mode, member.state(layer), kind) for member in members]
            known = [cloud for cloud in clouds if cloud is not None]
            if len(known) == len(members):
                yield from zip((one.name for one in members), [variant] * len(members), known, counts, strict=True)
    projected = projected_texts(members, mode, layer, kind)
    if not isinstance(projected, str):
        yield from ((one.name, "projected", projected[one.name], own) for one, own in zip(members, counts, strict=True))


def text_documents(member: Member) -> np.ndarray:
    """The number of each text's document: (texts,)."""
    names = member.document_names
    return np.array([names.index(name) for name in member.file.text_list.document])


def resampled(
    members: Sequence[Member], layer: str, mode: str, draws: Sequence[np.ndarray]
) -> Iterator[tuple[str, str, Spectrum]]:
    """(model, variant, spectra of all resamples) of variants that every member has, because a law needs all members.

    Drawn rows are of no document: their one spectrum is every resample's.
    """
    trained = []
    for variant in members[0].file.variants:
        if all(member.keeps_documents(variant, mode, layer) for member in members):
            for member, counts in zip(members, draws, strict=True):
                spectrum = redrawn(member.documents(variant, mode, layer), counts, centred=is_centred(mode))
                trained += [spectrum] if variant == "trained" else []
                yield member.name, variant, spectrum
        elif VARIANTS[base(variant)].kind == "rows" and (spectra := spectra_at(members, variant, mode, None, layer)):
            yield from ((member.name, variant, spectrum) for member, spectrum in zip(members, spectra, strict=True))
    if trained and mode != "raw" and not incomparable(members):
        sizes = [member.facts["params_nonembedding"] for member in members]
        for member, nulls in zip(members, width_nulls(trained, sizes), strict=True):
            yield from ((member.name, variant, null) for variant, null in nulls.items())
