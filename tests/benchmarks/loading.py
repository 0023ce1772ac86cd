"""Peak memory of loading a random model of 297 M parameters, and of an untrained twin, over the memory of its weights.

Each in a process of its own, above what is resident after all imports. A checkpoint in the run's own type is mapped: its pages
become resident when the model runs, which counts for nothing here.
"""

import csv
import sys
import tempfile
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).parents[1]))
from loaded_peak import configuration, peak

CASES = [
    *(("load", stored, dtype) for stored in ("float32", "bfloat16") for dtype in ("float32", "bfloat16")),
    *(("twin", "bfloat16", dtype) for dtype in ("float32", "bfloat16")),
]
TARGET = 1.15
RECORD = Path(__file__).parents[2] / "workflow/resources/costs/loading.csv"
"""What the page of costs is made from."""


def main() -> None:
    print(f"{'':<6}{'checkpoint':<12}{'run in':<12}{'peak / weights':>15}  target")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        torch.manual_seed(0)
        model = LlamaForCausalLM(configuration())
        for kind in ("float32", "bfloat16"):
            model.to(getattr(torch, kind)).save_pretrained(Path(name) / kind)
        del model
        for kind, stored, dtype in CASES:
            found = peak(kind, Path(name) / stored, dtype)
            rows.append((kind, stored, dtype, f"{found:.2f}"))
            print(f"{kind:<6}{stored:<12}{dtype:<12}{found:>15.2f}  <= {TARGET}", flush=True)
    with RECORD.open("w", newline="") as file:
        csv.writer(file).writerows([("what", "checkpoint", "run_in", "peak"), *rows])


if __name__ == "__main__":
    main()
