"""Train a ladder: one GPT-NeoX recipe at several widths, on the same tokens in the same order.

The architecture is Pythia's (Biderman et al. 2023, arXiv 2304.01373): parallel attention and MLP blocks, rotary positions,
untied embeddings, small initialisation (standard deviation sqrt(2 / 5d)). Heads have about 16
dimensions and rotary positions turn all of them: as many as in Pythia, which turns a quarter of 64.
"""

import copy
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from geomkit.core.errors import ConfigError, DataError
from geomkit.core.logs import progress
from geomkit.core.provenance import digest, replacing, rng
from geomkit.ladder.names import Form
from geomkit.models.load import find_device, load_tokenizer, sizes
from geomkit.sources.corpora import Document, stored_documents
from geomkit.tables.rows import write_csv
from geomkit.tables.trainings import CurvePoint

END = "<|endoftext|>"

SHAPES = {
    **{16: (2, 1), 18: (2, 1), 20: (3, 1), 24: (3, 2), 28: (4, 2), 32: (4, 2), 36: (4, 2), 40: (4, 2), 48: (4, 3), 54: (4, 3)},
    **{60: (5, 3), 64: (5, 4), 72: (5, 4), 80: (6, 5), 90: (6, 5), 96: (6, 6), 100: (6, 5), 112: (7, 7), 128: (8, 8)},
    **{192: (10, 12), 256: (12, 16)},
}
"""Layers and heads of each width. Heads have an even size, the one nearest to 16 in ratio (docs/protocol.md)."""

OWN = Form()
"""The form of the ladder's own models."""


@dataclass(frozen=True)
class Recipe:
    """Settings of one model's training. `tokens` counts every token seen, `peak_rate` is the learning rate at width 16."""

    tokens: int = 8_000_000
    vocabulary: int = 2048
    context: int = 256
    batch: int = 8
    peak_rate: float = 0.04
    warmup: float = 0.05
    floor: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.1
    clip: float = 1.0
    evaluations: int = 16
    validation_windows: int = 256

    @property
    def steps(self) -> int:
        return math.ceil(self.tokens / (self.batch * self.context))

    def rate(self, step: int, width: int) -> float:
        """Learning rate at a step: linear warm-up, then a cosine to `floor` of the peak, which falls as width^-1/2."""
        warm = max(1, round(self.warmup * self.steps))
        decay = max(0.0, (step + 1 - warm) / max(1, self.steps - warm))
        shape = min(1.0, (step + 1) / warm) * (self.floor + (1 - self.floor) * (1 + math.cos(math.pi * decay)) / 2)
        return self.peak_rate * math.sqrt(16 / width) * shape


@dataclass
class Run:
    """A trained model, its learning curve, (tokens seen, validation loss in nats a token) at each evaluation, and the weights
    after the steps that were to be saved."""

    model: GPTNeoXForCausalLM
    curve: list[tuple[int, float]] = field(default_factory=list)
    kept: dict[int, dict[str, torch.Tensor]] = field(default_factory=dict)

    def at(self, step: int) -> GPTNeoXForCausalLM:
        """The model as it was after a saved step."""
        model = copy.deepcopy(self.model)
        put(model, self.kept[step])
        return model


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE; any text can be encoded, and `END` separates documents."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END)


def encode(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """Token ids of all texts, each followed by `END`: int64 (tokens,)."""
    end = tokenizer.eos_token_id
    encoded = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return np.concatenate([np.array([*ids, end]) for ids in encoded])


def stream(
    documents: Sequence[Document], tokenizer: PreTrainedTokenizerFast, unique: int | None = None, seed: int = 0
) -> np.ndarray:
    """Token ids (tokens,) of documents one after another, or the first `unique` of them with the documents in random order:
    a larger budget holds the smaller ones.

    Raises DataError if there are fewer than `unique`.
    """
    if unique is None:
        return encode([document.text for document in documents], tokenizer)
    order = rng(seed, "ladder", "unique").permutation(len(documents))
    ids = encode([documents[index].text for index in order], tokenizer)
    if len(ids) < unique:
        raise DataError(f"ladder: {len(ids)} training tokens are fewer than a budget of {unique}")
    return ids[:unique]


def shape(width: int, form: Form = OWN) -> tuple[int, int]:
    """Layers and heads of a model. Raises ConfigError for a width that the ladder does not have."""
    if width not in SHAPES:
        raise ConfigError(f"ladder: width {width} has no shape; known: {', '.join(map(str, SHAPES))}")
    layers, heads = SHAPES[width]
    return form.depth or layers, heads


def build(width: int, recipe: Recipe, seed: int, form: Form = OWN) -> GPTNeoXForCausalLM:
    """Build an untrained model of the ladder from its seed; the global generator of torch is left as it was."""
    layers, heads = shape(width, form)
    config = GPTNeoXConfig(
        vocab_size=recipe.vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=form.mlp * width,
        max_position_embeddings=recipe.context,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0},
        initializer_range=math.sqrt(2 / (5 * width)),
        tie_word_embeddings=form.tied,
        bos_token_id=0,
        eos_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GPTNeoXForCausalLM(config)


def starts(tokens: int, context: int, seed: int) -> Iterator[int]:
    """Starts of training windows, without end: every epoch shifts the grid of windows and shuffles it anew.

    The order is a function of the seed alone: a resumed run needs its step, and no generator state.
    """
    if tokens < 2 * context + 1:
        raise DataError(f"ladder: {tokens} training tokens are too few for windows of {context}")
    epoch = 0
    while True:
        draw = rng(seed, "ladder", "epoch", epoch)
        shift = int(draw.integers(context))
        yield from (draw.permutation((tokens - 1 - shift) // context) * context + shift).tolist()
        epoch += 1


def loss(model: GPTNeoXForCausalLM, windows: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy in nats of windows (batch, context + 1), the first token of each being context alone."""
    logits = model(input_ids=windows[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), windows[:, 1:].flatten())


def windows(ids: np.ndarray, recipe: Recipe) -> np.ndarray:
    """`validation_windows` whole windows spread evenly over a stream: (windows, context + 1), the first of each being context.

    Raises DataError if there is not one.
    """
    if len(ids) <= recipe.context:
        raise DataError(f"ladder: {len(ids)} validation tokens are too few for windows of {recipe.context}")
    rows = np.lib.stride_tricks.sliding_window_view(ids, recipe.context + 1)[:: recipe.context]
    return rows[np.unique(np.linspace(0, len(rows) - 1, recipe.validation_windows).astype(int))]


@torch.no_grad()
def evaluate(model: GPTNeoXForCausalLM, ids: np.ndarray, recipe: Recipe) -> float:
    """Loss, in nats a token, on `windows` of a stream."""
    rows = windows(ids, recipe)
    model.eval()
    parts = torch.from_numpy(rows).to(model.device).split(recipe.batch)
    return sum(float(loss(model, part)) * len(part) for part in parts) / len(rows)


def new_optimizer(model: GPTNeoXForCausalLM, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW of the recipe; biases and norms do not decay."""
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    vectors = [weight for weight in model.parameters() if weight.ndim < 2]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        betas=recipe.betas,
        foreach=True,
    )


def advance(model: GPTNeoXForCausalLM, optimizer: torch.optim.Optimizer, batch: torch.Tensor, rate: float, clip: float) -> None:
    """One step of training on windows (batch, context + 1)."""
    model.train()
    value = loss(model, batch)
    optimizer.zero_grad(set_to_none=True)
    value.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()


def train(
    width: int,
    seed: int,
    recipe: Recipe,
    training: np.ndarray,
    validation: np.ndarray,
    checkpoint: Path,
    device: torch.device | str = "cpu",
    form: Form = OWN,
    keep: Sequence[int] = (),
) -> Run:
    """Train one model, or continue from `checkpoint`, which is written at every evaluation and always complete. A checkpoint of
    another recipe or other data is not used. The weights after each step in `keep` are saved; this changes nothing in the
    training.

    On a CPU with a fixed number of threads a run that was killed any number of times ends with the same weights as one that
    was left alone: the state is the weights, the moments of AdamW and the step, and the data order depends on the seed alone.
    """
    if late := [step for step in keep if not 0 < step <= recipe.steps]:
        raise ConfigError(f"ladder: there is no step {late[0]} in a training of {recipe.steps} steps")
    run = Run(build(width, recipe, seed, form).to(device))
    model, context = run.model, recipe.context
    optimizer = new_optimizer(model, recipe)
    task = digest(f"{width}{form}", seed, recipe, hashlib.sha256(training.tobytes()).hexdigest(), *keep)
    done = restore(run, optimizer, checkpoint, task)
    every = math.ceil(recipe.steps / recipe.evaluations)
    order = islice(starts(len(training), context, seed), done * recipe.batch, None)
    window = np.arange(context + 1)
    for step in progress(range(done, recipe.steps), f"ladder-{width}{form}-s{seed}", recipe.steps, initial=done):
        rows = np.fromiter(islice(order, recipe.batch), dtype=np.int64, count=recipe.batch)
        advance(
            model, optimizer, torch.from_numpy(training[rows[:, None] + window]).to(device), recipe.rate(step, width), recipe.clip
        )
        if step + 1 in keep:
            run.kept[step + 1] = {name: weight.detach().clone() for name, weight in run.model.named_parameters()}
        if (step + 1) % every == 0 or step + 1 == recipe.steps:
            run.curve.append(((step + 1) * recipe.batch * context, evaluate(model, validation, recipe)))
            save(run, optimizer, step + 1, checkpoint, task)
    model.eval()
    return run


def save(run: Run, optimizer: torch.optim.Optimizer, step: int, checkpoint: Path, task: str) -> None:
    """Save everything that a run needs to continue, as one safetensors file."""
    tensors = {f"model.{name}": weight.detach() for name, weight in run.model.named_parameters()}
    for kept, weights in run.kept.items():
        tensors |= {f"kept.{kept}.{name}": weight for name, weight in weights.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    with replacing(checkpoint) as temporary:
        save_file(tensors, temporary, {"task": task, "step": str(step), "curve": json.dumps(run.curve)})


def restore(run: Run, optimizer: torch.optim.Optimizer, checkpoint: Path, task: str) -> int:
    """Restore a saved state and return the number of steps done: none, if there is no state of this task."""
    if not checkpoint.exists():
        return 0
    with safe_open(checkpoint, "pt") as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        notes = stored.metadata()
    if notes["task"] != task:
        return 0
    put(run.model, {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")})
    for name, value in tensors.items():
        if name.startswith("kept."):
            _, kept, weight = name.split(".", 2)
            run.kept.setdefault(int(kept), {})[weight] = value
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    run.curve[:] = [(int(tokens), float(value)) for tokens, value in json.loads(notes["curve"])]
    return int(notes["step"])


@torch.no_grad()
def put(model: GPTNeoXForCausalLM, weights: Mapping[str, torch.Tensor]) -> None:
    """Replace a model's weights, by name."""
    for name, weight in model.named_parameters():
        weight.copy_(weights[name])


def export(run: Run, folder: Path) -> None:
    """Write the model as a folder that `AutoModelForCausalLM` loads, weights in float16."""
    run.model.half().save_pretrained(folder)


def prepare_tokenizer(corpus: Path, tokenizer: Path, recipe: Mapping[str, Any]) -> None:
    """Train the ladder's tokenizer on a corpus's training split, and write it to a folder."""
    texts = [document.text for document in stored_documents(corpus, "train")]
    train_tokenizer(texts, Recipe(**recipe).vocabulary).save_pretrained(tokenizer.parent)


def train_model(
    corpus: Path,
    tokenizer: Path,
    weights: Path,
    curve: Path,
    checkpoint: str,
    width: int,
    seed: int,
    recipe: Mapping[str, Any],
    device: str,
) -> None:
    """Train one model of the ladder, or continue: writes the folder of its weights, and its learning curve as CSV.

    tokenizer: a file of the tokenizer. checkpoint: name of a file in the folder `checkpoints` beside those of models and curves.
    """
    words, saved = load_tokenizer(tokenizer.parent), curve.parents[1] / "checkpoints" / checkpoint
    training, validation = (stream(stored_documents(corpus, split), words) for split in ("train", "validation"))
    run = train(width, seed, Recipe(**recipe), training, validation, saved, find_device(device))
    size = sizes(run.model)
    layers, heads = SHAPES[width]
    model = {"width": width, "layers": layers, "heads": heads, "seed": seed}
    model |= {name: getattr(size, name) for name in ("params_nonembedding", "params_total")}
    points = [CurvePoint(**model, tokens=tokens, loss_validation=round(loss, 6)) for tokens, loss in run.curve]
    write_csv(curve, CurvePoint, points)
    export(run, weights.parent)
    saved.unlink(missing_ok=True)
