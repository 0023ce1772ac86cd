"""Portraits: three ways give one number, what is planted is found, equal models do not differ, and bad input is one line."""

import argparse
import copy
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from test_models import write_gguf

from geomkit.command import main
from geomkit.core.config import ModelSpec
from geomkit.core.errors import ConfigError, DataError
from geomkit.core.state import State
from geomkit.measures.entropy import measure
from geomkit.measures.spectra import normalise, row_spectrum, spectrum
from geomkit.models.cutting import WHOLE, passages, sample, tokenizer_sha256
from geomkit.models.stream import runs
from geomkit.sources.corpora import Document
from geomkit.states.dumps import stored, write_dump
from geomkit.states.texts import Texts, write_texts
from geomkit.studies.portrait.analyse import write_portrait
from geomkit.studies.portrait.measure import measure_portrait, texts_of_nulls
from geomkit.studies.portrait.rows import facts_of, read
from geomkit.studies.portrait.run import compare, portrait
from geomkit.studies.portrait.sentences import similarity_of_ends

METRICS = ["erank_covariance", "rate_distortion_ratio", "top_1_share"]
SMALL = {"count": 12, "length": 24, "lengths": (8, 24), "device": "cpu"}
TWIN = "untrained-0"
KEY = (
    "section",
    "variant",
    "layer",
    "state",
    "other_layer",
    "other_place",
    "normalise",
    "scope",
    "n",
    "sinks",
    "metric",
    "rank",
    "text",
    "position",
    "past",
)


def cells(table) -> dict[tuple, float]:
    return {tuple(row[name] for name in KEY): row["value"] for row in table.to_pylist()}


def chosen(table, **wanted) -> list[dict]:
    return [row for row in table.to_pylist() if all(row[name] == value for name, value in wanted.items())]


@pytest.fixture(scope="module")
def lines() -> list[str]:
    words = np.array(["fog", "lamp", "quay", "boat", "gull", "bread", "café", "net", "rope", "salt"])
    draw = np.random.default_rng(0)
    return [" ".join(draw.choice(words, 30)) for _ in range(14)]


@pytest.fixture(scope="module")
def deep(tmp_path_factory, tokenizer):
    """A model of four blocks."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=300, hidden_size=32, num_hidden_layers=4, num_attention_heads=4, intermediate_size=48,
            initializer_range=0.25, max_position_embeddings=64, pad_token_id=None,
        )  # fmt: skip
        model = LlamaForCausalLM(config).eval()
    folder = tmp_path_factory.mktemp("deep") / "deep"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, folder


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["llama", "gpt-neox", "bert"])
def test_a_folder_a_model_in_memory_and_the_workflow_give_equal_numbers(
    architecture, tiny, tokenizer, mask_tokenizer, lines, tmp_path
):
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    from geomkit.measures.entropy import metrics

    masked = architecture == "bert"
    words, options = (mask_tokenizer if masked else tokenizer), {**SMALL, "objective": "masked" if masked else "causal"}
    folder = tiny(architecture)
    by_folder = portrait(folder, lines, **options)
    model = (AutoModelForMaskedLM if masked else AutoModelForCausalLM).from_pretrained(folder).train()
    in_memory = portrait(model, lines, tokenizer=words, **options)
    assert model.training

    documents = [Document(f"text {number}", line) for number, line in enumerate(lines, 1)]
    cut = sample(documents, words, 12, 24, 0)
    facts = {"tokenizer sha256": tokenizer_sha256(words), "corpus sha256": "0", "model": "x"}
    write_texts(tmp_path / "texts.h5", cut, np.zeros(300, int), facts)
    states = partial(runs, folder, tmp_path / "texts.h5", "m", ModelSpec(folder, options["objective"], False, "cpu"), 8192, 0)
    files = [tmp_path / name for name in ("c.h5", "c.words.json", "c.parquet", "c.csv")]
    measure_portrait(states, *files[:2], ["unit", "centre-unit"], [8, 24], ["shuffled", "untrained-0"], list(metrics), 0.5, 0)
    write_portrait(*files, "m", "texts", list(metrics), {"eps2": 0.5}, "gaussian", 0)
    expected = cells(by_folder.table)
    assert len(expected) == by_folder.table.num_rows > 1000
    assert cells(in_memory.table) == expected
    assert cells(read(files[2])) == expected
    assert files[3].read_text().count("\n") == len(expected) + 1


@pytest.mark.slow
def test_nulls_have_the_dimension_of_their_tokens_too(deep, lines):
    found = portrait(deep[1], [line * 3 for line in lines * 2], **{**SMALL, "count": 24, "length": 48})
    rows = chosen(found.table, section="dimension", metric="gride", rank=2)
    assert {row["variant"] for row in rows} >= {"trained", "shuffled", "untrained-0"}
    reasons = {name: why for name, why in found.facts.absent.items() if name.startswith("dimension")}
    assert all("distinct rows" in why for why in reasons.values()), reasons  # of few different tokens, and for no other reason


def test_metrics_are_those_of_the_models_own_states(deep, tokenizer, lines):
    import torch

    model, folder = deep
    table = portrait(folder, lines, **SMALL).table
    values = []
    texts = sample([Document(f"text {number}", line) for number, line in enumerate(lines, 1)], tokenizer, 12, 24, 0)
    for own in texts.ids:
        with torch.inference_mode():
            hidden = model(torch.tensor(own[None].astype(np.int64)), output_hidden_states=True).hidden_states[2][0]
        values.append(measure(spectrum(hidden[:8], "centre-unit"), METRICS)["erank_covariance"].value)
    found = chosen(
        table, section="depth", variant="trained", layer=2, normalise="centre-unit", scope="text", n=8, metric="erank_covariance"
    )
    assert found[0]["value"] == pytest.approx(np.mean(values), rel=1e-5)


@pytest.mark.parametrize("scope", ["last", "mean"])
@pytest.mark.parametrize("mode", ["unit", "centre-unit"])
def test_a_corpus_has_one_row_for_each_text_beside_its_nulls(deep, lines, tokenizer, scope, mode):
    import torch

    from geomkit.measures.entropy import measure
    from geomkit.measures.spectra import spectrum

    model, folder = deep
    table = portrait(folder, lines, **SMALL).table
    rows = []
    texts = sample([Document(f"text {number}", line) for number, line in enumerate(lines, 1)], tokenizer, 12, 24, 0)
    for own in [texts.ids[text] for text in texts_of_nulls(texts.texts.document)]:
        with torch.inference_mode():
            hidden = model(torch.tensor(own[None].astype(np.int64)), output_hidden_states=True).hidden_states[2][0].double()
        rows.append((hidden[-1] if scope == "last" else hidden.mean(dim=0)).numpy())
    expected = measure(spectrum(np.stack(rows), mode), ["erank_covariance"])["erank_covariance"]
    where = {"section": "depth", "layer": 2, "normalise": mode, "scope": scope, "metric": "erank_covariance"}
    (found,) = chosen(table, **where, variant="trained")
    assert found["value"] == pytest.approx(expected.value, rel=1e-5)
    assert (found["n"], found["texts"], found["bound"]) == (len(rows), len(rows), expected.bound)
    assert found["low"] < found["value"] < found["high"]
    nulls = {row["variant"]: row["value"] for row in chosen(table, **where) if row["variant"] != "trained"}
    assert set(nulls) == {"shuffled", "untrained-0", "gaussian"}
    draws = np.random.default_rng(0).standard_normal((200, len(rows), 32))
    gaussian = measure(spectrum(draws, mode), ["erank_covariance"])["erank_covariance"].value
    assert nulls["gaussian"] == pytest.approx(gaussian.mean(), rel=0.02)


@pytest.fixture
def planted(tmp_path) -> Path:
    """Ten documents: the first token of each text is a sink at block 1, and block 2 has three directions."""
    draw = np.random.default_rng(0)
    n, d, texts = 24, 40, 20
    rows = {State(layer): draw.standard_normal((texts, n, d)) for layer in range(6)}
    rows[State(1)][:, 0] *= 80
    rows[State(2)] = draw.standard_normal((texts, n, 3)) @ draw.standard_normal((3, d))
    path = tmp_path / "dumps/trained.h5"
    path.parent.mkdir(parents=True)
    facts = {"params_nonembedding": 10, "params_total": 20, "depth": 4, "final norm": "none", "model": "planted"}
    documents = [f"d{number // 2}" for number in range(texts)]
    with write_dump(path, Texts(documents, [n] * texts, [9] * texts), facts, {}, "float32", None, [texts]) as writer:
        flat = {state: cloud.reshape(-1, d).astype(np.float32) for state, cloud in rows.items()}
        writer.append(np.tile(np.arange(n, dtype=np.int32), texts), np.ones(n * texts, np.float32), flat)
    return path


def rows_of(dump: Path, layer: int) -> np.ndarray:
    """Rows (texts, n, d) of a layer of the planted dump."""
    with stored(dump)("trained") as states:
        return states.gather([State(layer)])[State(layer)].reshape(20, 24, 40)


def table_of(dump: Path, folder: Path, name: str = "planted"):
    folder.mkdir(exist_ok=True)
    files = [folder / f"{name}{ending}" for ending in (".h5", ".json", ".parquet", ".csv")]
    measure_portrait(partial(stored, dump), *files[:2], ["unit", "centre-unit"], [24], [], METRICS, 0.5, 0)
    write_portrait(*files, name, "c", METRICS, {"eps2": 0.5}, "gaussian", 0)
    return read(files[2])


def test_a_planted_sink_and_a_layer_of_low_rank_are_found(planted, tmp_path):
    table = table_of(planted, tmp_path / "out")
    sinks = chosen(table, section="sinks", metric="sinks")
    assert [(row["position"], row["token"], row["value"]) for row in sinks] == [(0, "#0", 20)]
    ratio = chosen(table, section="sinks", metric="sink_ratio")[0]
    assert (ratio["layer"], ratio["value"]) == (1, pytest.approx(80, rel=0.2))
    share = {row["layer"]: row["value"] for row in chosen(table, section="norms", metric="sink_share")}
    assert share[1] > 0.99
    assert share[3] < 0.1
    rank = chosen(table, section="depth", variant="trained", layer=2, normalise="unit", metric="erank_covariance", scope="text")
    assert 2 < rank[0]["value"] <= 3
    without = chosen(table, section="depth", layer=1, normalise="centre-unit", metric="erank_covariance", sinks="without")
    within = chosen(
        table, section="depth", variant="trained", layer=1, normalise="centre-unit", metric="erank_covariance", sinks="with"
    )
    assert without[0]["low"] > 3 * within[0]["value"]
    gride = {"section": "dimension", "scope": "tokens", "variant": "trained", "metric": "gride", "rank": 2}
    assert chosen(table, **gride, layer=2)[0]["value"] == pytest.approx(3, rel=0.25)
    assert chosen(table, **gride, layer=3)[0]["low"] > 10
    reason = facts_of(table).absent["dimension, one of each token, trained, 2"]
    assert reason == "23 distinct rows of 23, and an intrinsic dimension needs 32"
    deepest = chosen(table, section="valley", variant="trained", normalise="unit")
    depth, layer = ({row["metric"]: row for row in deepest}[name] for name in ("valley_depth", "valley_layer"))
    whole = {}
    for state in range(5):
        rows = normalise(rows_of(planted, state), "unit")
        whole[state] = measure(row_spectrum(rows), METRICS)["erank_covariance"].value
    means = {state: np.exp(np.log(values).mean()) for state, values in whole.items()}
    lowest = min((1, 2, 3), key=means.__getitem__)
    assert (depth["layer"], depth["place"], layer["value"], layer["low"], layer["high"]) == (lowest, str(lowest), *[lowest] * 3)
    assert depth["value"] == pytest.approx(1 - means[lowest] / min(means[0], means[4]), rel=1e-6)
    assert depth["low"] < depth["value"] < depth["high"] < 1
    assert (depth["n"], depth["texts"], depth["documents"], depth["d"]) == (24, 20, 10, 40)
    sentences = " ".join(facts_of(table).sentences)
    assert "In each text, 1 [1, 1] tokens are over ten times" in sentences
    assert "the first token is one in 100% of texts" in sentences
    assert "after block 1 of 4, and is" in sentences
    assert re.search(r"; without attention sinks it is 1[67]\.?\d* there", sentences)


def test_similarity_of_layers_is_that_of_the_sampled_tokens(planted, tmp_path):
    from geomkit.measures.similarity import similarity
    from geomkit.states.spectra import Spectra

    table = table_of(planted, tmp_path / "out")
    rows = chosen(table, section="similarity")
    assert len(rows) == 2 * 6 * 7 / 2
    with Spectra(tmp_path / "out/planted.h5") as file:
        tokens = file.sampled_tokens("trained")
        states = [file.sample("trained", State(layer)).astype(float) for layer in (0, 3)]
    unit = [own / np.linalg.norm(own, axis=1, keepdims=True) for own in states]
    for name, found in similarity(*unit, tokens // 48).items():
        (row,) = [row for row in rows if (row["metric"], row["layer"], row["other_layer"]) == (name, 0, 3)]
        numbers = [found.value, found.low, found.high, found.null]
        assert [row[column] for column in ("value", "low", "high", "null")] == pytest.approx(numbers, abs=1e-6)
        assert row["low"] < 0 < row["high"]
        assert (row["n"], row["documents"], row["scope"]) == (480, 10, "tokens")
    assert [row["value"] for row in rows if row["place"] == row["other_place"]] == pytest.approx([1] * 12)


def ends(variant: str, low: float, high: float) -> dict:
    pair = {"section": "similarity", "metric": "cka", "place": "embedding", "other_place": "last", "scope": "tokens"}
    return pair | {"variant": variant, "value": (low + high) / 2, "low": low, "high": high}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([ends("trained", 0.2, 0.3), ends("untrained-0", 0.8, 0.9)], "is 0.25 [0.2, 0.3] of 1; in an untrained twin it is 0.85"),
        ([ends("trained", 0.2, 0.3)], "is 0.25 [0.2, 0.3] of 1."),
        ([ends("trained", 0.2, 0.3), ends("untrained-0", 0.25, 0.4)], ""),  # as in the twin
        ([ends("trained", -0.1, 0.1), ends("untrained-0", 0.8, 0.9)], ""),  # no more than the null
        ([ends("trained", 0.2, 0.3) | {"low": None, "high": None}], ""),
        ([], ""),
    ],
)
def test_similarity_is_a_sentence_only_where_it_differs_from_its_nulls(rows, words):
    found = list(similarity_of_ends(rows))
    assert len(found) == bool(words)
    assert words in "".join(found)


def test_a_sphere_is_lower_than_its_covariance_says_and_gaussian_rows_are_not(tmp_path):
    draw = np.random.default_rng(5)
    facts = {"params_nonembedding": 10, "params_total": 20, "depth": 4, "final norm": "none", "model": "shapes"}
    texts, n, d = 20, 24, 40
    total = texts * n
    flat = {State(layer): draw.standard_normal((total, d)) * np.linspace(1, 3, d) for layer in range(6)}
    sphere = draw.standard_normal((total, 4))
    flat[State(4)] = sphere / np.linalg.norm(sphere, axis=1, keepdims=True) @ draw.standard_normal((4, d))
    flat[State(4)] += 0.01 * draw.standard_normal((total, d))
    flat[State(2)][::24] *= 200  # sinks would make the covariance
    path = tmp_path / "dumps/trained.h5"
    path.parent.mkdir(parents=True)
    documents = [f"d{number}" for number in range(texts)]
    with write_dump(path, Texts(documents, [n] * texts, [9] * texts), facts, {}, "float32", None, [texts]) as writer:
        states = {state: rows.astype(np.float32) for state, rows in flat.items()}
        writer.append(np.arange(total, dtype=np.int32) // 2, None, states)
    table = table_of(path, tmp_path / "out", "shapes")
    gride = {"section": "dimension", "scope": "types", "metric": "gride", "rank": 8}
    for layer in range(6):
        (own,) = chosen(table, **gride, layer=layer, variant="trained")
        (null,) = chosen(table, **gride, layer=layer, variant="same-covariance")
        assert own["low"] < own["value"] < own["high"]
        assert own["n"] == null["n"] <= total // 2
        assert own["documents"] == texts // 2  # the sample is of the texts that nulls read
        assert (own["high"] < null["low"]) == (layer == 4)
        assert layer == 4 or abs(np.log(own["value"] / null["value"])) < 0.2
    sentences = " ".join(facts_of(table).sentences)
    assert re.search(r"vectors of [0-9]+ different tokens have an intrinsic dimension of [23]\.?", sentences)


def test_nulls_too_have_one_vector_of_each_token(deep):
    draw = np.random.default_rng(6)
    texts = ["".join(draw.choice(list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), 60)) for _ in range(14)]
    made = portrait(deep[1], texts, **SMALL)
    rows = chosen(made.table, section="dimension", scope="types", metric="gride", rank=2, layer=2)
    assert {row["variant"] for row in rows} == {"trained", "untrained-0", "shuffled", "same-covariance"}
    counts = {row["variant"]: row["n"] for row in rows}
    assert counts["trained"] == counts["untrained-0"] == counts["same-covariance"]
    assert not [name for name in made.facts.absent if name.startswith("dimension")]


@pytest.mark.parametrize("option", [["--cores", "3"], ["--cores=3"], ["-c3"], ["-c", "3"], []])
def test_plot_takes_the_cores_that_it_is_given(monkeypatch, option):
    from geomkit import command

    calls = []
    monkeypatch.setattr(command.subprocess, "run", lambda words, check: calls.append(words) or argparse.Namespace(returncode=0))
    assert main(["plot", *option, "--dry-run"]) == 0
    assert sum(word.startswith(("--cores", "-c")) for word in calls[0]) == 1
    assert "results/scaling_plot.pdf" in calls[0]
    assert main(["plot", "portrait_table", *option, "--dry-run"]) == 0
    assert calls[1][3] == "portrait_table"
    assert "results/scaling_plot.pdf" not in calls[1]


def test_random_rows_do_not_differ_from_random_rows(tmp_path):
    draw = np.random.default_rng(3)
    facts = {"params_nonembedding": 10, "params_total": 20, "depth": 4, "final norm": "none", "model": "noise"}
    texts, n, d = 30, 24, 40
    path = tmp_path / "dumps/trained.h5"
    path.parent.mkdir(parents=True)
    with write_dump(
        path, Texts([f"d{k}" for k in range(texts)], [n] * texts, [9] * texts), facts, {}, "float32", None, [texts]
    ) as w:
        flat = {State(layer): draw.standard_normal((texts * n, d)).astype(np.float32) for layer in range(6)}
        w.append(np.zeros(texts * n, np.int32), None, flat)
    table = table_of(path, tmp_path / "out", "noise")
    assert facts_of(table).sentences == ("Nothing that is listed here differs from its nulls.",)
    assert "sinks" in facts_of(table).absent


@pytest.mark.slow
def test_equal_models_do_not_differ_and_a_changed_block_is_found(deep, tokenizer, lines):
    import torch

    model, _ = deep
    same = compare(model, copy.deepcopy(model), lines, tokenizer=tokenizer, **SMALL)
    first, second = same.facts.sentences
    assert first == "No difference between the two models is larger than texts explain."
    assert (
        "two models' token vectors are alike beyond their null: debiased CKA is 1 [1, 1] of 1, and a share of 1 [1, 1]" in second
    )
    similar = chosen(same.table, section="similarity")
    assert len(similar) == 2 * len({(row["place"], row["other_place"]) for row in similar})
    assert all(row["value"] == pytest.approx(1) for row in similar if row["place"] == row["other_place"])
    rows = chosen(same.table, section="difference")
    assert rows
    assert all(row["value"] == row["band_low"] == row["band_high"] == 0 for row in rows)
    assert {row["scope"] for row in rows} == {"text", "last", "mean"}
    dimensions = [row for row in chosen(same.table, section="dimension", variant=None) if row["rank"]]
    assert (
        {row["value"] for row in dimensions} == {row["low"] for row in dimensions} == {row["high"] for row in dimensions} == {0}
    )
    other = copy.deepcopy(model)
    with torch.no_grad():
        for weight in other.model.layers[2].mlp.parameters():
            weight.mul_(30)
    changed = compare(model, other, lines, tokenizer=tokenizer, names=("base", "changed"), **SMALL)
    apart = [
        row["layer"]
        for row in chosen(changed.table, section="difference", metric="erank_covariance", normalise="centre-unit", n=24)
        if row["band_low"] > 0 or row["band_high"] < 0
    ]
    assert min(apart) == 3
    clouds = chosen(changed.table, section="difference", metric="erank_covariance", normalise="unit", scope="last")
    assert len(clouds) == 7
    for row in clouds:
        where = {"section": "depth", "metric": row["metric"], "normalise": "unit", "scope": "last", "place": row["place"]}
        base, other = (chosen(changed.table, **where, model=name)[0]["value"] for name in ("base", "changed"))
        assert row["value"] == pytest.approx(other - base, abs=1e-12)
        assert row["band_low"] <= row["value"] <= row["band_high"]
        assert row["low"] <= row["high"]
    assert all((row["value"] == row["band_low"] == row["band_high"] == 0) == (row["layer"] < 3) for row in clouds)
    assert any("they part first after block 3 of 4" in sentence for sentence in changed.facts.sentences)
    assert {row["model"] for row in chosen(changed.table, section="loss")} == {"base", "changed", "changed minus base"}
    assert changed.to_latex().count(r"\\") == 2 + 6


@pytest.mark.slow
def test_models_of_other_depth_are_compared_at_relative_depth(deep, tiny, tokenizer, lines):
    result = compare(deep[1], tiny("llama"), lines, **SMALL)
    rows = chosen(result.table, section="difference", metric="erank_covariance", normalise="unit", n=24, state="block")
    assert [row["layer"] for row in rows] == [0, 1, 2, 3, 4, 5]
    assert "equal depth" in result.facts.absent


@pytest.mark.slow
def test_models_of_other_tokenizers_read_the_same_passages(deep, lines, tmp_path):
    from geomkit.ladder.training import train_tokenizer

    model, folder = deep
    other = tmp_path / "other"
    model.save_pretrained(other)
    train_tokenizer([" ".join(lines)], 280).save_pretrained(other)
    result = compare(folder, other, lines, **SMALL)
    assert "the tokenizers differ" in result.facts.absent["equal tokens"]
    assert {row["metric"] for row in chosen(result.table, section="loss", model="other minus deep")} == {"loss_per_byte"}
    similar = chosen(result.table, section="similarity")
    assert {(row["metric"], row["scope"], row["n"]) for row in similar} == {("cka", "last", 12), ("cka", "mean", 12)}
    assert result.facts.absent["mutual_neighbours"] == "other documents have 11 rows, fewer than twice 10"
    rows = chosen(result.table, section="difference", metric="erank_covariance", layer=0, normalise="unit", scope="text")
    assert {row["n"] for row in rows} <= {8, 24}
    assert rows


def test_passages_are_the_bytes_of_the_texts_that_a_tokenizer_cuts(tokenizer):
    documents = [Document(f"d{number}", f"fog {number} café — “quay” " * 12) for number in range(5)]
    cut = sample(documents, tokenizer, 8, 20, 0)
    found = passages(documents, tokenizer, 8, 20, 0)
    assert [document.name for document in found] == list(cut.texts.document)
    for passage, ids in zip(found, cut.ids, strict=True):
        whole = next(document.text for document in documents if document.name == passage.name)
        assert passage.text in whole
        decoded = tokenizer.decode(ids).strip("\ufffd")  # a character that a border cuts
        assert decoded in passage.text
        assert len(passage.text) - len(decoded) <= 2
    again = sample(found, tokenizer, len(found), WHOLE, 0)
    assert sorted(again.texts.document) == sorted(cut.texts.document)
    assert sum(again.texts.tokens) == pytest.approx(sum(cut.texts.tokens), rel=0.1)


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([], {}, "texts: there is no text"),
        (["  "], {}, "there is no text"),
        ([3], {}, "texts must be strings, found int"),
        ("nowhere.txt", {}, "nowhere.txt: no such file"),
        (["fog and lamp"], {"lenght": 3}, "unknown option 'lenght'; known: count, length"),
    ],
)
def test_bad_texts_and_options_are_one_line(texts, options, message, tiny):
    with pytest.raises((ConfigError, DataError), match=message):
        portrait(tiny("llama"), texts, **options)


@pytest.mark.slow
def test_one_text_and_texts_shorter_than_every_length_are_said(tiny, lines):
    single = portrait(tiny("llama"), lines[:1], **SMALL)
    assert "one document" in single.facts.sentences[0]
    assert all(row["low"] is None for row in chosen(single.table, section="depth"))
    assert chosen(single.table, section="similarity") == []
    assert "1 document, fewer" in single.facts.absent["similarity"]
    short = portrait(tiny("llama"), [line[:20] for line in lines], device="cpu")
    assert {row["n"] for row in chosen(short.table, section="depth", scope="text")} != {64, 256}


def test_a_model_that_is_not_there_and_one_without_a_tokenizer_are_refused(deep, lines, tmp_path):
    with pytest.raises(DataError, match="no such folder or file, nor a name on the hub"):
        portrait(tmp_path / "none", lines)
    deep[0].save_pretrained(tmp_path / "bare")
    with pytest.raises(DataError, match="tokenizer"):
        portrait(tmp_path / "bare", lines, device="cpu")


def test_a_model_in_memory_needs_a_tokenizer_and_other_faults_are_not_taken_for_its_absence(deep, lines, monkeypatch):
    monkeypatch.setattr(deep[0], "name_or_path", "", raising=False)
    with pytest.raises(ConfigError, match=r"no tokenizer is found at '', where the model is from .*; hand one over: tokenizer="):
        portrait(deep[0], lines, **SMALL)
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", lambda name: [][0])
    with pytest.raises(IndexError):
        portrait(deep[0], lines, **SMALL)


@pytest.mark.slow
def test_the_command_writes_a_page_and_errors_are_one_line(deep, lines, tmp_path, capsys):
    notes = tmp_path / "notes"
    notes.mkdir()
    for number, line in enumerate(lines):
        (notes / f"{number}.md").write_text(line)
    size = ["--count", "12", "--length", "24", "--device", "cpu"]
    page = tmp_path / "page.html"
    assert main(["portrait", str(deep[1]), "--texts", str(notes), "--out", str(page), *size]) == 0
    assert "<html" in page.read_text()[:200]
    assert (
        main(
            ["portrait", str(deep[1]), "--against", str(deep[1]), "--texts", str(notes), "--out", str(tmp_path / "c.csv"), *size]
        )
        == 0
    )
    assert (tmp_path / "c.csv").read_text().startswith('"section"')
    capsys.readouterr()
    assert main(["portrait", str(deep[1]), "--texts", str(tmp_path / "nothing.txt"), "--out", str(page)]) == 1
    assert capsys.readouterr().err == f"DataError: {tmp_path}/nothing.txt: no such file or folder\n"
    for name, message in (("page.docx", "a portrait is saved as .html, .pdf"), ("none/page.html", "there is no folder")):
        # before anything is measured: this model is nowhere
        assert main(["portrait", "nowhere/model", "--texts", str(notes), "--out", str(tmp_path / name), *size]) == 1
        assert message in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_measures_a_gguf_file_on_a_folder_of_notes(deep, tokenizer, lines, tmp_path):
    """As a person runs it, in a process of its own: the terminal has progress, sentences, the page's path, and no more."""
    notes, file, page = tmp_path / "notes", tmp_path / "deep-f32.gguf", tmp_path / "page.html"
    notes.mkdir()
    for number, line in enumerate(lines):
        (notes / f"{number}.txt").write_text(line)
    write_gguf(file, deep[0], tokenizer, None)
    how = ["--texts", notes, "--out", page, "--count", "12", "--length", "24", "--device", "cpu"]
    command = Path(sys.executable).with_name("geomkit")
    done = subprocess.run([command, "portrait", file, *how], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, *sentences, last = done.stdout.splitlines()
    assert (first, last) == ("deep-f32 on notes", str(page))
    assert sentences
    assert {line.partition(":")[0] for line in re.split(r"[\r\n]+", done.stderr) if line} <= {
        "Converting and de-quantizing GGUF tensors..."
    }
    assert all(sentence.replace("<", "\\u003c") in page.read_text() for sentence in sentences)
    # a GGUF file does not say how weights begin, so its twin is another
    tables = [cells(portrait(model, notes, **SMALL).table) for model in (file, deep[1])]
    found, expected = ({key: value for key, value in one.items() if key[0] == "depth" and key[1] != TWIN} for one in tables)
    assert len(found) > 1000
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.slow
def test_a_trainer_logs_the_geometry_of_its_model(deep, tokenizer, lines, tmp_path):
    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from geomkit.models.callback import GeometryCallback

    class Logged(TrainerCallback):
        def __init__(self):
            self.seen = []

        def on_log(self, args, state, control, logs=None, **kwargs):
            self.seen.append((state.global_step, dict(logs)))

    model, logged = copy.deepcopy(deep[0]), Logged()
    rows = [{"input_ids": ids, "labels": ids} for ids in (tokenizer(line)["input_ids"][:24] for line in lines)]
    settings = TrainingArguments(
        tmp_path, max_steps=4, per_device_train_batch_size=2, report_to=[], use_cpu=True, save_strategy="no", learning_rate=0.05,
        logging_strategy="no", disable_tqdm=True, seed=0,
    )  # fmt: skip
    weights = []
    for attach in (False, True):
        torch.manual_seed(0)
        trainer = Trainer(copy.deepcopy(model), settings, train_dataset=rows, callbacks=[logged])
        callback = GeometryCallback(lines, tokenizer, every=2, count=6, length=20)
        if attach:
            callback.attach(trainer)
        trainer.train()
        weights.append([weight.detach().clone() for weight in trainer.model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))
    geometry = {step: logs for step, logs in logged.seen if "geometry/erank_covariance/last" in logs}
    assert list(geometry) == [0, 2, 4]
    assert geometry[0]["geometry/erank_covariance/last"] != geometry[4]["geometry/erank_covariance/last"]
    direct = callback.measure(trainer.model)
    assert {name: value for name, value in geometry[4].items() if name.startswith("geometry")} == pytest.approx(direct)
    with pytest.raises(ConfigError, match="no trainer"):
        GeometryCallback(lines, tokenizer, count=6, length=20).log(model)
    with pytest.raises(ConfigError, match="unknown metric 'erank'"):
        GeometryCallback(lines, tokenizer, names=["erank"])


def chatting(tokenizer):
    """The tokenizer with a chat template."""
    own = copy.deepcopy(tokenizer)
    own.chat_template = "{% for message in messages %}user: {{ message['content'] }}\nend{% endfor %}"
    return own


def test_a_chat_template_comes_before_each_text_and_is_not_measured(tokenizer, lines):
    from geomkit.models.load import chat_prefix

    documents = [Document(f"text {number}", line) for number, line in enumerate(lines, 1)]
    plain = sample(documents, tokenizer, 6, 20, 0)
    chat = sample(documents, chatting(tokenizer), 6, 20, 0, template="chat")
    assert all(np.array_equal(one, other) for one, other in zip(plain.ids, chat.ids, strict=True))
    assert chat.prefix == tokenizer("user: ")["input_ids"] != plain.prefix == []
    assert chat.facts["template"] == "chat"
    with pytest.raises(DataError, match="no chat template"):
        chat_prefix(tokenizer)
    silent = copy.deepcopy(tokenizer)
    silent.chat_template = "nothing"
    with pytest.raises(DataError, match="leaves out the words"):
        chat_prefix(silent)
