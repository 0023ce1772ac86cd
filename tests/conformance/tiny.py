"""Tiny models of every causal and masked architecture of transformers, each made from its own configuration class."""

import dataclasses
import re
from typing import Any

import torch
from transformers import AutoConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from geomkit.core.config import CAUSAL, MASKED
from geomkit.models.load import OBJECTIVES

NAMES = {CAUSAL: MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MASKED: MODEL_FOR_MASKED_LM_MAPPING_NAMES}
"""Model types and their classes, by objective."""
VOCABULARY, WIDTH, HEADS, LARGEST = 64, 32, 4, 200e6

SMALL: dict[str, Any] = {
    r"(src_|tgt_|text_|embedding_|unpadded_)?vocab_size(_per_layer_input)?|entity_vocab_size": VOCABULARY,
    r"num(_hidden|_decoder|_encoder)?_layers|n_layers?|(de|en)coder_layers|depth|num_blocks": 4,
    r"(encoder_|attention_)?hidden_size|d_model|n_embd|emb_dim|dim|embed_dim|dim_model|lru_width": WIDTH,
    r"((in|out)put_)?embedding_size|word_embed_proj_dim|entity_emb_size": WIDTH,
    r"num(_encoder|_decoder)?_attention_heads|n_heads?|num_heads|(en|de)coder_attention_heads": HEADS,
    r"num_key_value_heads|num_kv_heads": 2,
    r"(attention_|v_|global_|swa_)?head_dim|d_head|kv_channels|dim_head|qk_nope_head_dim|o_lora_rank": 8,
    r"q_lora_rank|kv_lora_rank": 16,
    r"qk_rope_head_dim": 4,
    r"intermediate_size.*|(encoder_|decoder_)?ffn_dim|n_inner|d_inner|hidden_dim|(expert_)?ffn_hidden_size|dim_ff|dff": 48,
    r"(moe_|shared_|shared_expert_|moe_shared_expert_)intermediate_size": 48,
    r"num(_local)?_experts|n_routed_experts|moe_num_experts": 4,
    r"num_experts_per_tok(en)?|moe_top_?k|moe_k|top_k_experts": 2,
    r"n_group|topk_group|num_expert_group": 1,
    r"max_position_embeddings|n_positions|n_ctx|context_length|max_(source|target)_positions": 128,
    r"max_seq(uence)?_len(gth)?|seq_length": 128,
    r"sliding_window|local_attention|window_size|(ssm_)?state_size|mamba_d_state": 8,
    r"initializer_range|init_std|embed_init_std": 0.2,
    r"pad_token_id|pad_index": 1,
    r"(bos|eos|decoder_start)_token_id": 0,
}
"""What keys of a configuration are set to, where they have a value of their own."""
UNSET = ("pad_token_id", "bos_token_id", "eos_token_id", "num_key_value_heads")
"""Keys that are set though they have none."""

LATENT_ATTENTION = (
    "axk1", "axk2", "deepseek_v3", "deepseek_v32", "dots3_note", "esmc", "glm4_moe_lite", "glm_moe_dsa",
    "minicpm3", "sarvam_mla", "youtu",
)  # fmt: skip
LATENT, NARROW, ROTARY = {"num_key_value_heads": HEADS}, {"head_dim": 8}, {"rotary_dim": 4}
STATES = {"mamba_n_heads": 8, "mamba_d_head": 8}
ROPE = {"rope_type": "default", "rope_theta": 1e4}
OWN: dict[str, dict[str, Any]] = {
    **dict.fromkeys(LATENT_ATTENTION, LATENT),
    **dict.fromkeys(("bamba", "granitemoehybrid"), STATES),
    **dict.fromkeys(("ministral", "hunyuan_v1_dense", "hunyuan_v1_moe"), NARROW),
    **dict.fromkeys(("codegen", "gptj"), ROTARY),
    "cohere_compass_text": {"rope_parameters": {"full_attention": ROPE, "sliding_attention": ROPE}},
    "dbrx": {"attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8.0}},
    "deepseek_v2": {**LATENT, "topk_method": "greedy", "n_routed_experts": 4, "num_experts_per_tok": 2},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "dots3_note_text": {**LATENT, "per_layer_config": {}, "swa_head_dim": 12},
    "esm": {
        "vocab_size": VOCABULARY, "pad_token_id": 1, "mask_token_id": 4, "token_dropout": True,
        "position_embedding_type": "rotary",
    },
    "gemma3n_text": {
        "hidden_size_per_layer_input": 8, "layer_types": ["sliding_attention", "full_attention"] * 2, "laurel_rank": 4,
        "activation_sparsity_pattern": [0.0] * 4, "num_kv_shared_layers": 0,
    },
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "longformer": {"attention_window": [8] * 4},
    "mamba2": {"num_heads": 8, "head_dim": 8},
    "neomme": {"head_dim": 16},
    "qwen4_exp_text": {
        "indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 8, "indexer_budget": 8, "indexer_compress_ratio": 2,
    },
    "reformer": {"axial_pos_embds": False, "attn_layers": ["local", "lsh"] * 2},
    "roc_bert": {"shape_vocab_size": 8, "pronunciation_vocab_size": 8},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"layers_block_type": ["mamba", "hybrid"] * 2},
    "zamba2": {"layers_block_type": ["mamba", "mamba", "hybrid", "mamba"]},
    "zaya": {"num_experts_per_tok": 1},
}  # fmt: skip
"""What else a configuration needs to be tiny and to be valid, by model type."""
DECODERS = (
    "bert", "bert-generation", "big_bird", "camembert", "data2vec-text", "electra", "ernie", "megatron-bert", "reformer",
    "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "xlm-roberta", "xlm-roberta-xl", "xmod",
)  # fmt: skip
"""Architectures that read in both directions unless their configuration says `is_decoder: true`, as it does here."""


def options(kind: Any) -> dict[str, Any]:
    """What a configuration class is given to make a tiny model."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ():
        values = [value for rule, value in SMALL.items() if re.fullmatch(rule, field.name)]
        if values and (field.default is not None or field.name in UNSET):
            found[field.name] = values[0]
    for key, part in getattr(kind, "sub_configs", {}).items():
        own = type(getattr(kind(), key)) if part is AutoConfig else part
        if own is not type(None):
            found[key] = {**options(own), "model_type": own.model_type}
    return found | OWN.get(kind.model_type, {})


def make(objective: str, name: str) -> Any:
    """A model with random weights, in which all vectors are large enough to matter."""
    kind = CONFIG_MAPPING[name]
    own = {"is_decoder": True} if objective == CAUSAL and name in DECODERS else {}
    own |= {"attention_type": "original_full"} if own and name == "big_bird" else {}
    config = kind(**{**options(kind), **own})
    with torch.device("meta"):
        number = sum(weight.numel() for weight in OBJECTIVES[objective].from_config(config).parameters())
    if number > LARGEST:
        raise ValueError(f"{number} weights are not tiny")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = OBJECTIVES[objective].from_config(config, dtype=torch.float32).eval()
        for weight in model.parameters():
            if weight.ndim < 2:
                weight += 0.1 * torch.randn_like(weight)
    return model
