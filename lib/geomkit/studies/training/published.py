"""What others measured during training: rows, layer, normalisation, metrics and their parameters, and the phases that they found.

Li, Agrawal, Ghosh, Teru, Santoro, Lajoie, Richards 2025, arXiv 2509.23024. Their code is public, on GitHub:
melodylizx/Tracing-the-representation-geometry-of-language-models, rankme_alpha_scripts and utils/powerlaw.py at fd0bd10. In it,

- a row for each sequence, its last token's, after the final norm: the last of `hidden_states` of transformers;
- the mean row is subtracted and no row is scaled: eigenvalues are those of scikit-learn's PCA, at most 2048 of them;
- RankMe is exp of the entropy of the eigenvalues' shares, to each of which 1e-7 is added: `erank_covariance` without that addend,
  and not Garrido's RankMe, which takes singular values (`erank_singular`);
- alpha-ReQ is the slope of ln eigenvalue on ln rank by least squares with weights 1 / rank, from rank 12 to rank 100:
  `stringer_get_powerlaw(eigenvalues, np.arange(11, 100))`, whose indices begin at 0.

Theirs are 15,000 sequences of FineWeb, of up to 512 tokens (OLMo-2) or 128 (Pythia). Ours are the texts of the configuration.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from geomkit.laws.turning_points import PHASES, Direction
from geomkit.tables.measurements import FINAL, Where

RANKME, ALPHA = "erank_covariance", "alpha_req"


class Cloud(NamedTuple):
    """Rows of a corpus with one for each text, their normalisation, and the metrics that they are measured by."""

    rows: str
    normalise: str
    metrics: Sequence[str]
    parameters: Mapping[str, float]


CLOUD = Cloud("last", "centre", (RANKME, ALPHA), {"alpha_first": 12, "alpha_last": 100, "alpha_weight": 1})
LAYER = FINAL
OPPOSITE: Mapping[Direction, Direction] = {"fall": "rise", "rise": "fall"}
PUBLISHED: Mapping[Where, tuple[Direction, ...]] = {
    Where(LAYER, CLOUD.normalise, None, RANKME, rows=CLOUD.rows): PHASES,
    Where(LAYER, CLOUD.normalise, None, ALPHA, rows=CLOUD.rows): tuple(OPPOSITE[phase] for phase in PHASES),
}
"""Phases by place: where RankMe falls, alpha-ReQ rises."""


def clouds_beside(pooled: Sequence[str], normalise: str, metrics: Sequence[str], parameters: Mapping[str, float]) -> list[Cloud]:
    """Return the clouds with one row for each text that are measured: the published one, and those that a configuration names."""
    chosen = [Cloud(rows, normalise, metrics, parameters) for rows in pooled]
    return [CLOUD, *(one for one in chosen if (one.rows, one.normalise) != (CLOUD.rows, CLOUD.normalise))]


def columns_of(row: Any) -> Where:
    """Return the place of a record."""
    return Where(row.layer, row.normalise, row.length, row.metric, rows=row.rows)
