"""Check that texts fit a model: its context window, and the token ids of its embedding."""

from collections.abc import Sequence
from typing import Any

from geomkit.core.errors import DataError
from geomkit.states.texts import Sample

WINDOWS = ("max_position_embeddings", "max_seq_len")
"""Names of the context window's length in configurations, beside those that transformers maps to the first."""
BEHIND_PADDING = frozenset({
    "camembert", "data2vec-text", "ibert", "longformer", "luke", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta",
    "xlm-roberta-xl", "xmod",
})  # fmt: skip
"""Architectures whose positions are numbered from behind the padding token's id, so that the first of the table are not used."""


def window(config: Any) -> int | None:
    """Return the length of a model's context window in tokens; None for an architecture without one, such as a recurrent one.

    Rotary frequencies that are scaled by interpolation have a window as many times as long, unless the configuration states the
    longer one already, which it does not say: then this is too long.
    """
    text = config.get_text_config()
    positions = next(
        (value for value in (getattr(text, name, None) for name in WINDOWS) if isinstance(value, int) and value > 0), None
    )
    if positions is None:
        return None
    if text.model_type in BEHIND_PADDING:
        return positions - (text.pad_token_id or 0) - 1
    scaling = getattr(text, "rope_parameters", None) or {}
    scaling = scaling.get("full_attention", scaling)
    factor = scaling.get("factor") or 1
    if scaling.get("rope_type") in ("linear", "dynamic"):
        return int(positions * factor)
    if scaling.get("rope_type") == "yarn":
        return max(positions, int(scaling["original_max_position_embeddings"] * factor))
    return positions


def check_texts(name: object, config: Any, sample: Sample, suffix: Sequence[int] = ()) -> None:
    """Check that texts fit a model's context window, with the special tokens around them, and its embedding.

    Raises DataError, naming the model, for texts that are too long and for token ids that the embedding does not have.
    """
    size = config.get_text_config().vocab_size
    largest = max([*sample.prefix, *suffix, *(int(ids.max()) for ids in sample.ids if len(ids))], default=0)
    if largest >= size:
        raise DataError(
            f"{name}: the texts have the token id {largest}, but the model's vocabulary has {size} tokens (ids 0 to {size - 1}); "
            "tokens were added to the tokenizer and not to the model: use the tokenizer that it was trained with"
        )
    around, longest, fits = len(sample.prefix) + len(suffix), max(sample.texts.tokens, default=0), window(config)
    if fits is not None and around + longest > fits:
        special = f", and {around} special around each," if around else ""
        raise DataError(
            f"{name}: texts of {longest} tokens{special} do not fit into the model's context window of {fits} tokens; "
            f"set texts.length to at most {fits - around}"
        )
