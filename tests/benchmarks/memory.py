"""Growth of peak memory from 10^4 to 10^6 tokens, in bytes a token: the dump from stored documents on, and the corpus entropy.

Each stage is its workflow script, run by a process of its own for each size, after a run on a few texts that loads the model
and everything else. The corpus grows with the tokens; its words are whole tokens, 6 bytes each, where English has about 4.
Eigenvalues of single texts are results, not working memory: with one length they come to 1 byte a token, and are counted.
"""

import os
import resource
import runpy
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from geomkit.sources.corpora import Document, write_documents

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "workflow/resources/ladder/ladder-16-s0"
LENGTH = 256
SIZES = {"small": (40, 1), "large": (400, 10)}
"""Documents, and texts of each."""
TARGET = 16


def tokens(size: str) -> int:
    documents, texts = SIZES[size]
    return documents * texts * LENGTH


def write_corpus(folder: Path, size: str, words: list[str]) -> None:
    documents, texts = SIZES[size]
    draw = np.random.default_rng(0)
    write_documents(
        [Document(str(number), " ".join(draw.choice(words, (texts + 1) * LENGTH))) for number in range(documents)],
        folder / size / "corpus.parquet",
    )


def words_of_one_token() -> list[str]:
    from geomkit.lm.models import load_tokenizer

    return [token[1:] for token in load_tokenizer(MODEL).get_vocab() if token[0] == "Ġ" and token[1:].isalpha()]


def dump(folder: Path) -> SimpleNamespace:
    """What Snakemake would hand to the script."""
    documents, texts = SIZES[folder.name]
    params = {
        "folder": MODEL,
        "split": "all",
        "texts": {"count": documents * texts, "length": LENGTH},
        "dump": {"layers": "all", "sublayers": False, "dtype": "float32", "compression": None},
        "compute": {"device": "cpu", "dtype": "float32", "batch_tokens": 2048},
        "seed": 0,
        "entry": {},
    }
    return SimpleNamespace(
        input=SimpleNamespace(corpus=folder / "corpus.parquet"),
        output=[folder / "trained.h5", folder / "shuffled.h5"],
        params=SimpleNamespace(**params),
        log=[folder / "dump.log"],
    )


def spectra(folder: Path) -> SimpleNamespace:
    params = {"modes": ["unit", "centre-unit"], "lengths": [LENGTH], "gaussian": True, "resampled": "last", "seed": 0}
    return SimpleNamespace(
        input=[folder / "trained.h5", folder / "shuffled.h5"],
        output=[folder / "spectra.h5"],
        params=SimpleNamespace(**params),
        log=[folder / "spectra.log"],
    )


STAGES = {"dump": dump, "spectra": spectra}


def peak(stage: str, folder: Path, size: str) -> tuple[int, float]:
    """Highest resident bytes and seconds of a stage on one size."""
    script = str(ROOT / f"workflow/scripts/{stage}.py")
    runpy.run_path(script, {"snakemake": STAGES[stage](folder / "small")})
    with suppress(OSError):  # not Linux: the peak is then that of the process's whole life
        Path("/proc/self/clear_refs").write_text("5")
    start = time.perf_counter()
    runpy.run_path(script, {"snakemake": STAGES[stage](folder / size)})
    return highest_resident(), time.perf_counter() - start


def highest_resident() -> int:
    """Bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) << 10 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (0 if sys.platform == "darwin" else 10)


def main() -> None:
    os.environ["MALLOC_MMAP_THRESHOLD_"] = str(1 << 16)
    print(f"Peak memory of {MODEL.name}, one thread")
    print(f"{'stage':<9}{'tokens':>9}{'seconds':>9}{'peak MB':>9}{'bytes a token':>15}{'target':>8}")
    with (
        tempfile.TemporaryDirectory() as name,
        ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool,
    ):
        folder = Path(name)
        words = pool.submit(words_of_one_token).result()
        for size in SIZES:
            write_corpus(folder, size, words)
        for stage in STAGES:
            peaks = []
            for size in ("small", "large"):
                highest, seconds = pool.submit(peak, stage, folder, size).result()
                peaks.append(highest)
                growth = (
                    f"{(peaks[-1] - peaks[0]) / (tokens(size) - tokens('small')):>15.1f}{f'<= {TARGET}':>8}" if peaks[1:] else ""
                )
                print(f"{stage:<9}{tokens(size):>9}{seconds:>9.1f}{highest / 1e6:>9.1f}{growth}", flush=True)


if __name__ == "__main__":
    main()
