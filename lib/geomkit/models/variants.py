"""Variants that a model is run for: the trained model, untrained twins, and shuffled texts.

`geomkit.core.variants` says how to add one.
"""

from dataclasses import dataclass, field

from transformers import PreTrainedModel

from geomkit.core.config import ModelSpec
from geomkit.core.declarations import variant
from geomkit.models.load import load_model, untrained_twin
from geomkit.states.texts import Sample


@dataclass
class Bench:
    """Model, texts and seed from which a variant is made. One model at a time is in memory."""

    spec: ModelSpec
    texts: Sample
    seed: int
    loaded: PreTrainedModel | None = field(default=None, init=False)
    twin: int | None = field(default=None, init=False)

    def model(self, twin: int | None = None) -> PreTrainedModel:
        """Return the trained model, or an untrained twin by its seed."""
        if self.loaded is None or self.twin != twin:
            self.loaded = None  # or two models would be in memory
            self.loaded = load_model(self.spec) if twin is None else untrained_twin(self.spec, twin)
            self.twin = twin
        return self.loaded


@variant("trained", kind="model", label="trained", short="trained", marker="o", colour="#0072B2", line="-")
def trained(bench: Bench) -> tuple[PreTrainedModel, Sample]:
    """Return the model and its texts as they are."""
    return bench.model(), bench.texts


@variant(
    "shuffled",
    kind="model",
    label="tokens shuffled",
    short="shuffled",
    marker="h",
    colour="#CC79A7",
    line=(0, (3, 1, 1, 1, 1, 1)),
)
def shuffled(bench: Bench) -> tuple[PreTrainedModel, Sample]:
    """Return the trained model, with the tokens of each text in random order."""
    return bench.model(), bench.texts.shuffled(bench.seed)


@variant(
    "untrained",
    kind="model",
    seeds="untrained_seeds",
    label="untrained twins",
    short="untrained",
    marker="s",
    colour="#009E73",
    line=(0, (5, 1, 1, 1)),
)
def untrained(bench: Bench, seed: int) -> tuple[PreTrainedModel, Sample]:
    """Return the same architecture with initial weights."""
    return bench.model(twin=seed), bench.texts
