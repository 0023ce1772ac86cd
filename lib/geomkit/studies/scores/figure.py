"""Draw metrics against scores of benchmarks: a point for each model."""

from collections.abc import Iterator
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geomkit.figures.style import BLUE, WIDTH, bracket, name_of, save
from geomkit.studies.scores.join import FEW, Joined
from geomkit.studies.scores.rows import ModelScore, ScoreCorrelation

PANELS = 6
"""Panels of a page."""
NAMED = 12
"""Models of a panel that are named at their points; names of more would cover one another, as do those of equal scores."""


LETTERS = 28
"""Letters of a task above a panel."""


def draw(joined: Joined, output: Path) -> None:
    """Write a page for every six pairs of a metric and a score."""
    save(pages(joined), output)


def pages(joined: Joined) -> Iterator[Figure]:
    """Yield the pages. Above each panel is the rank correlation with its interval, or why there is none."""
    laws = joined.correlations if joined.enough else []
    known, pairs = {(row.metric, row.task, row.score_metric): row for row in laws}, list(joined.by_pair().items())
    for some in (pairs[first : first + PANELS] for first in range(0, len(pairs), PANELS)):
        lines = -(-len(some) // 2)
        figure = Figure(figsize=(WIDTH, 0.2 + 1.6 * lines))
        axes = figure.subplots(lines, 2, squeeze=False).ravel()
        for axis, (pair, rows) in zip(axes, some, strict=False):
            draw_pair(axis, rows, known.get(pair))
        for axis in axes[len(some) :]:
            axis.set_visible(False)
        yield figure


def draw_pair(axis: Axes, rows: list[ModelScore], law: ScoreCorrelation | None) -> None:
    """Draw a score against a metric, with the standard errors of the scores."""
    x, y = [row.value for row in rows], [row.score for row in rows]
    axis.errorbar(x, y, yerr=[row.stderr or 0.0 for row in rows], fmt="o", ms=3, lw=0.8, color=BLUE)
    middle = (min(x) + max(x)) / 2
    for row in rows if len(rows) <= NAMED and len(set(y)) > 1 else ():
        side, shift = ("left", 2) if row.value <= middle else ("right", -2)
        axis.annotate(row.model, (row.value, row.score), xytext=(shift, 2), textcoords="offset points", fontsize=5, ha=side)
    if law is None or law.value is None or law.low is None or law.high is None:
        said = "no correlation"
    else:
        said = f"ρ = {law.value:.2f} {bracket(law.low, law.high, 2)}"
    first, few = rows[0], " (few)" * (len(rows) < FEW)
    task = first.task if len(first.task) <= LETTERS else f"{first.task[: LETTERS - 1]}…"
    worse = ", lower is better" if first.higher_is_better is False else ""
    axis.set_title(f"{task}\n{len(rows)} models{few}\n{said}".replace("= -", "= −"), fontsize=5.5, loc="left")
    axis.set_xlabel(name_of(first.metric), fontsize=5.5)
    axis.set_ylabel(f"{first.score_metric}{worse}", fontsize=5.5)
    axis.tick_params(labelsize=5.2)
