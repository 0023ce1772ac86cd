"""Arrange measurements and their projected nulls as the pairs of donor and target to which the pair model is fitted."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.laws.differences import pure_error
from geomkit.laws.lack_of_fit import lack_of_fit
from geomkit.laws.pairs import FACTOR, PairDesign, PairModel
from geomkit.laws.power import Precision, design
from geomkit.laws.statistics import slope_weights
from geomkit.tables.measurements import RANDOM, MeasuredModel

STRETCHED = "stretched"


@dataclass(frozen=True)
class Pairs:
    """ln of the means over texts that a pair model is fitted to: column 0 is the estimate, the rest resamples of documents.

    width, size: of each size (sizes,), ascending in N. measured: by size (seeds, 1 + resamples). projected: by donor and target,
    numbers of sizes, (seeds of the donor, 1 + resamples). bracket: by null, ln of its value at each size (sizes,), NaN where it
    has none.
    """

    width: Array
    size: Array
    seeds: Sequence[Sequence[int | None]]
    measured: Sequence[Array]
    projected: Mapping[tuple[int, int], Array]
    bracket: Mapping[str, Array]

    @classmethod
    def of(
        cls,
        models: Sequence[MeasuredModel],
        chosen: Sequence[int],
        measured: Array,
        donors: Mapping[int, Array],
        bracket: Mapping[str, Array],
        texts: Array,
    ) -> "Pairs":
        """Take the logarithms of some models.

        chosen: their numbers. measured (models, texts), and each of donors, by its number, and of bracket, likewise: NaN where
        there is no value. texts (texts, resamples): how often each is drawn. Texts without a value anywhere are left out.
        """
        sizes = np.unique([models[row].params_nonembedding for row in chosen])
        groups = [[row for row in chosen if models[row].params_nonembedding == size] for size in sizes]
        width = np.array([models[group[0]].width for group in groups], dtype=float)
        cells = {
            (of, at): [
                donors[row][groups[at][0]]
                for row in groups[of]
                if row in donors and np.isfinite(donors[row][groups[at][0]]).any()
            ]
            for of in range(len(groups))
            for at in range(len(groups))
            if width[of] > width[at]
        }
        cells = {pair: rows for pair, rows in cells.items() if rows}
        everything = np.vstack([measured[chosen], *[np.vstack(rows) for rows in cells.values()]])
        whole = np.isfinite(everything).all(axis=0)
        if not whole.any():
            raise DataError("no text has all values")
        counts = np.column_stack([np.ones(int(whole.sum())), texts[whole]])
        counts = counts[:, counts.any(axis=0)] / counts.sum(axis=0)[counts.any(axis=0)]

        def logs(rows: Array) -> Array:
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.asarray(np.log(rows[:, whole] @ counts))

        def nulls(values: Array) -> Array:
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.array([np.log(values[group][:, whole].mean(axis=1)).mean() for group in groups])

        return cls(
            width=width,
            size=sizes.astype(float),
            seeds=[[models[row].seed for row in group] for group in groups],
            measured=[logs(measured[group]) for group in groups],
            projected={pair: logs(np.vstack(rows)) for pair, rows in cells.items()},
            bracket={name: nulls(values) for name, values in bracket.items()},
        )

    def averaged(self, other: "Pairs") -> "Pairs":
        """Average the logarithms of two corpora, whose documents were drawn on their own; the models must be the same."""
        if self.seeds != other.seeds or not np.array_equal(self.size, other.size):
            raise DataError("the corpora were measured with different models")
        return replace(
            self,
            measured=[(one + two) / 2 for one, two in zip(self.measured, other.measured, strict=True)],
            projected={
                pair: (rows + other.projected[pair]) / 2 for pair, rows in self.projected.items() if pair in other.projected
            },
            bracket={name: (values + other.bracket[name]) / 2 for name, values in self.bracket.items() if name in other.bracket},
        )

    @property
    def levels(self) -> Array:
        """ln measured, seeds averaged: (sizes, 1 + resamples)."""
        return np.array([rows.mean(axis=0) for rows in self.measured])

    @property
    def differences(self) -> Array:
        """ln(measured / projected) of every pair: (pairs, 1 + resamples)."""
        levels = self.levels
        return np.array([levels[at] - rows.mean(axis=0) for (_, at), rows in self.projected.items()])

    @property
    def design(self) -> PairDesign:
        pairs = np.array(list(self.projected), dtype=np.intp).reshape(-1, 2)
        return PairDesign(np.log(self.size), pairs[:, 0], pairs[:, 1])

    @property
    def fitted(self) -> PairModel:
        """Fit the pair model. Raises DataError where it cannot be."""
        if not self.projected:
            raise DataError("no model is wider than another" if len(self.size) > 1 else "a family of one size")
        levels, differences = self.levels, self.differences
        if not (np.isfinite(levels).all() and np.isfinite(differences).all()):
            raise DataError("at some size there is no value, or none that is positive")
        return self.design.fit(differences[:, 0], levels[:, 0], differences[:, 1:], levels[:, 1:])

    def of_donor(self, donor: int) -> tuple[list[int], Array]:
        """Targets of one donor, and its differences (targets,)."""
        own = [at for of, at in self.projected if of == donor]
        levels = self.levels[:, 0]
        return own, np.array([levels[at] - self.projected[donor, at][:, 0].mean() for at in own])

    def slope_of_donor(self, donor: int) -> float | None:
        """Slope of one donor's differences on ln N; None below three targets."""
        own, values = self.of_donor(donor)
        return float(slope_weights(np.log(self.size[own])) @ values) if len(own) > 2 else None

    def beside(self) -> dict[str, float | None]:
        """The columns that are printed beside, and decide nothing."""
        design, differences, x = self.design, self.differences[:, 0], np.log(self.size)
        steps = x[design.target] - x[design.donor]
        widest = int(np.argmax(self.width))
        slopes = {donor: value for donor in range(x.size) if (value := self.slope_of_donor(donor)) is not None}
        own, _ = self.of_donor(widest)
        scatter, of_projected = (
            pure_error([rows[:, 0] for rows in self.measured]),
            pure_error([rows[:, 0] for rows in self.projected.values()]),
        )
        null = {at: self.projected[widest, at][:, 0].mean() for at in own}
        test = lack_of_fit(self.size[own], [self.measured[at][:, 0] - null[at] for at in own]) if len(own) > 2 else None
        return {
            "widest_donor": slopes.get(widest),
            "through_origin": float(steps @ differences / (steps @ steps)),
            "lack_of_fit_p": None if test is None else test.p,
            "donors": float(slope_weights(x[list(slopes)]) @ list(slopes.values())) if len(slopes) > 2 else None,
            "random_directions": self.bracketed(RANDOM, own),
            "stretched": self.bracketed(STRETCHED, own),
            "scatter_measured": None if scatter is None else math.sqrt(scatter.variance),
            "scatter_projected": None if of_projected is None else math.sqrt(of_projected.variance),
        }

    def bracketed(self, null: str, own: Sequence[int]) -> float | None:
        """Slope of ln(measured / null) at some sizes; None where the null has no value at one of them."""
        values = (self.levels[:, 0] - self.bracket.get(null, np.full(self.size.size, np.nan)))[list(own)]
        return float(slope_weights(np.log(self.size[list(own)])) @ values) if len(own) > 2 and np.isfinite(values).all() else None

    def precision(self, model: PairModel) -> Precision:
        """Variance components of the slope."""
        x = np.log(self.size)
        documents = self.design.weights[0, 0] @ np.vstack([self.differences, np.zeros_like(self.levels)])[:, 1:]
        of_documents = float(documents.std(ddof=1)) if documents.size > 1 else 0.0
        over_sizes = max((model.slope.error / FACTOR) ** 2 - of_documents**2, 0.0)
        total = over_sizes / design(x.size, float(np.ptp(x)), 3).jackknife
        scatter, numbers = pure_error([rows[:, 0] for rows in self.measured]), np.array([len(rows) for rows in self.measured])
        seed = 0.0 if scatter is None else scatter.variance
        of_seeds = min(seed * float((1 / numbers).mean()), total)
        return Precision(
            sizes=self.size.size, seeds=1 / float((1 / numbers).mean()), size=math.sqrt(total - of_seeds),
            seed=math.sqrt(of_seeds / float((1 / numbers).mean())), documents=of_documents, span=float(np.ptp(x)),
        )  # fmt: skip
