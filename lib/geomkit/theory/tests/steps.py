"""Test small steps: the radius of the quadratic form, and whether real training stays within it."""

from collections.abc import Iterator, Sequence

import numpy as np

from geomkit.theory.rows import Conclusion, Status, StepRadius, StepRow, Test
from geomkit.theory.tests.table import row

TOLERANCE = 0.1
"""Of a ratio of KL to its quadratic form."""


def of_steps(rows: Sequence[StepRow], radii: Sequence[StepRadius]) -> Iterator[Conclusion]:
    for each in radii:
        direction, *number = each.direction.split(" ")
        yield row(
            Test(f"small-steps-{direction}"),
            f"direction of {each.direction}, {each.sign}",
            f"Up to which step does the quadratic form hold, {each.direction}, {each.sign}?",
            Status.RADIUS if each.reached else Status.THROUGHOUT,
            each.relative,
            case="-".join([*number, each.sign]),
            unit="|delta| / |theta|",
            note=f"within 10 %; KL there {each.kl:.3g} nats a position",
        )
    training = [each for each in rows if each.direction == "training" and each.sign == "forward"]
    for lag, mine in by_lag(training).items():
        ratios, sizes = [each.ratio for each in mine], [each.kl for each in mine]
        within = sum(abs(ratio - 1) <= TOLERANCE for ratio in ratios)
        status = Status.WITHIN if within == len(mine) else Status.PARTLY if within else Status.OUTSIDE
        yield row(
            Test.STEPS_OF_TRAINING,
            f"{mine[0].model}, from step s to {lag}",
            f"Are steps of real training small, from s to {lag}?",
            status,
            float(np.median(ratios)),
            case=lag,
            low=min(ratios),
            high=max(ratios),
            spread=True,
            predicted=1.0,
            primary=True,
            unit="median KL / quadratic",
            note=f"{within} of {len(mine)} within 10 %; KL {min(sizes):.2g} to {max(sizes):.2g}",
        )


def by_lag(rows: Sequence[StepRow]) -> dict[str, list[StepRow]]:
    """Groups pairs of steps by their distance; one that is of several kinds is of the first."""
    last = max((each.end or 0 for each in rows), default=0)
    grouped: dict[str, list[StepRow]] = {}
    for each in rows:
        start, end = each.start or 0, each.end or 0
        kinds = {last: "end", 2 * start: "2s", start + 10: "s+10", start + 1: "s+1"}
        grouped.setdefault(kinds.get(end, "other"), []).append(each)
    return grouped
