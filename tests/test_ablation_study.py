"""Removals that were written by hand: one token tells all, a sink stays, and what the model lost is known."""

from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest

from geomkit.core.state import State
from geomkit.states.decompose import decompose
from geomkit.states.dumps import Dump, stored, write_dump
from geomkit.states.probes import write_probe
from geomkit.states.texts import Texts
from geomkit.studies.removal.analyse import measure_removals
from geomkit.studies.removal.removals import DIRECTIONS, SINKS, Removals, write_removals
from geomkit.studies.sinks.analyse import measure_without_sinks
from geomkit.tables.experiments import Removal, SinkEffect
from geomkit.tables.rows import read_csv

FACTS = {"params_nonembedding": 10, "params_total": 20, "depth": 1, "information gain n": 11, "information gain eps2": 0.5}
SIZE, WIDTH, TEXTS, TELLING = 10, 64, 3, 6
FRACTIONS = [0.0, 0.1, 0.5]


@pytest.fixture
def dump(tmp_path):
    """Three texts of 11 tokens; in each, token 6 is the last one's equal, and token 0 is a hundred times as long as others."""
    draw = np.random.default_rng(0)
    path, rows = tmp_path / "dumps/m/c/trained.h5", draw.standard_normal((TEXTS, SIZE + 1, WIDTH))
    rows[:, SIZE] = rows[:, TELLING]
    rows[:, 0] *= 100
    path.parent.mkdir(parents=True)
    texts = Texts(["a", "b", "c"], [SIZE + 1] * TEXTS, [9] * TEXTS)
    with write_dump(path, texts, FACTS, {}, "float32", None, [TEXTS]) as writer:
        cloud, count = rows.reshape(-1, WIDTH).astype(np.float32), TEXTS * (SIZE + 1)
        writer.append(np.zeros(count, np.int32), np.ones(count, np.float32), {State(0): cloud, State(1): cloud})
    return path


@pytest.fixture
def removals(tmp_path):
    """The telling token comes first. The model loses 2 nats with it, and nothing with any other."""
    order = np.array([TELLING, *[token for token in range(SIZE) if token != TELLING]])
    draw = np.random.default_rng(1)
    arrays = {
        "targets/text": np.arange(TEXTS), "targets/position": np.full(TEXTS, SIZE), "targets/stranger": np.array([1, 2, 0]),
        "targets/document": np.array(["a", "b", "c"]), "leave_one_out": np.tile(np.arange(SIZE) == TELLING, (TEXTS, 1)) * 2.0,
        "sinks": np.tile(np.arange(SIZE) == 0, (TEXTS, 1)).astype(np.int8),
        **{f"reference/{name}": np.full(TEXTS, value) for name, value in (("loss", 1.0), ("alone", 2.0), ("sinks_alone", 2.0))},
    }  # fmt: skip
    every = {f"random-{k}": np.stack([draw.permutation(SIZE) for _ in range(TEXTS)]) for k in range(4)}
    every["lasso"] = np.tile(order, (TEXTS, 1))
    for null, methods in (("own", every), ("stranger", {"lasso": every["lasso"]}), ("noise", {"lasso": every["lasso"]})):
        for method, found in methods.items():
            arrays[f"orders/1/{null}/{method}"] = found
            for sinks in SINKS:
                for direction in DIRECTIONS[: 1 if method.startswith("random") else 2]:
                    lost = np.array([[0.0, 2, 2]] if direction == "highest" and method == "lasso" else [[0.0, 0, 0]])
                    for name, shift in (("divergence", 0), ("loss", 1)):
                        arrays[f"scores/1/{null}/{sinks}/{method}/{direction}/{name}"] = np.tile(lost + shift, (TEXTS, 1))
    path = tmp_path / "removals/m/c.h5"
    path.parent.mkdir(parents=True)
    write_removals(path, arrays, FACTS | {"fractions": FRACTIONS}, {"x": "why"})
    return path


@pytest.fixture
def rows(dump, removals, tmp_path):
    table, summary = tmp_path / "out/m/c.parquet", tmp_path / "out/m/c.csv"
    with Dump(dump) as file:
        rows = {f"states/1/{text}": file.rows(State(1), text, text + 1) for text in range(TEXTS)}
    with Removals(removals) as file:
        targets = {f"targets/{name}": np.array(getattr(file, name)) for name in ("text", "position", "document")}
        targets |= {f"reference/{name}": np.array(getattr(file, name)) for name in ("loss", "alone")}
    write_probe(tmp_path / "probe.h5", rows | targets, FACTS | {"budgets": [1]}, {})
    measure_removals(removals, tmp_path / "probe.h5", table, summary, "f", None, 0)
    assert pq.read_table(table).num_rows > 100
    return read_csv(summary, Removal)


def one(rows, **wanted):
    found = [row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())]
    assert len(found) == 1
    return found[0]


def test_what_goes_into_a_file_of_removals_comes_out(removals):
    with Removals(removals) as file:
        assert (file.fractions, file.layers, file.document, file.absent) == (FRACTIONS, [1], ["a", "b", "c"], {"x": "why"})
        assert set(file.orders(1, "own")) == {"lasso", *(f"random-{k}" for k in range(4))}
        assert len(list(file.hidden(1))) == 2 * (3 * 2 + 4)


def test_a_context_whose_one_token_tells_all_is_concentrated_and_its_nulls_are_not(rows):
    own = {"sinks": "removable", "null": "own", "method": "lasso"}
    assert one(rows, **own, metric="residual_half_deleted").value == pytest.approx(1 / SIZE)
    assert one(rows, **own, metric="residual_half_kept").value == pytest.approx(1 / SIZE)
    assert one(rows, **own, metric="residual_area", direction="highest").value > 0.05
    assert one(rows, sinks="removable", null="own", metric="residual_gini").value > 0.85
    assert one(rows, sinks="removable", null="minus noise", metric="residual_gini").low > 0.05
    assert one(rows, **own | {"null": "minus stranger"}, metric="residual_area", direction="highest").low > 0


def test_sinks_that_stay_are_no_part_of_the_context(rows):
    kept = one(rows, sinks="kept", null="own", method="lasso", metric="residual_half_deleted")
    assert kept.value == pytest.approx(1 / (SIZE - 1))


def test_the_models_curves_are_those_that_were_written(rows):
    where = {"sinks": "kept", "null": "own", "method": "lasso"}
    for metric in ("divergence", "loss"):
        for fraction, value in zip(FRACTIONS, (0, 2, 2), strict=True):
            assert one(rows, **where, direction="highest", metric=metric, fraction=fraction).value == value
        area = one(rows, **where, direction="highest", metric=f"{metric}_area")
        assert area.value == pytest.approx(0.1 * 2 / 2 + 0.4 * 2)  # random removal loses nothing
        assert area.documents == area.n == TEXTS
    assert one(rows, **where, metric="divergence_half_deleted").value == pytest.approx(0.05)
    assert one(rows, sinks="kept", null="own", metric="divergence_gini").value == pytest.approx(1 - 1 / (SIZE - 1))


def test_a_long_first_token_is_the_raw_spectrum_and_one_row_of_unit_rows(dump, tmp_path):
    spectra = tmp_path / "spectra/m/c.h5"
    sinks = {
        "thresholds": [10.0, 200.0],
        "modes": ["unit", "centre-unit", "centre", "raw"],
        "eps2": 0.5,
        "metrics": ["rate_distortion_ratio", "erank_covariance"],
    }
    decompose(partial(stored, dump), spectra, ["unit"], [4], ["trained"], [], None, 0, sinks=sinks)
    measure_without_sinks(spectra, tmp_path / "s.parquet", tmp_path / "s.csv", "f", 3, 0)
    found = read_csv(tmp_path / "s.csv", SinkEffect)
    where = {"layer": 1, "metric": "erank_covariance"}
    assert one(found, kind="sinks", threshold=10).value == 1
    assert one(found, kind="sinks", threshold=200).value == 0
    assert one(found, **where, normalise="raw", kind="all").value < 1.2
    assert one(found, **where, normalise="raw", kind="without", threshold=10).value > 7
    assert abs(one(found, **where, normalise="unit", kind="difference", threshold=10).value) < 1.5
    assert one(found, **where, normalise="raw", kind="difference", threshold=200).value == 0
    table = pq.read_table(tmp_path / "s.parquet").to_pylist()
    assert {row["variant"] for row in table} == {"trained", "without-sinks"}
