"""Peak memory of loading a model, over its weights: `python loaded_peak.py load|twin FOLDER DTYPE`, a process of its own."""

import subprocess
import sys
from pathlib import Path

LIB = Path(__file__).parents[1] / "lib"


def main(kind: str, folder: str, dtype: str) -> None:
    import transformers.models.llama.modeling_llama  # noqa: F401 - the baseline is that of all imports

    from geomkit.core.config import ModelSpec
    from geomkit.models.load import load_model, untrained_twin

    spec = ModelSpec(Path(folder), device="cpu", dtype=dtype)
    before = reset_peak()
    model = load_model(spec) if kind == "load" else untrained_twin(spec, 0)
    print((resident("VmHWM") - before) / sum(weight.nbytes for weight in model.parameters()))


def reset_peak() -> int:
    """Resident bytes now, from where on the highest counts."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


def resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


def peak(kind: str, folder: Path, dtype: str) -> float:
    """Highest resident memory while a model is loaded, or an untrained twin made, over that of its weights."""
    command = [sys.executable, __file__, kind, str(folder), dtype]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(LIB), "OMP_NUM_THREADS": "1"}
    )
    return float(done.stdout.split()[-1])


def configuration(layers: int = 18):
    """A Llama of 297 M parameters."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=32000,
        hidden_size=1024,
        intermediate_size=2816,
        num_hidden_layers=layers,
        num_attention_heads=16,
        architectures=["LlamaForCausalLM"],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
