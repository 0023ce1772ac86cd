"""Rows about tokens: scores of selections, and the content of the page of tokens."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TokenScore:
    """A row of tokens_summary.csv: a number about tokens of one model, with its interval over documents."""

    model: str
    family: str
    seed: int | None
    corpus: str
    params_nonembedding: int
    params_total: int
    depth: int
    eps2: float
    variant: str
    layer: int
    sublayer: str
    name: str | None
    d: int
    metric: str
    method: str | None = None
    first: int | None = None
    k: int | None = None
    x: float | None = None
    n: int | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    documents: int | None = None
    reason: str | None = None
    """Why there is no value."""


@dataclass(frozen=True, kw_only=True)
class PageTarget:
    """A target on the page of tokens: by method the weights of its past, the tokens chosen, and KL in nats."""

    position: int
    weights: Mapping[str, tuple[float | None, ...]]
    chosen: Mapping[str, tuple[int, ...]]
    kl: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class PageLayer:
    """One layer of a text on the page."""

    layer: int
    name: str | None
    gain: tuple[float | None, ...]
    targets: tuple[PageTarget, ...]


@dataclass(frozen=True, kw_only=True)
class PageText:
    """A text of the page: its tokens as text, and their surprisal in nats."""

    name: str
    tokens: tuple[str, ...]
    surprisal: tuple[float | None, ...]
    layers: tuple[PageLayer, ...]


@dataclass(frozen=True, kw_only=True)
class TokenPage:
    """token_texts.json: the content of the page of tokens."""

    title: str
    note: str
    texts: tuple[PageText, ...]
