"""Draw the claim about the floor of the loss: the irreducible loss by each measure of size."""

from matplotlib.figure import Figure

from geomkit.figures.claims import PITCH, Effect, claim_figures, draw_effects
from geomkit.figures.style import AXES, BLUE, WIDTH
from geomkit.studies.loss.claims import floors
from geomkit.tables.findings import Inputs

REJECTED = "0.6"


@claim_figures.register(
    "loss-floors",
    claims=("the floor of the loss depends on the measure of size",),
    caption="Irreducible loss by measure of size. Grey: rejected by the scatter of seeds. Dotted: the largest model's loss.",
)
def loss_floors(inputs: Inputs) -> Figure | None:
    places = floors(inputs)
    if not places:
        return None
    figure = Figure(figsize=(WIDTH, 0.35 + sum(0.35 + PITCH * len(one.laws) for one in places)))
    axes = figure.subplots(len(places), 1, squeeze=False, sharex=True)[:, 0]
    for axis, one in zip(axes, places, strict=True):
        effects = []
        for law in one.laws:
            known = law in one.known
            low, high = law.interval["E"] if known else (None, None)
            effects.append(Effect(AXES[law.against], law.params["E"], low, high, BLUE if known else REJECTED, known))
        draw_effects(axis, effects, against=None)
        largest = max(one.entry.models, key=lambda model: model.params_nonembedding)
        axis.axvline(largest.loss, ls=":", lw=0.8, color="0.3")
        axis.set_title(f"{one.entry.family} on {one.entry.corpus}", loc="left")
    axes[-1].set_xlabel("irreducible loss (nats a token)")
    return figure
