"""Training that can be killed at any time, and what a run is made of: rates, windows, losses, export."""

import dataclasses
import itertools
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from geomkit.core.errors import ConfigError, DataError
from geomkit.ladder import training as ladder
from geomkit.ladder.training import (
    END,
    SHAPES,
    Recipe,
    Run,
    build,
    encode,
    evaluate,
    export,
    starts,
    stream,
    train,
    train_tokenizer,
)
from geomkit.sources.corpora import Document

LIBRARY = Path(__file__).parents[1] / "lib"
TINY = Recipe(tokens=24 * 32, vocabulary=40, context=8, batch=4, evaluations=6, validation_windows=5)
"""24 steps of 4 windows, an evaluation and a checkpoint after every fourth."""


def tokens(n: int, seed: int) -> np.ndarray:
    """A stream with something to learn: each token depends on the one before."""
    draw = np.random.default_rng(seed)
    return np.cumsum(draw.integers(1, 4, n)) % TINY.vocabulary


TRAINING, VALIDATION = tokens(500, 0), tokens(90, 1)


def trained(checkpoint: Path, width: int = 16, seed: int = 0, recipe: Recipe = TINY, training: np.ndarray = TRAINING) -> Run:
    return train(width, seed, recipe, training, VALIDATION, checkpoint)


def same(a: Run, b: Run) -> bool:
    """Whether weights, to the last bit, and learning curves are the same."""
    weights = zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in weights) and a.curve == b.curve


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that was left alone."""
    return trained(tmp_path_factory.mktemp("whole") / "checkpoint")


class Killed(BaseException):
    pass


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes training stop in the middle of a step, counted from now."""

    def at(step: int) -> None:
        count, real = itertools.count(), vars(ladder)["loss"]

        def dying(model: Any, windows: torch.Tensor) -> torch.Tensor:
            if model.training and next(count) == step:
                monkeypatch.setattr(ladder, "loss", real)
                raise Killed
            return real(model, windows)

        monkeypatch.setattr(ladder, "loss", dying)

    return at


# the learning rate


@pytest.mark.parametrize("recipe", [TINY, Recipe(), Recipe(tokens=4096 * 30)])
def test_the_rate_warms_up_to_its_peak_and_ends_at_its_floor(recipe):
    rates = [recipe.rate(step, 16) for step in range(recipe.steps)]
    warm = max(1, round(recipe.warmup * recipe.steps))
    assert rates[0] == pytest.approx(recipe.peak_rate / warm)
    assert rates[warm - 1] == max(rates) == pytest.approx(recipe.peak_rate)
    assert rates[-1] == min(rates[warm:]) == pytest.approx(recipe.floor * recipe.peak_rate)
    np.testing.assert_allclose(np.diff(rates[:warm]), recipe.peak_rate / warm)
    assert (np.diff(rates[warm - 1 :]) < 0).all()


def test_half_way_down_the_rate_is_between_peak_and_floor():
    recipe = Recipe(tokens=4096 * 201, batch=16, context=256, warmup=1 / 201)
    assert recipe.steps == 201
    assert recipe.rate(100, 16) == pytest.approx(recipe.peak_rate * (1 + recipe.floor) / 2)


def test_the_rate_falls_with_the_root_of_the_width():
    for step in (0, 10, 23):
        assert TINY.rate(step, 64) == pytest.approx(TINY.rate(step, 16) / 2)


def test_steps_see_at_least_as_many_tokens_as_asked_for():
    assert TINY.steps == 24
    assert dataclasses.replace(TINY, tokens=24 * 32 + 1).steps == 25


# models


@pytest.mark.parametrize("width", SHAPES)
def test_every_width_has_a_shape_that_makes_a_model(width):
    layers, heads = SHAPES[width]
    model = build(width, TINY, 0)
    config = model.config
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (width, layers, heads)
    assert config.intermediate_size == 4 * width
    assert config.use_parallel_residual
    assert not config.tie_word_embeddings
    assert 8 <= width // heads <= 20
    assert float(model.gpt_neox.layers[0].mlp.dense_4h_to_h.weight.detach().std()) == pytest.approx(
        math.sqrt(2 / 5 / width), rel=0.1
    )


def test_a_width_without_a_shape_is_a_config_error():
    with pytest.raises(ConfigError, match="ladder: width 17 has no shape; known: 16, 18, 20"):
        build(17, TINY, 0)


def test_a_model_comes_from_its_seed_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    a, b, other = build(16, TINY, 0), build(16, TINY, 0), build(16, TINY, 1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(a.gpt_neox.embed_in.weight, other.gpt_neox.embed_in.weight)


# tokens


def test_any_text_can_be_encoded_and_comes_back():
    tokenizer = train_tokenizer(["the sea, the sea"], 270)
    for text in ("the sea", "“naïve” 27\n\n\ttabs", "日本語 🙂", ""):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert len(tokenizer) <= 270
    assert tokenizer.eos_token == END


def test_every_document_ends_with_the_separator():
    tokenizer = train_tokenizer(["the sea, the sea"], 270)
    found = encode(["the sea", "the"], tokenizer)
    assert found.dtype == np.int64
    assert tokenizer.decode(found) == f"the sea{END}the{END}"
    assert (found == tokenizer.eos_token_id).sum() == 2


def test_a_budget_of_unique_tokens_holds_the_smaller_ones():
    documents = [Document(str(i), f"the sea {i} " * 5) for i in range(9)]
    tokenizer = train_tokenizer([document.text for document in documents], 300)
    whole = stream(documents, tokenizer)
    np.testing.assert_array_equal(whole, encode([document.text for document in documents], tokenizer))
    large, small = (stream(documents, tokenizer, unique, seed=1) for unique in (len(whole), 30))
    assert sorted(large) == sorted(whole)
    assert not np.array_equal(large, whole)
    np.testing.assert_array_equal(small, large[:30])
    assert not np.array_equal(small, stream(documents, tokenizer, 30, seed=2))
    with pytest.raises(DataError, match=f"{len(whole)} training tokens are fewer than a budget of {len(whole) + 1}"):
        stream(documents, tokenizer, len(whole) + 1)


# windows


@pytest.mark.parametrize(("n", "context"), [(100, 8), (17, 8), (1000, 7)])
def test_an_epoch_is_every_window_of_a_shifted_grid_once(n, context):
    order = starts(n, context, seed=0)
    shifts = []
    for _ in range(5):
        first = next(order)
        shift = first % context
        rest = list(itertools.islice(order, (n - 1 - shift) // context - 1))
        assert sorted([first, *rest]) == list(range(shift, n - context, context))
        shifts.append(shift)
    assert len(set(shifts)) > 1


def test_windows_are_shuffled_by_the_seed():
    def first(seed):
        return list(itertools.islice(starts(1000, 8, seed), 200))

    assert first(0) == first(0)
    assert first(0) != first(1)
    assert first(0)[:100] != sorted(first(0)[:100])


def test_too_few_tokens_are_an_error():
    with pytest.raises(DataError, match="16 training tokens are too few for windows of 8"):
        next(starts(16, 8, 0))
    with pytest.raises(DataError, match="8 validation tokens are too few for windows of 8"):
        evaluate(build(16, TINY, 0), VALIDATION[:8], TINY)


def seen(monkeypatch: pytest.MonkeyPatch, train_once: Callable[[], object]) -> list[list[list[int]]]:
    """The windows of each training step."""
    found, real = [], ladder.loss

    def recording(model: Any, windows: torch.Tensor) -> torch.Tensor:
        if model.training:
            found.append(windows.tolist())
        return real(model, windows)

    with monkeypatch.context() as patch:
        patch.setattr(ladder, "loss", recording)
        train_once()
    return found


def test_all_widths_see_the_same_windows_in_the_same_order(tmp_path, monkeypatch):
    narrow, wide, other = (
        seen(monkeypatch, lambda width=width, seed=seed: trained(tmp_path / f"{width}-{seed}", width, seed))
        for width, seed in ((16, 0), (24, 0), (16, 1))
    )
    assert narrow == wide
    assert narrow != other
    order = starts(len(TRAINING), TINY.context, 0)
    assert narrow == [[TRAINING[start : start + 9].tolist() for start in itertools.islice(order, 4)] for _ in range(24)]


# losses


def test_evaluation_is_the_mean_cross_entropy_of_whole_windows():
    model = build(16, TINY, 0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel()))
    model.train()
    total = []
    places = [8 * row for row in np.linspace(0, (90 - 9) // 8, 5).astype(int)]
    assert places == [0, 16, 40, 56, 80]
    for place in places:
        with torch.no_grad():
            logits = model(torch.tensor(VALIDATION[place : place + 8])[None]).logits[0].double().numpy()
        probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        total += [-math.log(probability[i, VALIDATION[place + 1 + i]]) for i in range(8)]
    assert len(total) == 40
    assert evaluate(model, VALIDATION, TINY) == pytest.approx(np.mean(total), rel=1e-6)


def test_evaluation_takes_every_window_of_a_short_stream():
    """Fewer windows than asked for, and a last batch that is not full."""
    model = build(16, TINY, 0)
    every = [evaluate(model, VALIDATION[start : start + 9], TINY) for start in range(0, 82, 8)]
    assert evaluate(model, VALIDATION, dataclasses.replace(TINY, validation_windows=100)) == pytest.approx(
        np.mean(every), rel=1e-6
    )


@pytest.mark.slow
def test_training_learns_what_can_be_learned(tmp_path):
    """The next token is one of three, so the loss tends to ln 3 = 1.10; a model that knows nothing is at ln 40 = 3.69."""
    recipe = dataclasses.replace(TINY, tokens=300 * 32)
    run = trained(tmp_path / "checkpoint", recipe=recipe, training=tokens(20_000, 0))
    assert evaluate(build(16, recipe, 0), VALIDATION, recipe) == pytest.approx(math.log(40), abs=0.2)
    assert run.curve[-1][1] == pytest.approx(math.log(3), abs=0.2)


def test_the_curve_has_a_point_for_every_evaluation(whole):
    assert [seen for seen, _ in whole.curve] == [128, 256, 384, 512, 640, 768]
    assert whole.curve[-1][1] == evaluate(whole.model, VALIDATION, TINY)
    assert not whole.model.training


def test_a_last_evaluation_is_at_the_end_whatever_the_number_of_steps(tmp_path):
    run = trained(tmp_path / "checkpoint", recipe=dataclasses.replace(TINY, tokens=7 * 32, evaluations=3))
    assert [seen for seen, _ in run.curve] == [96, 192, 224]


# going on


@pytest.mark.slow
def test_training_is_repeatable(whole, tmp_path):
    assert same(trained(tmp_path / "checkpoint"), whole)
    assert not same(trained(tmp_path / "other", seed=1), whole)


@pytest.mark.parametrize("draw", range(3))
def test_a_run_that_is_killed_at_three_steps_ends_as_one_left_alone(whole, tmp_path, kill, draw):
    """Steps are counted from where a run goes on, so the kills come before, between and behind checkpoints."""
    checkpoint = tmp_path / "checkpoint"
    for step in np.random.default_rng(draw).integers(0, 9, 3).tolist():
        kill(step)
        with pytest.raises(Killed):
            trained(checkpoint)
    assert same(trained(checkpoint), whole)


def test_a_run_goes_on_from_its_last_checkpoint(tmp_path, monkeypatch, kill):
    kill(14)
    with pytest.raises(Killed):
        trained(tmp_path / "checkpoint")
    with safe_open(tmp_path / "checkpoint", "pt") as stored:
        assert stored.metadata()["step"] == "12"
    assert len(seen(monkeypatch, lambda: trained(tmp_path / "checkpoint"))) == 12


def test_a_finished_run_is_not_trained_again(whole, tmp_path, monkeypatch):
    trained(tmp_path / "checkpoint")
    runs: list[Run] = []
    assert seen(monkeypatch, lambda: runs.append(trained(tmp_path / "checkpoint"))) == []
    assert same(runs[0], whole)


KILLED = """
import os, signal, sys
from pathlib import Path
import test_ladder
from geomkit.ladder import training as ladder

def half(tensors, path, notes, write=ladder.save_file):
    write(tensors, path, notes)
    if notes["step"] == "12":
        os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)

ladder.save_file = half
test_ladder.trained(Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_writes_a_checkpoint_goes_on_from_the_one_before(whole, tmp_path, monkeypatch):
    # the last bits depend on the number of threads
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(LIBRARY), str(Path(__file__).parent)]),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "checkpoint")], env=environment, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert len(list(tmp_path.iterdir())) == 2, "the checkpoint of step 8, and half of the next under a temporary name"
    runs: list[Run] = []
    assert len(seen(monkeypatch, lambda: runs.append(trained(tmp_path / "checkpoint")))) == 16
    assert same(runs[0], whole)


@pytest.mark.parametrize(
    "other",
    [
        {"recipe": dataclasses.replace(TINY, peak_rate=0.02)},
        {"recipe": dataclasses.replace(TINY, tokens=23 * 32)},
        {"training": tokens(500, 7)},
        {"seed": 1},
        {"width": 24},
    ],
)
def test_a_checkpoint_of_another_task_is_not_used(whole, tmp_path, kill, other):
    kill(9)
    with pytest.raises(Killed):
        trained(tmp_path / "checkpoint", **other)
    assert (tmp_path / "checkpoint").exists()
    assert same(trained(tmp_path / "checkpoint"), whole)


# export


def test_an_exported_model_loads_in_float16_and_has_the_same_loss(tmp_path):
    run = trained(tmp_path / "checkpoint")
    before = {name: weight.clone() for name, weight in run.model.state_dict().items()}
    export(run, tmp_path / "model")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype="auto")
    assert loaded.dtype == torch.float16
    for name, weight in loaded.state_dict().items():
        assert torch.equal(weight, before[name].half())
    assert evaluate(loaded.float(), VALIDATION, TINY) == pytest.approx(run.curve[-1][1], rel=1e-3)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
    ]
