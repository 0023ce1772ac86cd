"""Measure a model's hidden states while transformers' Trainer trains it, and log them by the Trainer's own loggers."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerCallback

from geomkit.core.config import layer_name
from geomkit.core.errors import ConfigError
from geomkit.core.state import State
from geomkit.core.variants import TRAINED
from geomkit.measures.entropy import measure, metrics
from geomkit.models.cutting import sample
from geomkit.models.stream import runs_on
from geomkit.models.variants import MemoryBench
from geomkit.sources.corpora import Document
from geomkit.states.text_metrics import Wanted, read_stream
from geomkit.states.texts import StoredTexts

DEFAULT = ("erank_covariance", "rate_distortion_ratio", "top_1_share")


class GeometryCallback(TrainerCallback):
    """Callback that measures a fixed sample of texts before training and after every so many steps.

    texts: the texts, and tokenizer: what cuts them. every: optimizer steps between measurements. names: metrics. mode: the
    normalisation. count, length: how many texts, and of how many tokens. Values are means over texts at the embedding, the
    middle and the last block and the final state, and are logged as `geometry/{metric}/{layer}`. The model is measured in eval
    mode where it lies, and is left as it was; the random numbers of training are not touched.

        callback = GeometryCallback(texts, tokenizer, every=100).attach(trainer)

    Raises ConfigError for an unknown metric, and DataError where no text has two tokens.
    """

    def __init__(
        self,
        texts: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        every: int = 100,
        names: Sequence[str] = DEFAULT,
        mode: str = "unit",
        count: int = 16,
        length: int = 128,
        seed: int = 0,
        batch_tokens: int = 4096,
    ):
        if unknown := [name for name in names if name not in metrics]:
            raise ConfigError(f"unknown metric {unknown[0]!r}; known: {', '.join(metrics)}")
        if every < 1:
            raise ConfigError(f"every must be at least 1 step, found {every}")
        self.tokenizer, self.every, self.names, self.mode = tokenizer, every, list(names), mode
        self.seed, self.batch_tokens = seed, batch_tokens
        documents = [Document(f"text {number}", text) for number, text in enumerate(texts, 1)]
        self.sample = sample(documents, tokenizer, count, length, seed)
        self.trainer: Trainer | None = None

    def attach(self, trainer: Trainer) -> Self:
        """Add the callback to a trainer, whose loggers get the values."""
        trainer.add_callback(self)
        self.trainer = trainer
        return self

    def measure(self, model: PreTrainedModel) -> dict[str, float]:
        """Measure a model now: the mean over texts of each metric at each named layer."""
        training = model.training
        stored = StoredTexts(self.sample, np.zeros(0, dtype=np.int64), {"tokenizer sha256": "", "corpus sha256": ""})
        wanted = Wanted([self.mode], [min(self.sample.texts.tokens)], self.names, {}, plain=False)
        try:
            bench = MemoryBench.of(model.eval(), self.tokenizer, self.sample, self.seed)
            with runs_on(bench, stored, type(model).__name__, self.batch_tokens)(TRAINED) as states:
                depth, seen = int(str(states.attributes["depth"])), read_stream(states, wanted)
        finally:
            model.train(training)
        values = {}
        for (state, _, _), spectrum in seen.spectra.items():
            if (name := layer_name(state.layer, depth)) and state == State(state.layer):
                for metric, result in measure(spectrum, self.names).items():
                    values[f"geometry/{metric}/{name}"] = float(np.nanmean(np.asarray(result.value)))
        return values

    def log(self, model: Any) -> None:
        """Measure a model, and log the values."""
        if self.trainer is None:
            raise ConfigError("the callback has no trainer to log by: GeometryCallback(...).attach(trainer)")
        self.trainer.log(self.measure(getattr(model, "module", model)))

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero and state.global_step == 0:
            self.log(kwargs["model"])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero and state.global_step % self.every == 0:
            self.log(kwargs["model"])
