"""The sag of the pair model at fixed lengths and where texts grow with width: planted sags come back, with their verdicts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geomkit.laws.pairs import PairDesign
from geomkit.studies.sag.analyse import of_depth, of_tokens, sag_of, study_sag
from geomkit.studies.sag.claims import sag_stays
from geomkit.studies.sag.figure import draw_sag, sag_of_residuals
from geomkit.studies.sag.rows import Sag, SagCause, SagWidth
from geomkit.tables.findings import Inputs
from geomkit.tables.measurements import Where
from geomkit.tables.rows import read_csv, write_csv
from geomkit.tables.tidy import COLUMNS, DONOR_COLUMNS, TableWriter
from geomkit.tables.trainings import ControlTraining, Training

WIDTHS, TEXTS, FIXED = (16, 24, 32, 48, 64, 96, 128), 12, 256
DOCUMENTS = [f"d{text // 2}" for text in range(TEXTS)]
SIZE = np.log([12.0 * width**2 for width in WIDTHS])
QUADRATIC = PairDesign.complete(SIZE).basis[:, 2]
AT = Where("last", "unit", FIXED, "")
PRIMARY = {"layer": "last", "normalise": "unit", "length": FIXED}
PLACE: dict[str, Any] = {
    "layer": 1,
    "sublayer": "block",
    "normalise": "unit",
    "metric": "erank_covariance",
    "corpus": "wikipedia",
}


def values(width: float, residual: float, salt: int) -> list[float]:
    """A metric of each text: a power of the width, a residual, and what texts share."""
    noise = np.random.default_rng(salt).normal(0, 1e-3, TEXTS)
    return list(np.exp(0.5 * np.log(width) + residual + np.linspace(-0.2, 0.2, TEXTS) + noise))


def study(folder: Path, fixed: float, following: float, seeds: dict[int, float] | None = None) -> Inputs:
    """Run the study on residuals with a sag at fixed n and another at n = 2d.

    seeds: of the widest width, each with what its residual has besides.
    """
    every = [(width, 0, 0.0) for width in WIDTHS[:-1]] + [(WIDTHS[-1], s, extra) for s, extra in (seeds or {0: 0.0}).items()]
    table, nulls, paths = TableWriter(COLUMNS, variant="trained"), TableWriter(DONOR_COLUMNS, variant="projected"), []
    for number, (width, seed, extra) in enumerate(every):
        name, row = f"ladder-{width}-s{seed}", WIDTHS.index(width)
        facts = {
            "params_nonembedding": 12 * width**2,
            "params_total": 12 * width**2,
            "depth": 1,
            "seed": seed,
            "family": "ladder",
        }
        texts = {"text": list(range(TEXTS)), "document": DOCUMENTS}
        table.add(
            **PLACE, **facts, **texts, model=name, n=FIXED, d=width, value=values(width, fixed * QUADRATIC[row] + extra, number)
        )
        own = TableWriter(DONOR_COLUMNS, donor=name, model=name, **PLACE, **facts)
        own.add(
            **texts, variant="trained", n=2 * width, d=width, value=values(width, following * QUADRATIC[row] + extra, 50 + number)
        )
        for k in WIDTHS[:row]:
            salt = 100 * number + k
            shape = {"d": k, "n": FIXED, "value": values(k, fixed * QUADRATIC[row] + extra, salt)}
            nulls.add(**PLACE, **texts, family="ladder", depth=1, donor=name, **shape)
            own.add(**texts, variant="projected", d=k, n=2 * k, value=values(k, following * QUADRATIC[row] + extra, salt + 50))
        paths.append(folder / f"following/{name}/wikipedia.parquet")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        own.write(paths[-1], {})
    table.write(folder / "entropy.parquet", {})
    nulls.write(folder / "wikipedia.parquet", {})
    outputs = [folder / f"sag/{name}.csv" for name in ("sags", "widths", "causes")]
    outputs[0].parent.mkdir()
    write_csv(folder / "grid.csv", Training, grid(0.0))
    beside = folder / "grid.csv", *controls(folder, 0.0)
    study_sag(folder / "entropy.parquet", [folder / "wikipedia.parquet"], paths, *beside, *outputs, PRIMARY, 50, 0)
    return Inputs(outputs)


def grid(curvature: float, metric: str = "erank_covariance") -> list[Training]:
    """Trainings of two widths, whose metric goes with ln D/N and, as `curvature`, with its square."""
    cells = [(width, 10**power) for width in (16, 32) for power in (4, 5, 6, 7)]
    where = {"layer": "last", "length": 64, "normalise": "unit", "eps2": 0.5, "peak_rate": 0.04, "batch": 8, "chosen": True}
    draw = np.random.default_rng(0)
    return [
        Training(
            **where, width=width, params_nonembedding=12 * width**2, seed=seed, unique_tokens=unique, tokens=4 * unique,
            loss_validation=4.0, loss_test=4.0,
            metrics={metric: float(width * np.exp(0.1 * x + curvature * x**2 + draw.normal(0, 1e-4)))},
        )
        for width, unique in cells
        for seed in (0, 1)
        for x in [np.log(4 * unique / (12 * width**2))]
    ]  # fmt: skip


def controls(folder: Path, exponent: float) -> tuple[Path, Path]:
    """Trainings of two widths with other depths, whose metric is width times a power of depth; the ladder's have 2 layers."""
    table, rows, draw = TableWriter(COLUMNS, variant="trained", family="controls"), [], np.random.default_rng(1)
    for width in (16, 32):
        for depth in (2, 4, 8):
            for seed in (0, 1):
                name = f"ladder-{width}{'' if depth == 2 else f'x{depth}'}-s{seed}"
                size = 12 * depth * width**2
                common = {"params_nonembedding": size, "params_total": size, "seed": seed, "model": name}
                own = list(width * depth**exponent * np.exp(draw.normal(0, 1e-4) + np.linspace(-0.1, 0.1, TEXTS)))
                place = PLACE | {"corpus": "sotu", "layer": depth}
                table.add(
                    **place, **common, depth=depth, n=FIXED, d=width, text=list(range(TEXTS)), document=DOCUMENTS, value=own
                )
                if depth != 2:
                    shape = {"width": width, "layers": depth, "heads": 1, "mlp": 4 * width, "tied": False, "step": 1}
                    rest = {"tokens": 8, "peak_rate": 0.04, "weight_decay": 0.1, "loss_validation": 4.0, "loss_test": 4.0}
                    rows.append(ControlTraining(**common, **shape, **rest))
    table.write(folder / "controls.parquet", {})
    write_csv(folder / "controls.csv", ControlTraining, rows)
    return folder / "controls.parquet", folder / "controls.csv"


def test_a_sag_of_tokens_per_direction_is_gone_where_texts_grow_with_width(tmp_path):
    inputs = study(tmp_path, fixed=-0.15, following=0.0)
    by_rule = {row.tokens: row for row in inputs.rows("sag/sags.csv", Sag)}
    assert by_rule["256"].value == pytest.approx(-0.15, abs=0.01)
    assert by_rule["256"].change is None
    assert by_rule["2d"].value == pytest.approx(0, abs=0.01)
    assert by_rule["2d"].change == pytest.approx(by_rule["2d"].value - by_rule["256"].value, abs=1e-12)
    assert by_rule["2d"].change_low > 0.1
    (found,) = sag_stays(inputs)
    assert (found.verdict, found.primary) == ("refuted", True)


def test_a_sag_of_the_models_stays(tmp_path):
    inputs = study(tmp_path, fixed=-0.15, following=-0.15)
    (found,) = sag_stays(inputs)
    assert found.verdict == "supported"
    assert found.value == pytest.approx(-0.15, abs=0.01)
    assert "no new seed of the widest width" in found.details
    points = [row for row in inputs.rows("sag/widths.csv", SagWidth) if row.tokens == "256"]
    assert [row.width for row in points] == list(WIDTHS)
    assert [row.residual for row in points] == pytest.approx([row.quadratic for row in points], abs=0.01)


@pytest.mark.slow
def test_figures_show_every_metric_and_seed(tmp_path):
    inputs = study(tmp_path, -0.15, -0.15, seeds={0: 0.0, 1: 0.01})
    draw_sag(*(inputs.path(f"sag/{name}.csv") for name in ("sags", "widths", "causes")), tmp_path / "sag.pdf")
    assert (tmp_path / "sag.pdf").stat().st_size > 1000
    assert sag_of_residuals(inputs) is not None


def test_without_a_sag_there_is_nothing_to_explain(tmp_path):
    (found,) = sag_stays(study(tmp_path, fixed=0.0, following=-0.15))
    assert found.verdict == "untested"


def test_a_sag_of_one_training_is_gone_with_the_other_seed(tmp_path):
    """Width 128 alone is low, in seed 0 alone: its sag is the quadratic of one point."""
    low = -0.15 / np.linalg.pinv(PairDesign.complete(SIZE).basis)[2, -1]
    inputs = study(tmp_path, 0.0, 0.0, seeds={0: 2 * low, 1: 0.0})
    by_seed = {row.seed: row for row in inputs.rows("sag/sags.csv", Sag) if row.tokens == "256"}
    assert by_seed[1].value == pytest.approx(0, abs=0.01)
    assert by_seed[0].value == pytest.approx(-0.3, abs=0.01)
    assert by_seed[None].value == pytest.approx(-0.15, abs=0.01)


CASE: dict[str, Any] = {
    "family": "f", "published": False, "corpus": "wikipedia", "layer": "last", "normalise": "unit", "metric": "erank_covariance",
    "eps2": None, "widest": 128, "sizes": 7, "pairs": 21, "slope": 0.0, "slope_low": 0.0, "slope_high": 0.0, "margin": 0.05,
    "fit": 0.0, "documents": 9,
}  # fmt: skip


def case(tokens: str, low: float, high: float, seed: int | None = None) -> Sag:
    change = None if tokens == "256" else 0.0
    middle, reach = (low + high) / 2, (high - low) * 0.42
    ends = {"low": low, "high": high, "low_90": middle - reach, "high_90": middle + reach}
    changes = {"change": change, "change_low": change, "change_high": change}
    return Sag(**CASE, **ends, **changes, tokens=tokens, seed=seed, value=middle)


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([case("256", -0.2, -0.1), case("2d", -0.2, -0.1)], "supported"),
        ([case("256", -0.2, -0.1), case("2d", -0.04, -0.01)], "refuted"),
        ([case("256", -0.2, -0.1), case("2d", -0.2, 0.1)], "open"),
        ([case("256", -0.2, 0.1), case("2d", -0.2, -0.1)], "untested"),
        ([case("256", -0.2, -0.1), case("256", -0.03, 0.03, 1), case("2d", -0.2, -0.1)], "refuted"),
        ([case("256", -0.2, -0.1), case("256", -0.2, 0.03, 1), case("2d", -0.2, -0.1)], "open"),
        ([case("256", -0.2, -0.1), case("256", -0.03, 0.03, 0), case("2d", -0.2, -0.1)], "supported"),
        ([case("256", -0.2, -0.1), case("256", -0.03, 0.03, 1), case("256", -0.2, -0.1, 2), case("2d", -0.2, -0.1)], "open"),
    ],
    ids=["stays", "n/d kills", "wide", "no sag", "seed kills", "seed wide", "the old seed decides nothing", "one of two seeds"],
)
def test_margins_kill_and_intervals_support(rows, verdict, tmp_path):
    (tmp_path / "sag").mkdir()
    write_csv(tmp_path / "sag/sags.csv", Sag, rows)
    (found,) = sag_stays(Inputs([tmp_path / "sag/sags.csv"]))
    assert found.verdict == verdict


def test_what_is_linear_in_ln_n_makes_no_sag_and_the_quadratic_makes_its_range():
    assert sag_of(SIZE, 3 - 2 * SIZE) == pytest.approx(0, abs=1e-9)
    assert sag_of(SIZE, 1 + SIZE - 0.2 * QUADRATIC) == pytest.approx(-0.2)


SIZES = {12.0 * width**2 * depth: depth for width, depth in zip(WIDTHS, (2, 3, 4, 4, 5, 6, 8), strict=True)}


def test_a_planted_curvature_in_tokens_per_parameter_makes_its_sag(tmp_path):
    write_csv(tmp_path / "grid.csv", Training, grid(-0.02))
    found, more = of_tokens(tmp_path / "grid.csv", SIZES)
    assert (found.cells, more.cells) == (8, 4)
    x = np.log(sorted(SIZES))
    assert found.coefficient == pytest.approx(-0.02, abs=1e-3)
    assert found.value == pytest.approx(sag_of(x, -0.02 * (np.log(8e6) - x) ** 2), rel=0.05)
    assert found.low < found.value < found.high < 0


def test_a_planted_power_of_depth_makes_its_sag(tmp_path):
    (found,) = of_depth(*controls(tmp_path, 0.3), SIZES, AT, 50, 0)
    assert found.coefficient == pytest.approx(0.3, abs=1e-3)
    made = sag_of(np.log(sorted(SIZES)), 0.3 * np.log([SIZES[size] for size in sorted(SIZES)]))
    assert found.value == pytest.approx(made, abs=1e-3)
    assert found.cells == 6


def test_without_enough_trainings_a_cause_says_why(tmp_path):
    write_csv(tmp_path / "grid.csv", Training, grid(0.0)[:4])
    (found,) = of_tokens(tmp_path / "grid.csv", SIZES)  # none has 200,000 tokens
    assert (found.value, found.cells) == (None, 2)
    assert "few" in found.reason
    assert isinstance(found, SagCause)


def test_families_of_few_widths_have_no_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("test_sag.WIDTHS", WIDTHS[:4])
    inputs = study(tmp_path, -0.1, -0.1)
    assert read_csv(inputs.path("sag/sags.csv"), Sag) == []
    assert sag_stays(inputs) == []
    assert sag_of_residuals(inputs) is None
