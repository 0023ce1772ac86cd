"""Write the page of costs from benchmark results: `python -m geomkit.core.cost_page workflow/resources/costs`."""

import csv
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from geomkit.core.costs import Rates, Shape, amount, bill, duration, forward_work, read_rates, seconds, spectra_work

EXAMPLES = {
    "1 B": (1.2e9, 16, 2048),
    "8 B": (8e9, 32, 4096),
    "70 B": (70e9, 80, 8192),
}
"""Parameters, blocks and width of published models of these sizes (Llama 3)."""
TEXTS, LENGTH, LENGTHS, VARIANTS = 100, 256, (16, 64, 256), 5
FP64, BF16 = 67e12, 989e12
"""Peak rates of one H100 SXM in operations a second, tensor cores, dense: NVIDIA's data sheet."""
OPERATIONS = {
    "covariance": 2.0,
    "corpus eigenvalues": 4 / 3,
    "text matrices": 2.0,
    "text eigenvalues": 4 / 3,
    "rows": 4.0,
}
"""Floating-point operations for each unit of work; of eigenvalues, those of the reduction to a tridiagonal matrix."""


WHAT = {"load": "trained", "twin": "untrained twin"}
"""Rows of loading.csv."""


class Cell(NamedTuple):
    """One benchmark measurement: CPU seconds and peak memory in MB."""

    stage: str
    d: int
    states: int
    texts: int
    seconds: float
    peak: float


def read_cells(path: Path) -> list[Cell]:
    with path.open(newline="") as file:
        return [
            Cell(
                *(row["stage"], int(row["d"]), int(row["states"]), int(row["texts"])),
                *(float(row["seconds"]), float(row["peak_mb"])),
            )
            for row in csv.DictReader(file)
        ]


def page(folder: Path) -> str:
    """Render the page from scale.csv, exponents.csv, rates.csv and loading.csv in a folder."""
    cells, rates = read_cells(folder / "scale.csv"), read_rates(folder / "rates.csv")
    with (folder / "exponents.csv").open(newline="") as file:
        exponents = list(csv.DictReader(file))
    with (folder / "rates.csv").open(newline="") as file:
        errors = {row["stage"]: row["largest_error"] for row in csv.DictReader(file)}
    with (folder / "loading.csv").open(newline="") as file:
        loaded = list(csv.DictReader(file))
    lines = [
        "# Costs",
        "",
        "`make docs` renders this page from `workflow/resources/costs`, which `python tests/benchmarks scale` measures. It uses",
        "random models of one block, texts of 64 tokens and one thread. Seconds are CPU time, medians of five rounds in which",
        "the stages take turns.",
        "",
        "## What was measured",
        "",
        *table(
            ["stage", "width", "states", "texts", "seconds", "peak MB"],
            ([c.stage, c.d, c.states, c.texts, f"{c.seconds:.2f}", f"{c.peak:.0f}"] for c in cells),
        ),
        "",
        "Stages: `forward` runs the model alone. `dump` also writes its hidden states, and `cache` keeps them all in memory, as",
        "TransformerLens does. `spectra` computes spectra from a dump for `unit`, and `both` for `unit` and `centre-unit`.",
        "`measure` and `measure_both` compute the same spectra while the model runs (`dump.keep: none`).",
        "",
        "Seconds per state, fitted by a power of the width times a power of the number of texts (least squares on this table):",
        "",
        *table(
            ["stage", "exponent of width", "exponent of texts"], ([row["stage"], row["d"], row["texts"]] for row in exponents)
        ),
        "",
        "## Measuring while running, compared with a dump",
        "",
        "Seconds of `measure` over those of `dump` and `spectra` together. With both normalisations it is `measure_both` over",
        "`dump` and `both`, and over the cache `measure` over `cache` and `spectra`. The last column is `forward` and `spectra`",
        "over `dump` and `spectra`: the ratio of `unit` if nothing but the writing of states were saved.",
        "",
        *table(
            ["width", "texts", "`unit`", "`unit` and `centre-unit`", "`unit`, over cache", "`unit`, writing alone saved"],
            ratios(cells),
        ),
        "",
        "Measuring saves the writing and the reading of states, and starts one process less. It still runs the model and",
        "decomposes, so the ratio is near 1 where these take most of the time. Above a width of 1024 it also adds whole",
        "batches to its sums, where states of a dump are added document by document. CPU time does not contain waiting for a",
        "disk.",
        "",
        "## Loading the weights",
        "",
        "Peak memory over that of the weights, above what is resident after all imports, of a random Llama of 297 M",
        "parameters (`python tests/benchmarks loading`). A checkpoint in the type of the run is mapped, and becomes resident",
        "when the model runs.",
        "",
        *table(
            ["", "checkpoint", "run in", "peak / weights"],
            ([WHAT[row["what"]], row["checkpoint"], row["run_in"], row["peak"]] for row in loaded),
        ),
        "",
        "## Estimates for large models",
        "",
        "Estimates are for every layer, "
        f"{TEXTS} texts of {LENGTH} tokens, `unit` and `centre-unit`, and {VARIANTS} variants, on one core at the rates above.",
        "Work is split into terms (`geomkit.core.costs`), and each term has one rate. "
        "The rates of spectra are measured for each kind of work alone.",
        "The estimates are extrapolations. "
        f"Largest relative error of the rates above: {', '.join(map(' '.join, errors.items()))}.",
        "The last columns are lower bounds from the published peak rates of one H100: bfloat16 for the model, float64 for",
        "spectra. Few programs reach half of a peak rate, and eigenvalue computations stay far below it.",
        "",
        *table(
            [
                *("model", "by dump", "disk", "memory", "while running", "memory, running"),
                *("one GPU, model at least", "one GPU, spectra at least"),
            ],
            (example(name, *one, rates) for name, one in EXAMPLES.items()),
        ),
        "",
    ]
    return "\n".join(lines)


def table(head: Sequence[str], rows: "Iterator[Sequence[object]]") -> list[str]:
    """Render a table as lines of Markdown."""
    body = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |", *body]


def ratios(cells: Sequence[Cell]) -> Iterator[list[object]]:
    of = {(c.d, c.texts, c.stage): c.seconds for c in cells}
    for d, texts in dict.fromkeys((c.d, c.texts) for c in cells):
        compared = [
            (("measure",), ("dump", "spectra")),
            (("measure_both",), ("dump", "both")),
            (("measure",), ("cache", "spectra")),
            (("forward", "spectra"), ("dump", "spectra")),
        ]
        seconds = [[[of.get((d, texts, stage), math.nan) for stage in stages] for stages in pair] for pair in compared]
        quotients = [sum(above) / sum(below) for above, below in seconds]
        yield [d, texts, *("" if math.isnan(ratio) else f"{ratio:.2f}" for ratio in quotients)]


def example(name: str, parameters: float, depth: int, d: int, rates: Rates) -> list[str]:
    """Format one example as a row of the table of costs."""
    shape = Shape(parameters, depth + 2, d, TEXTS, LENGTH, LENGTHS, 2, 1, VARIANTS)
    dumped, running = (bill(shape, rates, by_dump, dtype_bytes=2, batch_tokens=2048) for by_dump in (True, False))
    forward = 2 * VARIANTS * forward_work(shape)["weights"] / BF16
    spectra = VARIANTS * sum(OPERATIONS[term] * units for term, units in spectra_work(shape).items()) / FP64
    each = seconds("spectra", shape, rates) / shape.states / shape.modes
    return [
        *(f"{name} ({depth} blocks, d = {d}; {duration(each)} for each state and mode)", duration(dumped.seconds)),
        *(amount(dumped.disk), amount(dumped.memory), duration(running.seconds), amount(running.memory)),
        *(duration(forward), duration(spectra)),
    ]


if __name__ == "__main__":
    print(page(Path(sys.argv[1])), end="")
