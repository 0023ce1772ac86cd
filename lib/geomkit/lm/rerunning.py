"""A model that runs once more, for analyses of rows that no sums can replace: what `dump.keep: none` has instead of a dump."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.config import ModelSpec
from geomkit.lm.capture import all_rows
from geomkit.lm.cutting import texts_for
from geomkit.lm.dumping import of_model, recorder_of
from geomkit.lm.masking import masks_of
from geomkit.lm.memory import asked_states, check_rows
from geomkit.lm.models import load_config, load_model, setting
from geomkit.store.dumps import DTYPE
from geomkit.store.held import Held
from geomkit.store.texts import Texts


def run_again(
    folder: Path,
    texts: Path,
    model: str,
    asked: Mapping[str, Any],
    spec: ModelSpec,
    batch_tokens: int,
) -> Held:
    """Rows that are asked for, the same as in a dump in float32. Memory holds all of them; ConfigError, before the model is
    loaded, says what they would take where it does not.

    asked: `layers` and `sublayers` as of a dump; `firsts`, whether of each document's first text alone.
    """
    spec = spec.at(folder)
    sample = texts_for(texts, spec, model).sample
    chosen = first_texts(sample.texts) if asked["firsts"] else list(range(len(sample.ids)))
    listed = chosen_texts(sample.texts, chosen)
    config = load_config(spec)
    states = asked_states(setting(config, "num_hidden_layers"), asked["layers"], asked["sublayers"])
    check_rows(model, spec, sum(listed.tokens), [setting(config, "hidden_size")] * len(states))
    loaded = load_model(spec)
    recorder = recorder_of(loaded, asked)
    rows = all_rows(recorder, sample, batch_tokens, masks_of(spec), chosen)
    ids = np.concatenate([sample.ids[text] for text in chosen])
    facts = of_model(loaded) | {"objective": spec.objective, DTYPE: spec.dtype}
    return Held(facts, recorder.absent, listed, ids, rows)


def first_texts(texts: Texts) -> list[int]:
    """The number of each document's first text."""
    return sorted({document: text for text, document in reversed(list(enumerate(texts.document)))}.values())


def chosen_texts(texts: Texts, chosen: list[int]) -> Texts:
    return Texts(*([getattr(texts, name)[text] for text in chosen] for name in ("document", "tokens", "bytes")))
