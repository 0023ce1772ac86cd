"""Claims about word order: its effect on the effective rank, its growth, and the loss that order saves."""

from geomkit.laws.differences import LEVEL
from geomkit.laws.statistics import holm
from geomkit.studies.word_order.rows import ALONG, BEYOND, GROWTH, MARGIN, OF_TEXT, OWN, WITHIN, OrderLaw
from geomkit.tables.findings import OPEN, REFUTED, SUPPORTED, ClaimVerdict, Finding, Inputs, claims, estimate, same, scope

EXPLORED = ("sotu",)
FILE = "word_order_laws.csv"


@claims.register(
    "word order's effect grows beyond its null",
    statement="Word order lowers the centred effective rank more in larger models, beyond what projection makes.",
    source="ours",
)
def grows_beyond(inputs: Inputs) -> list[Finding]:
    """A finding for each family and corpus: single tokens shuffled, with the block length that differs most in its details."""
    rows = [row for row in inputs.rows(FILE, OrderLaw) if row.kind in (GROWTH, BEYOND)]
    firsts = [row for row in rows if (row.kind, row.directions, row.block) == (BEYOND, OF_TEXT, 1)]
    return [of_growth(first, [row for row in rows if same(row, first, "family", "corpus")]) for first in firsts]


def of_growth(first: OrderLaw, rows: list[OrderLaw]) -> Finding:
    """Judge the slopes at all block lengths."""
    beyond = [row for row in rows if (row.kind, row.directions) == (BEYOND, OF_TEXT)]
    whole = {row.block: row for row in rows if row.kind == GROWTH}
    own = {row.block: row for row in rows if (row.kind, row.directions) == (BEYOND, OWN)}
    beyond_own = [f"own directions {estimate(row.value, row.low, row.high)}" for row in [own.get(1)] if row]
    longer = [f"blocks of {row.block} {estimate(row.value, row.low, row.high)}" for row in beyond[1:]]
    return Finding.of(
        first,
        "slope with ln N of ln(text / shuffled), minus the null's",
        remains(beyond),
        "".join(f"growth {estimate(row.value, row.low, row.high)}" for row in [whole.get(1)] if row),
        margin=MARGIN,
        null="wider models on text's directions",
        primary=first.corpus not in EXPLORED,
        details="; ".join([*beyond_own, *longer]),
    )


def remains(rows: list[OrderLaw]) -> ClaimVerdict:
    """Judge slopes beyond the null at every block length, by the protocol."""
    adjusted = holm([row.p if row.p is not None else 1.0 for row in rows])
    different = [row.value for row, p in zip(rows, adjusted, strict=True) if p < LEVEL]
    if different:
        return SUPPORTED if max(different) < 0 else REFUTED if min(different) > 0 else OPEN
    ends = [(row.low_90, row.high_90) for row in rows]
    within = all(low is not None and high is not None and low > -MARGIN and high < MARGIN for low, high in ends)
    return REFUTED if within else OPEN


@claims.register(
    "word order's effect follows the loss",
    statement="What word order takes from the centred effective rank follows the loss that it saves.",
    source="ours",
)
def follows_loss(inputs: Inputs) -> list[Finding]:
    """A finding for each family and corpus: over block lengths, or over the steps of a training."""
    rows = inputs.rows(FILE, OrderLaw)
    judged = [row for row in rows if row.kind == WITHIN or (row.kind, row.block) == (ALONG, 1)]
    return [
        Finding.of(
            row,
            "rank correlation of minus ln(text / shuffled) and the nats",
            SUPPORTED if row.low > 0 else REFUTED,
            "over block lengths" if row.kind == WITHIN else "over training steps",
            primary=row.corpus not in EXPLORED,
            scope=scope(row),
        )
        for row in judged
    ]
