"""A model that runs once more, for analyses of rows that no sums can replace: what `dump.keep: none` has instead of a dump."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.config import MASKED
from geomkit.lm.capture import all_rows
from geomkit.lm.cutting import texts_for
from geomkit.lm.dumping import of_model, recorder_of
from geomkit.lm.masking import masking
from geomkit.lm.memory import asked_states, check_rows
from geomkit.lm.models import find_device, load_config, load_model, load_tokenizer, setting
from geomkit.store.dumps import DTYPE
from geomkit.store.held import Held
from geomkit.store.texts import Texts


def run_again(
    folder: Path,
    texts: Path,
    model: str,
    asked: Mapping[str, Any],
    compute: Mapping[str, Any],
) -> Held:
    """Rows that are asked for, the same as in a dump in float32. Memory holds all of them; ConfigError, before the model is
    loaded, says what they would take where it does not.

    asked: `layers` and `sublayers` as of a dump; `firsts`, whether of each document's first text alone; the model's `objective`,
    and `trust_remote_code`.
    """
    trust_remote_code, sublayers = asked["trust_remote_code"], asked["sublayers"]
    sample = texts_for(texts, folder, model, trust_remote_code).sample
    chosen = first_texts(sample.texts) if asked["firsts"] else list(range(len(sample.ids)))
    listed = chosen_texts(sample.texts, chosen)
    device, config = find_device(compute["device"]), load_config(folder, trust_remote_code)
    widths = [
        setting(config, "hidden_size") for _ in asked_states(setting(config, "num_hidden_layers"), asked["layers"], sublayers)
    ]
    check_rows(model, folder, sum(listed.tokens), widths, compute, device, trust_remote_code, asked["objective"])
    loaded = load_model(folder, compute["dtype"], device, trust_remote_code, asked["objective"])
    masks = masking(load_tokenizer(folder, trust_remote_code)) if asked["objective"] == MASKED else None
    recorder = recorder_of(loaded, asked)
    rows = all_rows(recorder, sample, compute["batch_tokens"], masks, chosen)
    ids = np.concatenate([sample.ids[text] for text in chosen])
    facts = of_model(loaded) | {"objective": asked["objective"], DTYPE: compute["dtype"]}
    return Held(facts, recorder.absent, listed, ids, rows)


def first_texts(texts: Texts) -> list[int]:
    """The number of each document's first text."""
    return sorted({document: text for text, document in reversed(list(enumerate(texts.document)))}.values())


def chosen_texts(texts: Texts, chosen: list[int]) -> Texts:
    return Texts(*([getattr(texts, name)[text] for text in chosen] for name in ("document", "tokens", "bytes")))
