"""Measure one model and its nulls on one corpus: spectra at every state, lengths of rows, and the rows of a few texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from geomkit.core.errors import RefusalError
from geomkit.core.variants import TRAINED, base
from geomkit.laws.resampling import FEW
from geomkit.measures.attention import attention_on, uniform_attention
from geomkit.measures.readout import leading_directions
from geomkit.measures.sinks import THRESHOLD, sinks
from geomkit.states.decompose import decompose
from geomkit.states.extracts import POOLED, sampled_tokens
from geomkit.states.refusals import refused_files
from geomkit.states.spectra import SpectraWriter
from geomkit.states.stream import Model, Open, States
from geomkit.states.stream_spectra import depth_of
from geomkit.tables.rows import write_json

SHOWN = 3
"""Texts whose tokens are shown, of different documents."""
SAMPLED = 1000
"""Tokens, the same at every state and of every variant, whose rows are kept."""
READ_OUT = 100
"""Tokens, of those, that are read out through the head of the trained model; of a twin half as many."""
ATTENDED = 10
"""Texts, of different documents, whose attention is read; of a twin half as many."""
NO_MODEL = "no model runs: hidden states were read from a file"


@dataclass(frozen=True)
class Vocabulary:
    """The text of each token id that occurs, and how many token ids the model has, 0 where it is not known."""

    words: Mapping[str, str]
    size: int


def measure_portrait(
    states: Open,
    spectra: Path,
    vocabulary: Path,
    modes: Sequence[str],
    lengths: Sequence[int],
    nulls: Sequence[str],
    metrics: Sequence[str],
    eps2: float,
    seed: int,
) -> None:
    """Write the spectra of one model, and the words of its texts; of a model that is refused, files with the reason.

    nulls: variants beside the trained model, of which only the texts of `texts_of_nulls` are measured.
    """
    open_variant = states()
    found = Vocabulary({}, 0)
    with refused_files([spectra]):
        with open_variant(TRAINED) as trained:
            ids = np.unique(np.concatenate([trained.ids(text) for text in trained.share])).tolist()
            counts, texts = trained.vocabulary(), trained.texts
            few = texts_of_nulls(texts.document)
            found = Vocabulary(dict(zip(map(str, ids), trained.words(ids), strict=True)), 0 if counts is None else len(counts))
        decompose(
            lambda: open_variant,
            spectra,
            modes,
            fitting(lengths, texts.tokens),
            [TRAINED, *nulls],
            (),
            None,
            seed,
            sinks={"thresholds": [THRESHOLD], "metrics": list(metrics), "eps2": eps2, "modes": list(modes), "all_tokens": False},
            kept={"lengths": True, "shown": SHOWN, "sample": sampled_tokens(texts, SAMPLED, few), "pooled": list(POOLED)},
            plain=True,
            documents=False,
            of_texts=dict.fromkeys(nulls, few),
            beside=Beside(min(fitting(lengths, texts.tokens))),
        )
    write_json(vocabulary, Vocabulary, found)


def texts_of_nulls(documents: Sequence[str]) -> list[int]:
    """Number the texts that nulls are measured on: those of every second document, or of as many as a comparison needs.

    documents: that of each text. A null is there to be compared with, and is known well enough from half of the texts.
    """
    names = list(dict.fromkeys(documents))
    chosen = set(names[::2]) if len(names) >= 2 * FEW else set(names[:FEW])
    return [text for text, name in enumerate(documents) if name in chosen]


def fitting(lengths: Sequence[int], tokens: Sequence[int]) -> list[int]:
    """Return the lengths that some text has; of texts that are shorter than all of them, the shortest text's."""
    return [n for n in lengths if n <= max(tokens)] or [min(tokens)]


@dataclass
class Beside:
    """Measure what a running model shows beside its states: predictions read out of every state, and attention to sinks.

    Of the trained model and of untrained twins. n: the first tokens of each text whose attention is read. marked: by text, which
    tokens are sinks of the trained model (see `geomkit.measures.sinks.sinks`, of these tokens and of those before the text).
    """

    n: int
    marked: dict[int, np.ndarray] = field(default_factory=dict)

    def __call__(self, writer: SpectraWriter, variant: str, states: States) -> dict[str, str]:
        if base(variant) not in (TRAINED, "untrained"):
            return {}
        absent: dict[str, str] = {}
        for name, measure in (("readout", self.readout), ("attention", self.attention)):
            key = name if variant == TRAINED else f"{name}, {variant}"
            if not isinstance(states, Model):
                absent[key] = NO_MODEL
                continue
            try:
                measure(writer, variant, states, absent)
            except RefusalError as error:
                absent[key] = str(error)
        return absent

    def readout(self, writer: SpectraWriter, variant: str, states: States, absent: dict[str, str]) -> None:
        """Read tokens out at every block, and measure the output matrix."""
        assert isinstance(states, Model)
        kept = writer.file[f"{variant}/sample"]
        tokens, offset = kept["tokens"][:], states.texts.offset
        following = np.flatnonzero(~np.isin(tokens + 1, offset))  # a last token has no next one
        count = READ_OUT if variant == TRAINED else READ_OUT // 2
        chosen = following[np.unique(np.linspace(0, len(following) - 1, count).round().astype(int))]
        blocks = [state for state in states.widths if state.sublayer == "block" and state.layer <= depth_of(states)]
        found = states.readout(tokens[chosen], {state: kept[state.path][:][chosen] for state in blocks})
        writer.lens(variant, tokens[chosen], found.lens)
        d = len(found.covariance)
        eigenvalues, directions = leading_directions(found.covariance, max(1, round(d / 10)))
        writer.unembedding(variant, eigenvalues, None if found.apart else directions, found.vocabulary)
        if found.apart:
            absent["unembedding" if variant == TRAINED else f"unembedding, {variant}"] = found.apart

    def attention(self, writer: SpectraWriter, variant: str, states: States, absent: dict[str, str]) -> None:
        """Read the attention to the first position, and to the trained model's sinks, in one text of each document."""
        assert isinstance(states, Model)
        known, first = states.texts, {}
        for text in reversed(states.share):
            if known.tokens[text] >= self.n:
                first[known.document[text]] = text
        texts = sorted(first.values())[: ATTENDED if variant == TRAINED else ATTENDED // 2]
        columns: dict[str, list[np.ndarray]] = {}
        for text, weights, lengths in states.attention(texts, self.n):
            start = np.arange(weights.shape[-1]) == 0
            marked = self.marked.setdefault(text, sinks(lengths, THRESHOLD))
            equal = uniform_attention(weights)
            row = {"first": attention_on(weights, start), "sinks": attention_on(weights, marked)}
            row |= {"first_uniform": attention_on(equal, start), "sinks_uniform": attention_on(equal, marked)}
            row["norm_ratio"] = lengths[:, 0] / np.maximum(np.median(lengths, axis=1), 1e-300)
            for name, values in row.items():
                columns.setdefault(name, []).append(values)
        arrays = {name: np.stack(rows) for name, rows in columns.items()}
        writer.attention(variant, self.n, {"texts": np.array(texts), **arrays})
