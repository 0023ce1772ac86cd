"""Figures of ablation, components and semantics: each panel holds its own numbers."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from geomkit.studies.components.figure import components_figure
from geomkit.studies.removal.figure import MODES, SINKS, ablation_figure, read_sinks
from geomkit.studies.semantics.figure import semantics_figure
from geomkit.tables.experiments import Likeness, NeedleText, Removal, SinkEffect, SublayerEffect
from geomkit.tables.rows import write_csv

FACTS = {"model": "m", "family": "f", "seed": None, "corpus": "c", "params_nonembedding": 1, "params_total": 2, "depth": 2,
         "d": 8, "documents": 3, "n": 3}  # fmt: skip


def around(value):
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def lines(axis):
    return [list(line.get_ydata()) for line in axis.get_lines()]


def test_curves_are_those_of_their_metric_and_treatment_of_sinks():
    numbers = {(metric, sinks): 10.0 * i + j for (i, metric), (j, sinks) in product(
        enumerate(("residual", "divergence", "loss", "coding")), enumerate(SINKS))}  # fmt: skip
    rows = [
        Removal(**FACTS, **around(value + fraction), layer=2, eps2=0.5, name="last", sinks=sinks, null=null, method="lasso",
                direction="highest", fraction=fraction, metric=metric)
        for ((metric, sinks), value), fraction, null in product(numbers.items(), (0.0, 0.5), ("own", "noise"))
    ]  # fmt: skip
    page, _ = ablation_figure(rows, [], [])
    axes = np.array(page.axes).reshape(4, 3)
    alike = [replace(row, value=float(row.fraction or 0)) for row in rows]
    assert len(next(iter(ablation_figure(alike, [], []))).axes) == 8, "without sinks their treatments are one column"
    for (i, metric), (j, sinks) in product(enumerate(("residual", "divergence", "loss", "coding")), enumerate(SINKS)):
        assert lines(axes[i, j]) == [[numbers[metric, sinks], numbers[metric, sinks] + 0.5]]
        assert len(lines(axes[i, 2])) == 2


def test_layers_without_sinks_stand_beside_those_with():
    rows = [
        SinkEffect(
            **FACTS,
            **around(value),
            layer=layer,
            metric="erank_covariance",
            normalise=mode,
            threshold=threshold,
            kind=kind,
            length=64,
        )
        for mode, layer in product(MODES, (0, 1))
        for threshold, kind, value in ((None, "all", 2.0 + layer), (10.0, "without", 5.0 + layer))
    ]
    (page,) = ablation_figure([], rows, [])
    assert [lines(axis) for axis in page.axes[:3]] == [[[2, 3], [5, 6]]] * 3


def test_of_a_model_and_corpus_in_two_files_the_first_counts(tmp_path):
    def rows(value, *models):
        columns = {"layer": 1, "metric": "erank_covariance", "normalise": "unit", "threshold": None, "kind": "all", "length": 64}
        return [SinkEffect(**FACTS | columns | {"model": model}, **around(value)) for model in models]

    write_csv(tmp_path / "own.csv", SinkEffect, rows(1.0, "m"))
    write_csv(tmp_path / "shipped.csv", SinkEffect, rows(2.0, "m", "other"))
    found = read_sinks([str(tmp_path / "own.csv"), str(tmp_path / "shipped.csv")])
    assert {row.model: row.value for row in found} == {"m": 1.0, "other": 2.0}
    assert len(found) == 2


@pytest.mark.parametrize(("whole", "said"), [(0.1, "works"), (4.0, "does not work")])
def test_the_page_of_needles_says_whether_the_instrument_works(whole, said):
    def text(kind, call, *scores, random=None):
        names = ("whole", "none", "without_one", "one_kept")
        return NeedleText(model="m", kind=kind, filler=0, call=call, random=random, **dict(zip(names, scores, strict=True)))

    rows = [
        text("needle", "concentrated", whole, 9.0, 9.0, whole, random=whole),
        text("repeated", "redundant", 0.1, 9.0, 0.1, 0.2),
        text("plain", "absent", 9.0, 9.0, 9.0, 9.0),
    ]
    (page,) = ablation_figure([], [], rows)
    assert f"The instrument {said} (" in page.get_suptitle()
    assert lines(page.axes[1])[:4] == [[0.1], [9.0], [0.1], [0.2]]


def test_sublayers_have_a_panel_for_each_metric():
    panels = [("loss", None), *product(("rate_distortion_ratio", "erank_covariance", "gain"), ("last", "final"))]
    rows = [
        SublayerEffect(**FACTS, **around(number + 0.1 * layer), layer=layer, sublayer="mlp", kind="zero", at=at, metric=metric)
        for (number, (metric, at)), layer in product(enumerate(panels), (1, 2))
    ]
    (page,) = components_figure(rows)
    shown = [lines(axis)[0] for axis in page.axes[3:]]
    assert [round(first) for first, _ in shown] == [0, 1, 3, 5, 2, 4]
    assert all("change of" in axis.get_title() for axis in page.axes[3:])


def test_correlations_are_drawn_by_layer_with_their_baselines_and_the_choice_in_words():
    def row(layer, distance, kind, value, agreement="pearson", metric="pearson"):
        return Likeness(
            **FACTS,
            **around(value),
            layer=layer,
            sublayer="block",
            distance=distance,
            agreement=agreement,
            kind=kind,
            metric=metric,
        )

    rows = [row(layer, "bures", "agreement", 0.2 + layer / 10) for layer in (0, 1)]
    rows += [row(-1, "tfidf", "agreement", 0.55)]
    rows += [row(-1, "chosen", kind, value) for kind, value in
             (("chosen", 0.3), ("baseline", 0.55), ("difference", -0.25), ("least", 0.18))]  # fmt: skip
    (page,) = semantics_figure(rows)
    assert lines(page.axes[0]) == [pytest.approx([0.2, 0.3]), [0.55, 0.55]]
    assert "chosen on halves 0.30, TF-IDF 0.55; difference -0.25 [-0.35, -0.15]" in page.axes[0].get_title()
    assert "no choice" in page.axes[1].get_title()
