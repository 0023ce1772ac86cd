"""Gain and the next token: a run against transformers' own numbers, and an analysis of planted tokens."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from streams import store
from transformers import AutoModelForCausalLM

from geomkit.core.config import ModelSpec
from geomkit.core.errors import RefusalError
from geomkit.laws.resampling import Documents
from geomkit.measures.gain import information_gain
from geomkit.measures.spectra import normalise
from geomkit.states.texts import read_texts
from geomkit.studies.next_token.analyse import correlate, explained
from geomkit.studies.next_token.claims import gain_knows_more
from geomkit.studies.next_token.figure import draw_next_token
from geomkit.studies.next_token.rows import CONTROLS, FACTS, TOKENS, NextToken
from geomkit.studies.next_token.run import entropies, measure_tokens
from geomkit.tables.findings import Inputs
from geomkit.tables.rows import read_csv, write_csv


def test_every_number_is_that_of_transformers(tiny, tmp_path):
    folder = tiny("llama")
    store(tmp_path / "c.h5", folder)
    measure_tokens(folder, tmp_path / "c.h5", tmp_path / "m.parquet", ModelSpec(device="cpu"), 3, 0.5, 0)
    rows = pq.read_table(tmp_path / "m.parquet").to_pylist()
    trained = [row for row in rows if row["variant"] == "trained"]
    assert {row["variant"] for row in rows} == {"trained", "shuffled"}
    assert len({row["document"] for row in rows}) == 3
    ids = read_texts(tmp_path / "c.h5").sample.ids[0]
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        out = model(torch.tensor(ids[None].astype(np.int64)), output_hidden_states=True)
    logs = out.logits[0].double().log_softmax(-1).numpy()
    own = trained[: len(ids) - 1]
    np.testing.assert_allclose([row["entropy"] for row in own], -(np.exp(logs) * logs).sum(-1)[:-1], rtol=1e-5)
    np.testing.assert_allclose([row["next_surprisal"] for row in own], [-logs[t, ids[t + 1]] for t in range(len(own))], rtol=1e-5)
    np.testing.assert_allclose([row["surprisal"] for row in own[1:]], [row["next_surprisal"] for row in own[:-1]])
    gain = information_gain(normalise(out.hidden_states[1][0].numpy(), "unit"), 0.5)
    np.testing.assert_allclose([row["gains"][1] for row in own], gain[:-1], rtol=1e-4)
    again = [t for t in range(1, len(own)) if ids[t] in ids[:t]]
    assert all(row["recency"] == pytest.approx(np.log(t + 1)) for t, row in enumerate(own) if t not in again)


def test_a_masked_model_is_refused(tmp_path):
    with pytest.raises(RefusalError, match="masked"):
        measure_tokens(tmp_path / "m", tmp_path / "c.h5", tmp_path / "out", ModelSpec(objective="masked"), 3, 0.5, 0)


def test_entropies_of_a_uniform_and_of_a_sure_prediction():
    logits = torch.zeros(1, 70, 8)
    logits[0, 69, 3] = torch.inf
    logits[0, 69] = torch.where(torch.arange(8) == 3, 1e4, 0.0)
    found = entropies(logits)[0].numpy()
    np.testing.assert_allclose(found[:69], np.log(8))
    assert found[69] == pytest.approx(0, abs=1e-12)


def planted(path: Path, extra: float) -> Path:
    """Tokens whose next surprisal is the entropy plus noise, and `extra` times gain; gain follows the entropy."""
    draw = np.random.default_rng(1)
    rows = []
    for document in range(12):
        entropy = draw.gamma(2, 1, 200)
        gain = 2 - 0.5 * entropy + draw.normal(0, 0.5, 200)
        outcome = entropy + draw.normal(0, 1, 200) + extra * gain
        others = {name: draw.random(200) for name in CONTROLS}
        for t in range(200):
            own = {name: float(values[t]) for name, values in others.items()}
            own |= {"entropy": float(entropy[t]), "position": float(t), "next_surprisal": float(outcome[t])}
            for variant in ("trained", "shuffled"):
                rows.append({"variant": variant, "document": f"d{document}", **own, "gains": [0.0, float(gain[t])]})
    facts = {"depth": 1, "d": 8, "params_nonembedding": 10, "params_total": 20}
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=TOKENS.with_metadata({FACTS: json.dumps(facts)})), path)
    return path


@pytest.mark.parametrize(("extra", "verdict"), [(0.0, "refuted"), (-1.0, "supported"), (1.0, "refuted")])
def test_gain_that_only_follows_the_entropy_is_refuted(extra, verdict, tmp_path):
    table = planted(tmp_path / "m/wikipedia.parquet", extra)
    correlate([table], tmp_path / "next_token.csv", {"m": "f"}, {"m": None}, 0.5, 0)
    rows = read_csv(tmp_path / "next_token.csv", NextToken)
    assert {row.layer for row in rows if row.kind == "correlation"} == {
        1
    }  # at the embedding all gains are 0, and no correlation is defined
    known = {(row.kind, row.given): row for row in rows if (row.variant, row.layer) == ("trained", 1)}
    if extra <= 0:
        assert known["correlation", None].high < 0
    share = known["explained", "entropy"]
    assert (abs(share.value) < 0.01) if extra == 0 else (share.low > 0.05)
    (one,) = gain_knows_more(Inputs([tmp_path / "next_token.csv"]))
    assert (one.verdict, one.primary) == (verdict, True)
    draw_next_token(tmp_path / "next_token.csv", tmp_path / "next_token.pdf")
    assert (tmp_path / "next_token.pdf").stat().st_size > 1000
    write_csv(tmp_path / "one/next_token.csv", NextToken, [replace(row, low=None, high=None) for row in rows])
    (unknown,) = gain_knows_more(Inputs([tmp_path / "one/next_token.csv"]))
    assert unknown.verdict == "open"  # of one document there is no interval


def test_noise_explains_nothing_on_documents_that_did_not_fit_it():
    draw = np.random.default_rng(0)
    names = np.repeat([f"d{k}" for k in range(10)], 100)
    entropy, noise = draw.random(1000), draw.random(1000)
    documents = Documents.draw(names, 200, draw)
    found = explained(documents, noise, entropy, entropy + draw.normal(0, 0.3, 1000), names)
    assert found.low < 0.005
    assert abs(found.value) < 0.01
