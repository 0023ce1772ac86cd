"""Pages on tokens: what is drawn where, and rows without intervals."""

from itertools import product

import numpy as np
import pytest
from matplotlib.axes import Axes

from geomkit.figures.style import save
from geomkit.studies.tokens.figure import CANDIDATES, PANELS, RUNS, SCORES, short, tokens_figure
from geomkit.studies.tokens.rows import TokenScore

FACTS = {
    "family": "f",
    "seed": None,
    "corpus": "c",
    "params_total": 9,
    "depth": 2,
    "sublayer": "block",
    "d": 8,
    "n": 6,
    "eps2": 0.5,
}
LAYERS = {"embedding": 0, "middle": 1, "last": 2, "final": 3}
METHODS = ("lasso", "attention_mean", "random", "a_new_method")


def rows(interval=True):
    """Two sizes; the larger one was probed. Each row has a value that no other has."""
    low, high = (0.1, 0.3) if interval else (None, None)
    shared = FACTS | {
        "value": 0.2,
        "low": low,
        "high": high,
        "documents": 3 if interval else 1,
        "x": None,
        "k": None,
        "first": None,
    }
    found = []
    for size, variant, name in product((1000, 1_000_000), ("trained", "shuffled"), LAYERS):
        where = shared | {
            "model": f"m{size:.0f}",
            "params_nonembedding": size,
            "variant": variant,
            "name": name,
            "layer": LAYERS[name],
        }
        for outcome, method in product(("surprisal", "next_surprisal"), ("raw", "partial")):
            found.append(where | {"metric": f"gain_{outcome}", "method": method})
        found += [
            where | {"metric": metric, "method": None, "x": x}
            for metric in ("gain_at_position", "gain_at_surprisal")
            for x in (1, 2)
        ]
        if variant == "trained" and name != "embedding":
            found += [
                where | {"metric": f"ridge_{m}", "method": None, "x": x} for m in ("error", "freedom", "gcv") for x in (0.1, 10)
            ]
            found.append(where | {"metric": "ridge_best_error", "method": None})
            if size == 1e6 and name != "final":
                for method, k, first in product(METHODS, (1, 4), (0, 1)):
                    chosen = where | {"method": method, "k": k, "first": first}
                    names = ["divergence", "loss_increase", "reconstruction_unseen"]
                    if method != "lasso":
                        names += ["divergence_win", "removed_divergence_win", "reconstruction_unseen_win", "jaccard"]
                    found += [chosen | {"metric": metric} for metric in names]
    return [TokenScore(**row | numbers(place, interval)) for place, row in enumerate(found, start=1)]


def numbers(place, interval):
    value = place / 1000
    return {"value": value, "low": value - 0.01, "high": value + 0.01} if interval else {"value": value}


def values(**where):
    """Values of the rows whose columns are those, over x or the budget, or else over layers and sizes."""
    chosen = [row for row in rows() if all(getattr(row, name) == value for name, value in where.items())]
    assert chosen
    return tuple(
        row.value for row in sorted(chosen, key=lambda row: (row.x or 0, row.k or 0, row.params_nonembedding, row.layer))
    )


def drawn(axis: Axes) -> set[tuple[float, ...]]:
    """Heights of the lines on axes, but for those that only mark zero or one."""
    return {tuple(line.get_ydata()) for line in axis.lines} - {(0, 0), (0, 1)}


SIZES = (1000, 1_000_000)
LARGEST = {"model": "m1000000"}


def test_each_panel_of_gain_shows_its_own_rows():
    at_position, at_surprisal, over_depth, over_size = next(tokens_figure(rows())).axes
    position = {"metric": "gain_at_position", "name": "last"}
    alone = [values(**position, variant="trained", params_nonembedding=size) for size in SIZES]
    assert drawn(at_position) == {*alone, values(**position, **LARGEST, variant="shuffled")}
    assert drawn(at_surprisal) == {
        values(**LARGEST, metric="gain_at_surprisal", name=name, variant=variant) for name, variant in product(LAYERS, RUNS)
    }
    kinds = [(metric, *kind) for metric in ("gain_surprisal", "gain_next_surprisal") for kind in
             (("raw", "trained"), ("partial", "trained"), ("partial", "shuffled"))]  # fmt: skip
    assert drawn(over_depth) == {
        values(**LARGEST, metric=metric, method=method, variant=variant) for metric, method, variant in kinds
    }
    assert drawn(over_size) == {
        values(name="last", metric=metric, method=method, variant=variant)
        for metric, method, variant in kinds
        if method == "partial"
    }
    assert [axis.get_xlabel() for axis in (at_position, at_surprisal)] == ["position in the text", "surprisal (nats)"]
    assert [axis.get_ylabel() for axis in (over_depth, over_size)] == ["rank correlation with gain", "partial rank correlation"]


def test_each_panel_of_ridge_shows_its_own_rows():
    _, page, *_ = tokens_figure(rows())
    labels = ("squared error", "effective degrees of freedom", "generalised cross-validation", "error at the best penalty")
    for axis, metric, label in zip(page.axes, ("error", "freedom", "gcv", "best_error"), labels, strict=True):
        assert axis.get_ylabel().startswith(label)
        if metric == "best_error":
            expected = {values(metric="ridge_best_error", name=name) for name in ("middle", "last", "final")}
        else:
            expected = {values(metric=f"ridge_{metric}", name="last", params_nonembedding=size) for size in SIZES}
        assert drawn(axis) == expected


@pytest.mark.slow
def test_each_panel_of_choices_and_of_wins_shows_its_own_layer_metric_and_candidates():
    *_, choices, wins = tokens_figure(rows())
    for axis, ((layer, name), (metric, first)) in zip(choices.axes, product(((1, "middle"), (2, "last")), PANELS), strict=True):
        assert axis.get_title() == f"{name} ({layer}): {CANDIDATES[first]}"
        assert axis.get_ylabel() == SCORES[metric]
        assert drawn(axis) == {values(metric=metric, layer=layer, first=first, method=method) for method in METHODS}
    metrics = {
        "KL, others masked": "divergence_win",
        "KL, others removed": "removed_divergence_win",
        "reconstruction, unseen": "reconstruction_unseen_win",
        "overlap (Jaccard)": "jaccard",
    }
    for axis, (name, (title, metric)) in zip(wins.axes, product(("middle", "last"), metrics.items()), strict=True):
        assert axis.get_title().splitlines()[0] == f"{name}: {title}"
        expected = [values(metric=metric, name=name, first=0, method=method) for method in METHODS[1:]]
        np.testing.assert_array_equal(axis.images[0].get_array(), expected)
        assert [text.get_text() for text in axis.texts] == [f"{value:.2f}" for value in np.ravel(expected)]


@pytest.mark.parametrize("interval", [True, False])
def test_two_pages_for_a_corpus_and_two_for_each_probed_model(interval):
    pages = list(tokens_figure(rows(interval)))
    assert len(pages) == 4
    for page in pages:
        page.canvas.draw()
    titles = [page.get_suptitle() for page in pages]
    assert "information gain" in titles[0]
    assert "ridge regression of the last token" in titles[1]
    assert all("m1000000" in title for title in titles[2:])
    wins = pages[3].axes[0]
    assert [label.get_text() for label in wins.get_yticklabels()] == ["attention mean", "random", "a new method"]


@pytest.mark.slow
def test_of_one_document_values_are_drawn_without_bars(tmp_path):
    """It has no intervals: of correlations with size points alone are left, and a page without any of them is drawn, too."""
    alone = [row for row in rows(interval=False) if row.k is None]
    page, *_ = tokens_figure(alone)
    heights = {round(float(height), 9) for line in page.axes[3].lines for height in line.get_ydata()} - {0}
    partial = [row.value for row in alone if row.name == "last" and row.method == "partial"]
    assert heights == {round(value, 9) for value in partial}
    few = [row for row in alone if row.method is None and row.metric.startswith("gain")]
    for number, kept in enumerate((alone, few)):
        save(tokens_figure(kept), tmp_path / f"{number}.pdf")
        assert (tmp_path / f"{number}.pdf").read_bytes().startswith(b"%PDF")


def test_nothing_at_the_last_block_still_gives_pages():
    pages = list(tokens_figure([row for row in rows() if row.name != "last" and row.k is None]))
    for page in pages:
        page.canvas.draw()
    assert len(pages) == 2


def test_sizes_are_short():
    assert [short(size) for size in (6, 6592, 250_048, 1_586_432, 1.2e10)] == ["6", "6.59 k", "250 k", "1.59 M", "12 B"]
