"""Hidden states, surprisal and sizes of a tiny model as they are measured, beside transformers' own; and the page about all."""

import csv
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from conformance.tiny import DECODERS, NAMES, make
from torch import nn

from geomkit.core.config import CAUSAL, MASKED, ModelSpec
from geomkit.core.errors import GeomkitError
from geomkit.core.state import State
from geomkit.models.capture import Recorder, capture
from geomkit.models.load import OBJECTIVES, blocks, load_model, sizes
from geomkit.models.masking import Masking
from geomkit.models.selfcheck import read_states
from geomkit.models.stream import model_attributes
from geomkit.states.texts import Sample, Texts

LENGTHS, FIRST, LAST, MASK = (17, 9, 12), 0, 2, 4
STATES, NATS = 1e-4, 1e-3
"""Largest differences: of states relative to the largest value, and of surprisal in nats."""
EQUAL, REFUSED, MISSING, DIFFERENT = "equal", "refused", "not tried", "different"


@dataclass(frozen=True)
class Outcome:
    """What was found of one architecture. note: the reason, or in what transformers' own numbers are others."""

    model_type: str
    architecture: str
    objective: str
    outcome: str
    note: str = ""


def check(objective: str, name: str, folder: Path) -> Outcome:
    """An architecture, made tiny in a folder and measured from there as any other model."""
    about = (name, NAMES[objective][name], objective)
    try:
        model = make(objective, name)
        model.save_pretrained(folder)
    except Exception as error:  # whatever keeps transformers from making it is the reason why it is not tried
        return Outcome(*about, MISSING, textwrap.shorten(f"{type(error).__name__}: {error}", 160))
    try:
        loaded = load_model(ModelSpec(folder, device="cpu", objective=objective))
        model_attributes(loaded)
        measured = captured(loaded, objective)
    except GeomkitError as error:
        return Outcome(*about, REFUSED, str(error).replace(str(folder), name).partition(": ")[2])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    how = read_states(loaded)
    wrong = [*states_and_surprisal(model, objective, *measured, bool(how.numbering)), *counts(model, objective)]
    notes = [how.numbering, {"any": "", "length": "one length at a time", "none": "one text at a time"}[how.together]]
    return Outcome(*about, DIFFERENT if wrong else EQUAL, "; ".join(wrong or filter(None, notes)))


def sample() -> Sample:
    ids = [np.random.default_rng(k).integers(5, 60, n).astype(np.int32) for k, n in enumerate(LENGTHS)]
    return Sample(ids, [FIRST], Texts([f"d{k}" for k in range(len(ids))], list(LENGTHS), [1] * len(ids)))


def captured(model: Any, objective: str) -> tuple[list[np.ndarray], np.ndarray]:
    """States 0 to L + 1 and surprisal of all texts, in one batch."""
    masking = Masking(MASK, [LAST]) if objective == MASKED else None
    depth = len(blocks(model))
    (batch,) = capture(Recorder(model, range(depth + 2), False), sample(), 4096, masking)
    return [batch.states[State(layer)] for layer in range(depth + 2)], batch.surprisal


@torch.no_grad()
def states_and_surprisal(
    model: Any, objective: str, states: Sequence[np.ndarray], surprisal: np.ndarray, shifted: bool
) -> Iterable[str]:
    """In what they differ from transformers' own of each text alone. shifted: its numbers of states are one less."""
    depth, end = len(states) - 2, [LAST] if objective == MASKED else []
    gaps, nats, start = np.zeros(depth + 2), 0.0, 0
    for ids in sample().ids:
        whole, own = [FIRST, *ids.tolist(), *end], slice(start, start + len(ids))
        start = own.stop
        uncached = {"use_cache": False} if objective == CAUSAL else {}
        output = model(input_ids=torch.tensor([whole]), output_hidden_states=True, **uncached)
        theirs = [state[0, 1 : 1 + len(ids)].numpy() for state in output.hidden_states]
        pairs = [(layer, theirs[layer - shifted]) for layer in range(int(shifted), depth)] + [(depth + 1, theirs[-1])]
        for layer, expected in pairs:
            found = states[layer][own]
            alike = found.shape == expected.shape
            gaps[layer] = max(gaps[layer], np.abs(found - expected).max() / np.abs(expected).max() if alike else np.inf)
        for place, token in enumerate(ids.tolist(), 1):
            logits = output.logits[0, place - 1] if objective == CAUSAL else masked_logits(model, whole, place)
            nats = max(nats, abs(float(-logits.double().log_softmax(-1)[token]) - float(surprisal[own][place - 1])))
    yield from (f"hidden state {layer} by {gaps[layer]:.1%}" for layer in np.flatnonzero(~(gaps < STATES)))
    if not nats < NATS:
        yield f"surprisal by {nats:.2g} nats"


def masked_logits(model: Any, whole: Sequence[int], place: int) -> torch.Tensor:
    ids = torch.tensor([whole])
    ids[0, place] = MASK
    logits: torch.Tensor = model(input_ids=ids).logits[0, place]
    return logits


def counts(model: Any, objective: str) -> Iterable[str]:
    """In what sizes differ from transformers' counts; of a wrapper, from those of its text model made alone, if it can be."""
    if model.config.get_text_config() is not model.config:
        try:
            with torch.device("meta"):
                model = OBJECTIVES[objective].from_config(model.config.get_text_config())
        except ValueError:  # there is no such class
            return
    embeddings = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)}
    head = model.get_output_embeddings()
    if head is not None and head.weight not in embeddings:
        embeddings.add(head.weight)
    found, total = sizes(model), model.num_parameters()
    expected = (total, total - sum(weight.numel() for weight in embeddings))
    if (found.params_total, found.params_nonembedding) != expected and not any(map(is_tower, model.modules())):
        yield f"sizes: {astuple(found)} for {expected}"


def is_tower(module: Any) -> bool:
    """Whether it takes images or sounds."""
    return getattr(module, "main_input_name", "input_ids") not in ("input_ids", "inputs_embeds")


def write(outcomes: Iterable[Outcome], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Outcome)])
        writer.writerows(map(astuple, outcomes))


def read(path: Path) -> list[Outcome]:
    with path.open(newline="") as file:
        return [Outcome(**row) for row in csv.DictReader(file)]


PAGE = """# Architectures

`make conformance` makes a tiny model with random weights of every causal and masked language model of transformers {version},
from its own configuration class, and measures three texts of unequal length in one batch. Hidden states and surprisal are
compared with those that transformers computes of each text alone. Sizes are compared with its counts, those of a wrapper with its
text model's. This page is rendered from `tests/conformance/result.csv`.

Before anything is measured, every model, also one with code of its own, is checked in six passes of short texts
(`geomkit.models.selfcheck`):

- Each block runs once, in order, and takes and returns one row for each token.
- The rows are the hidden states that the model itself returns, or else what the next block is given.
- The final state is the last of them, or what the output matrix is applied to.
- A text's states are the same alone, beside another text, and padded. If padding matters, only texts of one length share a batch;
  if other texts matter, each runs alone.

A model that fails is refused by name. Encoders that are also decoders ({decoders}) are causal with `is_decoder: true` in their
`config.json`, and are refused without it, unless the model's entry says `objective: masked`. Of families of an encoder with a
decoder, such as bart, marian and whisper, the decoder alone was tested; a checkpoint whose `config.json` says
`is_encoder_decoder: true` is refused.

| | causal | masked |
| --- | --- | --- |
{summary}

## Equal

Causal: {causal}.

Masked: {masked}.

Of these, some are numbered or run in another way:

| model type | objective | |
| --- | --- | --- |
{notes}

## Refused

| model type | objective | reason |
| --- | --- | --- |
{refused}

## Not tried

| model type | objective | reason |
| --- | --- | --- |
{missing}
"""


def page(outcomes: Sequence[Outcome], version: str) -> str:
    """docs/architectures.md."""

    def rows(outcome: str) -> str:
        chosen = [each for each in outcomes if each.outcome == outcome and each.note]
        return "\n".join(f"| {each.model_type} | {each.objective} | {each.note.replace('|', '/')} |" for each in chosen)

    def names(objective: str) -> str:
        return ", ".join(each.model_type for each in outcomes if (each.objective, each.outcome) == (objective, EQUAL))

    def number(outcome: str, objective: str) -> int:
        return sum((each.outcome, each.objective) == (outcome, objective) for each in outcomes)

    kinds = [EQUAL, REFUSED, MISSING, *([DIFFERENT] if any(each.outcome == DIFFERENT for each in outcomes) else [])]
    return PAGE.format(
        version=version,
        decoders=", ".join(DECODERS),
        summary="\n".join(f"| {kind} | {number(kind, CAUSAL)} | {number(kind, MASKED)} |" for kind in kinds),
        causal=names(CAUSAL), masked=names(MASKED), notes=rows(EQUAL), refused=rows(REFUSED), missing=rows(MISSING),
    )  # fmt: skip
