"""Documents whose likeness is known, against judgements that follow it."""

import json
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest

from geomkit.core.errors import DataError
from geomkit.core.state import State
from geomkit.sources.corpora import Document, write_documents
from geomkit.states.dumps import stored, write_dump
from geomkit.states.texts import Texts
from geomkit.studies.semantics.analyse import judge, read_judgements
from geomkit.tables.experiments import Likeness
from geomkit.tables.rows import read_csv

COUNT, WIDTH = 12, 6
FACTS = {"params_nonembedding": 10, "params_total": 20, "depth": 1}


@pytest.fixture
def files(tmp_path, request):
    """Layer 1 holds each document's place on a circle, by which people judge; layer 0 is noise. Texts are in another order."""
    draw, angles = np.random.default_rng(0), np.linspace(0, 2 * np.pi, COUNT, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    order, lengths = draw.permutation(COUNT), draw.integers(4, 9, COUNT)
    if getattr(request, "param", None) == "equal lengths":
        lengths[:] = 8
    dump = tmp_path / "dumps/m/lee/trained.h5"
    dump.parent.mkdir(parents=True)
    with write_dump(
        dump, Texts([f"{n:02d}" for n in order], lengths[order].tolist(), [1] * COUNT), FACTS, {}, "float32", None, [1] * COUNT
    ) as w:
        for number in order:
            rows = 0.1 * draw.standard_normal((lengths[number], WIDTH))
            rows[:, :2] += directions[number]
            noise = draw.standard_normal(rows.shape)
            ids = draw.integers(0, 50, lengths[number]).astype(np.int32)
            states = {State(0): noise, State(1): rows, State(1, "attention"): noise, State(1, "mlp"): rows}
            states = {state: values.astype(np.float32) for state, values in states.items()}
            w.append(ids, np.ones(len(ids), np.float32), states)
    words = ["fog", "lamp", "quay", "boat", "gull", "bread", "net", "rope"]
    documents = [Document(f"{n:02d}", " ".join(draw.choice(words, 20))) for n in range(COUNT)]
    write_documents(documents, tmp_path / "lee.parquet")
    write_documents(documents, tmp_path / "background.parquet")
    human = np.triu(directions @ directions.T)
    np.savetxt(tmp_path / "human.txt", human)
    return tmp_path, dump


@pytest.fixture
def rows(files):
    folder, dump = files
    judge(
        partial(stored, dump),
        folder / "lee.parquet", folder / "background.parquet", folder / "human.txt", folder / "out/m/lee.parquet",
        folder / "out/m/lee.csv", "f", 0, 20, 100, 0.5, 0,
        metrics=["rate_distortion_ratio", "erank_covariance"],
    )  # fmt: skip
    return read_csv(folder / "out/m/lee.csv", Likeness)


def test_the_layer_that_people_judge_by_is_found_and_chosen(rows):
    every = [row for row in rows if (row.kind, row.agreement) == ("agreement", "pearson")]
    agreement = {(row.layer, row.distance): row for row in every if row.sublayer == "block"}
    after = {row.sublayer: row.value for row in every if (row.layer, row.distance) == (1, "mean_cosine")}
    assert after["mlp"] == after["block"] == agreement[1, "mean_cosine"].value > 0.95
    assert abs(after["attention"]) < 0.5
    assert {row.sublayer for row in rows if row.kind == "share"} == {"block"}
    assert abs(agreement[0, "mean_cosine"].value) < 0.5
    assert {name for layer, name in agreement if layer == -1} == {"tfidf", "random_projection", "length"}
    assert all(row.n == COUNT * (COUNT - 1) // 2 and row.documents == COUNT for row in agreement.values())
    choice = {row.kind: row for row in rows if row.distance == "chosen" and row.agreement == "spearman"}
    assert choice["chosen"].value > 0.9
    assert choice["difference"].low > 0
    assert 0 < choice["least"].value < 1
    shares = [row for row in rows if row.kind == "share" and row.agreement == "pearson"]
    assert sum(row.value for row in shares) == pytest.approx(1)
    assert {row.layer for row in shares} == {1}


@pytest.mark.parametrize("files", ["equal lengths"], indirect=True)
def test_lengths_that_do_not_vary_are_no_baseline(files, rows):
    folder, _ = files
    assert {row.distance for row in rows if row.layer == -1} == {"tfidf", "random_projection", "chosen"}
    absent = json.loads(pq.read_schema(folder / "out/m/lee.parquet").metadata[b"absent"])
    assert set(absent) == {"length, pearson", "length, spearman"}


def test_documents_on_a_circle_have_two_directions(rows):
    spectrum = {(row.layer, row.distance): row for row in rows if (row.kind, row.metric) == ("spectrum", "erank_covariance")}
    assert spectrum[1, "mean"].value == pytest.approx(2, abs=0.2)
    assert spectrum[1, "mean"].n == COUNT
    assert spectrum[1, "tokens"].n > COUNT


def test_judgements_of_other_documents_are_refused(files):
    folder, _ = files
    assert read_judgements(folder / "human.txt", COUNT).size == COUNT * (COUNT - 1) // 2
    with pytest.raises(DataError, match=r"human\.txt: judgements of shape \(12, 12\), but there are 9 documents"):
        read_judgements(folder / "human.txt", 9)
