"""States are one stream: what is measured of dumps is measured of the running model, bit for bit; memory is known beforehand."""

from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from streams import DRAWN, MODES, VARIANTS, Case, contents, spectra
from transformers import DistilBertConfig, DistilBertForMaskedLM

from geomkit.core.config import ModelSpec
from geomkit.core.errors import ConfigError, DataError
from geomkit.core.state import State
from geomkit.measures import spectra as covariances
from geomkit.models import memory, placing, stream, variants
from geomkit.models.load import sizes
from geomkit.models.memory import Layout, need, planned
from geomkit.models.placing import HOST, free_memory
from geomkit.states import stream_spectra
from geomkit.states.drawn import Drawn
from geomkit.states.spectra import Spectra
from geomkit.states.texts import Texts


@pytest.fixture(scope="module", params=[("gpt-neox", "causal"), ("bert", "masked")], ids=lambda found: found[1])
def case(request, tiny, tmp_path_factory) -> Case:
    architecture, objective = request.param
    return Case(tiny(architecture), tmp_path_factory.mktemp("stream"), objective)


def same(one: Path, other: Path) -> None:
    """Two files have the same datasets, bit for bit, with the same attributes."""
    found, expected = contents(one), contents(other)
    assert found[1:] == expected[1:]
    assert found[0].keys() == expected[0].keys()
    for name, values in expected[0].items():
        np.testing.assert_array_equal(found[0][name], values, err_msg=name)


@pytest.mark.slow
def test_spectra_of_dumps_are_those_of_the_running_model(case, tmp_path):
    kept = {"lengths": True, "shown": 2, "sample": [*range(3, 123, 3)], "pooled": ["last", "mean"]}
    running, dumped = (spectra(way(None), tmp_path / name / "c.h5", kept=kept) for name, way in case.ways.items())
    same(dumped, running)
    check_rows_kept(case, running)
    with h5py.File(running) as file:
        assert {*file} == {"documents", "texts", "vocabulary", *VARIANTS, *DRAWN}
        for variant in VARIANTS:
            assert {*file[variant]} >= {"corpus", "texts", "tokens", "documents"}
            assert {*file[variant]["corpus"]} == {*file[variant]["documents"]} == {*MODES}
        assert {*file["trained"]} >= {"gains", "ridge", "folds", "sinks"}
        assert {*file["trained/corpus/raw"]} == {*file["trained/documents/unit"]} == {"hidden", "sublayer"}
        added = {"attention", "mlp"} if case.objective == "causal" else set()  # BERT normalises after adding
        assert {*file["trained/corpus/raw/sublayer/2"]} == {"mlp_hidden", *added}
    with Spectra(running) as found:  # sums in fixed point against those of documents in float64
        for mode in MODES:
            for state in [state for state in found.widths if f"trained/documents/{mode}/{state.path}" in found.file]:
                documents = found.documents("trained", mode, state)
                total = sum(own.total for own in documents) / sum(own.n for own in documents)
                whole = found.at("trained", mode, None, state)
                largest = np.linalg.eigvalsh(total)[::-1][: whole.m]
                np.testing.assert_allclose(whole.eigenvalues, largest, rtol=0, atol=1e-13 * np.trace(total))


@pytest.mark.slow
@pytest.mark.parametrize("modes", [["unit"], MODES])
def test_wide_states_of_two_widths_keep_no_sums_of_documents(modes, tiny, tmp_path, monkeypatch):
    """Wider than a block of columns too; batches are added to the sums, and rows are read twice where a mode needs them twice."""
    monkeypatch.setattr("geomkit.states.stream.WIDEST", 8)
    monkeypatch.setattr(stream_spectra, "FEW", 0)
    monkeypatch.setattr(covariances, "WIDE", 10)
    case = Case(tiny("opt-350m"), tmp_path)
    running, dumped = (spectra(way(None), tmp_path / name / "c.h5", modes=modes) for name, way in case.ways.items())
    same(dumped, running)
    with Spectra(running) as found:
        assert set(found.widths.values()) == {16, 32, 64}  # of the final state, of the others, of the MLP
        assert "documents" not in found.file["trained"]
        assert "documents/hidden/2" in found.absent


def check_rows_kept(case: Case, path: Path) -> None:
    """Sampled rows are those of the same tokens at every state, and a text's row is its last one, or the mean."""
    with Spectra(path) as found, case.dumped()()("trained") as dump:
        tokens = found.sampled_tokens("trained")
        np.testing.assert_array_equal(tokens, found.sampled_tokens("shuffled"))
        assert tokens.tolist() == [*range(3, 123, 3)]
        assert "shown" not in found.file["shuffled"]
        rows = dump.gather()
        texts = np.split(np.arange(sum(dump.texts.tokens)), dump.texts.offset[1:-1])
        for state in found.widths:
            np.testing.assert_array_equal(found.sample("trained", state), rows[state][tokens])
            last, mean = (found.pooled("trained", state, kind) for kind in ("last", "mean"))
            np.testing.assert_array_equal(last, rows[state][[text[-1] for text in texts]])
            np.testing.assert_allclose(mean, [rows[state][text].astype(float).mean(axis=0) for text in texts], rtol=1e-12)


def test_some_texts_are_run_without_the_others_and_give_the_same_spectra(case, tmp_path, monkeypatch):
    ran, capture = [], stream.capture

    def counted(recorder, sample, *how, **options):
        ran.append(list(sample.texts.document))
        return capture(recorder, sample, *how, **options)

    monkeypatch.setattr(stream, "capture", counted)
    chosen, kept = [0, 1, 4, 7, 8, 14], {"pooled": ["mean"], "sample": [2, 45]}
    changed = {"gain": None, "whitened": None, "sinks": None, "drawn": [], "variants": ["trained", "shuffled"], "kept": kept}
    whole = spectra(case.dumped(), tmp_path / "whole" / "c.h5", **changed)
    for way in case.ways.values():
        few = spectra(way(None), tmp_path / "few" / "c.h5", of_texts={"shuffled": chosen}, **changed)
        with Spectra(whole) as every, Spectra(few) as found:
            assert found.measured_texts("shuffled").tolist() == chosen
            assert found.measured_texts("trained").tolist() == [*range(len(found.text_list.tokens))]
            assert "corpus" not in found.file["shuffled"]
            offset = found.text_list.offset
            for text, (own, other) in enumerate(
                zip(*(np.split(one.ids("shuffled"), offset[1:-1]) for one in (found, every)), strict=True)
            ):
                np.testing.assert_array_equal(own, other if text in chosen else -1)
            tokens = np.asarray(found.text_list.tokens)
            expected = {(mode, state, own.n): own for mode, state, own in every.texts("shuffled")}
            measured = {(mode, state, own.n): own for mode, state, own in found.texts("shuffled")}
            assert measured.keys() == expected.keys()
            for (mode, state, n), own in measured.items():
                same_texts = [np.flatnonzero(tokens >= n).tolist().index(text) for text in chosen if tokens[text] >= n]
                # a batch of other texts rounds otherwise
                np.testing.assert_allclose(
                    own.eigenvalues, expected[mode, state, n].eigenvalues[same_texts], rtol=1e-4, atol=1e-6
                )
            for state in found.widths:
                pooled = every.pooled("shuffled", state, "mean")[chosen]
                np.testing.assert_allclose(found.pooled("shuffled", state, "mean"), pooled, rtol=1e-4, atol=1e-5)
                sample = every.sample("shuffled", state)
                np.testing.assert_allclose(found.sample("shuffled", state), sample, rtol=1e-4, atol=1e-5)
    assert [f"d{number}" for number in (0, 0, 2, 3, 3, 6)] in ran


@pytest.mark.parametrize(("few", "passes"), [(1 << 22, [1, 1]), (0, [1, 2])])
def test_rows_are_read_twice_only_where_their_mean_or_their_lengths_count_and_they_are_many(
    few, passes, tiny, tmp_path, monkeypatch
):
    made, capture = [], stream.capture
    monkeypatch.setattr(stream_spectra, "FEW", few)
    monkeypatch.setattr(stream, "capture", lambda *how, **options: made.append(how) or capture(*how, **options))
    case, found = Case(tiny("llama"), tmp_path), []
    for modes in (["unit"], ["centre-unit"], ["raw"]):
        made.clear()
        spectra(case.running(), tmp_path / "c.h5", modes=modes, variants=["trained"], drawn=[])
        found.append(len(made))
    assert found == [*passes, passes[-1]]


def test_rows_are_those_of_a_dump_in_its_batches(case):
    with case.running()()("trained") as model, case.dumped()()("trained") as dump:
        assert model.widths == dump.widths
        assert model.borders == dump.borders
        assert model.attributes == dump.attributes
        states = list(dump.widths)[:-2]
        for own, other in zip(model.batches(states, scored=True), dump.batches(states, scored=True), strict=True):
            assert own.texts == other.texts
            assert list(own.rows) == list(other.rows) == states
            for name, values in {"ids": other.ids, "surprisal": other.surprisal}.items():
                np.testing.assert_array_equal(getattr(own, name), values)
            for state in states:
                np.testing.assert_array_equal(own.rows[state], other.rows[state])
        assert next(model.batches(start=2)).texts == next(dump.batches(start=2)).texts
        for texts in (None, [2, 5, 6]):
            own, other = model.gather(states, texts), dump.gather(states, texts)
            assert list(own) == list(other) == states
            for state in states:
                np.testing.assert_array_equal(own[state], other[state])
        np.testing.assert_array_equal(model.ids(3), dump.ids(3))
        np.testing.assert_array_equal(model.vocabulary(), dump.vocabulary())
        with pytest.raises(KeyError):
            dump.gather(states)[State(99)]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.data())
def test_drawn_rows_are_the_same_in_every_pass_whatever_the_batches(tokens, data):
    texts, widths = Texts(["d"] * len(tokens), tokens, tokens), {State(0): 3, State(1): 5}

    def drawn(share: range) -> Drawn:
        stops = sorted({*data.draw(st.sets(st.sampled_from(share))), share.stop}) if share else []
        borders = np.diff([share.start, *(stop for stop in stops if stop > share.start)]).tolist()
        facts = {"attributes": {}, "absent": {}, "texts": texts, "widths": widths}
        return Drawn("gaussian", SimpleNamespace(share=share, borders=borders, **facts), 7)  # type: ignore[arg-type]

    cut = data.draw(st.integers(0, len(tokens)))
    whole = drawn(range(len(tokens)))
    parts = [drawn(range(cut)), drawn(range(cut, len(tokens)))]
    for state, expected in whole.gather().items():
        assert expected.shape == (sum(tokens), widths[state])
        for streams in ([whole], [whole], parts):
            rows = [batch.rows[state] for own in streams for batch in own.batches([state])]
            np.testing.assert_array_equal(np.concatenate(rows), expected)
        text = len(tokens) - 1
        np.testing.assert_array_equal(whole.gather([state], [text])[state], expected[-tokens[-1] :])


@pytest.mark.parametrize(("what", "values"), [("states", np.inf), ("surprisal", np.nan)])
def test_what_overflows_is_named_and_leaves_nothing(what, values, tiny, tmp_path, monkeypatch):
    capture = stream.capture

    def overflown(*arguments, **options):
        for batch in capture(*arguments, **options):
            place = next(iter(batch.states.values())) if what == "states" else batch.surprisal
            place[1] = values
            yield batch

    monkeypatch.setattr(stream, "capture", overflown)
    case, name = Case(tiny("gpt-neox"), tmp_path), {"states": r"/hidden/\d", "surprisal": "/tokens/surprisal"}[what]
    for make in (lambda: spectra(case.running(), tmp_path / "m/c.h5"), case.dumps):
        with pytest.raises(DataError, match=f"{name}: the model computed NaN or infinity there"):
            make()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["texts.h5"]


# memory


def configuration(depth: int, d: int) -> SimpleNamespace:
    return SimpleNamespace(get_text_config=lambda: SimpleNamespace(num_hidden_layers=depth, hidden_size=d))


def test_sums_are_counted_for_each_layer_mode_and_kept_document():
    found = need(configuration(32, 4096), 8_000_000_000, {"every": 1}, False, ["unit", "centre-unit"], "bfloat16", 8192)
    assert (len(found.states), found.own, found.sums) == (34, frozenset(), 34 * 2 * 4096**2 * 8)
    assert found.weights == 16_000_000_000
    found = need(configuration(2, 32), 10, "all", True, ["unit"], "float32", 100)
    assert (len(found.states), len(found.own)) == (4 + 4, 4)  # of the last block, its two sublayers, and the final state
    assert found.sums == 12 * 32**2 * 8


def test_parameters_are_counted_without_loading(tiny, load):
    for architecture in ("gpt-neox", "llama"):  # the second ties its embeddings
        parameters, where, _ = planned(ModelSpec(tiny(architecture), device="cpu", dtype="bfloat16"))
        assert parameters == sizes(load(architecture)).params_total
        assert where == Layout(HOST, [HOST] * 2, HOST, {HOST: 2 * parameters})


def test_too_little_memory_is_found_before_a_model_is_loaded(tiny, tmp_path, monkeypatch):
    case = Case(tiny("gpt-neox"), tmp_path)
    monkeypatch.setattr(memory, "free_memory", lambda device: 1000)
    monkeypatch.setattr(variants, "load_model", lambda *_: pytest.fail("the model was loaded"))
    number = len(MODES)
    sums = rf"8 layers x {number} modes x 32\^2 x 8 B and 4 x {number} of a document"
    with pytest.raises(ConfigError, match=rf"m: needs 0\.0 GB for sums: {sums}"):
        spectra(case.running(), tmp_path / "m/c.h5")
    message = r"m: running it again needs 0\.0 GB: 0\.0 GB for rows of 145 tokens, weights of"
    with case.running(modes=None)()("trained") as states, pytest.raises(ConfigError, match=message):
        states.gather()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["texts.h5"]


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(placing, "LIMIT", tmp_path / "memory.max")
    assert free_memory(torch.device("cpu")) > 1000
    (tmp_path / "memory.max").write_text("1000\n")
    assert free_memory(torch.device("cpu")) == 1000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(torch.device("cpu")) > 1000


def test_rows_of_a_masked_model_without_a_causal_head_are_checked_too(tmp_path):
    DistilBertForMaskedLM(DistilBertConfig(vocab_size=20, dim=8, n_layers=1, n_heads=1, hidden_dim=8)).save_pretrained(tmp_path)
    memory.check_rows("m", ModelSpec(tmp_path, device="cpu", objective="masked"), 10, {"layers": [1], "sublayers": False})
