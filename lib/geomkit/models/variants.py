"""Variants that a model is run for: the trained model, untrained twins, and shuffled texts.

`geomkit.core.variants` says how to add one.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import MODEL_FOR_MASKED_LM_MAPPING, PreTrainedModel, PreTrainedTokenizerBase

from geomkit.core.config import CAUSAL, MASKED, ModelSpec
from geomkit.core.declarations import variant
from geomkit.core.provenance import file_sha256
from geomkit.models.capture import Recorder
from geomkit.models.load import find_device, load_config, load_model, load_tokenizer, untrained_twin
from geomkit.models.masking import Masking, masking, masks_of
from geomkit.states.texts import Sample


@dataclass
class Bench:
    """Model, texts and seed from which a variant is made. One model at a time is in memory."""

    spec: ModelSpec
    texts: Sample
    seed: int
    loaded: PreTrainedModel | None = field(default=None, init=False)
    twin: int | None = field(default=None, init=False)
    recorder: Recorder | None = field(default=None, init=False)
    """What reads the states of the last model that ran, which is then not set up again."""

    def model(self, twin: int | None = None) -> PreTrainedModel:
        """Return the trained model, or an untrained twin by its seed."""
        if self.loaded is None or self.twin != twin:
            self.loaded = self.recorder = None  # or two models would be in memory
            self.loaded = load_model(self.spec) if twin is None else untrained_twin(self.spec, twin)
            self.twin = twin
        return self.loaded

    @cached_property
    def config(self) -> Any:
        """Configuration of the model."""
        return load_config(self.spec)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Tokenizer of the model."""
        return load_tokenizer(self.spec)

    @cached_property
    def masks(self) -> Masking | None:
        """How the tokens of a masked model are masked; None for a causal one."""
        return masks_of(self.spec)

    @property
    def device(self) -> str:
        """Type of the device that the model runs on."""
        return find_device(self.spec.device).type

    @cached_property
    def weights_sha256(self) -> str:
        """Hash of the files of the model."""
        return file_sha256(self.spec.folder)


@dataclass
class MemoryBench(Bench):
    """A model that is in memory already, wherever it lies and of whatever type; it is kept when a twin is made."""

    given: PreTrainedModel = field(kw_only=True)
    given_tokenizer: PreTrainedTokenizerBase = field(kw_only=True)

    @classmethod
    def of(cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sample, seed: int) -> "MemoryBench":
        """Take a model, and the texts that its tokenizer has cut. A model with a head for masked tokens is a masked one."""
        objective = MASKED if type(model) in MODEL_FOR_MASKED_LM_MAPPING.values() else CAUSAL
        spec = ModelSpec(Path(type(model).__name__), objective, False, model.device.type, str(model.dtype).removeprefix("torch."))
        return cls(spec, texts, seed, given=model, given_tokenizer=tokenizer)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self.given_tokenizer

    @cached_property
    def masks(self) -> Masking | None:
        return masking(self.tokenizer) if self.spec.objective == MASKED else None

    def model(self, twin: int | None = None) -> PreTrainedModel:
        if twin is None:
            if self.loaded is not None:
                self.loaded = self.recorder = None  # a twin is of no more use
            return self.given
        if self.loaded is None or self.twin != twin:
            self.loaded = self.recorder = None
            self.loaded, self.twin = untrained_twin(self.spec, twin, self.given.config).to(self.given.device), twin
        return self.loaded

    @property
    def config(self) -> Any:
        return self.given.config

    @property
    def device(self) -> str:
        return self.given.device.type

    @cached_property
    def weights_sha256(self) -> str:
        """Hash of all tensors, by name."""
        whole = hashlib.sha256()
        for name, tensor in sorted(self.given.state_dict().items()):
            whole.update(name.encode())
            whole.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return whole.hexdigest()


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
