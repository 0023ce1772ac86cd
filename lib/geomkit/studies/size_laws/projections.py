"""Measure models' tokens on fewer of their directions, text by text: nulls for width of every family on one corpus.

Variants of the table, whose column `donor` names the model that the rows are of:
projected          a donor on its leading d directions, for every width d of a smaller or equal model of its family
random-projection  the same for the widest models (seeds) on directions of chance, metrics averaged over draws
common-dimension   every model on its own leading d directions, d the family's narrowest width; `model` names it too
trained            every model itself, in full, at the state that no other table has
A family of one size is its own donor, on every power of two of its directions from 16 on.
The first two are of a width, not of a model, so that `model`, `seed` and parameter counts are null; `layer` and `depth` are the
donor's. Beside the metrics, `norm_kept` is the share of the rows' squared length that the directions hold.
States are the last block's output, the final state, and (sublayer `plain`) the final state without the final norm's learnt gain
and bias, made from the last block's output.

Each model is projected in a job of its own, from its dump or while it runs; the tables of a family are joined.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc

from geomkit.core.logs import progress
from geomkit.core.provenance import rng
from geomkit.core.state import PLAIN
from geomkit.core.variants import TRAINED
from geomkit.measures.controls import document_folds
from geomkit.measures.entropy import Measurement, measure
from geomkit.measures.entropy import absent as missing_metrics
from geomkit.measures.projection import Projected, leading_directions, projected, random_projected
from geomkit.measures.spectra import is_centred, normalise, row_spectrum
from geomkit.states.donors import Source, families_of, family_of, incomparable
from geomkit.states.stream import Open
from geomkit.tables.parquet import read_table
from geomkit.tables.tidy import DONOR_COLUMNS, TableWriter, absent_of

FEWEST = 16
"""Directions of a family of one size that are kept at least."""
LAYERS = ("last", "final", PLAIN)
"""Layers that models of different depth have in common and that a narrower model would have to fit in."""


@dataclass(frozen=True)
class Settings:
    """Settings of projections: lengths in tokens, metrics (None: all) and their parameters, random draws and their seed.

    bracket: the normalisations and lengths at which directions of chance are drawn, which take most of the time (None: all).
    """

    modes: Sequence[str]
    lengths: Sequence[int]
    metrics: Sequence[str] | None
    parameters: Mapping[str, float]
    draws: int
    seed: int
    bracket: Mapping[str, Sequence[Any]] | None = None

    def drawn(self, mode: str, n: int) -> bool:
        """Whether random directions are drawn."""
        return self.bracket is None or (mode in self.bracket["modes"] and n in self.bracket["lengths"])


def join_projections(
    spectra: Iterable[Path],
    tables: Iterable[Path],
    families: Mapping[str, str],
    seeds: Mapping[str, int | None],
    output: Path,
    modes: Sequence[str],
) -> None:
    """Join one corpus's tables from `project_donor`, which lie in folders of their models' names, as `spectra` do.

    What cannot be measured is among the table's `absent`, with its reason.
    """
    table, absent = TableWriter(DONOR_COLUMNS, corpus=output.stem), {}
    if "raw" in modes:
        absent["projections, raw"] = "projected rows are normalised again, which raw rows are not"
    made = {path.parent.name: path for path in tables}
    for family, members in families_of(spectra, families, seeds).items():
        if reason := incomparable(members):
            absent[f"projections, {family}"] = reason
            continue
        for layer in LAYERS:
            donors, missing = parts(members, layer)
            absent |= missing
            for model in members:
                if model.name in donors:
                    absent |= add_made(table, model, layer, made[model.name])
    table.write(output, absent)


def project_donor(
    states: Open,
    spectra: Iterable[Path],
    output: Path,
    families: Mapping[str, str],
    seeds: Mapping[str, int | None],
    modes: Sequence[str],
    lengths: Sequence[int],
    metrics: Sequence[str] | None,
    parameters: Mapping[str, float],
    draws: int,
    seed: int,
    bracket: Mapping[str, Sequence[Any]] | None,
) -> None:
    """Write the rows of one model, which names the output's folder, for the table of projections.

    spectra: of all models of its family, which say how wide they are. The table is empty where the family has no projections.
    """
    name, settings = output.parent.name, Settings(modes, lengths, metrics, parameters, draws, seed, bracket)
    table, absent = TableWriter(DONOR_COLUMNS, corpus=output.stem), dict[str, str]()
    model, members = family_of(name, spectra, families, seeds)
    donors: dict[str, Part] = {}
    if model is not None and incomparable(members) is None and set(modes) != {"raw"}:
        donors = {layer: found[name] for layer in LAYERS if name in (found := parts(members, layer)[0])}
    if model is not None and donors:
        with states()(TRAINED) as opened:
            own = model.of(opened, donors)
            for layer, part in progress(donors.items(), name, len(donors)):
                absent |= add_donor(table, own, layer, part, settings)
    table.write(output, absent)


def add_made(table: TableWriter, model: Source, layer: str, path: Path) -> dict[str, str]:
    """Add one layer of the table that was made while a model ran. Returns all that is missing of it, with reasons."""
    state = model.state(layer)
    own = (pc.field("layer") == state.layer) & ((pc.field("sublayer") == PLAIN) == (layer == PLAIN))
    table.blocks.append(read_table(path, filters=own).replace_schema_metadata())
    return absent_of(path)


def powers_of_two(width: int) -> list[int]:
    """Powers of two from FEWEST on that are below a width, and the width."""
    return [*(1 << k for k in range(FEWEST.bit_length() - 1, width.bit_length()) if 1 << k < width), width]


class Part(NamedTuple):
    """Numbers of directions on which a donor's rows are projected, and whether random directions are drawn as well."""

    widths: list[int]
    bracketed: bool


def parts(members: Sequence[Source], layer: str) -> tuple[dict[str, Part], dict[str, str]]:
    """Parts of every donor of a family at one layer, by its name; and what is missing, with reasons."""
    family = members[0].family
    if without := [reason for model in members if (reason := model.missing(layer))]:
        return {}, {f"projections, {family}, {layer}": without[0]}
    own = {model.name: model.width(layer) for model in members}
    one_size = len({model.facts["params_nonembedding"] for model in members}) < 2
    widths = powers_of_two(max(own.values())) if one_size else sorted(set(own.values()))
    if max(own.values()) <= widths[0]:
        return {}, {f"projections, {family}, {layer}": f"no donor is wider than {widths[0]}, the narrowest width"}
    by_donor = {
        name: Part([k for k in widths if k <= width], not one_size and width == max(own.values())) for name, width in own.items()
    }
    narrow = [name for name, part in by_donor.items() if not part.widths]
    missing = {f"common-dimension, {name}, {layer}": f"it is narrower than {widths[0]}" for name in narrow}
    return {name: part for name, part in by_donor.items() if part.widths}, missing


def add_donor(table: TableWriter, model: Source, layer: str, part: Part, settings: Settings) -> dict[str, str]:
    """Add one model's metrics on each number of its directions; where it is bracketed, also on random directions.

    Returns what is missing, with reasons.
    """
    missing: dict[str, str] = {}
    widths, bracketed = part
    stored, state, depth = model.rows(layer), model.state(layer), model.facts["depth"]
    start = model.texts.offset[:-1]
    for n in settings.lengths:
        texts = [text for text, tokens in enumerate(model.texts.tokens) if tokens >= n]
        if len(set(named := [model.texts.document[text] for text in texts])) < 2:
            missing[f"projections of {model.name}, n = {n}"] = "texts as long are of fewer than 2 documents"
            continue
        clouds, fold = stored[start[texts, None] + np.arange(n)], document_folds(named)
        for mode in settings.modes:
            if mode == "raw" or (is_centred(mode) and n < 2):
                continue
            where: dict[str, object] = {**state._asdict(), "depth": depth, "normalise": mode, "n": n, "donor": model.name}
            of_model: dict[str, object] = {"model": model.name, "seed": model.seed, **model.facts}
            rows = Rows(table, texts, named, where | {"family": model.family}, settings)
            if layer == PLAIN:
                rows.add("trained", itself(clouds, mode, model.dtype), **of_model)
            directions = leading_directions(clouds, mode, fold, model.dtype)
            known = [k for k in widths if k <= directions.rank.min() or k == clouds.shape[-1]]
            missing |= {
                f"projected, {model.name} on {k} directions, {layer}, {mode}, n = {n}": (
                    f"rows of other documents have rank {directions.rank.min()}"
                )
                for k in widths
                if k not in known
            }
            if not known:
                continue
            results = projected(clouds, mode, fold, known, directions, model.dtype)
            missing |= absent_metrics(results, mode, settings)
            if widths[-1] > widths[0]:
                rows.add("projected", results)
            if widths[0] in known:
                rows.add("common-dimension", {widths[0]: results[widths[0]]}, **of_model)
            if bracketed and settings.drawn(mode, n):
                add_random(rows, clouds, mode, widths, results, model, settings)
    return missing


def itself(clouds: np.ndarray, mode: str, dtype: str) -> dict[int, Projected]:
    """Measure a model's rows in all their directions."""
    spectrum = row_spectrum(normalise(clouds, mode, dtype=dtype), centred=is_centred(mode))
    return {clouds.shape[-1]: Projected(spectrum, np.ones(len(clouds)))}


def add_random(
    rows: "Rows",
    clouds: np.ndarray,
    mode: str,
    widths: Sequence[int],
    results: Mapping[int, Projected],
    model: Source,
    settings: Settings,
) -> None:
    """Add the widest models' rows on random directions; the same frames at every length, layer and normalisation."""
    d = clouds.shape[-1]
    fewer = [k for k in widths if k < d]
    draw = rng(settings.seed, "random-projection", model.name)
    drawn = random_projected(clouds, mode, fewer, settings.draws, draw, model.dtype)
    rows.add("random-projection", drawn | {k: result for k, result in results.items() if k == d})


@dataclass(frozen=True)
class Rows:
    """The output, the numbers and documents of its texts, and the columns that its rows share."""

    table: TableWriter
    texts: Sequence[int]
    documents: Sequence[str]
    where: Mapping[str, object]
    settings: Settings

    def add(self, variant: str, results: Mapping[int, Projected], **columns: object) -> None:
        """Add rows for every width, metric and text, averaged over draws where there are any."""
        cells: dict[str, list] = {name: [] for name in ("text", "document", "metric", "value", "bound", "d", "eps2")}
        count = len(self.texts)
        for k, result in results.items():
            measured = measure(result.spectrum, self.settings.metrics, **self.settings.parameters)
            for name, measurement in (measured | {"norm_kept": Measurement(result.kept, 1.0)}).items():
                cells["text"] += self.texts
                cells["document"] += self.documents
                cells["metric"] += [name] * count
                cells["d"] += [k] * count
                cells["eps2"] += [measurement.parameters.get("eps2")] * count
                cells["value"] += over_draws(measurement.value, count)
                cells["bound"] += [None] * count if measurement.bound is None else over_draws(measurement.bound, count)
        self.table.add(**{**self.where, **columns, **cells}, variant=variant)


def over_draws(values: object, texts: int) -> list[float]:
    """The mean over draws of (draws, texts), or values (texts,) or one for all, as a list (texts,)."""
    array = np.asarray(values, dtype=np.float64)
    return np.broadcast_to(array.mean(axis=0) if array.ndim > 1 else array, texts).tolist()


def absent_metrics(results: Mapping[int, Projected], mode: str, settings: Settings) -> dict[str, str]:
    """Metrics that the shape of a projection does not allow."""
    return {
        f"{name}, projected on {k} directions, {mode}, n = {result.spectrum.n}": why
        for k, result in results.items()
        for name, why in missing_metrics(result.spectrum, settings.metrics, **settings.parameters).items()
    }
