"""Columns that several kinds of rows share: the source of a number, and where it was measured."""

from dataclasses import dataclass
from typing import NamedTuple

from geomkit.core.state import TOKENS

Interval = tuple[float | None, float | None]
"""Low and high end; an open end is None."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Source of a number: a family on a corpus, measured here, or published by others."""

    family: str
    published: bool
    corpus: str


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Place of a measurement: layer, length and normalisation.

    length: how many first tokens of each text (None: the whole corpus). None also where a number has no such place, as the loss
    and those of published tables.
    """

    layer: str | None
    length: int | None
    normalise: str | None
    eps2: float | None
    """Squared distortion of the rate-distortion metrics; None for what does not depend on it."""
    rows: str = TOKENS
    """Rows of the cloud: all tokens, or one for each text of the corpus, `last` or `mean`."""


class SlopeKey(NamedTuple):
    """Columns that identify a slope, and join it to those of its nulls."""

    source: tuple[str, bool, str]
    metric: str
    place: tuple[str | None, int | None, str | None, str]
    against: str


@dataclass(frozen=True, kw_only=True)
class Compared(Source, Endpoint):
    """A metric against a measure of size, which `against` names."""

    metric: str
    against: str

    @property
    def key(self) -> SlopeKey:
        place = (self.layer, self.length, self.normalise, self.rows)
        return SlopeKey((self.family, self.published, self.corpus), self.metric, place, self.against)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Source of a number, its layer, and its interval over documents."""

    model: str
    family: str
    seed: int | None
    corpus: str
    params_nonembedding: int
    params_total: int
    depth: int
    layer: int
    d: int
    metric: str
    value: float
    low: float | None
    high: float | None
    documents: int
    n: int
