"""Measure one model and its nulls on one corpus: spectra at every state, lengths of rows, and the rows of a few texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geomkit.core.variants import TRAINED
from geomkit.laws.resampling import FEW
from geomkit.measures.sinks import THRESHOLD
from geomkit.states.decompose import decompose
from geomkit.states.extracts import POOLED, sampled_tokens
from geomkit.states.refusals import refused_files
from geomkit.states.stream import Open
from geomkit.tables.rows import write_json

SHOWN = 3
"""Texts whose tokens are shown, of different documents."""
SAMPLED = 1000
"""Tokens, the same at every state and of every variant, whose rows are kept."""


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
