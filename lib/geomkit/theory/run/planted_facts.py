"""Train small language models on planted facts of known frequencies, and measure which facts they learn.

A text is a key of two tokens and its value: fact k, counted from 1, is drawn with p_k proportional to k^-(1 + a), and its value
is one of `values` tokens, drawn once and evenly. Keys are given and values are asked for, so the floor of the loss is zero and
the gap is the loss itself. A model that holds the n most frequent facts and knows nothing of the rest has the gap
ln(values) * sum_{k > n} p_k: the claim of Tan, Li and Huang 2024 (arXiv 2402.03471) with every term in our hands.
"""

import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from geomkit.core.arrays import Array
from geomkit.core.errors import ConfigError, DataError
from geomkit.core.logs import progress
from geomkit.core.provenance import digest, rng
from geomkit.models.load import sizes
from geomkit.tables.rows import read_csv, write_csv
from geomkit.theory.rows import FactBin

WIDTHS = (8, 12, 16, 24, 32)
"""Hidden sizes on the axis of model size; heads have 4 dimensions."""

SAMPLES = (1024, 4096, 16384, 65536, 262144)
"""Texts on the axis of data."""


@dataclass(frozen=True)
class Recipe:
    """Settings of a cell's training. `budgets` are numbers of steps, each the double of the one before.

    The rate is constant up to the last `tail` of a budget and falls linearly to zero over it; the next budget goes on from
    where the fall began, so that doubling costs only the steps that it adds.
    """

    alphabet: int = 128
    values: int = 64
    layers: int = 2
    batch: int = 256
    budgets: tuple[int, ...] = (2000, 4000, 8000)
    tail: float = 0.2
    warmup: int = 100
    peak_rate: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)

    def __post_init__(self) -> None:
        if not self.budgets or any(b != 2 * a for a, b in pairwise(self.budgets)):
            raise ConfigError(f"facts: budgets are {self.budgets}; each is the double of the one before")

    @property
    def facts(self) -> int:
        return self.alphabet**2


@dataclass(frozen=True)
class Cell:
    """One model: its width, the exponent a, the seed, and the texts of its training data; no number of texts means unlimited
    data, drawn from the law itself."""

    width: int
    exponent: float
    seed: int
    samples: int | None = None

    @property
    def name(self) -> str:
        return f"w{self.width}-a{self.exponent:g}-s{self.seed}-" + ("law" if self.samples is None else f"d{self.samples}")


@dataclass(frozen=True)
class Facts:
    """The facts. keys: (facts, 2) tokens. answers: (facts,), each below `values`. frequency: (facts,), falling, of sum 1."""

    keys: NDArray[np.int64]
    answers: NDArray[np.int64]
    frequency: Array


def plant(exponent: float, seed: int, recipe: Recipe) -> Facts:
    """Draw all facts by rank. Keys are in random order: the rank is independent of a key's tokens. Facts of one seed have the
    same keys and values whatever the exponent. Raises ConfigError for a <= 0, which has no law in the limit."""
    if not exponent > 0:
        raise ConfigError(f"facts: exponent a is {exponent}; it must be positive")
    draw = rng(seed, "facts", "planted")
    order = draw.permutation(recipe.facts)
    weights = np.arange(1, recipe.facts + 1, dtype=float) ** -(1 + exponent)
    keys = np.stack(np.divmod(order, recipe.alphabet), axis=1)
    return Facts(keys, draw.integers(recipe.values, size=recipe.facts), weights / weights.sum())


def counts(cell: Cell, facts: Facts) -> NDArray[np.int64]:
    """Count each fact in the training texts (facts,); smaller data of one seed are the first draws of larger ones."""
    if cell.samples is None or cell.samples < 1:
        raise DataError(f"facts: {cell.name} has no finite number of texts")
    drawn = rng(cell.seed, "facts", "texts", cell.exponent).choice(len(facts.frequency), cell.samples, p=facts.frequency)
    return np.bincount(drawn, minlength=len(facts.frequency))


def build(cell: Cell, recipe: Recipe) -> GPTNeoXForCausalLM:
    """Build an untrained GPT-NeoX of two blocks; torch's global generator is left as it was."""
    if cell.width % 4:
        raise ConfigError(f"facts: width {cell.width}; a head has 4 dimensions, so it must be a multiple of 4")
    config = GPTNeoXConfig(
        vocab_size=recipe.alphabet + recipe.values,
        hidden_size=cell.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=cell.width // 4,
        intermediate_size=4 * cell.width,
        max_position_embeddings=2,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0},
        initializer_range=math.sqrt(2 / (5 * cell.width)),
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    config._attn_implementation = "eager"  # two tokens: nothing to fuse
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cell.seed)
        return GPTNeoXForCausalLM(config)


def answer_logits(model: GPTNeoXForCausalLM, keys: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Logits of the values after keys (batch, 2): (batch, values)."""
    return model(input_ids=keys, use_cache=False, logits_to_keep=1).logits[:, 0, recipe.alphabet :]


@torch.no_grad()
def losses(model: GPTNeoXForCausalLM, facts: Facts, recipe: Recipe) -> Array:
    """Loss of every fact's value, in nats: (facts,), none of them sampled."""
    parts = zip(torch.from_numpy(facts.keys).split(2048), torch.from_numpy(facts.answers).split(2048), strict=True)
    batches = [cross_entropy(answer_logits(model, keys, recipe).double(), values, reduction="none") for keys, values in parts]
    return torch.cat(batches).numpy()


def draws(target: Array, recipe: Recipe, generator: np.random.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of ranks and of weights whose weighted loss has the mean under `target` (facts,), without end.

    Ranks are drawn from the root of the target and weighted back, which leaves the expected gradient as it is and lets the
    rare facts be seen: of k^-2 the tenth thousandth would else come once in 10^8 texts.
    """
    root = np.sqrt(target)
    edges = np.cumsum(root / root.sum())
    weight = np.divide(target * root.sum(), root, out=np.zeros_like(target), where=root > 0).astype(np.float32)
    last = int(np.flatnonzero(target)[-1])
    while True:
        ranks = np.minimum(np.searchsorted(edges, generator.random((256, recipe.batch)), side="right"), last)
        yield from zip(torch.from_numpy(ranks), torch.from_numpy(weight[ranks]), strict=True)


def train(cell: Cell, facts: Facts, recipe: Recipe) -> Iterator[tuple[int, Array]]:
    """Trains, and yields the number of steps and every fact's loss (facts,) after each budget."""
    target = facts.frequency if cell.samples is None else counts(cell, facts) / cell.samples
    model = build(cell, recipe)
    rate = recipe.peak_rate * math.sqrt(16 / cell.width)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, betas=recipe.betas, fused=True)
    keys, answers = torch.from_numpy(facts.keys), torch.from_numpy(facts.answers)
    batches = draws(target, recipe, rng(cell.seed, "facts", "batches", cell.name))

    def step(size: float) -> None:
        ranks, weights = next(batches)
        value = (cross_entropy(answer_logits(model, keys[ranks], recipe), answers[ranks], reduction="none") * weights).mean()
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        for group in optimizer.param_groups:
            group["lr"] = rate * size
        optimizer.step()

    done, bar = 0, progress(range(recipe.budgets[-1]), cell.name, recipe.budgets[-1])
    advance = iter(bar)
    for budget in recipe.budgets:
        falling = round(recipe.tail * budget)
        for at in range(done, budget - falling):
            step(min(1.0, (at + 1) / recipe.warmup))
            next(advance, None)
        done = budget - falling
        trunk = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
        for left in range(falling, 0, -1):
            step(left / falling)
        yield budget, losses(model, facts, recipe)
        model.load_state_dict(trunk[0])
        optimizer.load_state_dict(trunk[1])


def bins(facts: int) -> NDArray[np.int64]:
    """First ranks, counted from 0, of bins of a quarter of an octave, and one past the last rank."""
    edges = np.unique(np.floor(2 ** (np.arange(0, 4 * math.log2(facts) + 1) / 4)).astype(int)) - 1
    return np.append(edges[edges < facts], facts)


def summary(cell: Cell, facts: Facts, steps: int, loss: Array, recipe: Recipe) -> list[FactBin]:
    """Make one row for each bin of ranks; numbers of the whole model are in every row.

    gap: sum of p_k loss_k, exact. gap_seen, gap_unseen: its parts from facts in and not in the training texts. held: facts with a
    loss below half of ln(values). overlap: share of the `held` most frequent facts that are held: 1 if a model holds the most
    frequent ones. In a bin: mass is the sum of p_k, loss the plain mean and spread the standard deviation of its facts' losses,
    bin_held and bin_seen the shares that are held, and that are in the training texts.
    """
    half = math.log(recipe.values) / 2
    known = loss < half
    seen = np.ones(len(loss), dtype=bool) if cell.samples is None else counts(cell, facts) > 0
    held = int(known.sum())
    size = sizes(build(cell, recipe))
    common: dict[str, Any] = {
        "task": task_of(cell, recipe),
        "cell": cell.name,
        "width": cell.width,
        "params_total": size.params_total,
        "params_nonembedding": size.params_nonembedding,
        "exponent": cell.exponent,
        "seed": cell.seed,
        "samples": cell.samples,
        "steps": steps,
        "gap": float(facts.frequency @ loss),
        "gap_seen": float((facts.frequency * loss)[seen].sum()),
        "gap_unseen": float((facts.frequency * loss)[~seen].sum()),
        "seen": int(seen.sum()),
        "held": held,
        "overlap": float(known[:held].mean()) if held else None,
    }
    edges = bins(len(loss))
    return [
        FactBin(
            **common,
            first_rank=int(first + 1),
            last_rank=int(last),
            mass=float(facts.frequency[first:last].sum()),
            loss=float(loss[first:last].mean()),
            spread=float(loss[first:last].std()),
            bin_held=float(known[first:last].mean()),
            bin_seen=float(seen[first:last].mean()),
        )
        for first, last in pairwise(edges)
    ]


def task_of(cell: Cell, recipe: Recipe) -> str:
    """The settings that identify a cell of one recipe."""
    return digest("facts", cell, recipe)


def cells(exponents: Iterable[float] = (0.5, 1.0), seeds: Iterable[int] = (0, 1)) -> list[Cell]:
    """All cells: the axis of size for every exponent and seed, and the axis of data on the widest model with the first seed."""
    exponents, seeds = tuple(exponents), tuple(seeds)
    size = [Cell(width, a, seed) for seed in seeds for a in exponents for width in WIDTHS]
    data = [Cell(WIDTHS[-1], a, seeds[0], samples) for a in exponents for samples in SAMPLES]
    return size + data


def measure(cell: Cell, recipe: Recipe, path: Path) -> bool:
    """Train a cell and write its rows as CSV; False, and nothing is done, if the file is that of this cell and recipe."""
    if path.exists() and read_csv(path, FactBin)[0].task == task_of(cell, recipe):
        return False
    facts = plant(cell.exponent, cell.seed, recipe)
    with one_thread():
        rows = [row for steps, loss in train(cell, facts, recipe) for row in summary(cell, facts, steps, loss, recipe)]
    write_csv(path, FactBin, rows)
    return True


@contextmanager
def one_thread() -> Iterator[None]:
    """Make torch compute on one thread, on which its last bits depend, and then on as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train_facts(output: Path, width: int, exponent: float, seed: int, data: str, recipe: Mapping[str, Any]) -> None:
    """Train one cell and write it as CSV. data: `law`, or `d` and the number of texts."""
    cell = Cell(width, exponent, seed, None if data == "law" else int(data.removeprefix("d")))
    options: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in recipe.items()}
    measure(cell, Recipe(**options), output)
