"""Compare fitted laws with published ones."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from geomkit.laws.fit import Fit


class PublishedParameter(NamedTuple):
    """A parameter of a published law, the fitted parameter that it belongs to, and the sign between them."""

    law: str
    parameter: str
    ours: str
    sign: int = 1


def compare_published(
    law: Fit, peers: Sequence[PublishedParameter], published: Mapping[tuple[str, str], float]
) -> list[dict[str, Any]]:
    """Return each published value, in the sign of our parameter, and whether our interval contains it.

    That is None for a law that was rejected, which has no interval. Nothing is returned for a law that failed.

    published: by law and parameter.
    """
    rows = []
    for peer in peers if not law.failed else []:
        value = peer.sign * published[peer.law, peer.parameter]
        ends = law.interval.get(peer.ours)
        inside = None if ends is None else bool(ends[0] <= value <= ends[1])
        rows.append({"law": peer.law, "parameter": peer.ours, "value": value, "inside": inside})
    return rows
