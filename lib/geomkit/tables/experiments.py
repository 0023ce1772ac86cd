"""Rows of controlled experiments: removed tokens, sinks, sublayers, document similarity, the needle."""

from dataclasses import dataclass

from geomkit.tables.endpoints import Measured


@dataclass(frozen=True, kw_only=True)
class Removal(Measured):
    """A row of ablation_summary.csv: the effect of removing tokens of a target's context, the mean over targets.

    sinks: whether attention sinks are among the tokens that are removed (`removable`), stay (`kept`). null: `own`; what the same
    procedure gives for the target of another document (`stranger`) and for iid Gaussian rows (`noise`); or own minus one of
    these, target by target (`minus stranger`, `minus noise`). fraction: what part of the context is removed; None for a summary.
    """

    eps2: float
    name: str | None
    sinks: str
    null: str
    method: str | None
    direction: str | None
    fraction: float | None


@dataclass(frozen=True, kw_only=True)
class SinkEffect(Measured):
    """A row of sinks_summary.csv: a metric of texts as they are (threshold None), without their sinks, or the difference.

    threshold: a sink is longer than so many medians of its text at some layer. kind: `all`, `without`, `difference` (without
    minus all, text by text), or `sinks`, the number of sinks in a text. The first token counts as any other. length: tokens of
    the longest text.
    """

    length: int
    normalise: str | None
    threshold: float | None
    kind: str


@dataclass(frozen=True, kw_only=True)
class SublayerEffect(Measured):
    """A row of components_summary.csv: a metric after a sublayer (kind `after`), or the effect of ablating a sublayer.

    kind: `after`; `zero` or `mean`: the metric's change when the sublayer's output becomes 0 or the mean over other documents'
    tokens. `layer` and `sublayer` are those of the sublayer, which may be an attention head (`head-0`).
    at names the state that is measured (None: the loss). A row of the
    sublayer `mlp minus attention` at layer -1 is the difference of the two, averaged over all blocks but the first.
    """

    sublayer: str
    kind: str
    at: str | None


@dataclass(frozen=True, kw_only=True)
class Likeness(Measured):
    """A row of semantics_summary.csv: how well distances of documents agree with human judgements.

    layer: -1 for a baseline and for what is chosen over layers. sublayer: `block`, or the sublayer after which states were taken.
    distance: a measure's name, or a baseline's. agreement: pearson,
    spearman, or None. kind: `agreement` of one measure at one layer; `chosen`, its score on the half that did not choose;
    `baseline` on the same halves; `difference` of the two; `least`, the smallest difference that so many documents show;
    `share`, how often a measure was chosen; `spectrum`, a spectral metric of one row for each document, or of their tokens.
    """

    sublayer: str
    distance: str
    agreement: str | None
    kind: str


@dataclass(frozen=True, kw_only=True)
class NeedleText:
    """A row of needle.csv: losses of the answer (nats) with statements removed from one filler's context, and the resulting call.

    `random` where filler was removed by chance.
    """

    model: str
    kind: str
    filler: int
    whole: float
    none: float
    without_one: float
    one_kept: float
    random: float | None
    call: str
