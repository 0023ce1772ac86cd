"""Rows of one_token.csv."""

from dataclasses import dataclass

from geomkit.tables.experiments import Measured


@dataclass(frozen=True, kw_only=True)
class OneToken(Measured):
    """A metric of texts with their longest token, without it, and as lengths predict it, at one state.

    value: mean over texts of ln(predicted / measured), with its interval over documents; n the number of texts. length: first
    tokens of a text; normalise: the normalisation; eps2: squared distortion. measured, without, predicted: means over texts.
    most: mean over texts of the highest effective rank that lengths allow; None for other metrics. ratio: mean over texts of
    the token's length in medians of its text, at this state. share: mean over texts of the token's share of the variance, as
    lengths predict it.
    """

    length: int
    normalise: str
    eps2: float | None
    measured: float
    without: float
    predicted: float
    most: float | None
    ratio: float
    share: float
