"""Laws of the loss on three measures of size, and what is told beside the best, on families whose laws are planted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.laws.forms import Status
from geomkit.laws.lack_of_fit import Fitness
from geomkit.laws.prediction import forms_without, laws_without, leave_one_out, leave_one_out_joint
from geomkit.measures.entropy import Measurement
from geomkit.measures.spectra import Spectrum
from geomkit.studies.loss.size_measures import study_loss_axes
from geomkit.tables.fits import EntropyLoss, LossAxes, LossPlace
from geomkit.tables.rows import read_json, write_csv
from geomkit.tables.tidy import DONOR_COLUMNS, TableWriter, merge
from geomkit.tables.trainings import TEST_WINDOWS, LadderLoss

pytestmark = pytest.mark.slow  # hundreds of fits
WIDTHS = np.array([16, 24, 32, 48, 64, 96, 128])
SIZES = np.round(np.geomspace(6e3, 2e6, 7))
TOTAL = SIZES + 4000 * WIDTHS
SEEDS, TEXTS, TOKENS = 3, 12, 20
PRIMARY = {"metrics": ["erank_covariance"], "layer": "last", "length": 64, "normalise": "unit"}
LOSSES = {
    "total": lambda n, total, width: 3 + 900 * total**-0.6,
    "width": lambda n, total, width: 2.5 + 8 * width**-0.6,
}
CURVE = (np.log(SIZES) - np.log(SIZES).mean()) ** 2
"""A bend in ln N and nothing else."""
CURVED = 2 + 20 * SIZES**-0.2
TOLD = 0.01 * np.array([1, -1, 1, 1, -1, -1, 1])
"""What no smooth law of size tells."""


def family(folder: Path, name: str, losses: np.ndarray, metric: np.ndarray, null: np.ndarray, sizes: int = 7) -> Path:
    """losses: (sizes, seeds); metric, null: ln of erank_covariance, (sizes,), all seeds alike."""
    for k, seed in np.ndindex(sizes, SEEDS):
        writer = TableWriter(
            model=f"{name}-{WIDTHS[k]}-s{seed}", family=name, seed=seed, params_nonembedding=int(SIZES[k]),
            params_total=int(TOTAL[k]), depth=2, corpus="c",
        )  # fmt: skip
        documents = [f"d{text // 2}" for text in range(TEXTS)]
        where = {"text": np.arange(TEXTS), "document": documents, "sublayer": "block", "layer": 2, "normalise": "unit"}
        texts = np.exp(0.1 * np.sin(np.arange(TEXTS)))
        for variant, values in (("trained", metric), ("stretched", null)):
            spectrum = Spectrum(np.ones((TEXTS, 8)), 64, int(WIDTHS[k]))
            measured = {"erank_covariance": Measurement(texts * np.exp(values[k]), None)}
            writer.add_metrics(spectrum, measured, **where, variant=variant)
        for text in range(TEXTS):
            writer.add(variant="trained", text=text, document=documents[text], metric="loss", value=losses[k, seed], n=TOKENS)
        writer.write(folder / f"{name}-{k}-{seed}" / "c.parquet", {})
    return folder


def projections(folder: Path, names: list[str], value: np.ndarray) -> Path:
    """Of each family's widest models, their seeds the same: ln of erank_covariance at each width (sizes,)."""
    table = TableWriter(DONOR_COLUMNS, corpus="c")
    for name in names:
        for seed, k in np.ndindex(SEEDS, 7):
            table.add(
                family=name, donor=f"{name}-128-s{seed}", variant="projected", depth=2, layer=2, sublayer="block",
                normalise="unit", n=64, metric="erank_covariance", text=np.arange(TEXTS),
                document=[f"d{text // 2}" for text in range(TEXTS)], d=int(WIDTHS[k]), value=np.full(TEXTS, np.exp(value[k])),
            )  # fmt: skip
    (folder / "projections").mkdir()
    table.write(folder / "projections/c.parquet", {})
    return folder / "projections/c.parquet"


def noisy(law: np.ndarray, noise: float = 0.001) -> np.ndarray:
    return law[:, None] * np.exp(noise * rng(0, "loss axes").standard_normal((7, SEEDS)))


def planted(name: str) -> np.ndarray:
    return LOSSES[name](SIZES, TOTAL, WIDTHS)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[Any, LossAxes], dict[Any, EntropyLoss]]:
    """Families named after their laws; one whose loss is a law times a power of the metric; one of two sizes."""
    folder = tmp_path_factory.mktemp("axes")
    bend = 0.02 * CURVE
    for name in LOSSES:
        family(folder, name, noisy(planted(name)), bend, 2 * bend)
    family(folder, "told", noisy(planted("total") * np.exp(TOLD)), 1 - 2 * TOLD, 2 * bend)
    family(folder, "two", noisy(planted("total")), bend, bend, sizes=2)
    merge(sorted(folder.glob("*/c.parquet")), folder / "all.parquet")
    null = projections(folder, ["told"], bend)
    rows = [
        LadderLoss(
            model=f"l-{width}-s{seed}", width=int(width), seed=seed, params_total=int(total), params_nonembedding=int(n),
            losses={"loss_c": float(loss[seed]), "loss_per_byte_c": 1.0},
        )
        for width, total, n, loss in zip(WIDTHS, TOTAL, SIZES, noisy(planted("width")), strict=True)
        for seed in range(SEEDS)
    ]  # fmt: skip
    write_csv(folder / "card.csv", LadderLoss, rows)
    outputs = [folder / "axes.json", folder / "entropy_loss.json"]
    study_loss_axes(folder / "all.parquet", [str(null)], folder / "card.csv", "width", 256, *outputs, PRIMARY, 50, 1, 0)
    axes = {(row.family, row.place): row for row in read_json(outputs[0], list[LossAxes])}
    told = {(row.family, row.layer, row.variant): row for row in read_json(outputs[1], list[EntropyLoss])}
    return axes, told


@pytest.mark.parametrize(("name", "axis"), [("total", "params_total"), ("width", "width")])
def test_a_law_of_one_measure_of_size_is_found_best_there(study, name, axis):
    found = study[0][name, LossPlace.TEXTS]
    assert (found.best_against, found.best_form, found.reason) == (axis, "offset_power", "")
    laws = {(law.against, law.form): law for law in found.laws}
    assert len(laws) == 9
    own = laws[axis, "offset_power"]
    assert own.lack == Fitness.NOT_REJECTED
    assert own.error_left_out == min(law.error_left_out for law in found.laws) < 0.01
    low, high = own.interval["E"]
    assert low < {"total": 3, "width": 2.5}[name] < high


def test_a_rejected_form_has_a_reason_and_no_interval(study):
    rejected = [law for found in study[0].values() for law in found.laws if law.lack == Fitness.REJECTED]
    assert len(rejected) >= 12
    assert all(law.interval == {} and law.lack_p < 0.05 and "F(" in law.lack_reason for law in rejected)


def test_both_losses_of_a_model_are_given_and_named(study):
    texts, card = (study[0]["width", place] for place in LossPlace)
    assert (texts.pieces, texts.tokens) == (TEXTS, TEXTS * TOKENS)
    assert (card.pieces, card.tokens) == (TEST_WINDOWS, TEST_WINDOWS * 256)
    assert card.corpus == texts.corpus == "c"
    for found in (texts, card):
        assert [model.params_nonembedding for model in found.models] == np.repeat(SIZES, SEEDS).tolist()
        assert [model.loss for model in found.models] == pytest.approx(noisy(planted("width")).ravel())
    assert (card.best_against, card.best_form) == ("width", "offset_power")


def test_two_sizes_have_neither_law_nor_baseline_and_say_why(study):
    found = study[0]["two", LossPlace.TEXTS]
    assert {law.status for law in found.laws} == {Status.FAILED}
    assert (found.best_against, found.best_form) == (None, None)
    assert "no law of the loss foretells" in found.reason
    row = study[1]["two", "last", "trained"]
    assert (row.status, row.reason, row.error_law) == (Status.FAILED, found.reason, None)
    assert "too few" in row.weaker_reason


@pytest.mark.parametrize("name", LOSSES)
def test_a_metric_that_carries_the_bend_of_the_loss_beats_ln_size_and_not_the_best_law(study, name):
    row = study[1][name, "last", "trained"]
    assert row.weaker_error_size_and_metric < row.weaker_error_size / 2
    assert row.error_law < row.weaker_error_size_and_metric
    assert row.error_law_and_metric > 0.95 * row.error_law
    assert row.error_joint > 0.95 * row.error_law
    null = study[1][name, "last", "stretched"]
    assert (null.error_joint, null.error_joint_trained) == pytest.approx((row.error_joint, row.error_joint))


def test_a_metric_that_tells_what_size_does_not_beats_the_best_law_and_its_null(study):
    row, null = (study[1]["told", "last", variant] for variant in ("trained", "projected"))
    assert row.error_joint < row.error_law
    assert (row.sizes, null.sizes) == (7, 6), "a donor is no null for itself"
    assert null.error_joint_trained < null.error_joint


def test_what_was_not_measured_is_absent_with_a_reason(study):
    row = study[1]["told", "final", "trained"]
    assert row.status == Status.FAILED
    assert row.reason == "no erank_covariance of the first 64 tokens, unit, at layer final"


def test_a_joint_power_law_is_the_regression_on_both_and_a_trend_changes_nothing():
    draw, x = rng(0, "joint"), np.log(SIZES)
    z, value = 2 - 0.1 * x + 0.02 * draw.standard_normal(7), 0.3 * x + draw.standard_normal(7)
    laws = forms_without("power", SIZES, np.exp(z), x)
    errors = []
    for k in range(7):
        rest = np.arange(7) != k
        table = np.stack([np.ones(7), x, value], axis=1)
        errors.append(np.exp(table[k] @ np.linalg.lstsq(table[rest], z[rest], rcond=None)[0]) - np.exp(z[k]))
    found = leave_one_out_joint(value, np.exp(z), x, laws)
    assert found == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-5)
    assert leave_one_out_joint(value + 5 * x, np.exp(z), x, laws) == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize("form", ["power", "log_linear", "offset_power"])
def test_derivatives_of_laws_left_out_are_those_of_their_predictions(form):
    y = CURVED
    laws, values = forms_without(form, SIZES, y, SIZES), laws_without(form, SIZES, y, SIZES)
    np.testing.assert_allclose([np.exp(law.log(law.theta)) for law in laws], values, rtol=1e-9)
    level = np.ones(7) if form == "power" else 1 / values[0]
    coefficients = np.linalg.lstsq(laws[0].derivatives(laws[0].theta), level, rcond=None)[0]
    np.testing.assert_allclose(laws[0].derivatives(laws[0].theta) @ coefficients, level, rtol=1e-6)


def test_joint_fits_of_an_exact_law_times_the_metric_have_no_error_and_too_few_sizes_no_law():
    metric = rng(0, "exact").standard_normal(7)
    y = 7 * SIZES**-0.1 * np.exp(0.03 * metric)
    assert leave_one_out_joint(metric, y, SIZES, forms_without("power", SIZES, y, SIZES)) == pytest.approx(0, abs=1e-9)
    alone = leave_one_out([], y, SIZES, laws_without("power", SIZES, y, SIZES))
    assert alone > 0.01
    with pytest.raises(DataError, match="needs at least"):
        forms_without("offset_power", SIZES[:4], CURVED[:4], SIZES[:4])
    with pytest.raises(DataError, match="not finite"):
        leave_one_out_joint(metric * np.nan, y, SIZES, forms_without("power", SIZES, y, SIZES))
