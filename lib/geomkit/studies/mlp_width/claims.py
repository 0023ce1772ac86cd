"""Claims about hidden states of MLPs."""

from collections.abc import Sequence

from geomkit.studies.mlp_width.rows import BEYOND_PROJECTED, HARD, SHAPE, SOFT, TRAINED, MlpLaw
from geomkit.tables.findings import Finding, Inputs, claims, conjunction, estimate, from_interval

COVARIANCE = "centre"
"""The normalisation whose eigenvalues are those of the covariance, which the ranks of arXiv 2510.00537 are taken of."""


@claims.register(
    "soft rank outgrows hard rank",
    statement="Soft rank of MLP hidden states outgrows hard rank with width, beyond width alone.",
    source="after Jha, Reagen 2025",
)
def soft_rank_outgrows_hard_rank(inputs: Inputs) -> list[Finding]:
    rows = [row for row in inputs.rows("mlp_width/laws.csv", MlpLaw) if row.normalise == COVARIANCE]
    return [finding(row, rows) for row in rows if (row.metric, row.of) == (SHAPE, TRAINED)]


def finding(row: MlpLaw, rows: Sequence[MlpLaw]) -> Finding:
    """The exponent of soft/hard rank, beside the exponents of both and of the nulls."""
    group = ("family", "corpus", "width", "depth", "mlps")
    mine = [one for one in rows if all(getattr(one, name) == getattr(row, name) for name in group)]
    said = {(one.metric, one.of): one.value for one in mine}
    beyond = next(one for one in mine if (one.metric, one.of) == (SHAPE, BEYOND_PROJECTED))
    ratio = estimate(row.value, row.low, row.high, 2)
    return Finding.of(
        row,
        "exponent of soft/hard rank, minus projected (exploratory)",
        conjunction([from_interval(row.low, row.high, 1), from_interval(beyond.low, beyond.high, 1)]),
        f"soft {said[SOFT, TRAINED]:+.2f}, hard {said[HARD, TRAINED]:+.2f}, ratio {ratio}",
        scope=f"{row.family if row.width is None else f'width {row.width}'} on {row.corpus}",
        value=beyond.value,
        low=beyond.low,
        high=beyond.high,
        null="projected",
        details=f"No protocol fixed it beforehand. MLPs of {row.mlps}; all tokens, after the last block's activation",
    )
