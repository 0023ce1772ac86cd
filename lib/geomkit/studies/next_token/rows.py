"""Tokens and rows of the study: a table of tokens for each model and corpus, and next_token.csv."""

from dataclasses import dataclass

import pyarrow as pa

from geomkit.tables.experiments import Measured

CONTROLS = ("entropy", "surprisal", "recency", "frequency", "position")
TOKENS = pa.schema(
    [
        ("variant", pa.string()),
        ("document", pa.string()),
        *((name, pa.float64()) for name in (*CONTROLS, "next_surprisal")),
        ("gains", pa.list_(pa.float64())),
    ]
)
"""One row for each token that has a next one. entropy: of the prediction made at the token, in nats. surprisal: the token's own.
recency: ln of the distance to its last occurrence in the text, to the text's start if there is none. frequency: ln of its count
in other documents plus 1/2. position: in the text, from 0. next_surprisal: that of the next token. gains: information gain at
every block, the embedding first, in nats."""
FACTS = b"model"
"""Key of the model's depth, width and numbers of parameters in the metadata of the table."""


@dataclass(frozen=True, kw_only=True)
class NextToken(Measured):
    """A row of next_token.csv: how a token's information gain at one block goes with the next token's surprisal.

    variant: trained, on text, or shuffled. kind: `correlation`, a rank correlation given what `given` names (None: nothing;
    `everything`: all controls); or `explained`, the share of the squared error of the next token's surprisal, in ranks, that
    gain removes beside the entropy of the prediction, on documents that did not fit the coefficients. n: number of tokens.
    """

    variant: str
    kind: str
    given: str | None
    eps2: float
