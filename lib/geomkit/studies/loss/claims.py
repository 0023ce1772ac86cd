"""Claims about the loss: its law with model size."""

from typing import Any

from geomkit.tables.findings import OPEN, SUPPORTED, UNTESTED, ClaimVerdict, Finding, Inputs, claims, estimate
from geomkit.tables.fits import LossAxes, SizeLaw

OFFSET = "offset_power"
AXES = {"params_nonembedding": "parameters without embeddings", "params_total": "all parameters", "width": "width"}


@claims.register(
    "the floor of the loss depends on the measure of size",
    statement="The irreducible loss of a power law with an offset depends on how model size is measured.",
    source="ours",
)
def floor_depends(inputs: Inputs) -> list[Finding]:
    """Of laws that seeds do not reject: supported where the intervals of two measures of size lie apart."""
    findings = []
    for entry in inputs.rows("scaling/loss_axes.json", LossAxes):
        known = [law for law in entry.laws if law.form == OFFSET and "E" in law.interval]
        if entry.place != "texts" or not known:
            continue
        rejected = [AXES[law.against] for law in entry.laws if law.form == OFFSET and law not in known]
        low, high = (sorted(known, key=lambda law: law.params["E"])[end] for end in (0, -1))
        without = f"rejected by seeds: {', '.join(rejected)}" if rejected else ""
        findings.append(
            Finding(
                scope=f"{entry.family} on {entry.corpus}",
                effect="irreducible loss with one measure of size, nats a token, against that with another",
                sizes=high.n,
                **(two(low, high) if len(known) > 1 else {"verdict": UNTESTED}),
                reason="; ".join(filter(None, [f"with {AXES[low.against]} {floor(low)}", without])),
            )
        )
    return findings


def two(low: SizeLaw, high: SizeLaw) -> dict[str, Any]:
    """The columns of the highest floor, held against the lowest."""
    bottom, top = high.interval["E"]
    null = {"null": f"with {AXES[low.against]}", "against": low.params["E"]}
    return {"value": high.params["E"], "low": bottom, "high": top, "verdict": judged(low, high), **null}


def floor(law: SizeLaw) -> str:
    return estimate(law.params["E"], *law.interval["E"], sign="")


def judged(low: SizeLaw, high: SizeLaw) -> ClaimVerdict:
    """Whether the lower floor's interval ends below where the higher one's begins."""
    top, bottom = low.interval["E"][1], high.interval["E"][0]
    return SUPPORTED if top is not None and bottom is not None and top < bottom else OPEN
