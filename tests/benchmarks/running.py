"""Peak memory of the job that measures a model while it runs (`dump.keep: none`), against the number of texts.

ladder-128-s0, texts of 256 tokens, `unit` at 256 tokens, the trained model alone. Each count has a process of its own, which
measures 10 texts before, so that all that is loaded once is loaded. The peak is of resident memory, and the last column is its
growth since the smallest count over that of the texts: results (eigenvalues, ids, surprisal) come to about 42 kB a text.
"""

import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from geomkit.core.config import ModelSpec
from geomkit.states.texts import Sample, Texts, write_texts

MODEL = Path(__file__).parents[2] / "workflow/resources/ladder/ladder-128-s0"
LENGTH, FEW, COUNTS = 256, 10, (50, 200, 800)
TARGET = 100
"""kB a text."""


def texts_of(folder: Path, count: int) -> Path:
    from geomkit.models.cutting import tokenizer_sha256
    from geomkit.models.load import load_tokenizer

    ids = list(np.random.default_rng(0).integers(3, 1000, (count, LENGTH)).astype(np.int32))
    facts = {
        "model": "m",
        "tokenizer sha256": tokenizer_sha256(load_tokenizer(MODEL)),
        "corpus sha256": "c",
        "seed": 0,
    }
    listed = Texts([str(text // 5) for text in range(count)], [LENGTH] * count, [LENGTH] * count)
    write_texts(folder / f"{count}.h5", Sample(ids, [], listed), np.ones(1000, np.int64), facts)
    return folder / f"{count}.h5"


def peak(count: int) -> int:
    """Highest resident bytes of the job on as many texts."""
    from geomkit.models.stream import runs
    from geomkit.states.decompose import decompose

    with tempfile.TemporaryDirectory() as name:
        for number in (FEW, count):
            texts = texts_of(Path(name), number)
            states = partial(runs, MODEL, texts, "m", ModelSpec(device="cpu"), 2048, 0, modes=["unit"])
            decompose(states, Path(name) / f"m/{number}.h5", ["unit"], [LENGTH], ["trained"], [], None, 0)
            if number == FEW:
                Path("/proc/self/clear_refs").write_text("5")
    return next(int(line.split()[1]) << 10 for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)


def main() -> None:
    os.environ |= {"MALLOC_MMAP_THRESHOLD_": str(1 << 16), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    print(f"Measuring {MODEL.name} while it runs, texts of {LENGTH} tokens")
    print(f"{'texts':>6}{'peak MB':>9}{'kB a text':>11}  target")
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        first = 0
        for count in COUNTS:
            highest = pool.submit(peak, count).result()
            first = first or highest
            growth = f"{(highest - first) / (count - COUNTS[0]) / 1e3:11.1f}  <= {TARGET}" if count > COUNTS[0] else ""
            print(f"{count:>6}{highest / 1e6:>9.1f}{growth}", flush=True)


if __name__ == "__main__":
    main()
