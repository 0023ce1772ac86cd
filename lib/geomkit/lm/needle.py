"""A fact put into filler and asked for: whether removing tokens from the input finds where it is (docs/protocol_ablation.md)."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from geomkit.errors import DataError
from geomkit.lm.models import prefix
from geomkit.store.provenance import rng

NEEDLE = " My friend Anna always carries a tiger."
QUESTION = " My friend Anna always carries a"
ANSWER = " tiger"
STATEMENTS = {"needle": 1, "repeated": 8, "plain": 0}
"""How often the fact is stated in each kind of context."""
CALLS = {"needle": "concentrated", "repeated": "redundant", "plain": "absent"}
BATCH = 4096
"""Tokens in one pass."""


@dataclass(frozen=True)
class Margins:
    """What was fixed before the experiment was run, in nats; `right` is a share of the texts of each kind."""

    known: float = 1.0
    unknown: float = 5.0
    random: float = 0.2
    kept: float = 0.5
    lost: float = 4.0
    right: float = 0.9


@dataclass(frozen=True, eq=False)
class Context:
    """Token ids (n,) that come before a question, and which statement each belongs to (n,): 0, 1, .., and -1 for filler."""

    ids: np.ndarray
    statement: np.ndarray


class Scores(NamedTuple):
    """Losses of the answer in nats: see the protocol."""

    whole: float
    none: float
    without_one: float
    only_one: float
    random: float


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> np.ndarray:
    return np.array(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"], dtype=np.int64)


def context(tokenizer: PreTrainedTokenizerBase, filler: str, statements: int, length: int, draw: np.random.Generator) -> Context:
    """`length` tokens of filler with the needle stated so often, behind tokens that end a sentence, or else at any place.

    Raises DataError for a filler with fewer tokens.
    """
    ids, needle = encode(tokenizer, filler)[:length], encode(tokenizer, NEEDLE)
    if len(ids) < length:
        raise DataError(f"a filler of {length} tokens cannot be cut out of {len(ids)}")
    ends = [place + 1 for place, token in enumerate(ids) if tokenizer.decode([token]).rstrip().endswith(".")]
    places = np.sort(draw.choice(np.array(ends or range(length + 1)), size=statements)).tolist()
    pieces: list[np.ndarray] = []
    owners: list[np.ndarray] = []
    start = 0
    for number, place in enumerate(places):
        pieces += [ids[start:place], needle]
        owners += [np.full(place - start, -1), np.full(len(needle), number)]
        start = place
    return Context(
        np.concatenate([*pieces, ids[start:]]), np.concatenate([*owners, np.full(length - start, -1)]).astype(np.int64)
    )


@torch.inference_mode()
def answer_losses(
    model: PreTrainedModel, before: Sequence[int], contexts: Sequence[np.ndarray], question: np.ndarray, answer: np.ndarray
) -> np.ndarray:
    """-ln p of the answer after each context and the question (contexts,), in nats, summed over the answer's tokens.

    Contexts of equal length run together, so there is no padding.
    """
    losses = np.empty(len(contexts))
    sizes = np.array([len(ids) for ids in contexts])
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        whole = [np.concatenate([before, contexts[row], question, answer]).astype(np.int64) for row in rows.tolist()]
        for part in np.array_split(np.arange(len(rows)), -(-len(rows) * len(whole[0]) // BATCH)):
            ids = torch.from_numpy(np.stack([whole[row] for row in part.tolist()])).to(model.device)
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[:, -len(answer) - 1 : -1]
            found = logits.double().log_softmax(-1).gather(-1, ids[:, -len(answer) :, None])
            losses[rows[part]] = -found.sum(dim=(1, 2)).cpu().numpy()
    return losses


def scores(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, found: Context, draw: np.random.Generator, draws: int = 20
) -> Scores:
    """The scores of one context. Where nothing is stated, a span of the filler by chance stands for the statement."""
    size = len(encode(tokenizer, NEEDLE))
    statement = found.statement.copy()
    if statement.max() < 0:
        _room(len(statement), size)
        start = int(draw.integers(len(statement) - size + 1))
        statement[start : start + size] = 0
    filler = np.flatnonzero(statement < 0)
    if draws:
        _room(len(filler), size)
    kept = [np.ones(len(statement), dtype=bool), statement < 0, statement != 0, statement == 0]
    for _ in range(draws):
        left = np.ones(len(statement), dtype=bool)
        left[draw.choice(filler, size=size, replace=False)] = False
        kept.append(left)
    contexts = [found.ids[rows] for rows in kept]
    losses = answer_losses(model, prefix(tokenizer), contexts, encode(tokenizer, QUESTION), encode(tokenizer, ANSWER))
    whole, none, without_one, only_one = losses[:4].tolist()
    return Scores(whole, none, without_one, only_one, float(losses[4:].mean()) if draws else float("nan"))


def _room(filler: int, size: int) -> None:
    if filler < size:
        raise DataError(f"{filler} tokens of filler are fewer than the {size} of a statement, which are to be removed from it")


def call(found: Scores, margins: Margins) -> str:
    """What the scores alone say of a text: `absent`, `redundant`, `concentrated` or `undecided`."""
    if found.whole > margins.unknown:
        return "absent"
    if found.only_one >= margins.known:
        return "undecided"
    if found.without_one - found.whole <= margins.kept and found.none - found.whole >= margins.lost:
        return "redundant"
    return "concentrated" if found.without_one - found.whole >= margins.lost else "undecided"


def experiment(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    fillers: Sequence[str],
    seed: int,
    texts: int = 20,
    length: int = 200,
    draws: int = 20,
) -> Iterator[dict[str, object]]:
    """A row for each text and kind of context: kind, filler (its index), the scores (`random` of needles alone), the call.

    The first `texts` fillers, in an order of chance, that are long enough are used. Raises DataError if there are fewer.
    """
    order = rng(seed, "needle").permutation(len(fillers)).tolist()
    usable = [index for index in order if len(encode(tokenizer, fillers[index])) >= length][:texts]
    if len(usable) < texts:
        raise DataError(f"{len(usable)} of {len(fillers)} fillers have {length} tokens, but {texts} are needed")
    for index in usable:
        for kind, statements in STATEMENTS.items():
            draw = rng(seed, "needle", kind, index)
            found = scores(
                model,
                tokenizer,
                context(tokenizer, fillers[index], statements, length, draw),
                draw,
                draws if kind == "needle" else 0,
            )
            yield {"kind": kind, "filler": index, **found._asdict(), "call": call(found, Margins())}


def verdict(table: Sequence[dict[str, object]], margins: Margins) -> dict[str, object]:
    """Whether the instrument works, and whether the measures tell the three kinds apart by the margin that was fixed."""
    calls = {kind: [row["call"] for row in table if row["kind"] == kind] for kind in STATEMENTS}
    needle = np.array(
        [[row[name] for name in ("whole", "none", "random")] for row in table if row["kind"] == "needle"], dtype=float
    )
    whole, none, _ = needle.mean(axis=0).tolist()
    shift = float(np.abs(needle[:, 2] - needle[:, 0]).mean())
    works = whole < margins.known and none > margins.unknown and shift <= margins.random
    right = {kind: float(np.mean([name == CALLS[kind] for name in names])) for kind, names in calls.items()}
    others = sum(name not in (CALLS[kind], "undecided") for kind, names in calls.items() for name in names)
    return {
        **{"whole": whole, "none": none, "random_shift": shift, "works": works, "right": right, "mistaken": others},
        "told_apart": works and others == 0 and min(right.values()) >= margins.right,
        "margins": asdict(margins),
    }
