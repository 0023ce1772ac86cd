"""Width, depth and parameters apart: planted effects come back, absent cells are named, and figures keep their panels."""

from dataclasses import replace

import numpy as np
import pytest
from drawings import check_column

from geomkit.laws.verdicts import Kind
from geomkit.studies.width_depth.analyse import followed, study_width_and_depth
from geomkit.studies.width_depth.figure import cells_figure, others_figure
from geomkit.studies.width_depth.rows import CellPoint, Effect, RateCheck, SeedCorrelation, TiedShare
from geomkit.tables.absence import Absent
from geomkit.tables.rows import read_csv, write_csv
from geomkit.tables.tidy import TableWriter
from geomkit.tables.trainings import ControlTraining

TEXTS = 24
DOCUMENTS = [f"d{text % 8}" for text in range(TEXTS)]
PRIMARY = {"metrics": ["erank_covariance", "rate_distortion_ratio"], "layer": "last", "length": 256, "normalise": "unit"}
SHAPES = {16: 2, 24: 3, 32: 4, 48: 4, 64: 5, 96: 6, 128: 8}
DEEP = {"ladder-16x4-s0": (16, 4, 4), "ladder-16x8-s0": (16, 8, 4), "ladder-32x2-s0": (32, 2, 4), "ladder-32x8-s0": (32, 8, 4)}
DEEP |= {"ladder-64x2-s0": (64, 2, 4), "ladder-16-mlp16-s0": (16, 2, 16), "ladder-32-mlp16-s0": (32, 4, 16)}
WIDTH, N, NULL = 0.9, 0.1, 0.85
"""Planted: exponents of the effective rank with width and N, and of the projected null with width."""


def size(width, depth, mlp):
    return depth * ((4 + 2 * mlp) * width**2 + (9 + mlp) * width) + 2 * width


def training(name, width, layers, mlp=4, tied=False, rate=0.04, decay=0.1, loss=4.0, tokens=8_000_000):
    total = size(width, layers, mlp) + (1 if tied else 2) * 2048 * width
    return ControlTraining(
        model=name, width=width, layers=layers, heads=1, mlp=mlp * width, tied=tied,
        params_nonembedding=size(width, layers, mlp), params_total=total, seed=int(name.rpartition("-s")[2]), peak_rate=rate,
        weight_decay=decay, step=tokens // 2048, tokens=tokens, loss_validation=loss, loss_test=loss,
    )  # fmt: skip


def loss_of(n):
    return 10 * n**-0.08


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A table of the ladder with three seeds and of every kind of training, made from planted laws."""
    folder = tmp_path_factory.mktemp("axes")
    rng = np.random.default_rng(0)
    easy = rng.normal(0, 0.1, TEXTS)
    table, rows, groups = TableWriter(family="controls", corpus="sotu"), [], {}
    columns = {"text": list(range(TEXTS)), "document": DOCUMENTS}

    def add(name, width, layers, mlp, total, rank, loss):
        n = size(width, layers, mlp)
        common = {
            "model": name,
            "depth": layers,
            "params_nonembedding": n,
            "params_total": total,
            "variant": "trained",
            **columns,
        }
        for layer, part in ((layers, "block"), (layers + 1, "block"), (layers + 1, "plain")):
            for metric, scale in (("erank_covariance", 1.0), ("rate_distortion_ratio", 0.001)):
                where = {"layer": layer, "sublayer": part, "normalise": "unit", "metric": metric, "n": 256, "d": width}
                table.add(**common, **where, value=scale * rank * np.exp(easy))
        table.add(**common, metric="loss", value=loss * np.exp(easy / 10), n=255)

    for width, layers in SHAPES.items():
        for seed in range(3):
            n, noise = size(width, layers, 4), np.exp(0.002 * rng.standard_normal())
            total = n + 2 * 2048 * width
            add(f"ladder-{width}-s{seed}", width, layers, 4, total, width**WIDTH * n**N * noise, loss_of(n) * noise)
    for name, (width, layers, mlp) in DEEP.items():
        n, noise = size(width, layers, mlp), np.exp(0.002 * rng.standard_normal())
        rows.append(training(name, width, layers, mlp))
        groups[name] = "depth"
        add(name, width, layers, mlp, rows[-1].params_total, width**WIDTH * n**N * noise, loss_of(n) * noise)
    for width in (16, 32, 48):
        name, layers = f"ladder-{width}-tied-s0", SHAPES[width]
        rows.append(training(name, width, layers, tied=True))
        groups[name] = "tied"
        add(name, width, layers, 4, rows[-1].params_total, width**WIDTH, loss_of(size(width, layers, 4)) * np.exp(0.0005 * width))
    for rate, loss in ((0.02, 4.5), (0.04, 4.4), (0.08, 4.6)):
        name = f"ladder-16x8-tokens1000000-rate{rate}-s0"
        rows.append(training(name, 16, 8, rate=rate, loss=loss, tokens=1_000_000))
        groups[name] = "rates"
        add(name, 16, 8, 4, rows[-1].params_total, 20.0, loss)
    for width in (16, 24):
        for seed in range(16):
            name = f"ladder-{width}-tokens2000000-rate{0.01 * 2 ** (seed // 4)}-decay{[0.01, 0.03, 0.1, 0.3][seed % 4]}-s{seed}"
            shock = 0.02 * (seed // 4) + 0.01 * rng.standard_normal()
            rows.append(
                training(
                    name,
                    width,
                    SHAPES[width],
                    rate=0.01 * 2 ** (seed // 4),
                    decay=[0.01, 0.03, 0.1, 0.3][seed % 4],
                    tokens=2_000_000,
                )
            )
            groups[name] = "seeds"
            rank = width * np.exp(-shock + 0.005 * rng.standard_normal())
            add(name, width, SHAPES[width], 4, rows[-1].params_total, rank, loss_of(width) * np.exp(shock))
    donor = {"model": "ladder-128-s0", "depth": 8, "params_nonembedding": size(128, 8, 4), "variant": "projected", **columns}
    donor["params_total"] = size(128, 8, 4) + 2 * 2048 * 128
    for width in (*SHAPES,):
        for layer, part in ((8, "block"), (9, "block"), (9, "plain")):
            for metric, scale in (("erank_covariance", 1.0), ("rate_distortion_ratio", 0.001)):
                where = {"layer": layer, "sublayer": part, "normalise": "unit", "metric": metric, "n": 256, "d": width}
                table.add(**donor, **where, value=scale * 2 * width**NULL * np.exp(easy))
    table.write(folder / "controls.parquet", {})
    write_csv(folder / "controls.csv", ControlTraining, rows)
    groups["ladder-16x4-s1"] = "depth"
    return folder, groups


NAMES = {
    "points": CellPoint, "effects": Effect, "tied": TiedShare, "rates": RateCheck, "seeds": SeedCorrelation, "absent": Absent,
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tables):
    folder, groups = tables
    paths = {name: folder / f"{name}.csv" for name in NAMES}
    study_width_and_depth(
        folder / "controls.parquet", folder / "controls.csv", groups, **paths, recipe={"peak_rate": 0.04}, primary=PRIMARY,
        resamples=200, seed=0,
    )  # fmt: skip
    return {name: read_csv(paths[name], record) for name, record in NAMES.items()}


def coefficient(found, of, column, design="width and N", layer="last", metric="erank_covariance", cells="all"):
    return next(
        row
        for row in found["effects"]
        if (row.of, row.column, row.design, row.layer, row.metric, row.cells) == (of, column, design, layer, metric, cells)
    )


def test_planted_effects_come_back(found):
    size_effect, width = coefficient(found, "metric", "N"), coefficient(found, "difference", "width")
    assert size_effect.low < N < size_effect.high
    assert size_effect.number == 14
    assert width.low < WIDTH - NULL < width.high
    assert width.number == 13, "the donor's own size is left out"
    assert size_effect.verdict is Kind.BEYOND
    assert size_effect.primary
    assert size_effect.tests == 4
    assert coefficient(found, "metric", "depth", "width, depth and N").value == pytest.approx(0, abs=0.01)
    loss = coefficient(found, "metric", "N", layer=None, metric="loss")
    assert loss.value == pytest.approx(-0.08, abs=0.005)


def test_a_null_of_the_width_alone_hardly_changes_the_effect_of_size(found):
    assert coefficient(found, "difference", "N").value == pytest.approx(coefficient(found, "metric", "N").value, abs=0.002)


def test_tests_of_a_question_are_adjusted_for_one_another(found):
    for of, column in (("metric", "N"), ("difference", "width")):
        rows = [row for row in found["effects"] if row.primary and row.of == of]
        assert {(row.layer, row.metric) for row in rows} == {
            (layer, metric) for layer in ("last", "final") for metric in PRIMARY["metrics"]
        }
        assert all(row.column == column and row.p_adjusted >= row.p for row in rows)


def test_a_training_that_is_missing_is_named_and_all_else_is_done(found):
    assert [(row.model, row.absent) for row in found["absent"]] == [("ladder-16x4-s1", "everything")]


def test_without_the_wide_mlps_the_design_is_refused_by_name(tables, tmp_path):
    folder, groups = tables
    paths = {name: tmp_path / f"{name}.csv" for name in NAMES}
    few = {name: "other" if "mlp16" in name else group for name, group in groups.items()}
    study_width_and_depth(
        folder / "controls.parquet", folder / "controls.csv", few, **paths, recipe={"peak_rate": 0.04}, primary=PRIMARY,
        resamples=50, seed=0,
    )  # fmt: skip
    refused = [row for row in read_csv(paths["effects"], Effect) if row.design == "width, depth and N"]
    assert refused
    assert all(row.verdict is Kind.FAILED and "width, depth, N are collinear" in row.reason for row in refused)


def test_tied_models_whose_loss_is_that_of_their_width_have_no_share(found):
    *widths, whole = found["tied"]
    assert [row.width for row in widths] == [16, 32, 48]
    assert whole.width is None
    assert all(row.expected > row.value for row in widths)
    assert whole.value == pytest.approx(sum(r.value * r.expected for r in widths) / sum(r.expected**2 for r in widths))
    assert whole.follows == followed(whole.low, whole.high)


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [(-0.1, 0.4, "N or width"), (0.3, 1.2, "all parameters"), (-1, 2, "undecided"), (0.2, 0.8, "neither")],
)
def test_which_size_a_share_stands_for(low, high, told):
    assert followed(low, high) == told


def test_the_recipes_rate_is_good_where_it_has_the_least_loss(found):
    (check,) = found["rates"]
    assert (check.width, check.layers, check.best, check.excess, check.good) == (16, 8, 0.04, 0.0, True)
    assert check.allowed == pytest.approx(1.96 * np.sqrt(2) * 0.002, rel=0.5)


def test_metrics_that_fall_as_the_loss_rises_are_correlated_at_fixed_width(found):
    rows = {row.fixed: row for row in found["seeds"] if (row.layer, row.metric) == ("last", "erank_covariance")}
    alone, recipe = rows["width"], rows["width, rate and decay"]
    assert alone.value < -0.9
    assert alone.primary
    assert alone.p_adjusted < 1e-6
    assert (alone.models, alone.freedom) == (32, 28)
    assert alone.detectable == pytest.approx(0.485, abs=0.001)
    assert recipe.freedom == 22
    assert not recipe.primary
    assert -1 < recipe.value < -0.5


def drawn(found, tables):
    folder, _ = tables
    first = cells_figure(found["points"], found["effects"], PRIMARY, found["absent"])
    trainings = read_csv(folder / "controls.csv", ControlTraining)
    second = others_figure(trainings, found["points"], found["tied"], found["rates"], found["seeds"], PRIMARY)
    return first, second


@pytest.mark.slow
def test_figures_fit_a_column(found, tables):
    for figure in drawn(found, tables):
        check_column(figure)


def test_every_panel_shows_its_own_numbers(found, tables):
    """Fails with two panels swapped: each axis has the values of the metric that its title names."""
    first, second = drawn(found, tables)
    for axis, metric in zip(first.axes[:3], [*PRIMARY["metrics"], "loss"], strict=True):
        layer = None if metric == "loss" else "last"
        groups = ("ladder", "depth")
        own = sorted(row.value for row in found["points"] if (row.metric, row.layer) == (metric, layer) and row.group in groups)
        dots = sorted(float(line.get_ydata()[0]) for line in axis.lines if line.get_marker() in "o^s")
        assert dots == pytest.approx(own)
        assert (
            metric.split("_")[0][:4] in axis.get_title(loc="left").lower().replace("effective rank", "eran") or metric == "loss"
        )
    tied, rates, *seeds, correlations = second.axes
    assert "tied" in tied.get_title(loc="left")
    assert "rate" in rates.get_title(loc="left")
    assert sorted(float(y) for line in rates.lines for y in line.get_ydata()) == [4.4, 4.5, 4.6]
    for axis, metric in zip(seeds, PRIMARY["metrics"], strict=True):
        own = sorted(row.value for row in found["points"] if (row.group, row.metric, row.layer) == ("seeds", metric, "last"))
        assert sorted(float(y) for line in axis.lines for y in line.get_ydata()) == pytest.approx(own)
    told = [float(line.get_xdata()[0]) for line in correlations.lines if line.get_marker() == "o"]
    assert sorted(told) == pytest.approx(sorted(row.value for row in found["seeds"]))


def test_a_verdict_stands_beside_its_own_interval(found, tables):
    swapped = [replace(row, verdict=Kind.NESTED) if row.primary and row.of == "difference" else row for row in found["effects"]]
    axis = cells_figure(found["points"], swapped, PRIMARY, []).axes[-1]
    labels = [label.get_text() for label in axis.get_yticklabels()]
    for text in axis.texts:
        line = labels[round(text.xy[1])]
        assert (text.get_text() == "nested") == ("null" in line)


def test_a_panel_without_trainings_says_so(found):
    none = [replace(row, value=None, low=None, high=None, detectable=None) for row in found["seeds"]]
    points = [row for row in found["points"] if row.group in ("ladder", "depth")]
    figure = others_figure([], points, [], [], none, PRIMARY)
    check_column(figure)
    said = [sum(text.get_text() == "not trained" for text in axis.texts) for axis in figure.axes]
    assert said == [0, 1, 1, 1, 1]
