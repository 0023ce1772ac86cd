"""Compute nulls for width alone: a family's metrics if the shape of its spectrum stayed the same at every width."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from geomkit.core.state import TOKENS
from geomkit.measures.entropy import measured_and_absent
from geomkit.measures.nulls import width_nulls
from geomkit.measures.spectra import is_centred, row_spectrum
from geomkit.states.families import Member, incomparable, opened_families, spectra_at
from geomkit.states.projected_texts import projected_texts
from geomkit.tables.tidy import TableWriter

LAYERS = (0, "last", "final")
"""Layers that models of different depth have in common."""


def measure_width_nulls(
    spectra: Sequence[Path],
    families: Mapping[str, str],
    seeds: Mapping[str, int | None],
    output: Path,
    modes: Sequence[str],
    lengths: Sequence[int],
    metrics: Sequence[str] | None,
    parameters: Mapping[str, float],
) -> None:
    """Write the nulls for width of every family on one corpus."""
    table, absent = TableWriter(corpus=output.stem), {}
    if "raw" in modes:
        absent["nulls for width, raw"] = "rows of any length have no common scale"
    with opened_families(spectra, families, seeds) as groups:
        for family, members in groups.items():
            if reason := incomparable(members):
                absent[f"nulls for width, {family}"] = reason
                continue
            for layer in LAYERS:
                for mode in modes:
                    for n in [*lengths, None] if mode != "raw" else []:
                        absent |= add_nulls(table, members, layer, mode, n, metrics, parameters)
                    for rows in members[0].file.pooled_kinds if mode != "raw" else []:
                        absent |= add_nulls(table, members, layer, mode, None, metrics, parameters, rows)
                        if layer != 0:
                            absent |= add_projected(table, members, str(layer), mode, metrics, parameters, rows)
    table.write(output, absent)


def add_nulls(
    table: TableWriter,
    members: Sequence[Member],
    layer: int | str,
    mode: str,
    n: int | None,
    metrics: Sequence[str] | None,
    parameters: Mapping[str, float],
    rows_of: str = TOKENS,
) -> dict[str, str]:
    """Add both nulls of every member at one layer, normalisation and length (None: the corpus), if all were measured there.
    rows_of: those of the corpus's cloud. Returns what is missing, with reasons."""
    missing: dict[str, str] = {}
    measured = spectra_at(members, "trained", mode, n, layer, rows_of)
    if measured is None:
        return missing
    whole = np.all([spectrum.trace > 0 for spectrum in measured], axis=0)
    family = [replace(spectrum, eigenvalues=spectrum.eigenvalues[whole]) for spectrum in measured] if n else measured
    rows: dict[str, object] = {"text": -1}
    if n:
        texts = members[0].file.text_list
        numbers = [text for text, tokens in enumerate(texts.tokens) if tokens >= n]
        kept = [text for text, keep in zip(numbers, whole, strict=True) if keep]
        rows = {"text": kept, "document": [texts.document[text] for text in kept]}
    sizes = [member.facts["params_nonembedding"] for member in members]
    for model, nulls in zip(members, width_nulls(family, sizes), strict=True):
        state = model.state(layer)
        where = {"model": model.name, "family": model.family, "seed": model.seed, **model.facts, **state._asdict(), **rows}
        for variant, null in nulls.items():
            results, without = measured_and_absent(null, metrics, parameters)
            missing |= {f"{name}, {variant} of {model.name}, {mode}, n = {null.n}": why for name, why in without.items()}
            table.add_metrics(null, results, **where, variant=variant, rows=rows_of, normalise=mode)
    return missing


def add_projected(
    table: TableWriter,
    members: Sequence[Member],
    layer: str,
    mode: str,
    metrics: Sequence[str] | None,
    parameters: Mapping[str, float],
    rows: str,
) -> dict[str, str]:
    """Add the widest model's rows of whole texts on as many directions as each member has. Returns what is missing."""
    clouds = projected_texts(members, mode, layer, rows)
    if isinstance(clouds, str):
        return {f"projected {rows} rows, {members[0].family}, {layer}, {mode}": clouds}
    missing: dict[str, str] = {}
    for model in members:
        spectrum = row_spectrum(clouds[model.name], is_centred(mode))
        results, without = measured_and_absent(spectrum, metrics, parameters)
        missing |= {f"{name}, projected {rows} rows of {model.name}, {mode}": why for name, why in without.items()}
        where = {"model": model.name, "family": model.family, "seed": model.seed, **model.facts, **model.state(layer)._asdict()}
        table.add_metrics(spectrum, results, **where, variant="projected", text=-1, rows=rows, normalise=mode)
    return missing
