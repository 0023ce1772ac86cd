"""Apply, or refuse, metadata of a GGUF file that changes the computation and that transformers does not read."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gguf import GGUFReader
from tokenizers import Tokenizer, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.integrations.gguf import GGUF_CONFIG_ARCHS
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
from transformers.modeling_gguf_pytorch_utils import (
    GGUF_CONFIG_MAPPING,
    TENSOR_PROCESSORS,
    TensorProcessor,
    get_gguf_hf_weights_map,
)

from geomkit.core.errors import DataError
from geomkit.core.model_folders import check_file
from geomkit.sources.corpora import files_in

ROPE_TENSORS = ("rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight")
"""Divisors of the rotary frequencies, one for each pair of coordinates: of all texts, of short and of long ones."""
DESCRIPTIVE = frozenset({
    "context_length", "vocab_size", "block_count", "embedding_length", "feed_forward_length", "expert_feed_forward_length",
    "expert_shared_feed_forward_length", "attention.head_count", "attention.head_count_kv", "attention.group_norm_groups",
    "full_attention_interval", "nextn_predict_layers", "pooling_type", "rope.scaling.finetuned", "ssm.group_count",
    "tensor_data_layout",
})  # fmt: skip
"""Keys that state sizes, which the shapes of the tensors have too, or that describe the file."""
SAME = {
    "attention.key_length": "head_dim",
    "attention.value_length": "head_dim",
    "attention.layer_norm_epsilon": "layer_norm_eps layer_norm_epsilon norm_epsilon norm_eps",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps norm_eps layer_norm_epsilon",
    "attention.sliding_window": "sliding_window",
    "attention.scale": "attention_multiplier query_pre_attn_scalar",
    "attention.clamp_kqv": "clip_qkv",
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
    "logit_scale": "logit_scale",
    "residual_scale": "residual_multiplier",
    "embedding_scale": "embedding_multiplier",
    "use_parallel_residual": "use_parallel_residual",
    "expert_count": "num_experts num_local_experts",
    "expert_used_count": "num_experts_per_tok",
    "expert_weights_norm": "norm_topk_prob",
    "expert_weights_scale": "routed_scaling_factor",
}
"""Keys, and what configurations call the same: such a key is read, if not by name, where both have one value."""
UNIT = frozenset({"logit_scale", "residual_scale", "embedding_scale", "expert_weights_scale", "rope.scaling.attn_factor"})
"""Keys of factors, which change nothing where they are 1."""
SCALED = {"linear": ("factor",), "yarn": ("factor", "original_max_position_embeddings")}
"""Scalings of rotary frequencies that transformers knows by the same name, and what each needs."""
ROPE = {
    "factor": "rope.scaling.factor",
    "original_max_position_embeddings": "rope.scaling.original_context_length",
    "attention_factor": "rope.scaling.attn_factor",
    "beta_fast": "rope.scaling.yarn_beta_fast",
    "beta_slow": "rope.scaling.yarn_beta_slow",
}
"""Parameters of rotary frequencies in transformers, and keys that state them."""
AS_GPT2 = frozenset({"gpt-2", "default", "mpt", "olmo", "jais", "phi-2", "exaone4"})
"""Ways to split a text into words that are GPT-2's, which transformers takes for any that it does not know."""
SINGLE_DIGITS = frozenset({"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"})
"""Ways that are GPT-2's with every digit alone."""


class GgufFile:
    """Metadata and tensors of a GGUF file.

    metadata: values by key; tensors: names of all tensors, and values of those of `ROPE_TENSORS`.
    """

    def __init__(self, path: Path):
        reader = GGUFReader(path)
        self.path = path
        self.metadata = {key: field.contents() for key, field in reader.fields.items()}
        if self.metadata.get("general.type") == "adapter":
            raise DataError(f"{path}: an adapter alone, whose model is elsewhere; merge it into its model's weights first")
        self.architecture = str(self.metadata["general.architecture"])
        self.tensors = [tensor.name for tensor in reader.tensors]
        self.rope = {tensor.name: tensor.data.tolist() for tensor in reader.tensors if tensor.name in ROPE_TENSORS}

    @property
    def own(self) -> Mapping[str, Any]:
        """Values of the architecture's own keys, without its name."""
        start = f"{self.architecture}."
        return {key.removeprefix(start): value for key, value in self.metadata.items() if key.startswith(start)}

    def refused(self, what: str, why: str) -> DataError:
        return DataError(
            f"{self.path}: {what}, which {why}, and it would compute something else than was trained; "
            "measure the original weights instead"
        )


def gguf_file(source: Path) -> Path:
    """Find the GGUF file. Raises DataError for a folder with none or several, and for a part of a model."""
    if source.is_dir():
        files = [file for file in files_in(source, ".gguf") if not file.name.startswith(".")]
        if len(files) != 1:
            names = ", ".join(file.name for file in files[:3])
            raise DataError(
                f"{source}: {len(files)} GGUF files ({names}), of which one should be named: set path or member to it"
            )
        source = files[0]
    check_file(source)
    with source.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise DataError(f"{source}: not a GGUF file, whose first bytes are GGUF; copy or download it again")
    return source


def apply_metadata(file: GgufFile, model: PreTrainedModel) -> None:
    """Set the rotary frequencies of a model's configuration as its file states them.

    Raises DataError, naming the key or tensor, for anything else in the file that changes the computation and that transformers
    leaves out.
    """
    if int(file.metadata.get("split.count", 0)) > 1:
        raise DataError(
            f"{file.path}: one of {file.metadata['split.count']} parts; merge them with llama-gguf-split --merge first"
        )
    if lost := sorted(unread_tensors(file, model)):
        raise file.refused(f"it has the tensor {lost[0]} ({len(lost)} such)", "transformers leaves out")
    config = model.config.get_text_config()
    for key, value in file.own.items():
        if not (known(file, key) or key in ROPE.values() or key.startswith("rope.freq_base") or same(key, value, config)):
            raise file.refused(f"{file.architecture}.{key} is {value!r}", "transformers does not read")
    apply_rope(file, config)


def known(file: GgufFile, key: str) -> bool:
    """Whether a key is only descriptive, or transformers reads it."""
    names = {"minimax-m2": "minimax_m2", "qwen2moe": "qwen2_moe", "qwen3moe": "qwen3_moe", "gpt-oss": "gpt_oss"}
    read = GGUF_CONFIG_MAPPING.get(names.get(file.architecture, file.architecture), {})
    if file.architecture in GGUF_CONFIG_ARCHS and key.split(".")[0] in ("ssm", "shortconv", "rope", "attention"):
        return key not in ROPE.values() and key != "rope.scaling.type"
    return key in DESCRIPTIVE or read.get(key) is not None


def same(key: str, value: Any, config: Any) -> bool:
    """Whether a key that transformers does not read agrees with the configuration, or changes nothing."""
    if value in (None, 0, False, "none", [], "") or (key in UNIT and value == 1):
        return True
    if key == "rope.scaling.type":
        return value in SCALED
    if key == "attention.causal":
        return value is True
    if key == "rope.dimension_count":
        return value == rotary_width(config)
    if key == "attention.sliding_window" and value >= config.max_position_embeddings:
        return True
    stated = [getattr(config, name, None) for name in SAME.get(key, "").split()]
    if key in ("attention.key_length", "attention.value_length"):
        stated = [head_width(config)]
    return any(isinstance(one, int | float) and math.isclose(one, value, rel_tol=1e-5) for one in stated)


def head_width(config: Any) -> int:
    """Return the coordinates of an attention head."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def rotary_width(config: Any) -> int:
    """Return the coordinates of a head that are rotated."""
    share = (getattr(config, "rope_parameters", None) or {}).get("partial_rotary_factor") or 1.0
    return int(head_width(config) * (share if share != 1.0 else getattr(config, "partial_rotary_factor", None) or 1.0))


def apply_rope(file: GgufFile, config: Any) -> None:
    """Set rotary frequencies as in the file: their base, scaling and factors."""
    parameters, said = getattr(config, "rope_parameters", None), file.own
    kind = said.get("rope.scaling.type", "none")
    factors = [file.rope[name] for name in ROPE_TENSORS if name in file.rope]
    if not parameters:
        if factors or kind != "none" or "rope.freq_base" in said:
            raise file.refused("it has rotary frequencies", "the architecture in transformers has not")
        return
    local = parameters
    if "rope_type" not in parameters and "full_attention" in parameters:  # Gemma 3's frequencies differ by kind of layer
        parameters, local = parameters["full_attention"], parameters["sliding_attention"]
    rope: dict[str, Any] = {"rope_theta": float(said.get("rope.freq_base", parameters.get("rope_theta", 10000.0)))}
    values = {name: said[key] for name, key in ROPE.items() if said.get(key)}
    if factors and not all(one == 1 for of in factors for one in of):
        if kind not in ("none", "longrope") or len(factors[0]) != rotary_width(config) // 2:
            raise file.refused(
                f"it has factors of rotary frequencies ({next(iter(file.rope))}) and the scaling {kind}", "do not fit"
            )
        rope |= {
            "rope_type": "longrope",
            "short_factor": factors[0],
            "long_factor": factors[-1],
            "attention_factor": float(values.get("attention_factor", 1.0)),
            "original_max_position_embeddings": int(
                values.get("original_max_position_embeddings", config.max_position_embeddings)
            ),
        }
    elif kind in SCALED:
        if missing := [name for name in SCALED[kind] if name not in values]:
            raise file.refused(f"{file.architecture}.rope.scaling.type is {kind!r} without {ROPE[missing[0]]}", "says too little")
        rope |= {"rope_type": kind} | {name: values[name] for name in SCALED[kind]}
        if kind == "yarn":
            rope |= {name: float(values[name]) for name in ("beta_fast", "beta_slow") if name in values}
            if values.get("attention_factor", 1.0) != 1.0:
                raise file.refused(f"{file.architecture}.{ROPE['attention_factor']} is not 1", "transformers does not read")
    elif kind != "none":
        raise file.refused(f"{file.architecture}.rope.scaling.type is {kind!r}", "transformers does not read")
    if said.get("rope.freq_base_swa", local["rope_theta"]) != local["rope_theta"]:
        raise file.refused(
            f"{file.architecture}.rope.freq_base_swa is {said['rope.freq_base_swa']}", "transformers does not read"
        )
    changed = {name: value for name, value in rope.items() if parameters.get(name) != value}
    if changed:
        print(f"{file.path}: rotary frequencies as the file has them: {', '.join(changed)}")
        parameters.update(rope)


def unread_tensors(file: GgufFile, model: PreTrainedModel) -> set[str]:
    """Return the tensors that transformers has no place for, without factors of rotary frequencies."""
    if file.architecture in GGUF_CONFIG_ARCHS:
        return set()  # of these it says itself which it leaves out
    processor = TENSOR_PROCESSORS.get(file.architecture, TensorProcessor)(config=model.config.to_dict())
    return set(file.tensors) - set(get_gguf_hf_weights_map(model, processor)) - set(ROPE_TENSORS)


def apply_tokenizer(file: GgufFile, tokenizer: PreTrainedTokenizerBase) -> None:
    """Set how a tokenizer splits a text into words, as its file states. Raises DataError for an unknown way."""
    backend: Tokenizer = tokenizer.backend_tokenizer
    said = {key.removeprefix("tokenizer.ggml."): value for key, value in file.metadata.items()}
    if said.get("model") == "gpt2":
        kind = said.get("pre", "default")
        if kind in SINGLE_DIGITS:
            steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
            backend.pre_tokenizer = pre_tokenizers.Sequence(steps)
        elif kind not in AS_GPT2 and kind not in GGUF_PRE_TOKENIZER_SPLITS:
            raise file.refused(f"tokenizer.ggml.pre is {kind!r}", "is no way to split texts that transformers knows")
    if said.get("model") == "llama" and "add_space_prefix" in said:
        prefixed = backend.encode("a", add_special_tokens=False).tokens[:1] == ["▁a"]
        if prefixed and not said["add_space_prefix"] and "▁a" in tokenizer.get_vocab():
            raise file.refused("tokenizer.ggml.add_space_prefix is False", "transformers does not read")
