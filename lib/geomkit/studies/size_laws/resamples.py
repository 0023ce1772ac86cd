"""Measure metrics of a whole corpus, and their nulls, in resamples of its documents: the corpus's sampling error.

Models that read the same documents get the same draws, in every variant, so differences between them are paired. A resample is
the covariance of the documents drawn at the corpus's own number of tokens; centred rows stay centred on the corpus's mean."""

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
from geomkit.measures.spectra import Spectrum, is_centred, redrawn
from geomkit.states.families import Member, incomparable, opened_families, spectra_at
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
    write_resamples(output, rows)


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
