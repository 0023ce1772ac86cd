"""Rows about the spectra of MLP hidden states."""

from dataclasses import dataclass

SOFT, HARD = "erank_covariance", "participation_ratio"
"""Soft and hard rank, by the names that metrics have."""
SHAPE = "soft / hard"
"""Soft rank over hard rank."""
MEASURES = (SOFT, HARD, SHAPE)

TRAINED, UNTRAINED, PROJECTED = "trained", "untrained", "projected"
BEYOND_UNTRAINED, BEYOND_PROJECTED = "trained / untrained", "trained / projected"


@dataclass(frozen=True, kw_only=True)
class MlpRank:
    """A row of mlp_width/points.csv: a measure of one model's MLP hidden states at its last block, on all tokens of a corpus.

    width: of the states that blocks hand on; mlp: of the MLP. variant: `trained`; `untrained`, the geometric mean over twins;
    `projected`, the widest MLP of the family (`donor`) on as many leading directions as this one has. `low`, `high`: over
    documents. `directions`: the largest value that a metric can have.
    """

    family: str
    corpus: str
    model: str
    seed: int | None
    width: int
    depth: int
    mlp: int
    variant: str
    donor: str | None
    normalise: str
    metric: str
    value: float
    low: float | None
    high: float | None
    directions: int
    tokens: int
    documents: int


@dataclass(frozen=True, kw_only=True)
class MlpLaw:
    """A row of mlp_width/laws.csv: the slope of the logarithm of a measure on that of the MLP's width.

    of: `trained`, `untrained` or `projected`, or a ratio of two. width, depth: those of all models where the MLP alone is wider;
    none where the models of a family differ in all three. The interval is over widths (`sizes`, with n - 2 degrees of freedom;
    that of `trained / projected` is the pair model's, of all wider donors, with documents in it). With two widths it is over
    seeds and documents, the variance over seeds being that of all shapes with several of them; of a null alone over documents.
    `residual`: root mean square of what the slope leaves, in logarithms.
    """

    family: str
    corpus: str
    normalise: str
    metric: str
    of: str
    width: int | None
    depth: int | None
    value: float
    low: float | None
    high: float | None
    sizes: int
    documents: int | None
    residual: float | None
    mlps: str
    """Widths of the MLPs."""
