"""Figures say what the tables say, and their bytes can be reproduced."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

from geomkit.figures.growth import growth_figure
from geomkit.figures.layers import layers_figure
from geomkit.figures.losses import losses_figure
from geomkit.figures.nulls import nulls_figure
from geomkit.figures.scaling import scaling_figure, title
from geomkit.figures.style import NULLS, QUANTITIES, WIDTH, is_drawn, save
from geomkit.variants import VARIANTS

PRIMARY = {"metrics": ["erank_covariance"], "layer": "last", "length": 64, "normalise": "unit"}
SIZES = (1e4, 1e5, 1e6)


def rows() -> list[dict]:
    variants = ["trained", *(f"{null}-0" if VARIANTS[null].seeds else null for null in NULLS)]
    common = {"family": "f", "corpus": "c", "depth": 2, "layer": 2}
    return [
        common
        | {"model": f"m{size:.0f}", "params_nonembedding": size, "variant": variant, "metric": metric}
        | {"value": size**0.1 * (1 + place / 10), "bound": 2 * size**0.1 if metric != "loss" else None}
        for metric in ("erank_covariance", "loss")
        for place, variant in enumerate(variants)
        for size in SIZES
    ]


def fits() -> list[dict]:
    law = {"form": "power", "family": "f", "corpus": "c", "status": "converged", "heldout_error": 0.012}
    return [
        law | {"metric": metric, "params": {"a": 1.0, "b": 0.1}, "interval": {"b": [0.05, 0.15]}}
        for metric in ("erank_covariance", "loss")
    ]


def slopes() -> list[dict]:
    row = {"family": "f", "corpus": "c", "metric": "erank_covariance", "slope": 0.1, "low": 0.05, "high": 0.15}
    for null in NULLS:
        row |= {f"{null} slope": 0.2, f"{null} difference": -0.1, f"{null} low": -0.15, f"{null} high": -0.05}
    return [row | {"verdict": "beyond width: outside the nulls"}]


def growth() -> list[dict]:
    """Every measure at two places and three lengths, and a published one."""
    row = {"family": "f", "corpus": "c", "fixed-spectrum slope": 0.0, "stretched slope": -0.001, "primary": 0, "combinations": 9}
    words = {"grows": (0.123, 0.1, 0.2), "falls": (-123.4, -200.0, -50.0), "flat": (-0.02, -0.1, 0.1)}
    found = []
    for place, measure in enumerate(name for name in QUANTITIES if not name.startswith(("loss", "matrix_entropy_over_ln_width"))):
        for (layer, normalise), length in (
            (where, n) for where in (("last", "unit"), ("final", "centre-unit")) for n in ("16", "64", "corpus")
        ):
            word = list(words)[place % 3]
            slope = dict(zip(("slope", "low", "high"), words[word], strict=True))
            where = {"measure": measure, "layer": layer, "normalise": normalise, "length": length, "growth": word}
            found.append(row | where | slope | {"verdict": ["beyond width: between the nulls", "width alone"][place % 2]})
    found[0] |= {"growth": None, "slope": None}
    loss = {"measure": "loss", "layer": "", "normalise": "", "length": "corpus", "family": "f"}
    published = {"measure": "diff_erank", "layer": "final", "normalise": "centre-unit", "length": "", "family": "opt (published)"}
    return [*found, *(found[-1] | last for last in (loss, published))]


def loss_laws() -> tuple[list[dict], list[dict]]:
    x = list(SIZES)
    common = {"family": "f", "corpus": "c", "against": "params_nonembedding", "x": x, "y": [1 + 9 * n**-0.2 for n in x]}
    fits = [
        common | {"form": "offset_power", "params": {"E": 1.0, "A": 9.0, "alpha": 0.2}},
        common | {"form": "power", "params": {"a": 5.0, "b": -0.1}},
        common | {"family": "no law", "form": "offset_power", "params": {}},
        common | {"against": "training_flops", "form": "power", "params": {"a": 5.0, "b": -0.1}},
    ]
    where = {name: common[name] for name in ("family", "corpus", "against")} | {"limit": 1.0}
    grid = [(e, alpha) for e in np.linspace(0.5, 1.5, 9) for alpha in np.linspace(0.1, 0.3, 9)]
    return fits, [where | {"E": e, "alpha": a, "statistic": (e - 1) ** 2 / 0.04 + (a - 0.2) ** 2 / 0.0016} for e, a in grid]


def figures() -> dict[str, list[Figure]]:
    return {
        "scaling": list(scaling_figure(rows(), fits(), slopes(), PRIMARY)),
        "layers": list(layers_figure(rows(), ["erank_covariance"], "here")),
        "nulls": [nulls_figure(slopes(), 3)],
        "growth": list(growth_figure(growth())),
        "losses": [losses_figure(*loss_laws())],
    }


def test_title_gives_exponent_interval_held_out_error_differences_and_verdict():
    assert title("effective rank", fits()[0], slopes()) == [
        "effective rank",
        "N^0.100 [0.050, 0.150], +1 %",
        "minus cut −0.100 [−0.150, −0.050]",
        "minus stretched −0.100 [−0.150, −0.050]",
        "verdict: beyond width: outside the nulls",
    ]


def test_title_says_why_there_is_no_law():
    failed = {"family": "f", "params": {}, "status": "failed: y is flat", "interval": {}, "heldout_error": None}
    assert title("m", failed, []) == ["m", "no law: y is flat"]


def test_what_is_not_primary_is_drawn_and_marked_exploratory():
    metric, marked = "participation_ratio", "participation ratio (exploratory)"

    def with_another(found: list[dict]) -> list[dict]:
        return [*found, *(row | {"metric": metric} for row in found if row["metric"] == "erank_covariance")]

    more = [with_another(found) for found in (rows(), fits(), slopes())]
    figure = next(scaling_figure(*more, PRIMARY, [metric]))
    titles = ["\n".join(text.get_text() for text in axis.texts) for axis in figure.axes[:3]]
    assert [text.split("\n")[0] for text in titles] == ["effective rank", marked, "loss"]
    assert "verdict" in titles[1]
    check_column(figure)
    third = [[*found, *(row | {"metric": "stable_rank"} for row in found if row["metric"] == metric)] for found in more]
    even = next(scaling_figure(*third, PRIMARY, [metric, "stable_rank"]))
    check_column(even)
    (key,) = even.findobj(Legend)
    ticks = [label.get_window_extent() for axis in even.axes[:4] for label in axis.get_xticklabels() if label.get_text()]
    assert ticks
    assert min(box.y0 for box in ticks) > key.get_window_extent().y1
    shown = [text.get_text() for text in nulls_figure(more[2], 9, [metric]).findobj(Text)]
    assert {"effective rank", marked} <= set(shown)
    where = {"metric": metric, "layer": "last", "normalise": "unit", "length": "64", "primary": 0}
    assert is_drawn(where, PRIMARY, [metric])
    assert not is_drawn(where, PRIMARY, [])
    assert not is_drawn(where | {"length": "16"}, PRIMARY, [metric])
    assert is_drawn(where | {"metric": "erank_covariance", "primary": 1}, PRIMARY, [])


def check_column(figure: Figure) -> None:
    """It is a column wide, with text of five points or more, inside it."""
    assert figure.get_figwidth() == WIDTH
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    assert min(text.get_fontsize() for text in texts) >= 5
    boxes = [figure.get_tightbbox()]
    boxes += [legend.get_window_extent().transformed(figure.dpi_scale_trans.inverted()) for legend in figure.findobj(Legend)]
    for box in boxes:
        assert (box.min > -0.02).all()
        assert (box.max < figure.get_size_inches() + 0.02).all()


@pytest.mark.parametrize("what", figures())
def test_a_figure_is_a_column_wide_with_text_of_five_points_or_more_inside_it(what):
    for figure in figures()[what]:
        check_column(figure)


def test_growth_shows_signs_frames_and_what_has_no_slope():
    figure, published = growth_figure(growth())
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert {"▲.12", "▼123", "−.02", "none"} <= set(texts)
    framed = [patch for patch in figure.axes[0].patches if patch.get_facecolor()[3] == 0]
    assert len(framed) == sum(row["verdict"].startswith("beyond") for row in growth()[1:-1])
    assert "opt" in published.axes[0].get_yticklabels()[0].get_text()


def test_a_region_is_the_contour_at_its_limit():
    figure = losses_figure(*loss_laws())
    path = figure.axes[1].collections[0].get_paths()[0].vertices
    statistic = (path[:, 1] - 1) ** 2 / 0.04 + (path[:, 0] - 0.2) ** 2 / 0.0016
    np.testing.assert_allclose(statistic, 1, atol=0.1)


def test_every_null_of_the_rows_is_drawn():
    figure = next(scaling_figure(rows(), fits(), slopes(), PRIMARY))
    drawn = {tuple(np.round(line.get_ydata(), 9)) for line in figure.axes[0].lines}
    for place in range(1, 1 + len(NULLS)):
        assert tuple(round(size**0.1 * (1 + place / 10), 9) for size in SIZES) in drawn


def test_nulls_figure_lays_each_difference_about_its_null_and_fills_what_is_not_told_apart():
    near = slopes()[0] | {"fixed-spectrum low": -0.15, "fixed-spectrum high": 0.05}
    figure = nulls_figure([near], 789)
    assert "1 of 789 exponents" in figure.get_suptitle()
    lines = figure.axes[0].lines
    bars = [tuple(np.round(line.get_xdata(), 9)) for line in lines if len(line.get_xdata()) == 2]
    assert (0.05, 0.25) in bars
    assert bars.count((0.15, 0.25)) == len(NULLS) - 1
    marks = {line.get_marker(): line for line in lines if len(line.get_xdata()) == 1}
    filled = {null for null, style in NULLS.items() if marks[style.marker].get_markerfacecolor() != "white"}
    assert filled == {"fixed-spectrum"}
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == [
        "measured",
        *(style.short for style in NULLS.values()),
    ]


@pytest.mark.parametrize("what", figures())
def test_bytes_are_reproducible(what, tmp_path):
    for name in ("a.pdf", "b.pdf"):
        save(figures()[what], tmp_path / name)
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()
