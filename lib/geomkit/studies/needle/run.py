"""Insert a fact into filler text, ask for it, and test whether removing tokens from the input locates it (docs/protocol_1.md)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from geomkit.core.config import ModelSpec
from geomkit.core.errors import DataError
from geomkit.core.logs import progress
from geomkit.core.provenance import rng
from geomkit.measures.needle import STATEMENTS, ClassifiedText, Margins, Scores, call
from geomkit.models.load import load_model, load_tokenizer, prefix
from geomkit.sources.corpora import stored_documents
from geomkit.tables.experiments import NeedleText
from geomkit.tables.rows import defined, write_csv

NEEDLE = " My friend Anna always carries a tiger."
QUESTION = " My friend Anna always carries a"
ANSWER = " tiger"
BATCH = 4096
"""Tokens in one pass."""
DRAWS = 10
"""Removals of filler by chance."""


@dataclass(frozen=True, eq=False)
class Context:
    """Token ids (n,) that come before a question, and which statement each belongs to (n,): 0, 1, .., and -1 for filler."""

    ids: np.ndarray
    statement: np.ndarray


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> np.ndarray:
    encoded = tokenizer(text, add_special_tokens=False, verbose=False, split_special_tokens=True)
    return np.array(encoded["input_ids"], dtype=np.int64)


def context(tokenizer: PreTrainedTokenizerBase, filler: str, statements: int, length: int, draw: np.random.Generator) -> Context:
    """`length` tokens of filler with the needle inserted `statements` times, where sentences end, or else at any place.

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
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, logits_to_keep=len(answer) + 1)
            chosen = logits.logits[:, :-1].double().log_softmax(-1).gather(-1, ids[:, -len(answer) :, None])
            losses[rows[part]] = -chosen.sum(dim=(1, 2)).cpu().numpy()
    return losses


def scores(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, filled: Context, draw: np.random.Generator, draws: int = DRAWS
) -> Scores:
    """Score of one context. Where the fact is absent, a random span of the filler takes its place."""
    size = len(encode(tokenizer, NEEDLE))
    statement = filled.statement.copy()
    if statement.max() < 0:
        _room(len(statement), size)
        start = int(draw.integers(len(statement) - size + 1))
        statement[start : start + size] = 0
    filler = np.flatnonzero(statement < 0)
    if draws:
        _room(len(filler), size)
    kept = [np.ones(len(statement), dtype=bool), statement < 0, statement != 0, statement <= 0]
    for _ in range(draws):
        left = np.ones(len(statement), dtype=bool)
        left[draw.choice(filler, size=size, replace=False)] = False
        kept.append(left)
    different, place = np.unique(kept, axis=0, return_inverse=True)  # of one statement, all but one of the four are a pair
    contexts = [filled.ids[rows] for rows in different]
    question, answer = encode(tokenizer, QUESTION), encode(tokenizer, ANSWER)
    losses = answer_losses(model, prefix(tokenizer), contexts, question, answer)[place.ravel()]
    whole, none, without_one, one_kept = losses[:4].tolist()
    return Scores(whole, none, without_one, one_kept, float(losses[4:].mean()) if draws else float("nan"))


def _room(filler: int, size: int) -> None:
    if filler < size:
        raise DataError(f"{filler} tokens of filler are fewer than the {size} of a statement, which are to be removed from it")


def experiment(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    fillers: Sequence[str],
    seed: int,
    texts: int = 20,
    length: int = 200,
    draws: int = DRAWS,
) -> Iterator[tuple[int, ClassifiedText]]:
    """For each text and kind of context the filler's index, the scores (`random` of needles alone) and the call.

    The first `texts` fillers, in an order of chance, that are long enough are used. Raises DataError if there are fewer.
    """
    order = rng(seed, "needle", "second rule").permutation(len(fillers)).tolist()
    usable = [index for index in order if len(encode(tokenizer, fillers[index])) >= length][:texts]
    if len(usable) < texts:
        raise DataError(f"{len(usable)} of {len(fillers)} fillers have {length} tokens, but {texts} are needed")
    for index in usable:
        for kind, statements in STATEMENTS.items():
            draw = rng(seed, "needle", kind, index)
            scored = scores(
                model,
                tokenizer,
                context(tokenizer, fillers[index], statements, length, draw),
                draw,
                draws if kind == "needle" else 0,
            )
            yield index, ClassifiedText(kind, scored, call(scored, Margins()))


def score_needles(folder: Path, fillers: Path, output: Path, texts: int, seed: int, spec: ModelSpec) -> None:
    """Write needle.csv: a row for each text and kind of context."""
    spec = spec.at(folder)
    tokenizer, model = load_tokenizer(spec), load_model(spec)
    documents = [document.text for document in stored_documents(fillers, "all")]
    scored = progress(experiment(model, tokenizer, documents, seed, texts), "needles", texts * len(STATEMENTS))
    rows = [
        NeedleText(
            model=folder.name,
            kind=told.kind,
            filler=filler,
            call=told.call,
            **told.scores._asdict() | {"random": defined(told.scores.random)},
        )
        for filler, told in scored
    ]
    write_csv(output, NeedleText, rows)
