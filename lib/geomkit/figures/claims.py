"""Register figures of claims, which `docs/findings.md` and the page of claims show, and draw effects with their intervals.

A study registers them in its `figure.py`, or in files of its folder `figure`, under the name of the file without its ending.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geomkit.core.registry import Registry
from geomkit.figures.style import BLUE
from geomkit.tables.findings import Inputs

claim_figures: Registry[Callable[[Inputs], Figure | None]] = Registry("figure of claims")
"""Each is registered with `claims`, the names of those that it shows, and `caption`, what a reader sees. It reads records as its
claims do, and is None where they show nothing."""

PITCH = 0.13
"""Inches from line to line of effects."""
BESIDE = 0.5
"""Distance to an effect without a label, in lines."""


class Effect(NamedTuple):
    """A number with its 95 % interval, if it has one, on a line of its own, or without a label close below the one before."""

    label: str | None
    value: float
    low: float | None
    high: float | None
    colour: str = BLUE
    filled: bool = True


def draw_effects(axis: Axes, effects: Iterable[Effect], against: float | None = 0.0, margin: float | None = None) -> None:
    """Draw effects from top to bottom, beside the number that they are compared with and a margin about it."""
    if against is not None:
        axis.axvline(against, lw=0.6, color="0.5", zorder=0)
    if against is not None and margin is not None:
        axis.axvspan(against - margin, against + margin, color="0.88", lw=0, zorder=-1)
    labels: dict[float, str] = {}
    y, height = 0.0, 0.0
    for one in effects:
        y = height if one.label is not None else y + BESIDE
        if one.label is not None:
            labels[y] = one.label
        if one.low is not None and one.high is not None:
            axis.plot([one.low, one.high], [y, y], lw=1.1, color=one.colour, zorder=2)
        fill = one.colour if one.filled else "white"
        axis.plot([one.value], [y], "o", ms=3.2, color=one.colour, mfc=fill, mew=0.8, zorder=3)
        height = y + 1
    axis.set_yticks(list(labels), list(labels.values()), fontsize=5.5)
    axis.set_ylim(height - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)


def lines(effects: Iterable[Effect]) -> float:
    """Height of effects in lines."""
    return sum(1.0 if one.label is not None else BESIDE for one in effects)
