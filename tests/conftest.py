"""Tiny models of several architectures in folders that transformers loads, and a small tokenizer.

torch is imported inside the fixtures alone, so that tests without models start at once.
"""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
os.environ |= dict.fromkeys(THREADS, "1")  # before anything reads them: tests run in as many processes as there are cores

import numpy as np  # noqa: E402
import pytest  # noqa: E402

from geomkit.core.config import ModelSpec  # noqa: E402
from geomkit.sources.corpora import Document  # noqa: E402

HERE = Path(__file__).parent
WHOLE, WORKFLOW = HERE / "workflow/whole", HERE / "workflow"

TEXT = """The harbour lay still under a thin fog. A boat came in with its lamp unlit, and nobody on the quay called out to it.
By noon the fog had gone; the café opened its shutters, the gulls argued over bread, and 27 crates of fish stood in the sun.
“Who brought these?” asked the harbour master. Nobody answered — the boat had left as quietly as it came."""

VOCABULARY = 300
COMMON = {"vocab_size": VOCABULARY, "initializer_range": 0.25, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64}
GATED = {**SHAPE, "num_key_value_heads": 2, "intermediate_size": 48}

ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt-neox": ("GPTNeoXConfig", {**SHAPE, "intermediate_size": 64}),
    "gpt-neox-sequential": ("GPTNeoXConfig", {**SHAPE, "intermediate_size": 64, "use_parallel_residual": False}),
    "gpt2": ("GPT2Config", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}),
    "llama": ("LlamaConfig", {**GATED, "tie_word_embeddings": True}),
    "opt": ("OPTConfig", {**SHAPE, "ffn_dim": 64, "word_embed_proj_dim": 32, "init_std": 0.25}),
    "opt-350m": (
        "OPTConfig",
        {**SHAPE, "ffn_dim": 64, "word_embed_proj_dim": 16, "do_layer_norm_before": False, "init_std": 0.25},
    ),
    "mamba": ("MambaConfig", {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}),
    "gemma2": ("Gemma2Config", {**GATED, "head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 8}),
    "olmo2": ("Olmo2Config", GATED),
    "bloom": ("BloomConfig", {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "falcon": ("FalconConfig", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}),
    "qwen3": ("Qwen3Config", {**GATED, "head_dim": 8}),
    "mixtral": ("MixtralConfig", {**GATED, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "qwen2-moe": (
        "Qwen2MoeConfig",
        {**GATED, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 24},
    ),
    "bert": ("BertConfig", {**SHAPE, "intermediate_size": 64}),
    "modernbert": ("ModernBertConfig", {**SHAPE, "intermediate_size": 48, "global_attn_every_n_layers": 2, "local_attention": 8}),
    "openai-gpt": ("OpenAIGPTConfig", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}),
}
"""Configuration class and what it is given: width 32 and 2 blocks everywhere."""
MASKED = ("bert", "modernbert")
"""Those that predict masked tokens."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that run Snakemake come first, for they take longest, so that processes end at about the same time."""
    items.sort(key=lambda item: (WHOLE not in item.path.parents, WORKFLOW not in item.path.parents))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of several processes one runs all tests of a file, or of the folder whose tests share a run of the workflow."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "whole" if WHOLE in (config.rootpath / file).parents else file

    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture
def documents() -> list[Document]:
    words = np.array(["fog", "lamp", "quay", "boat", "gull", "bread", "café", "net", "rope", "salt"])
    draw = np.random.default_rng(0)
    return [Document(f"d{i:02d}", " ".join(draw.choice(words, 30))) for i in range(50)]


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """A byte-level BPE of 300 tokens that puts nothing before a text."""
    from geomkit.ladder.training import train_tokenizer

    return train_tokenizer([TEXT], VOCABULARY)


@pytest.fixture(scope="session")
def bos_tokenizer(tokenizer: Any) -> Any:
    """The same tokens, with BOS before every text."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    end = tokenizer.eos_token
    backend.post_processor = TemplateProcessing(single=f"{end} $A", special_tokens=[(end, tokenizer.eos_token_id)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=end, eos_token=end)


@pytest.fixture(scope="session")
def mask_tokenizer(tokenizer: Any) -> Any:
    """The same tokens, with one before and one behind every text, and one that stands for a masked token."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    first, last, mask = (backend.id_to_token(VOCABULARY - k) for k in (3, 2, 1))
    ends = [(first, VOCABULARY - 3), (last, VOCABULARY - 2)]
    backend.post_processor = TemplateProcessing(single=f"{first} $A {last}", special_tokens=ends)
    return PreTrainedTokenizerFast(tokenizer_object=backend, cls_token=first, sep_token=last, mask_token=mask)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any, mask_tokenizer: Any) -> Callable[[str], Path]:
    """The folder of the tiny model of an architecture. Its sublayers and its vectors are large enough to matter."""
    folder = tmp_path_factory.mktemp("models")

    @cache
    def saved(architecture: str) -> Path:
        import torch
        import transformers

        kind, options = ARCHITECTURES[architecture]
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(1)
            auto = transformers.AutoModelForMaskedLM if architecture in MASKED else transformers.AutoModelForCausalLM
            model = auto.from_config(getattr(transformers, kind)(**COMMON | options))
            for weight in model.parameters():
                if weight.ndim < 2:
                    weight += 0.2 * torch.randn(weight.shape)
        model.save_pretrained(folder / architecture)
        (mask_tokenizer if architecture in MASKED else tokenizer).save_pretrained(folder / architecture)
        return folder / architecture

    return saved


@pytest.fixture(scope="session")
def load(tiny: Callable[[str], Path]) -> Callable[[str], Any]:
    """The tiny model of an architecture, loaded anew for whoever wants to change it."""

    from geomkit.models.load import load_model

    def loaded(architecture: str, dtype: str = "float32") -> Any:
        objective = "masked" if architecture in MASKED else "causal"
        return load_model(ModelSpec(tiny(architecture), device="cpu", dtype=dtype, objective=objective))

    return loaded


@pytest.fixture
def spread(tiny: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Any]:
    """The tiny model of an architecture, of which the second block lies on the disk and is read as it runs."""
    import torch
    from transformers import AutoModelForCausalLM

    from geomkit.models.load import skeleton

    def loaded(architecture: str) -> Any:
        empty = skeleton(ModelSpec(tiny(architecture)))
        base = empty.base_model_prefix
        places = {f"{base}.{name}": "cpu" for name, _ in empty.base_model.named_children() if name != "layers"}
        places |= {name: "cpu" for name, _ in empty.named_children() if name != base}
        places |= {f"{base}.layers.0": "cpu", f"{base}.layers.1": "disk"}
        options = {"dtype": torch.float32, "device_map": places, "offload_folder": tmp_path, "local_files_only": True}
        return AutoModelForCausalLM.from_pretrained(tiny(architecture), **options).eval()

    return loaded
