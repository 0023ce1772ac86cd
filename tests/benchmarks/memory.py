"""Growth of peak memory from 10^4 to 10^6 tokens, in bytes a token: the dump of stored texts, spectra from dumps, and the same
spectra while the model runs (`dump.keep: none`).

Each stage is the function that its rule calls. A process of its own runs it on 10^4 tokens, which loads the model and all else,
and then on either size. The corpus grows with the tokens: 40 or 400 documents of one length, whose words are whole tokens. glibc
maps all blocks over 64 KiB, so that freed memory is gone and the peak is what is in use.
Eigenvalues of single texts are results, and here they count: with one length they come to 1 byte a token. The job that measures
while the model runs also keeps its results until they are written: gains (8 bytes for each token and state), ids and surprisal.
"""

import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.config import ModelSpec
from geomkit.sources.corpora import Document, write_documents

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "workflow/resources/ladder/ladder-16-s0"
LENGTH = 256
WORDS = 11 * LENGTH
"""In each document."""
SIZES = {"small": (40, 40), "large": (400, 4000)}
"""Documents and texts."""
TARGET = 16


def write_corpora(folder: Path) -> None:
    from geomkit.models.cutting import cut_texts
    from geomkit.models.load import load_tokenizer

    words = [token[1:] for token in load_tokenizer(MODEL).get_vocab() if token[0] == "Ġ" and token[1:].isalpha()]
    draw = np.random.default_rng(0)
    for size, (documents, texts) in SIZES.items():
        write_documents(
            [Document(str(number), " ".join(draw.choice(words, WORDS))) for number in range(documents)],
            folder / size / "corpus.parquet",
        )
        asked = {"count": texts, "length": LENGTH}
        cut_texts(MODEL, folder / size / "corpus.parquet", folder / size / "texts.h5", "all", asked, 0, ModelSpec())


SPECTRA: dict[str, Any] = {
    "modes": ["unit", "centre-unit"],
    "lengths": [LENGTH],
    "variants": ["trained", "shuffled"],
    "drawn": ["gaussian"],
    "gain": {"n": LENGTH, "eps2": 0.5},
    "seed": 0,
}


def run(folder: Path, modes: list[str] | None = None):
    """States of the model as it runs."""
    from geomkit.models.stream import runs

    return partial(runs, MODEL, folder / "texts.h5", "m", ModelSpec(device="cpu"), 8192, 0, modes=modes)


def dump(folder: Path) -> None:
    from geomkit.states.dumping import dump_states

    outputs = [folder / f"{variant}.h5" for variant in SPECTRA["variants"]]
    dump_states(run(folder), outputs, {"dtype": "float32", "compression": None}, SPECTRA["variants"])


def spectra(folder: Path) -> None:
    from geomkit.states.decompose import decompose
    from geomkit.states.dumps import stored

    dumps = [folder / f"{variant}.h5" for variant in SPECTRA["variants"]]
    decompose(partial(stored, dumps), folder / "spectra.h5", **SPECTRA)


def measure(folder: Path) -> None:
    from geomkit.states.decompose import decompose

    decompose(run(folder, SPECTRA["modes"]), folder / "m/running.h5", **SPECTRA)


STAGES = {"dump": dump, "spectra": spectra, "measure": measure}


def peak(stage: str, folder: Path, size: str) -> tuple[int, float]:
    """Highest resident bytes and seconds of a stage on one size."""
    STAGES[stage](folder / "small")
    with suppress(OSError):  # not Linux: the peak is then that of both runs
        Path("/proc/self/clear_refs").write_text("5")
    start = time.perf_counter()
    STAGES[stage](folder / size)
    return highest_resident(), time.perf_counter() - start


def highest_resident() -> int:
    """Bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) << 10 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (0 if sys.platform == "darwin" else 10)


def main() -> None:
    os.environ |= {"MALLOC_MMAP_THRESHOLD_": str(1 << 16), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    print(f"Peak memory of {MODEL.name}, one thread")
    print(f"{'stage':<9}{'tokens':>9}{'seconds':>9}{'peak MB':>9}{'bytes a token':>15}  target")
    with (
        tempfile.TemporaryDirectory() as name,
        ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool,
    ):
        folder = Path(name)
        pool.submit(write_corpora, folder).result()
        for stage in STAGES:
            start = highest = tokens = 0
            for size, (_, texts) in SIZES.items():
                start, before, tokens = highest, tokens, texts * LENGTH
                highest, seconds = pool.submit(peak, stage, folder, size).result()
                print(f"{stage:<9}{tokens:>9}{seconds:>9.1f}{highest / 1e6:>9.1f}", end="" if start else "\n", flush=True)
            print(f"{(highest - start) / (tokens - before):>15.1f}  <= {TARGET}")


if __name__ == "__main__":
    main()
