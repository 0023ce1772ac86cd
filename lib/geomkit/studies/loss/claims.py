"""Claims about the loss: its law with model size."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from geomkit.tables.findings import OPEN, SUPPORTED, UNTESTED, ClaimVerdict, Finding, Inputs, claims, estimate
from geomkit.tables.fits import LossAxes, LossPlace, SizeLaw

OFFSET = "offset_power"
AXES = {"params_nonembedding": "parameters without embeddings", "params_total": "all parameters", "width": "width"}


class Floors(NamedTuple):
    """The laws with an offset of one family on one corpus, by measure of size, and those of them that seeds do not reject."""

    entry: LossAxes
    laws: list[SizeLaw]
    known: list[SizeLaw]


def floors(inputs: Inputs) -> list[Floors]:
    """Irreducible losses on the texts of the tables, where at least one law is not rejected; the lowest first."""
    found = []
    for entry in inputs.rows("scaling/loss_axes.json", LossAxes):
        laws = sorted((law for law in entry.laws if law.form == OFFSET and "E" in law.params), key=lambda law: law.params["E"])
        known = [law for law in laws if "E" in law.interval]
        if entry.place == LossPlace.TEXTS and known:
            found.append(Floors(entry, laws, known))
    return found


@claims.register(
    "the floor of the loss depends on the measure of size",
    statement="The irreducible loss of a power law with an offset depends on how model size is measured.",
    source="ours",
)
def floor_depends(inputs: Inputs) -> list[Finding]:
    """Of laws that seeds do not reject: supported where the intervals of two measures of size lie apart."""
    return [
        Finding(
            scope=f"{entry.family} on {entry.corpus}",
            effect="irreducible loss by the measure of size that gives the highest, nats a token",
            sizes=known[-1].n,
            **(two(known[0], known[-1]) if len(known) > 1 else {"verdict": UNTESTED}),
            reason="; ".join([compared(known), *no_floor([law for law in laws if law not in known])]),
        )
        for entry, laws, known in floors(inputs)
    ]


def compared(known: Sequence[SizeLaw]) -> str:
    """The measures of the highest and the lowest floor, in words."""
    low, high = known[0], known[-1]
    if len(known) == 1:
        return f"one measure alone gives a floor, {AXES[low.against]}: {floor(low)}"
    return f"by {AXES[high.against]}; the lowest is {floor(low)}, by {AXES[low.against]}"


def no_floor(rejected: Sequence[SizeLaw]) -> list[str]:
    """The measures of size that give no floor, in words; nothing without any."""
    names = " and by ".join(AXES[law.against] for law in rejected)
    return [f"no law by {names}: the scatter of seeds rejects it"] if rejected else []


def two(low: SizeLaw, high: SizeLaw) -> dict[str, Any]:
    """The columns of the highest floor, held against the lowest."""
    bottom, top = high.interval["E"]
    null = {"null": f"the floor by {AXES[low.against]}", "against": low.params["E"]}
    return {"value": high.params["E"], "low": bottom, "high": top, "verdict": judged(low, high), **null}


def floor(law: SizeLaw) -> str:
    return estimate(law.params["E"], *law.interval["E"], sign="")


def judged(low: SizeLaw, high: SizeLaw) -> ClaimVerdict:
    """Whether the lower floor's interval ends below where the higher one's begins."""
    top, bottom = low.interval["E"][1], high.interval["E"][0]
    return SUPPORTED if top is not None and bottom is not None and top < bottom else OPEN
