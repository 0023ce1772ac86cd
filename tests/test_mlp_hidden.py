"""Hidden states of MLPs against passes whose MLPs are computed by hand, and what they take."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from streams import Case, spectra
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from geomkit.core.config import ModelSpec, hidden_layers
from geomkit.core.errors import ConfigError, RefusalError
from geomkit.core.state import MLP_HIDDEN, State, order
from geomkit.models import memory
from geomkit.models.capture import Recorder, capture
from geomkit.models.load import blocks
from geomkit.models.masking import Masking
from geomkit.models.mlp import down_projection
from geomkit.states.spectra import Spectra
from geomkit.states.texts import Sample, Texts

WIDTHS = {"llama": 48, "gpt2": 128, "gpt-neox": 64, "opt": 64, "opt-350m": 64, "gemma2": 48, "olmo2": 48, "qwen3": 48}
WIDTHS |= {"bloom": 128, "falcon": 128, "gpt-neox-sequential": 64, "openai-gpt": 128, "bert": 64, "modernbert": 48}
GATED = ("llama", "gemma2", "olmo2", "qwen3")
OF_ACTIVATION = {"gpt2": "mlp.act", "gpt-neox": "mlp.act", "gpt-neox-sequential": "mlp.act", "falcon": "mlp.act"}
OF_ACTIVATION |= {"opt": "activation_fn", "opt-350m": "activation_fn", "bert": "intermediate"}
ABSENT = {"mixtral": "three axes", "qwen2-moe": "three axes", "mamba": "leads back to 32"}


def texts(*lengths: int) -> Sample:
    draw = np.random.default_rng(0)
    ids = [draw.integers(1, 290, n).astype(np.int32) for n in lengths]
    return Sample(ids, [], Texts([f"d{number}" for number in range(len(ids))], list(lengths), list(lengths)))


def one(recorder: Recorder, sample: Sample, masking: Masking | None = None) -> Mapping[State, np.ndarray]:
    """States of all texts, in batches that hold two of them at most."""
    parts = list(capture(recorder, sample, 22, masking))
    return {state: np.concatenate([part.states[state] for part in parts]) for state in parts[0].states}


@torch.no_grad()
def by_hand(model: PreTrainedModel, architecture: str, layer: int, ids: list[int]) -> np.ndarray:
    """What the activation puts out in a pass of one text alone, times the other half of a gated MLP."""
    block, seen = blocks(model)[layer - 1], {}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, args, output: seen.update({name: (args, output)})

    if architecture in OF_ACTIVATION:
        hooked = block.get_submodule(OF_ACTIVATION[architecture])
        hooks = [hooked.register_forward_hook(keep("out"))]
    else:  # the function of an activation may be no module
        hooks = [block.mlp.register_forward_hook(keep("in"))]
    model(input_ids=torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    if architecture in OF_ACTIVATION:
        hidden = seen["out"][1]
    elif architecture in GATED:
        (vectors, *_), _ = seen["in"]
        hidden = block.mlp.act_fn(block.mlp.gate_proj(vectors)) * block.mlp.up_proj(vectors)
    elif architecture == "openai-gpt":  # whose blocks share one activation
        (vectors, *_), _ = seen["in"]
        hidden = block.mlp.act(block.mlp.c_fc(vectors))
    elif architecture == "bloom":
        (vectors, *_), _ = seen["in"]
        hidden = block.mlp.gelu_impl(block.mlp.dense_h_to_4h(vectors))
    else:
        (vectors, *_), _ = seen["in"]
        half, gate = block.mlp.Wi(vectors).chunk(2, dim=-1)
        hidden = block.mlp.act(half) * gate
    return hidden.reshape(len(ids), -1).numpy()


@pytest.mark.parametrize("architecture", WIDTHS)
def test_they_are_what_the_activation_puts_out(load, architecture):
    model, sample = load(architecture), texts(11, 7, 11)
    masked = architecture in ("bert", "modernbert")
    recorder = Recorder(model, [2], False, [1, 2])
    found = one(recorder, sample, Masking(299, []) if masked else None)
    assert recorder.absent == {}
    assert found.keys() == {State(2), State(1, MLP_HIDDEN), State(2, MLP_HIDDEN)}
    for layer in (1, 2):
        expected = np.concatenate([by_hand(model, architecture, layer, ids.tolist()) for ids in sample.ids])
        assert expected.shape == (29, WIDTHS[architecture])
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(found[State(layer, MLP_HIDDEN)], expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("architecture", ABSENT)
def test_a_block_without_one_mlp_has_none_and_says_why(load, architecture):
    recorder = Recorder(load(architecture), [1], False, [1])
    found = one(recorder, texts(11, 7))
    assert set(found) == {State(1)}
    assert ABSENT[architecture] in recorder.absent["sublayer/1/mlp_hidden"]


def test_other_states_do_not_change(load):
    model, sample = load("gpt-neox"), texts(11, 7)
    for sublayers in (False, True):
        with_them, without = (one(Recorder(model, range(4), sublayers, hidden), sample) for hidden in ([1, 2], []))
        assert set(with_them) - set(without) == {State(1, MLP_HIDDEN), State(2, MLP_HIDDEN)}
        for state, rows in without.items():
            np.testing.assert_array_equal(with_them[state], rows)


def test_they_stay_where_a_block_is_not_the_sum_of_its_sublayers(load):
    recorder = Recorder(load("gemma2"), [1], True, [1])
    assert set(one(recorder, texts(11, 7))) == {State(1), State(1, MLP_HIDDEN)}
    assert list(recorder.absent) == ["sublayer"]


def test_an_mlp_as_wide_as_the_states_ends_in_its_last_map():
    config = GPT2Config(n_embd=32, n_layer=1, n_head=4, n_inner=32, n_positions=64, vocab_size=300)
    block = blocks(GPT2LMHeadModel(config))[0]
    found = down_projection(block, 32)
    assert not isinstance(found, str)
    assert (found.module, found.takes, found.returns) == (block.mlp.c_proj, 32, 32)


class Odd(nn.Module):
    """A block whose forward pass may bypass its modules."""

    def __init__(self, *maps: tuple[int, int]):
        super().__init__()
        self.mlp = nn.ModuleList(nn.Linear(*shape) for shape in maps)


@pytest.mark.parametrize(
    ("maps", "reason"),
    [
        ([(8, 16)], "no map leads back to 8"),
        ([(8, 16), (16, 8), (8, 24), (24, 8)], "more than one map leads back to 8"),
        ([(8, 32), (16, 3), (16, 8)], "more than one map"),  # something else reads the wide vectors
        ([(8, 40), (16, 8)], "no map leads back to 8"),  # nothing puts them out
    ],
)
def test_what_is_not_one_mlp_is_not_taken_for_one(maps, reason):
    found = down_projection(Odd(*maps), 8)
    assert isinstance(found, str)
    assert reason in found


def test_a_stacked_gate_counts():
    found = down_projection(Odd((8, 32), (16, 8)), 8)
    assert not isinstance(found, str)
    assert found.takes == 16


def test_a_pass_that_goes_round_the_down_projection_is_said(load):
    model = load("llama")
    down = blocks(model)[0].mlp.down_proj
    blocks(model)[0].mlp.forward = (
        lambda rows: nn.functional.linear(  # type: ignore[method-assign]
            rows.repeat(1, 1, 2)[..., :48], down.weight
        )
    )
    recorder = Recorder(model, [1], False, [1, 2])
    parts = list(capture(recorder, texts(11, 7), 11))
    assert all(set(part.states) == {State(1), State(2, MLP_HIDDEN)} for part in parts)
    why = "LlamaForCausalLM, block 1: its forward pass does not hand every token to the MLP's down projection"
    assert recorder.absent == {"sublayer/1/mlp_hidden": why}
    later = Recorder(load("llama"), [1], False, [1])
    passes = capture(later, texts(11, 7), 11)
    next(passes)
    blocks(later.model)[0].mlp.forward = lambda rows: rows  # type: ignore[method-assign]
    with pytest.raises(RefusalError, match="block 1: its forward pass does not hand every token"):
        next(passes)


# the configuration, dumps and spectra


def test_layers_are_blocks():
    assert hidden_layers({}, 4) == []
    assert hidden_layers({"mlp_hidden": []}, 4) == []
    assert hidden_layers({"mlp_hidden": "all"}, 4) == [1, 2, 3, 4]
    assert hidden_layers({"mlp_hidden": ["last", "middle", 1]}, 4) == [1, 2, 4]
    for layer in (0, "final", 5):
        with pytest.raises(ConfigError, match=r"dump\.mlp_hidden: layer \d is no block|layer \d does not exist"):
            hidden_layers({"mlp_hidden": [layer]}, 4)


DUMP = {"layers": ["last", "final"], "sublayers": False, "mlp_hidden": ["last"]}


def test_spectra_have_them_and_documents_sums(tiny, tmp_path):
    case, state = Case(tiny("gpt-neox"), tmp_path), State(2, MLP_HIDDEN)
    with case.running()()("trained") as states:
        assert states.widths[state] == 64
        assert list(states.widths) == sorted(states.widths, key=order)
        rows = states.gather([state])[state].astype(float)
    with Spectra(spectra(case.dumped(), tmp_path / "m/c.h5")) as file:
        assert file.widths[state] == 64
        found, raw = file.at("trained", "raw", None, state), np.linalg.eigvalsh(rows.T @ rows)[::-1] / len(rows)
        assert found is not None
        np.testing.assert_allclose(found.eigenvalues, raw, atol=1e-6 * raw[0])
        total = sum(document.total for document in file.documents("trained", "raw", state))
        np.testing.assert_allclose(np.linalg.eigvalsh(total)[::-1] / len(rows), raw, atol=1e-6 * raw[0])


# memory


def test_memory_counts_their_width():
    hidden = {State(32, MLP_HIDDEN): 14336}
    how = ({"every": 16}, False, ["unit", "centre-unit"], "bfloat16", 8192, None)
    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(num_hidden_layers=32, hidden_size=4096))
    without, found = (memory.need(config, 8_000_000_000, *how, own) for own in ({}, hidden))
    each = 14336**2 * 8
    assert found.sums - without.sums == 2 * each == found.sums_of(State(32, MLP_HIDDEN))
    assert found.batch - without.batch == 4 * 8192 * 14336 + 2 * 3 * 4 * 8192 * (14336 - 4096)
    assert found.total - without.total == (found.sums - without.sums) + (found.batch - without.batch) + 2 * 8 * (
        14336**2 - 4096**2
    )
    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(num_hidden_layers=2, hidden_size=32))
    small = memory.need(config, 10, "last", False, ["unit"], "float32", 100, None, {State(2, MLP_HIDDEN): 64})
    assert small.own == {State(2), State(2, MLP_HIDDEN)}
    assert small.sums == 2 * 8 * (32**2 + 64**2)


def test_too_little_memory_for_them_is_one_line_before_a_model_is_loaded(tiny, monkeypatch):
    spec = ModelSpec(tiny("gpt-neox"), device="cpu")
    assert set(memory.check_memory("m", spec, DUMP, ["unit"], 1)) == {State(2), State(3), State(2, MLP_HIDDEN)}
    how = (memory.planned(spec).parameters, DUMP["layers"], False, ["unit"], "float32", 1)
    plenty = memory.need(SimpleNamespace(get_text_config=lambda: SimpleNamespace(num_hidden_layers=2, hidden_size=32)), *how)
    monkeypatch.setattr(memory, "free_memory", lambda device: plenty.total + plenty.work)
    without: dict[str, Any] = DUMP | {"mlp_hidden": []}
    assert set(memory.check_memory("m", spec, without, ["unit"], 1)) == {State(2), State(3)}
    with pytest.raises(ConfigError) as error:
        memory.check_memory("m", spec, DUMP, ["unit"], 1)
    assert "and 2 x 64^2 x 8 B, 0.0 GB, of /sublayer/2/mlp_hidden" in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match=r"m: running it again needs"):
        memory.check_rows("m", spec, 10**9, DUMP)


def test_the_plan_and_the_recorder_find_the_same_widths(tiny, load):
    for architecture in ("gpt-neox", "llama", "gpt2", "opt", "mixtral"):
        planned = memory.planned(ModelSpec(tiny(architecture), device="cpu"), {"mlp_hidden": "all"}).hidden
        recorder = Recorder(load(architecture), [2], False, [1, 2])
        recorder.try_out(texts(7))
        assert planned == {state: width for state, width in recorder.widths.items() if state.sublayer == MLP_HIDDEN}
