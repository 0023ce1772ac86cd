"""Texts and rows of the study: a table of texts for each model and corpus, word_order.csv and word_order_laws.csv."""

from dataclasses import dataclass

import pyarrow as pa

from geomkit.tables.experiments import Measured

BLOCKS = (1, 2, 4, 8, 16)
"""Tokens of a block that stay in their order."""
ALL, OF_TEXT, OWN = "all", "text", "own"
"""Directions on which rows are measured: all; the leading ones of text; or those of the rows themselves."""
TEXTS = pa.schema(
    [
        ("block", pa.int64()),
        ("directions", pa.string()),
        ("d", pa.int64()),
        ("document", pa.string()),
        ("value", pa.float64()),
        ("surprisal", pa.float64()),
    ]
)
"""One row for each text, block length and number of directions. block: 0 for the text as it is. d: number of directions. value:
effective rank. surprisal: mean over tokens in nats, of rows in all directions; else null."""
FACTS = b"model"
"""Key of the model's depth, width and numbers of parameters, and of its texts' digest, in the metadata of the table."""

MARGIN = 0.005
"""Largest slope with ln N that counts as nothing (docs/protocol_results.md, word order)."""

GROWTH, BEYOND = "growth", "beyond"
WITHIN, ALONG, ACROSS = "blocks", "steps", "sizes"


@dataclass(frozen=True, kw_only=True)
class OrderEffect(Measured):
    """A row of word_order.csv: what shuffling a model's texts in blocks of so many tokens changes.

    value: mean over texts of ln(text / shuffled) of the metric at the last block. nats: mean surprisal of shuffled text minus
    that of text. texts: rank correlation over texts of minus the effect and the nats; None where there is none. Each has its 95 %
    interval over documents. n: number of texts. step: of training, if the model is a checkpoint. length: tokens of a text.
    """

    step: int | None
    length: int
    normalise: str
    block: int
    nats: float
    nats_low: float | None
    nats_high: float | None
    texts: float | None
    texts_low: float | None
    texts_high: float | None


@dataclass(frozen=True, kw_only=True)
class OrderLaw:
    """A row of word_order_laws.csv: how the effect of one block length changes over a family, or goes with the nats.

    kind: `growth`, the slope of the effect with ln N; `beyond`, the same minus that of wider models on fewer `directions`, by the
    pair model, with its 90 % interval and p value; and rank correlations of minus the effect with the nats that order saves:
    `blocks`, over block lengths within each model, mean over models (block: None); `steps`, over training steps, mean over
    widths; `sizes`, over widths. Intervals of correlations are over documents, those of slopes over documents and widths.
    sizes: number of widths. length: tokens of a text.
    """

    family: str
    corpus: str
    length: int
    kind: str
    directions: str | None
    block: int | None
    value: float
    low: float
    high: float
    low_90: float | None
    high_90: float | None
    p: float | None
    sizes: int
    documents: int
