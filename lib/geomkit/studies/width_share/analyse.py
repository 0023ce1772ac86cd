"""Fit the pair model where texts grow with width, and predict wider models from narrower ones by one spectrum."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.logs import progress
from geomkit.core.provenance import rng
from geomkit.core.variants import TRAINED
from geomkit.laws.pairs import MARGINS, Coefficient
from geomkit.laws.resampling import Documents, percentile_interval
from geomkit.laws.statistics import slope, slope_weights
from geomkit.measures.entropy import metrics as registry
from geomkit.studies.width_share.curve import CONSTANT, CURVE, PREDICTORS, STRETCHED, Cell, Learnt, Mask, learn
from geomkit.studies.width_share.measure import TEXTS
from geomkit.studies.width_share.rows import (
    DIRECTIONS,
    PARAMETERS,
    RATIOS,
    WidthExponent,
    WidthPoint,
    WidthPrediction,
    tokens_at,
)
from geomkit.tables.measurements import LAST, PROJECTED, MeasuredModel, Measurements, Where, families, read_measurements
from geomkit.tables.pairs import Pairs
from geomkit.tables.parquet import parquet_file
from geomkit.tables.rows import write_csv
from geomkit.tables.tidy import check_seeds


def share_widths(
    tables: Sequence[Path],
    exponents: Path,
    points: Path,
    predictions: Path,
    modes: Sequence[str],
    parameters: Mapping[str, float],
    resamples: int,
    seed: int,
) -> None:
    """Write exponents, points and predictions from the tables of `measure_lengths`, {model}/{corpus}.parquet.

    Raises DataError for models of one family that read different tokens, and for two of one size that no seed tells apart.
    """
    grouped: dict[tuple[str, str], list[Path]] = {}
    for path in tables:
        for source in families(path):
            grouped.setdefault(source, []).append(path)
    laws: list[WidthExponent] = []
    places: list[WidthPoint] = []
    predicted: list[WidthPrediction] = []
    for (name, corpus), paths in progress(sorted(grouped.items()), "families", len(grouped)):
        family = Family.read(name, corpus, paths, resamples, rng(seed, "width share", name, corpus))
        for mode in modes:
            followed = Followed.of(family, mode, parameters["eps2"])
            for metric in MARGINS if followed.cells else ():
                eps2 = parameters["eps2"] if "eps2" in registry.keywords(metric) else None
                whose = {"family": name, "published": False, "corpus": corpus}
                common: dict[str, Any] = whose | {"layer": LAST, "normalise": mode, "metric": metric, "eps2": eps2}
                laws += followed.exponents(metric, common)
                places += followed.points(metric, common)
                predicted += followed.prediction(metric, common)
    write_csv(exponents, WidthExponent, laws)
    write_csv(points, WidthPoint, places)
    write_csv(predictions, WidthPrediction, predicted)


@dataclass(frozen=True)
class Family:
    """Measurements of each model of a family on one corpus, in order of size, and how often each text is drawn.

    draws: (texts, resamples). A family of one width has projected rows alone.
    """

    models: Sequence[Measurements]
    draws: Array

    @classmethod
    def read(cls, name: str, corpus: str, paths: Sequence[Path], resamples: int, draw: np.random.Generator) -> "Family":
        """Read the tables of a family. Raises DataError as `share_widths` does."""
        models = sorted(
            (read_measurements(path, name, corpus) for path in paths),
            key=lambda one: (one.models[0].params_nonembedding, one.models[0].name),
        )
        check_seeds(name, ((one.models[0].name, one.models[0].seed, one.models[0].params_nonembedding) for one in models))
        digests = {parquet_file(path).schema_arrow.metadata[TEXTS.encode()] for path in paths}
        if len(paths) > 1 and (len(digests) > 1 or b"" in digests or len({tuple(one.documents) for one in models}) > 1):
            raise DataError(f"{name}, {corpus}: its models read different texts, or nobody knows which (width_share.models)")
        names = np.array(models[0].documents, dtype=object)  # empty for texts that were not read
        draws = np.zeros((names.size, resamples))
        draws[names != ""] = Documents.draw(names[names != ""], resamples, draw).draws
        return cls(models, draws)

    @property
    def alone(self) -> bool:
        """Whether all models have one width, so that numbers of their own directions stand for widths."""
        return not any(TRAINED in one.variants for one in self.models)

    @property
    def members(self) -> list[MeasuredModel]:
        return [one.models[0] for one in self.models]

    @cached_property
    def widths(self) -> list[int]:
        """Widths of the models, or numbers of directions, ascending."""
        if not self.alone:
            return sorted({model.width for model in self.members})
        return sorted({where.directions for one in self.models for where in one.variants[PROJECTED] if where.directions})

    def measured(self, row: int, mode: str, metric: str, width: int, n: int) -> Array:
        """Values (texts,) of a model on so many directions, all of its own included; NaN where there are none."""
        own, itself = self.models[row], not self.alone and width == self.members[row].width
        where = Where(LAST, mode, n, metric, directions=None if itself else width)
        values = own.variants.get(TRAINED if itself else PROJECTED, {}).get(where)
        return np.full(len(own.documents), np.nan) if values is None else values[0]

    def at_width(self, mode: str, metric: str, width: int, n: int) -> Array:
        """Values of the models that are so wide, (models, texts): of all models in a family of one width."""
        rows = [row for row, model in enumerate(self.members) if self.alone or model.width == width]
        return np.array([self.measured(row, mode, metric, width, n) for row in rows])

    def onto(self, mode: str, metric: str, width: int, n: int) -> Array:
        """Values of all wider models on so many directions, (models, texts)."""
        rows = [row for row, model in enumerate(self.members) if not self.alone and model.width > width]
        return np.array([self.measured(row, mode, metric, width, n) for row in rows]).reshape(-1, len(self.draws))


@dataclass(frozen=True)
class Followed:
    """A family in one normalisation: its cells, ln of each metric there (cells, 1 + resamples), and what one spectrum predicts.

    whole: the texts (texts,) that have a value everywhere. training: whether a cell's width is in the narrower half. learnt:
    None below four widths.
    """

    family: Family
    mode: str
    cells: Sequence[Cell]
    whole: Mask
    levels: Mapping[str, Array]
    training: Mask
    learnt: Learnt | None

    @classmethod
    def of(cls, family: Family, mode: str, eps2: float) -> "Followed":
        """Collect a family's measurements, and learn from the narrower half of its widths."""
        every = [Cell(r, width, n) for r in RATIOS for width, n in tokens_at(r, family.widths, np.iinfo(int).max).items()]
        values = {metric: {cell: family.at_width(mode, metric, cell.width, cell.tokens) for cell in every} for metric in MARGINS}
        cells = [cell for cell in every if all(np.isfinite(own[cell]).any(axis=1).all() for own in values.values())]
        arrays = [own[cell] for own in values.values() for cell in cells]
        whole: Mask = np.all(np.isfinite(np.vstack(arrays)), axis=0) if arrays else np.zeros(len(family.draws), dtype=bool)
        if not whole.any():
            return cls(family, mode, [], whole, {}, np.zeros(0, dtype=bool), None)
        levels = {
            metric: np.array([np.log(own[cell][:, whole] @ weights(family.draws[whole])).mean(axis=0) for cell in cells])
            for metric, own in values.items()
        }
        widths = sorted({cell.width for cell in cells})
        training = np.isin([cell.width for cell in cells], widths[: len(widths) // 2])
        learnt = learn(cells, levels, training, mode, eps2) if len(widths) > 3 else None
        return cls(family, mode, cells, whole, levels, training, learnt)

    @property
    def documents(self) -> int:
        """Number of documents."""
        return len({name for name, own in zip(self.family.models[0].documents, self.whole, strict=True) if own})

    def words(self, chosen: Mask) -> str:
        """List the widths of some cells."""
        return " ".join(map(str, sorted({cell.width for cell, own in zip(self.cells, chosen, strict=True) if own})))

    def exponents(self, metric: str, common: Mapping[str, Any]) -> Iterator[WidthExponent]:
        """Yield the exponents at each ratio."""
        for ratio in sorted({cell.ratio for cell in self.cells}):
            own = np.array([cell.ratio == ratio for cell in self.cells])
            cells = {cell.width: cell for cell in self.cells if cell.ratio == ratio}
            curve = {} if self.learnt is None else dict(zip(cells, self.learnt.rules[metric][CURVE][own, 0], strict=True))
            columns: dict[str, Any] = dict.fromkeys(OF_PAIRS) | dict.fromkeys(("curve", "reason"))
            if self.family.alone:
                x, y = np.log([float(width) for width in cells]), self.levels[metric][own, 0]
                against, sizes = DIRECTIONS, len(cells)
                predicted = list(curve.values())
            else:
                rows = [row for row, model in enumerate(self.family.members) if model.width in cells]
                pairs = self.pairs(metric, cells, rows)
                x, y = np.log(pairs.size), pairs.levels[:, 0]
                against, sizes = PARAMETERS, pairs.size.size
                predicted = [curve[int(width)] for width in pairs.width] if curve else []
                try:
                    columns |= of_pairs(pairs)
                except DataError as reason:
                    columns["reason"] = str(reason)
            if columns["exponent"] is None and sizes > 2:
                columns |= dict(zip(OF_PAIRS[:3], slope(x, y)[:3], strict=True))
            if predicted and sizes > 1:
                columns["curve"] = float(slope_weights(x) @ predicted)
            yield WidthExponent(
                **common, **columns, ratio=ratio, against=against, sizes=sizes, widths=" ".join(map(str, cells)),
                texts=int(self.whole.sum()), documents=self.documents,
            )  # fmt: skip

    def pairs(self, metric: str, cells: Mapping[int, Cell], rows: Sequence[int]) -> Pairs:
        """Arrange the measurements of one ratio as pairs of donor and target."""
        family, members = self.family, self.family.members

        def on(row: int, target: int) -> Array:
            cell = cells[members[target].width]
            if members[row].width < cell.width or (members[row].width == cell.width and row != target):
                return np.full(len(family.draws), np.nan)
            return family.measured(row, self.mode, metric, cell.width, cell.tokens)

        everything = range(len(members))
        known = set(rows)
        values = {
            row: np.array([on(row, target) if target in known else np.full(len(family.draws), np.nan) for target in everything])
            for row in rows
        }
        missing = np.full(len(family.draws), np.nan)
        measured = np.array([values[row][row] if row in known else missing for row in everything])
        return Pairs.of(members, rows, measured, values, {}, family.draws)

    def points(self, metric: str, common: Mapping[str, Any]) -> Iterator[WidthPoint]:
        """Yield every cell with its predictions; none where nothing could be learnt."""
        if self.learnt is None:
            return
        for number, cell in enumerate(self.cells):
            level, *drawn = self.levels[metric][number]
            low, high = percentile_interval(np.exp(drawn)) if drawn else (np.exp(level), np.exp(level))
            donors = self.family.onto(self.mode, metric, cell.width, cell.tokens)[:, self.whole]
            donors = donors[np.isfinite(donors).all(axis=1)]
            predicted: dict[str, Any] = {rule: float(np.exp(self.learnt.rules[metric][rule][number, 0])) for rule in PREDICTORS}
            yield WidthPoint(
                **common, ratio=cell.ratio, width=cell.width, tokens=cell.tokens, measured=float(np.exp(level)), low=float(low),
                high=float(high), projected=float(np.exp(np.log(donors.mean(axis=1)).mean())) if len(donors) else None,
                **predicted, held_out=not self.training[number],
            )  # fmt: skip

    def prediction(self, metric: str, common: Mapping[str, Any]) -> Iterator[WidthPrediction]:
        """Yield the errors on held-out widths; none where nothing could be learnt."""
        if self.learnt is None:
            return
        out = ~self.training
        rules = self.learnt.rules[metric]
        errors = {rule: np.sqrt(np.square((rules[rule] - self.levels[metric])[out]).mean(axis=0)) for rule in PREDICTORS}
        columns: dict[str, Any] = {f"error_{rule}": float(own[0]) for rule, own in errors.items()}
        value, *drawn = np.log(errors[CURVE] / np.minimum(errors[STRETCHED], errors[CONSTANT]))
        low, high = percentile_interval(drawn) if drawn else (value, value)
        yield WidthPrediction(
            **common, decay=round(float(self.learnt.decay[0]), 2), learnt=self.words(self.training), held_out=self.words(out),
            cells=int(out.sum()), documents=self.documents,
            **columns, value=float(value), low=low, high=high,
        )  # fmt: skip


OF_PAIRS = tuple(f"{name}{end}" for name in ("exponent", "projected", "slope", "share") for end in ("", "_low", "_high"))
"""Columns that the pair model fills."""


def of_pairs(pairs: Pairs) -> dict[str, float]:
    """Fit the pair model, and return its columns. Raises DataError where it cannot be fitted."""
    fitted = pairs.fitted
    assert fitted.exponent is not None
    assert fitted.projected is not None
    terms: dict[str, Coefficient] = {"exponent": fitted.exponent, "projected": fitted.projected, "slope": fitted.slope}
    columns = {name: term.value for name, term in terms.items()}
    for name, term in terms.items():
        columns[f"{name}_low"], columns[f"{name}_high"] = term.interval()
    if share := fitted.share:
        columns |= {"share": share.value, "share_low": share.low, "share_high": share.high}
    return columns


def weights(draws: Array) -> Array:
    """Weights of texts (texts, 1 + resamples): all alike, then as often as each was drawn, without draws of none of them."""
    counts = np.column_stack([np.ones(len(draws)), draws])
    counts = counts[:, counts.any(axis=0)]
    return np.asarray(counts / counts.sum(axis=0))
