"""A model in memory on eight short texts, as the stream of its states."""

from typing import Any

import numpy as np


def loaded(folder: Any, **changed: Any) -> Any:
    """The model of a folder, for its own objective."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

    masked = AutoConfig.from_pretrained(folder).model_type in ("bert", "modernbert")
    return (AutoModelForMaskedLM if masked else AutoModelForCausalLM).from_pretrained(folder, **changed).eval()


def states_of(model: Any, words: Any, variant: str = "trained", batch: int = 40) -> Any:
    """The stream of a model on texts of drawn tokens, two of each document; with a prefix for a masked one."""
    from geomkit.models.stream import runs_on
    from geomkit.models.variants import MemoryBench
    from geomkit.states.texts import Sample, StoredTexts, Texts

    draws = np.random.default_rng(5)
    ids = [draws.integers(5, 250, 6 + number).astype(np.int32) for number in range(8)]
    texts = Texts([f"d{number // 2}" for number in range(8)], [len(own) for own in ids], [9] * 8)
    facts = {"tokenizer sha256": "t", "corpus sha256": "c"}
    stored = StoredTexts(Sample(ids, [3, 4] if words.mask_token_id is not None else [], texts), np.zeros(300, int), facts)
    return runs_on(MemoryBench.of(model, words, stored.sample, 0), stored, "m", batch)(variant)
