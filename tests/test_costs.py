"""Costs known beforehand: units of work against what they count, and bills from made-up rates."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from geomkit.core import cost_page
from geomkit.core.config import Model
from geomkit.core.costs import (
    WORK,
    Shape,
    amount,
    bill,
    duration,
    estimate,
    forward_work,
    read_rates,
    seconds,
    shape_of,
    spectra_work,
)

SHAPE = Shape(1e6, states=4, d=32, texts=10, length=64, lengths=[16, 64], modes=2, summed=1, variants=3)
RATES = {(stage, term): 1e-9 for stage, work in WORK.items() for term in work(SHAPE)}
ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "workflow/resources/costs"


def test_work_grows_as_its_terms_say():
    wide, more = replace(SHAPE, d=64), replace(SHAPE, texts=20)
    before = spectra_work(SHAPE)
    assert spectra_work(wide)["corpus eigenvalues"] == 8 * before["corpus eigenvalues"]
    assert spectra_work(wide)["covariance"] == 4 * before["covariance"]
    assert spectra_work(more)["corpus eigenvalues"] == before["corpus eigenvalues"]
    assert spectra_work(more)["text eigenvalues"] == 2 * before["text eigenvalues"]
    assert before["covariance"] == 4 * 2 * 640 * 32**2
    assert before["text eigenvalues"] == 4 * 2 * 10 * (16**3 + 32**3)  # the smaller Gram matrix of each
    assert forward_work(SHAPE) == {"weights": 640 * 1e6, "states": 640 * 32 * 4}


def test_a_dump_costs_disk_and_a_running_model_sums():
    dumped, running = bill(SHAPE, RATES, True), bill(SHAPE, RATES, False)
    assert dumped.disk == 3 * 4 * 640 * 4 * 32
    assert running.disk == 0
    spectra, forward = seconds("spectra", SHAPE, RATES), seconds("forward", SHAPE, RATES)
    assert dumped.seconds == pytest.approx(3 * (forward + spectra))
    assert running.seconds == pytest.approx(3 * (2 * forward + spectra))  # a pass for the mean
    assert bill(replace(SHAPE, summed=0), RATES, False).seconds == pytest.approx(3 * (forward + spectra))
    batch = 8192 * 32 * (4 * 4 + 16)
    assert running.memory == 4e6 + batch + (4 * 2 + 2) * 8 * 32**2


def test_shipped_rates_have_every_term_and_none_is_negative():
    rates = read_rates(SHIPPED / "rates.csv")
    assert rates.keys() == RATES.keys()
    assert min(rates.values()) >= 0
    for stage in WORK:
        assert seconds(stage, SHAPE, rates) > 0


CONFIG = {
    "dump": {"layers": "all", "sublayers": False, "parts": 1, "keep": True},
    "entropy": {"corpora": ["a", "b"], "lengths": [16, 64], "normalise": ["unit", "centre-unit"]},
    "texts": {"count": 10, "length": 64},
    "compute": {"dtype": "float32", "batch_tokens": 8192},
}


def model(path: Path, name: str, **config: object) -> Model:
    if config:
        (path / name).mkdir()
        (path / name / "config.json").write_text(json.dumps(config))
    return Model(name, name, None, path / name, name, {})


def test_a_shape_is_read_from_a_models_configuration(tmp_path):
    found = shape_of(model(tmp_path, "m", n_embd=32, n_layer=2, vocab_size=100).folder, CONFIG, 3, 1)
    assert found == replace(SHAPE, parameters=12 * 2 * 32**2 + 2 * 100 * 32)
    nested = model(tmp_path, "n", text_config={"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 100})
    assert shape_of(nested.folder, CONFIG, 3, 1) == found


def planned(models: list[Model], dumped: list[str], **dump: object) -> SimpleNamespace:
    """What an estimate asks of a plan of models that are run for three variants each."""
    names = [one.name for one in models]
    return SimpleNamespace(
        config=CONFIG | {"dump": CONFIG["dump"] | dump}, models=dict(zip(names, models, strict=True)), dumped=dumped,
        running=lambda stage: names, runs=dict.fromkeys(names, range(3)), first_summed=["centre-unit"],
    )  # fmt: skip


def test_an_estimate_adds_up_models_and_corpora_and_names_what_is_not_there(tmp_path):
    there, other = model(tmp_path, "m", hidden_size=32, num_hidden_layers=2), model(tmp_path, "far")
    shape = shape_of(there.folder, CONFIG, 3, 1)
    found = bill(shape, RATES, True)
    text = estimate(planned([there, other], ["m"]), RATES)
    assert f": {duration(2 * found.seconds)};" in text
    assert f"{amount(found.memory)} of memory" in text
    assert f"and {amount(found.disk)} of disk; {amount(2 * found.disk / 3)} of dumps stay" in text
    assert text.endswith("not known before they are fetched: far")
    parted = estimate(planned([there, other], ["m"], parts=7), RATES)
    assert f"and {amount(4 * found.disk / 3)} of disk; {amount(2 * found.disk / 3)} of dumps stay" in parted
    running = estimate(planned([there], [], keep="none"), RATES)
    assert "and 0.0 MB of disk; 0.0 MB of dumps stay" in running
    running = estimate(planned([there], [], keep="none", parts=7), RATES)
    triangles, rows = 7 * 4 * 2 * 8 * 32 * 33 / 2, 4 * 1 * 8 * 32  # one batch of 640 tokens
    assert f"and {amount(3 * (triangles + rows))} of disk; 0.0 MB of dumps stay" in running


@pytest.mark.parametrize(
    ("given", "text"), [(0.5, "0.5 s"), (99, "99 s"), (110, "110 s"), (150, "2.5 min"), (9000, "2.5 h"), (4e5, "4.6 days")]
)
def test_durations_have_a_unit(given, text):
    assert duration(given) == text


def test_the_page_of_costs_is_that_of_the_measurements():
    assert (ROOT / "docs/costs.md").read_text() == cost_page.page(SHIPPED), "run: make docs"


def test_a_row_of_the_bill_holds_what_the_bill_says():
    row = cost_page.example("8 B", 8e9, 32, 4096, RATES)
    shape = Shape(8e9, 34, 4096, 100, 256, (16, 64, 256), 2, 1, 5)
    assert row[2] == "71.3 GB"  # 5 variants of 25,600 tokens, 34 states of 4096 numbers of 4 bytes
    assert row[1] == duration(bill(shape, RATES, True).seconds)
    assert row[4] == duration(bill(shape, RATES, False).seconds)
    assert row[6] == duration(2 * 5 * 25600 * 8e9 / 989e12)
