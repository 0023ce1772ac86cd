"""What sublayers do in tiny models, against the model run by hand."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from geomkit.core.config import ModelSpec
from geomkit.states.texts import Sample, Texts, write_texts
from geomkit.studies.components.analyse import CONTRAST, contrasts, summarise_components
from geomkit.studies.components.run import measure_components, spread
from geomkit.studies.removal.run import choose_targets, removed_sets
from geomkit.tables.experiments import SublayerEffect
from geomkit.tables.rows import read_csv
from geomkit.tables.tidy import read_columns

COMPUTE = (ModelSpec(device="cpu"), 64)
METRICS = ["rate_distortion_ratio", "erank_covariance"]


def sample():
    draw = np.random.default_rng(0)
    ids = [draw.integers(1, 300, 20).astype(np.int32) for _ in range(4)]
    return Sample(ids, [], Texts(["a", "a", "b", "c"], [20] * 4, [9] * 4))


@pytest.fixture
def measured(tiny, tmp_path):
    def run(architecture):
        texts, table = tmp_path / "texts.h5", tmp_path / f"{architecture}/c.parquet"
        write_texts(texts, sample(), np.zeros(300, dtype=np.int64), {"model": "m"})
        measure_components(tiny(architecture), texts, table, "f", 0, 3, {"n": 20, "eps2": 0.5}, *COMPUTE, metrics=METRICS)
        summarise_components(table, tmp_path / "summary.csv", 0)
        return table, read_csv(tmp_path / "summary.csv", SublayerEffect)

    return run


def test_heads_are_measured_where_they_can_be_and_absent_with_a_reason_elsewhere(tiny, tmp_path):
    texts = tmp_path / "texts.h5"
    write_texts(texts, sample(), np.zeros(300, dtype=np.int64), {"model": "m"})
    for architecture, heads in (("gpt-neox", {f"head-{k}" for k in range(4)}), ("gpt2", set())):
        table = tmp_path / f"{architecture}/c.parquet"
        gain = {"n": 20, "eps2": 0.5}
        measure_components(tiny(architecture), texts, table, "f", 0, 3, gain, *COMPUTE, heads=True, metrics=METRICS)
        rows = [row for row in read_columns(table, ["sublayer", "metric", "layer"]) if row["sublayer"].startswith("head-")]
        assert {row["sublayer"] for row in rows} == heads
        absent = json.loads(pq.read_schema(table).metadata[b"absent"])
        assert set(absent) == (set() if heads else {"heads"})


def test_a_text_of_each_document_comes_first():
    assert [list(ids) for ids in spread(sample(), 3).ids] == [list(sample().ids[text]) for text in (0, 2, 3)]


def test_losses_without_a_sublayer_are_those_of_a_model_whose_weights_are_zero(measured, load):
    import torch

    _, rows = measured("gpt2")
    model = load("gpt2")

    def loss():
        ids = [torch.from_numpy(one.astype(np.int64))[None] for one in spread(sample(), 3).ids]
        with torch.no_grad():
            return float(np.mean([model(one, labels=one).loss.item() for one in ids]))

    whole = loss()
    for weight in (model.transformer.h[1].mlp.c_proj.weight, model.transformer.h[1].mlp.c_proj.bias):
        weight.data.zero_()
    found = {(row.layer, row.sublayer, row.kind): row for row in rows if row.metric == "loss"}
    assert found[0, "block", "none"].value == pytest.approx(whole, rel=1e-5)
    assert found[2, "mlp", "zero"].value == pytest.approx(loss() - whole, rel=1e-3)
    assert found[2, "mlp", "zero"].documents == 3
    each = {(k, s, w) for k in (1, 2) for s in ("attention", "mlp") for w in ("zero", "mean")}
    assert set(found) == {(0, "block", "none"), (-1, CONTRAST, "zero"), (-1, CONTRAST, "mean")} | each
    assert found[-1, CONTRAST, "zero"].value == pytest.approx(found[2, "mlp", "zero"].value - found[2, "attention", "zero"].value)


def test_states_after_sublayers_have_entropy_rank_and_gain_within_their_bounds(measured):
    _, rows = measured("llama")
    every = {(row.layer, row.sublayer, row.metric): row.value for row in rows if row.kind == "after"}
    after = {key: value for key, value in every.items() if key[0] >= 0}
    assert {(layer, name) for layer, name, _ in after} == {
        (0, "block"),
        *((k, s) for k in (1, 2) for s in ("attention", "mlp", "block")),
    }
    gap = after[2, "mlp", "erank_covariance"] - after[2, "attention", "erank_covariance"]
    assert every[-1, CONTRAST, "erank_covariance"] == pytest.approx(gap)
    assert all(0 < value < 1 for (_, _, metric), value in after.items() if metric == "rate_distortion_ratio")
    assert all(1 < value <= 20 for (_, _, metric), value in after.items() if metric == "erank_covariance")
    assert all(0 < value <= np.log1p(32 / (20 * 0.5)) for (_, _, metric), value in after.items() if metric == "gain")


def test_contrasts_leave_the_first_block_out_and_average_the_others_text_by_text():
    def key(layer, sublayer):
        return layer, sublayer, "mean", None, "loss"

    texts = {1: [100.0, 100.0], 2: [1.0, 2.0], 3: [3.0, np.nan]}
    changes = {key(layer, "mlp"): np.array(values) for layer, values in texts.items()}
    changes |= {key(layer, "attention"): np.array([0.5, 0.0]) for layer in texts}
    ((place, found),) = contrasts(changes).items()
    assert place == (-1, CONTRAST, "mean", None, "loss")
    np.testing.assert_array_equal(found, [1.5, np.nan])


def test_an_architecture_without_a_table_of_sublayers_says_why_it_was_not_ablated(measured):
    table, rows = measured("bloom")
    assert {row.kind for row in rows} == {"after"}
    assert {row["kind"] for row in read_columns(table, ["kind"])} == {"after"}
    assert "bloom" in json.loads(pq.read_schema(table).metadata[b"absent"])["ablations"]


def test_a_fraction_removes_the_head_or_the_end_of_an_order():
    order = np.array([3, 0, 2, 1])
    assert [gone.tolist() for gone in removed_sets(order, [0, 0.25, 0.5], "highest")] == [[], [3], [3, 0]]
    assert [gone.tolist() for gone in removed_sets(order, [0, 0.25, 0.5], "lowest")] == [[], [1], [1, 2]]


def test_the_last_targets_of_the_first_texts_are_taken():
    class Known:
        text = np.array([0, 0, 2, 2, 5])

    assert choose_targets(Known(), 2, 1) == [1, 3]
    assert choose_targets(Known(), 9, 2) == [0, 1, 2, 3, 4]
