"""Measure what each attention and MLP sublayer does: hidden states after it, and the model without it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from geomkit.core.config import ModelSpec
from geomkit.core.errors import DataError, RefusalError
from geomkit.core.logs import progress
from geomkit.core.state import State
from geomkit.measures.entropy import measure
from geomkit.measures.gain import information_gain
from geomkit.measures.spectra import normalise, row_spectrum
from geomkit.models.ablate import Ablation, ablate, every_head, every_sublayer, text_losses
from geomkit.models.capture import Recorder, capture
from geomkit.models.load import blocks, load_model, setting, sizes
from geomkit.models.masking import Masking, masks_of
from geomkit.states.refusals import refused_table
from geomkit.states.texts import Sample, Texts, read_texts
from geomkit.tables.tidy import COMPONENT_COLUMNS, TableWriter

GAIN = "gain"
"""Mean information gain of a text's tokens, nats."""
Key = tuple[int, str, str, str | None, str]
"""Layer and sublayer, kind, the state that is measured, metric: see `geomkit.tables.experiments.SublayerEffect`."""


def measure_components(
    folder: Path,
    texts: Path,
    output: Path,
    family: str,
    model_seed: int | None,
    number: int,
    gain: Mapping[str, float],
    spec: ModelSpec,
    batch_tokens: int,
    heads: bool = False,
    *,
    metrics: Sequence[str],
) -> None:
    """Write a table of all texts: metrics after each sublayer, and of the whole model and the model without each sublayer.

    number: of texts, of different documents as far as there are as many. A masked model has metrics after its blocks, and says
    why no sublayer was taken out; a model that cannot be measured leaves an empty table with the reason. heads: also without
    each head.
    """
    with refused_table(output, COMPONENT_COLUMNS):
        spec = spec.at(folder)
        model, masks = load_model(spec), masks_of(spec)
        write_components(model, masks, texts, output, family, model_seed, number, gain, metrics, batch_tokens, heads)


def write_components(
    model: PreTrainedModel,
    masks: Masking | None,
    texts: Path,
    output: Path,
    family: str,
    model_seed: int | None,
    number: int,
    gain: Mapping[str, float],
    metrics: Sequence[str],
    batch_tokens: int,
    heads: bool,
) -> None:
    """Write the table of one loaded model."""
    sample = spread(read_texts(texts).sample, number)
    depth, name = len(blocks(model)), output.parent.name
    common = {"model": name, "family": family, "seed": model_seed, "corpus": output.stem, "depth": depth, **vars(sizes(model))}
    absent: dict[str, str] = {}
    values = dict(after_sublayers(model, masks, sample, gain, metrics, batch_tokens, absent, name))
    try:
        if masks is not None:
            raise RefusalError(
                f"{type(model).__name__}: it predicts masked tokens, and ablations are measured by the next token's loss"
            )
        ablations = [*every_sublayer(model), *(heads_of(model, absent) if heads else ())]
        values |= without_sublayers(model, ablations, sample, gain, metrics, batch_tokens, name)
    except DataError as error:
        absent["ablations"] = str(error)
    table = TableWriter(
        COMPONENT_COLUMNS, **common, variant="trained", normalise="unit", eps2=gain["eps2"],
        text=np.arange(len(sample.ids)), document=list(sample.texts.document), n=np.array([len(ids) for ids in sample.ids]),
    )  # fmt: skip
    for (layer, sublayer, kind, at, metric), of_texts in values.items():
        width = setting(model.config, "hidden_size")
        table.add(layer=layer, sublayer=sublayer, kind=kind, at=at, metric=metric, d=width, value=of_texts)
    table.write(output, absent)


def heads_of(model: PreTrainedModel, absent: dict[str, str]) -> list[Ablation]:
    """The ablation of each attention head; none where heads cannot be ablated, and `absent` then says why."""
    try:
        return every_head(model)
    except DataError as error:
        absent["heads"] = str(error)
        return []


def spread(sample: Sample, number: int) -> Sample:
    """Chooses `number` texts of a sample: the first text of each document before the second of any."""
    seen: dict[str, int] = defaultdict(int)
    turn = []
    for text, document in enumerate(sample.texts.document):
        turn.append((seen[document], text))
        seen[document] += 1
    chosen = sorted(text for _, text in sorted(turn)[:number])
    of = sample.texts
    kept = Texts(
        [of.document[text] for text in chosen], [of.tokens[text] for text in chosen], [of.bytes[text] for text in chosen]
    )
    return Sample([sample.ids[text] for text in chosen], sample.prefix, kept)


def state_metrics(rows: np.ndarray, gain: Mapping[str, float], metrics: Sequence[str]) -> dict[str, float]:
    """Metrics of one text's rows (n, d), scaled to unit length."""
    unit = normalise(rows, "unit")
    values = {name: float(result.value) for name, result in measure(row_spectrum(unit), metrics, eps2=gain["eps2"]).items()}
    return values | {GAIN: float(information_gain(unit, gain["eps2"], int(gain["n"])).mean())}


def after_sublayers(
    model: PreTrainedModel,
    masks: Masking | None,
    sample: Sample,
    gain: Mapping[str, float],
    metrics: Sequence[str],
    batch_tokens: int,
    absent: dict[str, str],
    name: str,
) -> Mapping[Key, np.ndarray]:
    """Metrics (texts,) of the hidden states after each sublayer and each block."""
    recorder = Recorder(model, range(len(blocks(model)) + 1), True)
    values: dict[Key, np.ndarray] = defaultdict(lambda: np.full(len(sample.ids), np.nan))
    text = 0
    for part in progress(capture(recorder, sample, batch_tokens, masks), f"{name} sublayers"):
        start = 0
        while start < len(part.ids):
            stop = start + len(sample.ids[text])
            for state, rows in part.states.items():
                for metric, value in state_metrics(rows[start:stop], gain, metrics).items():
                    values[state.layer, state.sublayer, "after", state.sublayer, metric][text] = value
            start, text = stop, text + 1
    absent.update(recorder.absent)
    return values


def without_sublayers(
    model,
    ablations: Sequence[Ablation],
    sample: Sample,
    gain: Mapping[str, float],
    metrics: Sequence[str],
    batch_tokens: int,
    name: str,
) -> Mapping[Key, np.ndarray]:
    """Losses (texts,), and metrics of the last block's output and what follows the final norm, of the model as it is (layer 0,
    kind `none`) and without each sublayer in turn."""
    depth = len(blocks(model))
    shown = {State(depth): "last", State(depth + 1): "final"}
    values: dict[Key, np.ndarray] = defaultdict(lambda: np.full(len(sample.ids), np.nan))

    def measured() -> Iterator[Any]:
        for found in progress(
            ablate(model, sample, ablations, batch_tokens, [state.layer for state in shown]), f"{name} ablated"
        ):
            ends = np.cumsum([len(sample.ids[text]) for text in found.texts])[:-1]
            for state, rows in found.states.items():
                for text, cloud in zip(found.texts, np.split(rows, ends), strict=True):
                    for metric, value in state_metrics(cloud, gain, metrics).items():
                        values[*named(found.ablation), shown[state], metric][text] = value
            yield found

    for ablation, losses in text_losses(measured(), sample).items():
        values[*named(ablation), None, "loss"] = losses
    return values


def named(ablation: Ablation | None) -> tuple[int, str, str]:
    """Layer, sublayer and kind of an ablation, or of the whole model where nothing is ablated."""
    return (ablation.layer, ablation.sublayer, ablation.kind) if ablation else (0, "block", "none")
