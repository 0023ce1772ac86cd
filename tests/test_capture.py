"""Captured states against transformers' own hidden states, and surprisal against its logits.

Tolerances are relative to the largest number compared. Batching and padding change the order of float32 sums, no more.
"""

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geomkit.core.config import ModelSpec
from geomkit.core.errors import DataError
from geomkit.core.state import State
from geomkit.models import capture as module
from geomkit.models.capture import Captured, Recorder, batches, capture
from geomkit.models.cutting import sample
from geomkit.models.load import blocks, load_model
from geomkit.models.selfcheck import READINGS, read_states
from geomkit.sources.corpora import Document
from geomkit.states.dumps import Dump, write_dump
from geomkit.states.texts import Sample, Texts

TOLERANCE = 1e-5
EVERY = [0, 1, 2, 3]
"""All layers of the tiny models: the embedding, two blocks, the final norm."""

FINAL_NORM = {
    "gpt-neox": "gpt_neox.final_layer_norm",
    "gpt-neox-sequential": "gpt_neox.final_layer_norm",
    "gpt2": "transformer.ln_f",
    "llama": "model.norm",
    "opt": "model.decoder.final_layer_norm",
    "opt-350m": "model.decoder.project_out",
    "mamba": "backbone.norm_f",
    "gemma2": "model.norm",
    "olmo2": "model.norm",
    "bloom": "transformer.ln_f",
    "falcon": "transformer.ln_f",
    "qwen3": "model.norm",
    "openai-gpt": None,
}
"""What lies between the last block and the output matrix."""

MLP_OUTPUT = {
    "gpt-neox": "mlp.dense_4h_to_h",
    "gpt-neox-sequential": "mlp.dense_4h_to_h",
    "gpt2": "mlp.c_proj",
    "llama": "mlp.down_proj",
    "opt": "fc2",
    "falcon": "mlp.dense_4h_to_h",
    "qwen3": "mlp.down_proj",
}
"""The last map of the MLP, in architectures whose blocks add up their input and two sublayers."""

NO_SUBLAYERS = {
    "mamba": "MambaForCausalLM has blocks without an attention and an MLP sublayer",
    "gemma2": "block 1: its output is not its input plus its sublayers' outputs",
    "olmo2": "block 1: its output is not its input plus its sublayers' outputs",
    "opt-350m": "block 1: its output is not its input plus its sublayers' outputs",
    "bloom": "block 1: its output is not its input plus its sublayers' outputs",
    "openai-gpt": "block 1: its output is not its input plus its sublayers' outputs",
}


def texts(*lengths: int, prefix: Sequence[int] = (), seed: int = 0) -> Sample:
    """Texts of random tokens."""
    draw = np.random.default_rng(seed)
    ids = [draw.integers(1, 300, n).astype(np.int32) for n in lengths]
    return Sample(ids, list(prefix), Texts([f"d{i}" for i in range(len(ids))], list(lengths), list(lengths)))


def one(model: Any, run: Sample, layers: Sequence[int] = EVERY, sublayers: bool = False, tokens: int = 4096) -> Captured:
    """All texts, whatever the batches."""
    parts = list(capture(Recorder(model, layers, sublayers), run, tokens))
    states = {state: np.concatenate([part.states[state] for part in parts]) for state in parts[0].states}
    return Captured(np.concatenate([part.ids for part in parts]), np.concatenate([part.surprisal for part in parts]), states)


def assert_close(found: np.ndarray, expected: np.ndarray, tolerance: float = TOLERANCE) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.nanmax(np.abs(expected)))


@torch.no_grad()
def plain(model: Any, ids: Sequence[int]) -> Any:
    """transformers' own forward pass of one text, without a mask."""
    return model(input_ids=torch.tensor([list(ids)]), output_hidden_states=True, use_cache=False)


# models that see what follows


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A masked language model that is loaded as any other."""
    from transformers import BertConfig, BertForMaskedLM

    options = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertForMaskedLM(BertConfig(vocab_size=300, max_position_embeddings=64, **options))
    folder = tmp_path_factory.mktemp("bert")
    model.save_pretrained(folder)
    return load_model(ModelSpec(folder, device="cpu"))


@pytest.mark.parametrize("lengths", [(11,), (11, 11), (11, 7), (2, 2), (60, 60)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_bidirectional_model_is_refused_by_name(bert, lengths, dtype):
    model = copy.deepcopy(bert).to(dtype)
    for layers in (EVERY, [0]):
        with pytest.raises(DataError, match=r"^BertLMHeadModel: .* change with a text's last token, by \d.*only causal models"):
            next(capture(Recorder(model, layers, sublayers=True), texts(*lengths), 4096))


def test_a_model_that_looks_ahead_on_one_route_alone_is_refused(load, monkeypatch):
    """As one would whose attention is causal with a mask for padding and not without, or the other way round."""
    for route in (
        lambda mask: mask.shape[0] == 1,
        lambda mask: mask.shape[0] > 1 and bool(mask.all()),
        lambda mask: not mask.all(),
    ):
        model, run = load("gpt2"), texts(11, 7)
        plain = model.forward

        def forward(*args, attention_mask, plain=plain, route=route, **options):
            output = plain(*args, attention_mask=attention_mask, **options)
            if route(attention_mask):
                output.logits = output.logits + output.logits.mean(dim=1, keepdim=True)
            return output

        assert len(list(capture(Recorder(model, EVERY, False), run, 4096))) == 1
        monkeypatch.setattr(model, "forward", forward)
        del READINGS[model]
        with pytest.raises(DataError, match=r"(predictions of earlier tokens change|the states of a text differ)"):
            list(capture(Recorder(model, EVERY, False), run, 4096))


@pytest.mark.parametrize("architecture", FINAL_NORM)
def test_nothing_of_a_causal_model_changes_before_its_last_token(load, architecture):
    how = read_states(load(architecture))
    assert (how.ahead, how.together) == ("", "any")


# states and surprisal


@pytest.mark.parametrize("architecture", FINAL_NORM)
def test_states_are_those_of_transformers(load, architecture):
    model, run = load(architecture), texts(11, prefix=[0])
    found = one(model, run).states
    assert list(found) == [State(layer) for layer in EVERY]
    output = plain(model, [0, *run.ids[0]])
    expected = [values[0, 1:].numpy() for values in output.hidden_states]
    if architecture == "mamba":  # which gives no embedding
        with torch.no_grad():
            expected = [model.get_input_embeddings()(torch.tensor(run.ids[0])).numpy(), expected[0], expected[2]]
    assert_close(found[State(0)], expected[0])
    assert_close(found[State(1)], expected[1])
    assert_close(found[State(3)], expected[2])
    logits = model.get_output_embeddings()(torch.tensor(found[State(3)])).detach().numpy()
    softcap = getattr(model.config, "final_logit_softcapping", None)
    assert_close(softcap * np.tanh(logits / softcap) if softcap else logits, output.logits[0, 1:].numpy())


@pytest.mark.parametrize("architecture", FINAL_NORM)
def test_the_last_block_is_kept_before_the_final_norm(load, architecture):
    model = load(architecture)
    found = one(model, texts(11)).states
    norm = model.get_submodule(FINAL_NORM[architecture]) if FINAL_NORM[architecture] else torch.nn.Identity()
    with torch.no_grad():
        assert_close(found[State(3)], norm(torch.tensor(found[State(2)])).numpy())
    assert FINAL_NORM[architecture] is None or not np.array_equal(found[State(2)], found[State(3)])


def test_the_final_state_of_opt_350m_has_the_width_of_its_output_matrix(load):
    found = one(load("opt-350m"), texts(5)).states
    assert [values.shape[1] for values in found.values()] == [32, 32, 32, 16]


@pytest.mark.parametrize("architecture", FINAL_NORM)
@pytest.mark.parametrize("prefix", [[], [0], [0, 5]])
def test_surprisal_is_minus_the_log_probability_of_each_token_given_its_past(load, architecture, prefix):
    model, run = load(architecture), texts(9, 4, prefix=prefix)
    found = np.split(one(model, run).surprisal, [9])
    for ids, surprisal in zip(run.ids, found, strict=True):
        whole = [*prefix, *ids]
        logits = plain(model, whole).logits[0].double()
        expected = [-float(logits[t - 1].log_softmax(-1)[whole[t]]) for t in range(1, len(whole))][-len(ids) :]
        np.testing.assert_allclose(surprisal[-len(expected) :], expected, rtol=1e-5)
        assert np.isnan(surprisal).tolist() == [not prefix] + [False] * (len(ids) - 1)


def test_surprisal_is_in_nats(load):
    """A model whose output matrix is zero gives every one of 300 tokens the same probability."""
    model = load("gpt-neox")
    model.get_output_embeddings().weight.data.zero_()
    np.testing.assert_allclose(one(model, texts(6, prefix=[0])).surprisal, np.log(300), rtol=1e-6)


# batches


@pytest.mark.parametrize("architecture", FINAL_NORM)
@pytest.mark.parametrize("prefix", [[], [0]])
def test_texts_of_unequal_length_in_one_batch_are_each_alone(load, architecture, prefix):
    model, run = load(architecture), texts(3, 40, 17, 1, prefix=prefix)
    assert len(list(capture(Recorder(model, EVERY, False), run, 4096))) == 1
    together = one(model, run)
    alone = [
        one(model, Sample([ids], list(prefix), Texts([name], [len(ids)], [0])))
        for ids, name in zip(run.ids, run.texts.document, strict=True)
    ]
    np.testing.assert_array_equal(together.ids, np.concatenate(run.ids))
    assert_close(together.surprisal, np.concatenate([part.surprisal for part in alone]))
    for state, values in together.states.items():
        assert_close(values, np.concatenate([part.states[state] for part in alone]))


@pytest.mark.parametrize("tokens", [1, 17, 34, 60])
def test_batch_size_does_not_matter(load, tokens):
    model, run = load("gpt-neox"), texts(17, 17, 3, 17, 8, 2)
    expected, found = one(model, run, sublayers=True), one(model, run, sublayers=True, tokens=tokens)
    np.testing.assert_array_equal(found.ids, np.concatenate(run.ids))
    assert_close(found.surprisal, expected.surprisal)
    assert found.states.keys() == expected.states.keys()
    for state, values in expected.states.items():
        assert_close(found.states[state], values)


def test_no_row_of_prefix_or_padding_is_handed_out(load):
    model, run = load("llama"), texts(3, 8, 5, prefix=[0, 0, 0])
    for tokens in (1, 4096):
        found = one(model, run, sublayers=True, tokens=tokens)
        assert 0 not in found.ids
        assert {len(found.surprisal), *map(len, found.states.values())} == {16}


def test_bfloat16_states_are_handed_out_as_float32(load):
    run = texts(11, 6)
    exact, rounded = (one(load("gpt-neox", dtype), run, sublayers=True) for dtype in ("float32", "bfloat16"))
    assert rounded.states.keys() == exact.states.keys(), "rounding must not be taken for another kind of block"
    for state, values in rounded.states.items():
        assert values.dtype == np.float32
        assert_close(values, exact.states[state], 0.1)
    assert_close(rounded.surprisal, exact.surprisal, 0.1)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 100))
def test_batches_are_runs_that_hold_as_much_as_they_may(lengths, tokens):
    found = batches(lengths, tokens)
    assert [text for run in found for text in run] == list(range(len(lengths)))

    def size(run):
        return max(lengths[text] for text in run) * len(run)

    for run in found:
        assert len(run) == 1 or size(run) <= tokens
        longer = range(run.start, run.stop + 1)
        assert run.stop == len(lengths) or size(longer) > tokens


def test_batches_are_smaller_where_the_vocabulary_is_large(load, monkeypatch):
    model, run = load("gpt-neox"), texts(10, 10, 10, 10)
    read_states(model)
    sizes = []
    model.register_forward_pre_hook(lambda _, args, kwargs: sizes.append(kwargs["input_ids"].numel()), with_kwargs=True)
    one(model, run)
    monkeypatch.setattr(module, "LOGITS", 25 * 300)
    one(model, run)
    assert [size for size in sizes if size >= 20] == [40, 20, 20]


# sublayers


@pytest.mark.parametrize("architecture", MLP_OUTPUT)
def test_block_input_and_sublayers_add_up_to_its_output(load, architecture):
    found = one(load(architecture), texts(11, 7), sublayers=True).states
    for layer in (1, 2):
        entry, attention, mlp = found[State(layer - 1)], found[State(layer, "attention")], found[State(layer, "mlp")]
        assert_close(attention + mlp - entry, found[State(layer)])
        for part in (attention, mlp):
            assert np.abs(part - entry).max() > 0.05 * np.abs(entry).max(), "too small a sublayer to test with"


@pytest.mark.parametrize("architecture", MLP_OUTPUT)
def test_the_state_after_attention_is_the_output_of_a_block_whose_mlp_is_silent(load, architecture):
    model, run = load(architecture), texts(11, 7)
    found = one(model, run, sublayers=True).states
    silent = copy.deepcopy(model)
    for weight in blocks(silent)[0].get_submodule(MLP_OUTPUT[architecture]).parameters():
        weight.data.zero_()
    assert_close(found[State(1, "attention")], one(silent, run).states[State(1)])


def test_parallel_blocks_have_the_mlp_next_to_attention_and_sequential_ones_behind(load):
    """Without attention, a parallel block puts out the state after its MLP; the MLP of a sequential one sees something else."""
    run = texts(11, 7)
    for architecture, same in (("gpt-neox", True), ("gpt-neox-sequential", False)):
        model = load(architecture)
        expected = one(model, run, sublayers=True).states[State(1, "mlp")]
        for weight in blocks(model)[0].get_submodule("attention.dense").parameters():
            weight.data.zero_()
        found = one(model, run).states[State(1)]
        assert (np.abs(found - expected).max() < TOLERANCE * np.abs(expected).max()) == same


@pytest.mark.parametrize("architecture", NO_SUBLAYERS)
def test_where_sublayers_do_not_add_up_they_are_absent_with_a_reason(load, architecture):
    model, run = load(architecture), texts(11, 7)
    recorder = Recorder(model, EVERY, sublayers=True)
    parts = list(capture(recorder, run, 11))
    assert len(parts) == 2
    assert list(recorder.absent) == ["sublayer"]
    assert recorder.absent["sublayer"].startswith(NO_SUBLAYERS[architecture])
    expected = one(model, run).states
    for state, values in expected.items():
        assert_close(np.concatenate([part.states[state] for part in parts]), values)
    assert all(part.states.keys() == expected.keys() for part in parts)


@pytest.mark.parametrize("architecture", NO_SUBLAYERS)
def test_the_dump_tells_why_sublayers_are_absent(load, architecture, tmp_path):
    """What only the first batch shows is in the file, though its writer was there before."""
    recorder, run = Recorder(load(architecture), EVERY, sublayers=True), texts(11, 7)
    with write_dump(tmp_path / "trained.h5", run.texts, {}, recorder.absent, "float32", None, [2]) as writer:
        for part in capture(recorder, run, 4096):
            writer.append(*part)
    with Dump(tmp_path / "trained.h5") as dump:
        assert dump.absent["sublayer"].startswith(NO_SUBLAYERS[architecture])


def test_a_small_gap_in_one_coordinate_is_seen_beside_a_huge_one(load):
    """Trained models have coordinates a thousand times the others: they must not hide that blocks do not add up."""
    model = load("gemma2")
    model.get_input_embeddings().weight.data[:, 0] *= 1e4
    recorder = Recorder(model, EVERY, sublayers=True)
    list(capture(recorder, texts(11), 4096))
    assert recorder.absent["sublayer"].startswith("block 1")


def test_the_first_batch_decides_whether_there_are_sublayers(load, monkeypatch):
    """Later batches must bring the same states, or the dump would have holes."""
    recorder = Recorder(load("gpt-neox"), EVERY, sublayers=True)
    parts = capture(recorder, texts(11, 7), 11)
    first = next(parts)
    monkeypatch.setattr(module, "SLACK", 0)
    assert next(parts).states.keys() == first.states.keys()
    assert recorder.absent == {}


def test_nothing_is_absent_where_sublayers_were_not_asked_for(load):
    recorder = Recorder(load("mamba"), EVERY, sublayers=False)
    list(capture(recorder, texts(4), 4096))
    assert recorder.absent == {}


@pytest.mark.parametrize("architecture", ["gpt-neox", "opt", "llama"])
@pytest.mark.parametrize("layers", [[0], [1], [2], [3], [0, 3], [2, 1]])
def test_a_subset_of_layers_is_what_it_is_among_all(load, architecture, layers):
    model, run = load(architecture), texts(11, 7)
    whole, found = one(model, run, sublayers=True).states, one(model, run, layers, sublayers=True).states
    expected = {state for state in whole if state.layer in layers}
    assert found.keys() == expected
    for state in expected:
        np.testing.assert_array_equal(found[state], whole[state])


# hooks and errors


def hooks(model: torch.nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules())


@pytest.mark.parametrize("architecture", ["gpt-neox", "opt", "gemma2"])
def test_hooks_are_gone_afterwards(load, architecture):
    model, run = load(architecture), texts(4, 4, 4)
    recorder = Recorder(model, EVERY, True)
    others = hooks(model)  # transformers' own, for its hidden states
    with recorder.hooked():
        assert hooks(model) > others
    assert hooks(model) == others
    list(capture(recorder, run, 4096))
    assert hooks(model) == others
    stopped = capture(recorder, run, 4)
    next(stopped)
    assert hooks(model) > others
    stopped.close()
    assert hooks(model) == others
    run.ids[1][2] = 300
    with pytest.raises(DataError, match="token id 300"):
        list(capture(recorder, run, 4))
    assert hooks(model) == others
    run.ids[1][2] = -1
    with pytest.raises(IndexError):
        list(capture(recorder, run, 4))
    assert hooks(model) == others


def test_capture_computes_no_gradients(load):
    model, seen = load("gpt-neox"), []
    recorder = Recorder(model, EVERY, False)
    model.register_forward_hook(lambda *_: seen.extend(values.requires_grad for values in recorder.states.values()))
    with torch.enable_grad():
        list(capture(recorder, texts(4), 4096))
    assert len(seen) >= 4
    assert not any(seen)


def test_an_architecture_without_a_list_of_blocks_is_one_clear_error(load):
    model = load("gpt-neox")
    model.gpt_neox.layers = torch.nn.ModuleDict(dict(zip("ab", model.gpt_neox.layers, strict=True)))
    with pytest.raises(DataError, match="GPTNeoXForCausalLM: no list of 2 blocks in this architecture"):
        Recorder(model, EVERY, False)


def test_a_layer_that_the_forward_pass_does_not_show_is_an_error(load):
    with pytest.raises(DataError, match="GPTNeoXForCausalLM: its forward pass does not show layer 4"):
        list(capture(Recorder(load("gpt-neox"), [0, 5, 4], False), texts(4), 4096))


# shuffled texts


def test_shuffled_keeps_each_texts_tokens():
    run = texts(40, 30, 5, prefix=[0])
    before = copy.deepcopy(run.ids)
    shuffled = run.shuffled(3)
    for ids, mixed, same in zip(run.ids, shuffled.ids, before, strict=True):
        assert Counter(ids.tolist()) == Counter(mixed.tolist())
        np.testing.assert_array_equal(ids, same)
    assert not np.array_equal(run.ids[0], shuffled.ids[0])
    assert (shuffled.prefix, shuffled.texts) == (run.prefix, run.texts)


def test_shuffled_depends_on_the_seed_alone_and_differs_between_texts():
    ids = np.arange(30, dtype=np.int32)
    run = Sample([ids, ids], [], Texts(["a", "b"], [30, 30], [0, 0]))
    np.testing.assert_array_equal(run.shuffled(3).ids, run.shuffled(3).ids)
    assert not np.array_equal(run.shuffled(3).ids[0], run.shuffled(4).ids[0])
    assert not np.array_equal(run.shuffled(3).ids[0], run.shuffled(3).ids[1])


@pytest.fixture
def real_run(load: Callable[..., Any], documents: list[Document], bos_tokenizer: Any) -> tuple[Any, Sample]:
    return load("gpt2"), sample(documents, bos_tokenizer, 12, 20, 0)


def test_captured_rows_are_in_the_order_of_the_texts(real_run):
    model, run = real_run
    found = one(model, run, tokens=50)
    np.testing.assert_array_equal(found.ids, np.concatenate(run.ids))
    output = plain(model, [0, *run.ids[7]])
    assert_close(found.states[State(1)][140:160], output.hidden_states[1][0, 1:].numpy())
