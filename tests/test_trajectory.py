"""A family of steps gives a trajectory: planted turns and phases come back, and so does what follows the loss."""

from dataclasses import replace

import numpy as np
import pytest
from drawings import check_column

from geomkit.core.errors import DataError
from geomkit.laws.statistics import partial_correlation
from geomkit.studies.training.analyse import left_out, study_trajectories
from geomkit.studies.training.claims import decay_has_phases, rank_has_phases
from geomkit.studies.training.figure import laws_figures, trajectory_figures
from geomkit.studies.width_depth.rows import StepLaw, StepPoint, StepTurn
from geomkit.tables.findings import OPEN, REFUTED, SUPPORTED, UNTESTED, Inputs
from geomkit.tables.rows import read_csv, write_csv
from geomkit.tables.tidy import TableWriter, write_resamples

STEPS = [16, 35, 77, 169, 370, 812, 1781, 3907]
TEXTS = 12
DOCUMENTS = [f"d{text % 6}" for text in range(TEXTS)]
PRIMARY = {"metrics": ["erank_covariance", "rate_distortion_ratio"], "layer": "last", "length": 64, "normalise": "unit"}
METRICS = [*PRIMARY["metrics"], "erank_singular", "alpha_req"]
RANK = np.array([9.0, 4, 6, 8, 11, 10, 9, 8.5])
LOSS = np.array([7.4, 6.5, 5.8, 5.2, 4.9, 4.7, 4.5, 4.3])
SHIFT = {"erank_covariance": 1.0, "rate_distortion_ratio": 0.05, "erank_singular": 1.3, "alpha_req": None}
CLOUD = {"rows": "last", "normalise": "centre"}


def write_training(folder, name, width, seed, rank=RANK, noise=0.01, steps=STEPS, published=("erank_covariance", "alpha_req")):
    """The table and the resamples of one training; alpha-ReQ goes against the ranks. published: metrics of the last tokens."""
    rng = np.random.default_rng(100 * width + (seed or 0))
    table, corpora = TableWriter(family="steps", corpus="c"), []
    columns = {"text": list(range(TEXTS)), "document": DOCUMENTS}
    easy = rng.normal(0, 0.1, TEXTS)
    (folder / name / "resamples").mkdir(parents=True)
    for number, step in enumerate(steps):
        common = {
            "model": f"{name}-step{step}",
            "seed": seed,
            "depth": 2,
            "params_nonembedding": 100 * width,
            "params_total": 200 * width,
        }
        for variant in ("trained", "shuffled", *(["untrained-0", "untrained-1", "gaussian"] if number == 0 else [])):
            for layer in (0, 1, 2, 3) if variant != "gaussian" else (None,):
                for metric, shift in SHIFT.items():
                    value = (shift * rank[number] if shift else 10 / rank[number]) * np.exp(
                        easy + noise * rng.standard_normal(TEXTS)
                    )
                    value = value * (1 + 0.1 * (layer or 0)) * {"trained": 1.0, "shuffled": 0.9}.get(variant, 0.7)
                    where = {
                        "layer": layer,
                        "sublayer": None if layer is None else "block",
                        "normalise": "unit",
                        "n": 64,
                        "d": width,
                    }
                    table.add(**common, **columns, **where, variant=variant, metric=metric, value=value)
                    if metric in published:
                        mean, cloud = float(value.mean()), where | CLOUD | {"n": TEXTS}
                        table.add(**common, **cloud, variant=variant, metric=metric, value=mean, text=-1)
                        if variant == "trained":
                            place = {"family": "steps", "model": common["model"], "variant": "trained", "layer": str(layer)}
                            draws = mean * np.exp(0.01 * rng.standard_normal(50))
                            corpora.append({**place, **CLOUD, "metric": metric, "eps2": None, "values": draws})
        loss = LOSS[number] * np.exp(0.1 * easy + 0.002 * rng.standard_normal())
        table.add(**common, **columns, variant="trained", metric="loss", value=loss, n=63)
    table.write(folder / name / "c.parquet", {})
    write_resamples(folder / name / "resamples/c.parquet", corpora)


def study(folder, trainings, **changed):
    names = {name: seed for name, _, seed in trainings}
    models = {f"{name}-step{step}": (name, seed, step) for name, seed in names.items() for step in STEPS}
    paths = {name: folder / f"{name}.csv" for name in ("points", "turns", "laws")}
    study_trajectories(
        [str(folder / name / "c.parquet") for name in names],
        [str(folder / name / "resamples/c.parquet") for name in names],
        models | changed, **paths, primary=PRIMARY, metrics=METRICS, resamples=100, seed=0,
    )  # fmt: skip
    return read_csv(paths["points"], StepPoint), read_csv(paths["turns"], StepTurn), read_csv(paths["laws"], StepLaw)


TRAININGS = [("a-s0", 16, 0), ("a-s1", 16, 1), ("b-s0", 32, 0), ("b-s1", 32, 1)]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trajectory")
    for name, width, seed in TRAININGS:
        write_training(folder, name, width, seed)
    return study(folder, TRAININGS)


def legs(turns, metric, length=64, width=16, layer="last"):
    return [row for row in turns if (row.metric, row.length, row.width, row.layer) == (metric, length, width, layer)]


def published(turns, metric, **place):
    return legs(turns, metric, None, layer="final", **place)


def test_planted_turns_and_phases_come_back_where_they_were_published(found):
    rank, alpha = published(found[1], "erank_covariance"), published(found[1], "alpha_req")
    assert {(leg.rows, leg.normalise) for leg in [*rank, *alpha]} == {("last", "centre")}
    assert [leg.stop for leg in rank] == [leg.stop for leg in alpha] == [35, 370, 3907]
    assert [leg.change > 0 for leg in rank] == [False, True, False]
    assert [leg.change > 0 for leg in alpha] == [True, False, True]
    assert {leg.phases for leg in [*rank, *alpha]} == {"follows"}
    elsewhere = [row for row in found[1] if row.layer == "last" or row.length == 64]
    assert {leg.rows for leg in elsewhere} == {"tokens", "last"}
    assert {leg.phases for leg in elsewhere} == {""}
    for leg in rank[:2]:
        assert leg.turn_low < leg.stop < leg.turn_high
    assert rank[1].change == pytest.approx(np.log(11 / 4), abs=0.05)


def test_a_metric_that_only_rises_differs_from_the_phases(tmp_path):
    write_training(tmp_path, "a-s0", 16, 0, rank=np.linspace(4, 12, 8))
    _, turns, laws = study(tmp_path, TRAININGS[:1])
    assert [(leg.start, leg.stop, leg.phases) for leg in published(turns, "erank_covariance")] == [(16, 3907, "differs")]
    means = [row for row in laws if row.training is None]
    assert all(row.value is None and "nothing can be inferred over seeds" in row.reason for row in means)


def test_there_is_a_trajectory_and_no_law_of_size(found):
    points, turns, laws = found
    assert {row.width for row in points} == {row.width for row in turns} == {16, 32}
    assert {row.predictor for row in laws} == {"metric", "step"}, "the rivals are along training: no row compares sizes"


def test_the_metric_and_its_rival_are_held_against_each_other(found):
    points, _, laws = found
    own = [row for row in points if (row.training, row.variant) == ("a-s0", "trained")]
    loss = np.log([row.value for row in own if row.metric == "loss"])
    rank = np.log([row.value for row in own if (row.metric, row.length, row.layer) == ("erank_covariance", 64, "2")])
    step = np.log(STEPS)
    rows = {row.predictor: row for row in laws if (row.training, row.metric, row.layer) == ("a-s0", "erank_covariance", "last")}
    assert rows["metric"].value == pytest.approx(partial_correlation(rank, loss, step), abs=1e-6)
    assert rows["step"].value == pytest.approx(partial_correlation(step, loss, rank), abs=1e-6)
    assert rows["step"].value < -0.9
    errors = left_out(loss, [step, step**2]), left_out(loss, [step, step**2, rank])
    assert (rows["metric"].error_step, rows["metric"].error_step_and_metric) == pytest.approx(errors, abs=1e-6)


def test_inference_is_over_seeds_within_widths(found):
    rows = [row for row in found[2] if (row.metric, row.layer, row.predictor) == ("erank_covariance", "last", "metric")]
    scales = np.arctanh([row.value for row in rows if row.training])
    mean = rows[-1]
    assert (mean.trainings, mean.freedom, mean.tests) == (4, 2, 4)
    within = np.sqrt((((scales[0] - scales[1]) ** 2 + (scales[2] - scales[3]) ** 2) / 2) / 2)
    assert np.arctanh(mean.high) - np.arctanh(mean.value) == pytest.approx(4.3027 * within / 2, rel=1e-3)
    assert np.arctanh(mean.value) == pytest.approx(scales.mean())


def test_an_error_on_steps_left_out_is_that_of_fits_without_them():
    x, y = np.arange(6.0), np.array([0.0, 1.2, 1.9, 3.5, 3.8, 5.5])
    errors = [y[k] - np.polyval(np.polyfit(np.delete(x, k), np.delete(y, k), 1), x[k]) for k in range(6)]
    assert left_out(y, [x]) == pytest.approx(np.sqrt(np.mean(np.square(errors))))


def test_two_models_of_one_size_seed_and_step_are_refused_by_name(tmp_path):
    write_training(tmp_path, "a-s0", 16, 0)
    write_training(tmp_path, "a-s1", 16, 1)
    with pytest.raises(DataError, match=r"steps: a-s0-step35 and a-s1-step35 are both of 1,600 parameters"):
        study(tmp_path, TRAININGS[:2], **{"a-s1-step35": ("a-s1", 0, 35)})


def test_seeds_that_were_kept_at_other_steps_are_refused_by_name(tmp_path):
    write_training(tmp_path, "a-s0", 16, 0)
    write_training(tmp_path, "a-s1", 16, 1, steps=STEPS[:-1])
    with pytest.raises(DataError, match="a-s0 and a-s1 were not kept at the same steps"):
        study(tmp_path, TRAININGS[:2])


def pages(found):
    points, turns, laws = found
    return [*trajectory_figures(points, turns, METRICS, PRIMARY), *laws_figures(points, laws, PRIMARY)]


@pytest.mark.slow
def test_step_0_has_no_logarithm_and_is_drawn_but_in_no_law(tmp_path):
    """The untrained model is a point of every curve, and laws are those of the steps after it."""
    steps = [0, *STEPS[1:]]
    for name, width, seed in TRAININGS[:2]:
        write_training(tmp_path, name, width, seed, steps=steps)
    every = study(tmp_path, TRAININGS[:2], **{f"{name}-step0": (name, seed, 0) for name, _, seed in TRAININGS[:2]})
    points, turns, laws = every
    assert {row.start for row in turns} >= {0}
    for row in (row for row in laws if row.training and row.predictor == "metric"):
        mine = [one for one in points if one.training == row.training and one.variant == "trained" and one.step > 0]
        level = [np.log(one.value) for one in mine if (one.metric, one.length, one.layer) == (row.metric, 64, "2")]
        loss = [np.log(one.value) for one in mine if one.metric == "loss"]
        if row.layer == "last":
            assert row.value == pytest.approx(partial_correlation(level, loss, np.log(steps[1:])), abs=1e-3)
    axis = pages(every)[0].axes[0]
    assert axis.get_xlim()[0] < 0
    assert all(0 in line.get_xdata() for line in axis.lines if line.get_linewidth() == 1.4)


@pytest.mark.slow
def test_figures_fit_a_column(found):
    figures = pages(found)
    assert len(figures) == 5
    for figure in figures:
        check_column(figure)


def test_every_panel_shows_its_own_numbers(found):
    """Fails with two panels swapped."""
    points = [row for row in found[0] if row.width == 16 and row.variant == "trained"]
    first, differences, *_, laws = pages(found)
    panels = [*((metric, 64) for metric in METRICS), ("erank_covariance", None), ("alpha_req", None)]
    for axis, (metric, length) in zip(first.axes, panels, strict=False):
        layer = "2" if length else "3"
        mine = [row for row in points if (row.metric, row.length, row.layer) == (metric, length, layer)]
        own = [np.exp(np.mean([np.log(row.value) for row in mine if row.step == step])) for step in STEPS]
        drawn = [line.get_ydata() for line in axis.lines if line.get_linewidth() == 1.4]
        assert len(drawn) == 1
        assert drawn[0] == pytest.approx(own)
        assert ("last of each text" in axis.get_title(loc="left")) == (length is None)
    loss = first.axes[len(panels)]
    assert loss.lines[0].get_ydata() == pytest.approx([row.value for row in points if row.metric == "loss" and row.seed == 0])
    for number, axis in enumerate(differences.axes):
        level = np.log(0.7) if number % 2 == 0 else np.log(0.9)
        last = next(line for line in axis.lines if len(line.get_ydata()) == len(STEPS))
        shape = 0 if number % 2 else np.log(RANK / RANK[0]) * (-1 if panels[number // 2][0] == "alpha_req" else 1)
        assert last.get_ydata() == pytest.approx(shape - level, abs=0.06)
        assert ("untrained" in axis.get_title(loc="left")) == (number % 2 == 0)
    for axis, metric in zip(laws.axes, PRIMARY["metrics"], strict=False):
        own = [row.value for row in points if (row.training, row.metric, row.length, row.layer) == ("a-s0", metric, 64, "2")]
        assert axis.lines[0].get_ydata() == pytest.approx(own)


def test_a_curve_that_no_width_allows_has_a_panel_that_says_so_and_an_untested_claim(tmp_path):
    for name, width, seed in TRAININGS:
        write_training(tmp_path, name, width, seed, published=("erank_covariance",))
    points, turns, _ = study(tmp_path, TRAININGS)
    first, *_ = trajectory_figures(points, turns, METRICS, PRIMARY)
    assert [text.get_text() for axis in first.axes for text in axis.texts] == ["too few dimensions"]
    found = decay_has_phases(Inputs([written(tmp_path, turns)]))
    assert [(one.scope, one.verdict) for one in found] == [
        ("steps on c, width 16", UNTESTED),
        ("steps on c, width 32", UNTESTED),
    ]
    assert "ranks up to 100, and there are 16 dimensions" in found[0].reason


def written(folder, turns):
    path = folder / "trajectory/turns.csv"
    path.parent.mkdir(exist_ok=True)
    write_csv(path, StepTurn, turns)
    return path


@pytest.mark.parametrize(
    ("rank", "verdict"),
    [(RANK, SUPPORTED), (np.linspace(4, 12, 8), REFUTED), (np.array([9.0, 8, 7, 6, 7, 8, 9, 10]), OPEN)],
)
def test_the_claim_is_judged_on_the_published_curves(tmp_path, rank, verdict):
    for name, width, seed in TRAININGS[:2]:
        write_training(tmp_path, name, width, seed, rank=rank)
    turns = study(tmp_path, TRAININGS[:2])[1]
    (one,) = rank_has_phases(Inputs([written(tmp_path, turns)]))
    assert one.verdict is verdict
    legs_counted = [leg for leg in published(turns, "erank_covariance") if leg.counts]
    assert (one.value, one.low, one.high) == (legs_counted[-1].change, legs_counted[-1].low, legs_counted[-1].high)
    (decay,) = decay_has_phases(Inputs([written(tmp_path, turns)]))
    assert decay.verdict is verdict
    single = [replace(leg, seeds=1) for leg in turns]
    (alone,) = rank_has_phases(Inputs([written(tmp_path, single)]))
    assert alone.verdict is (OPEN if verdict is REFUTED else verdict), "one training cannot refute phases"
