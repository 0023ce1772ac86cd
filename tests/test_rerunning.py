"""Analyses of rows, of models that run again against models that were dumped: the same rows of the same tables."""

import json
from collections.abc import Callable, Sequence
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import DistilBertConfig, DistilBertForMaskedLM

from geomkit.errors import ConfigError
from geomkit.lm import memory, rerunning
from geomkit.lm.cutting import tokenizer_sha256
from geomkit.lm.dumping import dump_model
from geomkit.lm.measuring import measure_model
from geomkit.lm.models import load_tokenizer
from geomkit.measures.spectra import spectrum
from geomkit.sources.corpora import Document, write_documents
from geomkit.store.donors import family_of, incomparable, opened_sources
from geomkit.store.dumps import Dump, State
from geomkit.store.held import Held
from geomkit.store.records.experiments import Likeness
from geomkit.store.records.files import read_csv
from geomkit.store.records.scaling import FollowedVerdict
from geomkit.store.records.theory import ConditionalGain, DocumentVariance
from geomkit.store.spectra import write_spectra
from geomkit.store.texts import Sample, Texts, write_texts
from geomkit.studies.conditional import condition_model, measure_conditional
from geomkit.studies.following import cells, follow_model, judge_following, read_shown, shown
from geomkit.studies.projections import project_donor, write_projections
from geomkit.studies.semantics import judge

LADDER = Path(__file__).parents[1] / "workflow/resources/ladder"
NAMES = ["ladder-16-s0", "ladder-24-s0"]
TEXTS = Texts([*"aabccddefg"], [12, 9, 50, 50, 50, 50, 48, 50, 50, 50], [40] * 10)
COMPUTE = {"device": "cpu", "dtype": "float32", "batch_tokens": 130}
FAMILIES, SEEDS = dict.fromkeys(NAMES, "ladder"), dict.fromkeys(NAMES, 0)
DUMP = {"layers": "all", "sublayers": True}
ASKED = {"layers": ["last", "final"], "sublayers": False, "firsts": False, "objective": "causal", "trust_remote_code": False}
SETTINGS = {
    "modes": ["unit", "centre-unit"],
    "lengths": [8, 30],
    "metrics": ["erank_covariance", "rate_distortion"],
    "parameters": {"eps2": 0.5},
    "draws": 2,
    "seed": 3,
    "bracket": {"modes": ["unit"], "lengths": [30]},
}
FOLLOWED = {"mode": "unit", "parameters": {"eps2": 0.5}}
CONDITIONED = {"length": 30, "eps2": 0.5, "seed": 0}
SOME = pytest.mark.parametrize("running", [NAMES, NAMES[1:], NAMES[:1]])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts, a dump of each model, and its spectra, measured while it runs."""
    folder = tmp_path_factory.mktemp("rerunning")
    draw = np.random.default_rng(0)
    ids = [draw.integers(3, 300, n).astype(np.int32) for n in TEXTS.tokens]
    facts = {
        "model": "m",
        "tokenizer sha256": tokenizer_sha256(load_tokenizer(LADDER / NAMES[0])),
        "corpus sha256": "c",
        "seed": 3,
    }
    write_texts(folder / "c.h5", Sample(ids, [], TEXTS), np.arange(300), facts)
    common = {"compute": COMPUTE, "seed": 3, "origin": {}, "trust_remote_code": False}
    for name in NAMES:
        dumps = [str(folder / f"dumps/{name}/c/trained.h5")]
        dump_model(LADDER / name, folder / "c.h5", dumps, DUMP | {"dtype": "float32", "compression": None}, **common)
        what = {"modes": ["unit"], "lengths": [8], "variants": ["trained"], "drawn": [], "gain": None}
        measure_model(LADDER / name, folder / "c.h5", folder / f"spectra/{name}/c.h5", ASKED, **what, **common)
    return folder


def again(run: Path, name: str, **asked: object) -> Callable[[], Held]:
    return partial(rerunning.run_again, LADDER / name, run / "c.h5", name, ASKED | asked, COMPUTE)


def dumps(run: Path, names: Sequence[str]) -> list[Path]:
    return [run / f"dumps/{name}/c/trained.h5" for name in names]


def spectra(run: Path, names: Sequence[str] = NAMES) -> list[Path]:
    return [run / f"spectra/{name}/c.h5" for name in names]


def project(run: Path, name: str) -> Path:
    output = run / f"projections/{name}/c.parquet"
    project_donor(again(run, name), spectra(run), output, FAMILIES, SEEDS, **SETTINGS)
    return output


def alike(found: Sequence[Any], expected: Sequence[Any]) -> None:
    """Records with the same cells, numbers up to rounding."""
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        cells = list(zip(astuple(one), astuple(other), strict=True))
        assert [cell for cell in cells if not isinstance(cell[0], float) and cell[0] != cell[1]] == []
        numbers = [cell for cell in cells if isinstance(cell[0], float)]
        np.testing.assert_allclose(*np.array(numbers).T, rtol=1e-9, atol=1e-12)


@SOME
def test_a_donor_that_runs_again_gives_the_table_of_its_dump(run, running, tmp_path):
    def table(names, output):
        made = {"spectra": spectra(run, names), "tables": [project(run, name) for name in names]}
        write_projections(dumps(run, others(names)), FAMILIES, SEEDS, output, **SETTINGS, **made)
        found = pq.read_table(output)
        return found.drop(["value", "bound"]).to_pylist(), found["value"].to_numpy(), json.loads(found.schema.metadata[b"absent"])

    expected, found = (table(names, tmp_path / f"{number}/c.parquet") for number, names in enumerate(([], running)))
    assert {row["variant"] for row in found[0]} == {"projected", "random-projection", "common-dimension", "trained"}
    assert found[0] == expected[0]
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-10)
    assert found[2] == expected[2]


def others(names: Sequence[str]) -> list[str]:
    return [name for name in NAMES if name not in names]


def follow(run: Path, name: str) -> Path:
    table = run / f"following/{name}/c.parquet"
    follow_model(again(run, name), spectra(run), table, FAMILIES, SEEDS, **FOLLOWED)
    return table


@SOME
def test_lengths_that_follow_the_width_are_judged_alike(run, running, tmp_path):
    def verdicts(names, output):
        options = {**FOLLOWED, "resamples": 20, "seed": 0, "spectra": spectra(run, names)}
        tables = [follow(run, name) for name in names]
        judge_following(dumps(run, others(names)), FAMILIES, SEEDS, output, **options, tables=tables)
        return read_csv(output, FollowedVerdict)

    expected, found = (verdicts(names, tmp_path / f"{number}.csv") for number, names in enumerate(([], running)))
    assert {(row.layer, row.follows) for row in found} == {(a, b) for a in ("last", "final", "plain") for b in ("2d", "d/2")}
    assert found == expected


@pytest.mark.slow
def test_metrics_at_lengths_that_follow_the_width_are_those_of_a_dump(run):
    with opened_sources(dumps(run, NAMES), FAMILIES, SEEDS) as groups:
        for model in groups["ladder"]:
            for cell in cells(groups["ladder"]):
                found, expected = read_shown(follow(run, model.name), model, cell), shown(model, cell, **FOLLOWED)
                assert found.eps2 == expected.eps2
                assert set(found.narrower) == set(expected.narrower) == ({16} if model.name == NAMES[1] else set())
                for own, other in [
                    (found.own, expected.own),
                    *((found.narrower[k], expected.narrower[k]) for k in found.narrower),
                ]:
                    assert set(own) == set(other)
                    for name in own:
                        np.testing.assert_allclose(own[name], other[name], rtol=1e-10)


@SOME
def test_conditional_entropy_is_that_of_a_dump(run, running, tmp_path):
    def rows(names, folder):
        made = {kind: [run / f"theory/{kind}/{name}/c.csv" for name in names] for kind in ("gains", "documents")}
        for name, gains, documents in zip(names, *made.values(), strict=True):
            condition_model(again(run, name), spectra(run), gains, documents, FAMILIES, SEEDS, **CONDITIONED)
        options = {f"made_{kind}": paths for kind, paths in made.items()}
        outputs = folder / "gains.csv", folder / "documents.csv"
        folder.mkdir()
        stored = dumps(run, others(names))
        measure_conditional(stored, FAMILIES, SEEDS, *outputs, **CONDITIONED, spectra=spectra(run, names), **options)
        return read_csv(outputs[0], ConditionalGain), read_csv(outputs[1], DocumentVariance)

    expected, found = (rows(names, tmp_path / str(number)) for number, names in enumerate(([], running)))
    assert {(row.model, row.variant) for row in found[1]} == {(name, "trained") for name in NAMES} | {(NAMES[0], "projected")}
    for own, other in zip(found, expected, strict=True):
        alike(own, other)


def test_documents_are_compared_as_from_a_dump_with_the_rows_of_their_first_texts_alone(run, tmp_path):
    draw, words = np.random.default_rng(1), ["fog", "lamp", "quay", "boat", "gull", "bread", "net", "rope"]
    documents = [Document(name, " ".join(draw.choice(words, 20))) for name in "abcdefg"]
    write_documents(documents, tmp_path / "c.parquet")
    human = np.triu(draw.uniform(size=(7, 7)))
    np.savetxt(tmp_path / "human.txt", human)
    running = again(run, NAMES[0], layers="all", sublayers=True, firsts=True)
    found = []
    for number, states in enumerate((partial(Dump, dumps(run, NAMES[:1])[0]), running)):
        table = tmp_path / f"{number}/{NAMES[0]}/c.parquet"
        texts = (tmp_path / "c.parquet", tmp_path / "c.parquet", tmp_path / "human.txt")
        judge(states, *texts, table, table.with_suffix(".csv"), "ladder", 0, 10, 20, 0.5, 0, metrics=["erank_covariance"])
        found.append(read_csv(table.with_suffix(".csv"), Likeness))
    alike(found[1], found[0])
    assert {row.sublayer for row in found[1]} == {"block", "attention", "mlp"}
    with running() as held:
        assert list(held.texts.tokens) == [12, 50, 50, 50, 50, 50, 50]


def test_states_of_some_texts_are_those_of_the_batches_that_a_dump_has(run):
    with again(run, NAMES[1], layers="all", sublayers=True)() as held, Dump(dumps(run, NAMES[1:])[0]) as dump:
        assert held.states == dump.states
        assert held.attributes.items() <= dump.attributes.items()
        for state in held.states:
            np.testing.assert_array_equal(held.rows(state, 0, len(TEXTS.tokens)), dump.rows(state, 0, len(TEXTS.tokens)))
            assert held.width(state) == dump.width(state)
        np.testing.assert_array_equal(held.ids(3), dump.ids(3))


def test_rows_of_a_masked_model_without_a_causal_head_are_checked_too(tmp_path):
    DistilBertForMaskedLM(DistilBertConfig(vocab_size=20, dim=8, n_layers=1, n_heads=1, hidden_dim=8)).save_pretrained(tmp_path)
    memory.check_rows("m", tmp_path, 10, [8], COMPUTE, torch.device("cpu"), False, "masked")


def test_imported_states_without_ids_are_no_reason_to_fail_for_a_family(tmp_path):
    texts, path = Texts(["a", "b"], [3, 3], [3, 3]), tmp_path / "imported/c.h5"
    attributes = {"depth": 1, "params_nonembedding": 1, "params_total": 2}
    with write_spectra(path, texts, attributes, {"surprisal": "nobody knows"}) as writer:
        writer.corpus("trained", "unit", State(1), spectrum(np.eye(6, 4)))
    model, members = family_of("imported", [path], {"imported": "f"}, {"imported": None})
    assert model is not None
    assert model.ids.tolist() == [-1] * 6
    assert "has no token ids" in str(incomparable([*members, *members]))


def test_too_little_memory_for_rows_is_found_before_a_model_runs_again(run, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 1000)
    monkeypatch.setattr(rerunning, "load_model", lambda *_: pytest.fail("the model was loaded"))
    with pytest.raises(
        ConfigError, match=rf"ladder-24-s0: running it again needs 0\.0 GB: 0\.0 GB for rows of {sum(TEXTS.tokens)} tokens"
    ):
        project(run, "ladder-24-s0")
