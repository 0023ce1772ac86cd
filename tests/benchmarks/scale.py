"""Time and memory of every stage against width and text counts: random models of few blocks, one thread.

forward  the model alone, with surprisal
dump     geomkit: the same, and every state to an HDF5 file
spectra  geomkit: spectra of texts and of the corpus from the dump, `unit`
both     `unit` and `centre-unit`
measure  geomkit: the same as dump and spectra while the model runs, `unit`; and with both modes, which takes two passes
cache    every state in memory, as TransformerLens' run_with_cache does

Seconds are those of the processor, so that other work on the machine hardly counts. Memory is the highest resident size of a
stage above that before it. Stages take turns, and each number is the median of ROUNDS rounds. Written to
workflow/resources/costs: the measurements (scale.csv), exponents of width and text count (exponents.csv), and a rate for each
term of the work of `geomkit.core.costs` (rates.csv). Widths as arguments are measured anew alone.
"""

import csv
import ctypes
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import nnls
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM

from geomkit.core.config import ModelSpec
from geomkit.core.costs import WORK, Shape
from geomkit.measures.spectra import normalise
from geomkit.models.capture import Recorder, batch_groups, batches, capture
from geomkit.models.load import blocks
from geomkit.models.placing import HOSTED
from geomkit.models.stream import Running, Runs, share_of
from geomkit.models.variants import Bench
from geomkit.states.dumps import Dump, write_dump
from geomkit.states.spectra import write_spectra
from geomkit.states.stream import States
from geomkit.states.stream_spectra import Plan, measure_variant
from geomkit.states.texts import Sample, StoredTexts, Texts

OUTPUT = Path(__file__).parents[2] / "workflow/resources/costs"
LENGTH, BATCH_TOKENS, VOCABULARY = 64, 2048, 1024
LENGTHS = [16, 64]
GRID = {768: [1, 10, 100], 2048: [8], 4096: [1]}
"""Numbers of texts by width."""
DEPTH = 1
ROUNDS = 5


def random_model(d: int) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=d,
        intermediate_size=d,
        num_hidden_layers=DEPTH,
        num_attention_heads=d // 64,
        max_position_embeddings=LENGTH,
    )
    torch.manual_seed(0)
    return LlamaForCausalLM(config).eval()


def random_texts(count: int) -> Sample:
    ids = np.random.default_rng(0).integers(VOCABULARY, size=(count, LENGTH)).astype(np.int32)
    return Sample(list(ids), [], Texts([str(text // 4) for text in range(count)], [LENGTH] * count, [LENGTH] * count))


class InMemory(Running):
    """States of a model that no folder holds."""

    @property
    def attributes(self) -> dict[str, object]:
        return {"depth": DEPTH}


class Stages:
    """The stages on one model and one sample."""

    def __init__(self, model: LlamaForCausalLM, sample: Sample, folder: Path):
        self.model, self.sample, self.folder = model, sample, folder
        self.depth = len(blocks(model))
        self.layers = list(range(self.depth + 2)) if model.config.hidden_size < 2048 else [self.depth]

    @torch.inference_mode()
    def forward(self) -> None:
        for run in batches([len(ids) for ids in self.sample.ids], BATCH_TOKENS):
            ids = torch.from_numpy(np.stack([self.sample.ids[text] for text in run])).long()
            logits = self.model(input_ids=ids, use_cache=False).logits
            for row in range(len(run)):
                cross_entropy(logits[row, :-1], ids[row, 1:], reduction="none")

    def dump(self) -> None:
        recorder, about = Recorder(self.model, self.layers, False), self.states
        how = (about.attributes, recorder.absent, "float32", None, about.borders)
        with write_dump(self.folder / "dump.h5", self.sample.texts, *how) as writer:
            for part in capture(recorder, self.sample, BATCH_TOKENS):
                writer.append(*part)

    def cache(self) -> None:
        recorder, kept = Recorder(self.model, self.layers, False), []
        for part in capture(recorder, self.sample, BATCH_TOKENS):
            kept.append(part)

    @property
    def states(self) -> InMemory:
        """Those of the model as it runs."""
        bench = Bench(ModelSpec(), self.sample, 0)
        bench.loaded = self.model
        share = share_of(batch_groups(self.sample, BATCH_TOKENS), self.sample.texts, None)
        stored, asked = StoredTexts(self.sample, np.ones(VOCABULARY, int), {}), {"layers": self.layers, "sublayers": False}
        return InMemory(Runs("random", bench, stored, asked, BATCH_TOKENS, None, HOSTED, share, {}), "trained")

    def decompose(self, states: States, modes: tuple[str, ...]) -> None:
        with states, write_spectra(self.folder / "spectra.h5", self.sample.texts, {}, {}) as writer:
            measure_variant(writer, "trained", states, Plan(modes, LENGTHS), "")

    def spectra(self) -> None:
        self.decompose(Dump(self.folder / "dump.h5"), ("unit",))

    def both(self) -> None:
        self.decompose(Dump(self.folder / "dump.h5"), ("unit", "centre-unit"))

    def measure(self) -> None:
        self.decompose(self.states, ("unit",))

    def measure_both(self) -> None:
        self.decompose(self.states, ("unit", "centre-unit"))

    @property
    def parameters(self) -> int:
        """Without the table of embeddings, which no token is multiplied with."""
        return sum(weight.numel() for weight in self.model.parameters()) - VOCABULARY * self.model.config.hidden_size


NAMES = ("forward", "dump", "cache", "spectra", "both", "measure", "measure_both")
FEW = ("forward", "dump", "spectra")
"""What is measured at the largest width, where eigenvalues take most of the time."""


def cost(stage: Callable[[], None]) -> tuple[float, float]:
    """Seconds of the processor, and bytes above what was resident before."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # or memory that was freed would count as resident before
    Path("/proc/self/clear_refs").write_text("5")
    before, start = resident("VmRSS"), time.process_time()
    stage()
    return time.process_time() - start, resident("VmHWM") - before


def resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


def term_rates() -> dict[str, float]:
    """Seconds for each unit of the work of spectra, each kind of work done alone: stages alone could not part them."""
    draw = np.random.default_rng(0)
    rows, text = draw.standard_normal((2048, 768)), draw.standard_normal((4, 256, 768))
    square = (half := draw.standard_normal((1024, 1024))) @ half.T
    grams = text @ text.mT
    work = {
        "covariance": (lambda: rows.T @ rows, 2048 * 768**2),
        "corpus eigenvalues": (lambda: np.linalg.eigvalsh(square), 1024**3),
        "text matrices": (lambda: text @ text.mT, 4 * 256**2 * 768),
        "text eigenvalues": (lambda: np.linalg.eigvalsh(grams), 4 * 256**3),
        "rows": (lambda: normalise(rows, "unit"), rows.size),
    }
    return {name: min(cost(task)[0] for _ in range(3)) / units for name, (task, units) in work.items()}


def fitted(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """A rate for each term of each stage, and the largest relative error of the stage at any cell.

    A forward pass has one rate for weights, and a dump one more for what it writes, by least squares of relative errors.
    """
    cells = {stage: [row for row in rows if row["stage"] == stage] for stage in NAMES}
    seconds = {stage: np.array([float(row["seconds"]) for row in mine]) for stage, mine in cells.items()}
    work = {stage: [WORK[stage](shape_of(row)) for row in cells[stage]] for stage in WORK}
    weights = nnls((units("weights", work["forward"]) / seconds["forward"])[:, None], np.ones(len(seconds["forward"])))[0][0]
    left = 1 - weights * units("weights", work["dump"]) / seconds["dump"]
    written = nnls((units("states", work["dump"]) / seconds["dump"])[:, None], left)[0][0]
    rates = {
        "forward": {"weights": weights, "states": 0.0},
        "dump": {"weights": weights, "states": written},
        "spectra": term_rates(),
    }
    found = []
    for stage, mine in rates.items():
        expected = sum(rate * units(term, work[stage]) for term, rate in mine.items())
        error = np.abs(expected / seconds[stage] - 1).max()
        found += [
            {"stage": stage, "term": term, "seconds": f"{rate:.4g}", "largest_error": f"{error:.2f}"}
            for term, rate in mine.items()
        ]
    return found


def units(term: str, work: list[dict[str, float]]) -> np.ndarray:
    return np.array([each[term] for each in work])


def shape_of(row: dict[str, str]) -> Shape:
    both = "both" in row["stage"]
    d, states, texts = (int(row[name]) for name in ("d", "states", "texts"))
    return Shape(float(row["parameters"]), states, d, texts, LENGTH, LENGTHS, 2 if both else 1, int(both), 1)


def exponents(rows: list[dict[str, str]], stage: str) -> dict[str, str]:
    """Slopes of ln seconds a state on ln d and ln texts, where there are as many cells as that takes."""
    mine = [row for row in rows if row["stage"] == stage]
    x = np.column_stack([np.ones(len(mine)), *(np.log([float(row[name]) for row in mine]) for name in ("d", "texts"))])
    y = np.log([float(row["seconds"]) / int(row["states"]) for row in mine])
    slopes = np.linalg.lstsq(x, y, rcond=None)[0][1:].tolist()
    return {"stage": stage, "d": f"{slopes[0]:.2f}", "texts": f"{slopes[1]:.2f}"}


def write(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def measured(d: int) -> list[dict[str, str]]:
    """Every stage at one width."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        model = random_model(d)
        Stages(model, random_texts(1), Path(name)).dump()  # what is loaded once
        for count in GRID[d]:
            stages = Stages(model, random_texts(count), Path(name))
            names = NAMES if d < max(GRID) else FEW
            rounds = [[cost(getattr(stages, stage)) for stage in names] for _ in range(ROUNDS)]
            for stage, (seconds, memory) in zip(names, np.median(rounds, axis=0).tolist(), strict=True):
                cell = {"stage": stage, "d": d, "states": len(stages.layers), "parameters": stages.parameters, "texts": count}
                rows.append({key: str(value) for key, value in cell.items()})
                rows[-1] |= {"seconds": f"{seconds:.4g}", "peak_mb": f"{memory / 1e6:.4g}"}
                print(f"{d:>6}{count:>6} texts  {stage:<14}{seconds:>9.2f} s{memory / 1e6:>9.0f} MB", flush=True)
    return rows


def main() -> None:
    torch.set_num_threads(1)
    os.environ["TQDM_DISABLE"] = "1"
    widths, table = [int(one) for one in sys.argv[1:]] or list(GRID), OUTPUT / "scale.csv"
    print(f"Texts of {LENGTH} tokens, seconds of the processor; above d = 768 the last block's state alone")
    rows = []
    if table.exists():
        with table.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if int(row["d"]) not in widths]
    for d in widths:
        rows += measured(d)
        write(table, sorted(rows, key=lambda row: int(row["d"])))
    if {int(row["d"]) for row in rows} == set(GRID):
        write(OUTPUT / "rates.csv", fitted(rows))
        write(OUTPUT / "exponents.csv", [exponents(rows, stage) for stage in NAMES])


if __name__ == "__main__":
    main()
