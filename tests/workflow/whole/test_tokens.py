"""Results of a whole run: gains, selections and the page of tokens."""

import csv
import json
from itertools import product
from math import isclose

import numpy as np
import pyarrow.parquet as pq
from runs import (
    BY_COORDINATES,
    LENGTHS,
    MODELS,
    RECONSTRUCTIONS,
    TEXTS,
)

from geomkit.core.state import State
from geomkit.measures.selection import selectors
from geomkit.measures.spectra import normalise
from geomkit.states.dumps import Dump
from geomkit.states.probes import Probe


def test_gains_of_a_text_add_up_to_ln_det(case, done):
    rows = pq.read_table(case.folder / "results/tokens.parquet", filters=[("metric", "=", "information_gain")]).to_pylist()
    for model, (width, depth) in MODELS.items():
        c = width / (LENGTHS[-1] * 0.5)
        with Dump(case.folder / f"results/dumps/{model}/small/trained.h5") as dump:
            for layer, text in product((0, depth, depth + 1), range(TEXTS)):
                Z = normalise(dump.rows(State(layer), text, text + 1), "unit")
                gains = [row["value"] for row in rows if (row["model"], row["layer"], row["text"]) == (model, layer, text)]
                assert len(gains) == LENGTHS[-1]
                assert isclose(sum(gains), np.linalg.slogdet(np.eye(len(Z)) + c * Z @ Z.T)[1], rel_tol=1e-9)


def test_every_method_is_scored_at_every_budget_and_target(case, done):
    rows = pq.read_table(case.folder / "results/tokens.parquet", filters=[("k", ">", 0)]).to_pylist()
    places = ("layer", "first", "method", "k", "text", "position")
    for metric in ("divergence", "loss_increase", "reconstruction", "reconstruction_unseen", "held_out_r2", "raw_r2"):
        found = {tuple(row[name] for name in places) for row in rows if row["metric"] == metric}
        targets = {place[4:] for place in found}
        assert len(targets) == 8
        assert all(4 < position <= LENGTHS[-1] - 2 for _, position in targets)
        pairs = [(first, method) for first, method in product((0, 1), selectors) if (first, method) != (1, "first_recency")]
        assert found == {(layer, *pair, k, *target) for layer, pair, k, target in product((2, 3), pairs, (1, 2, 4), targets)}
    removed = {(row["text"], row["position"]) for row in rows if row["metric"] == "removed_divergence"}
    assert {position for _, position in removed} == {LENGTHS[-1] - 2}
    assert len(removed) == 2
    assert all(row["value"] >= 0 for row in rows if "divergence" in row["metric"])
    assert all(row["value"] <= 1 + 1e-9 for row in rows if row["metric"] in ("raw_r2", "held_out_r2"))
    both = {
        name: {tuple(row[key] for key in places): row["value"] for row in rows if row["metric"] == name}
        for name in RECONSTRUCTIONS
    }
    seen, unseen = (both[name] for name in RECONSTRUCTIONS)
    assert all(unseen[place] == value for place, value in seen.items() if place[2] not in BY_COORDINATES)
    assert any(unseen[place] != value for place, value in seen.items() if place[2] == "lasso")


def test_the_summary_of_tokens_has_values_within_their_intervals(case, done):
    rows = list(csv.DictReader((case.folder / "results/tokens_summary.csv").read_text().splitlines()))
    shares = [float(row["value"]) for row in rows if row["metric"].endswith("_win") or row["metric"] == "jaccard"]
    assert shares
    assert all(0 <= share <= 1 for share in shares)
    assert max(float(row["value"]) for row in rows if row["metric"] == "lasso_gap") < 1e-6
    for row in rows:
        if row["low"] and row["metric"] in ("divergence", "gain_at_position"):
            assert float(row["low"]) - 1e-9 <= float(row["value"]) <= float(row["high"]) + 1e-9
    correlations = [row for row in rows if row["metric"] in ("gain_surprisal", "gain_next_surprisal")]
    assert {(row["variant"], row["method"]) for row in correlations} == set(product(("trained", "shuffled"), ("raw", "partial")))


def test_the_page_of_tokens_holds_texts_of_the_probed_model(case, done):
    page = (case.folder / "results/tokens.html").read_text()
    with Probe(case.folder / "results/probes/ladder-24-s0/small.h5") as probe:
        assert f"ladder-24-s0, small, {probe.document[0]}" in page
        assert json.dumps(probe.tokens(int(probe.text[0]))[3])[1:-1] in page
