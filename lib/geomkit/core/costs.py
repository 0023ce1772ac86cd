"""Estimate time, memory and disk of a run before it starts, from shapes and measured rates.

`snakemake -n` prints the estimate for what is configured, so this module loads nothing that takes time.
`workflow/resources/costs/rates.csv` holds seconds on one core for each unit of work, from `python tests/benchmarks scale`.
"""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from geomkit.core.config import hidden_layers, resolve_layers
from geomkit.core.plan import Plan

Rates = Mapping[tuple[str, str], float]
"""Seconds for one unit of work, by stage and term."""


@dataclass(frozen=True)
class Shape:
    """Sizes that determine the cost of one model on one corpus.

    parameters: all of them; states: layers and sublayers that are kept; d: width; texts, length: how many of how many tokens;
    lengths: those at which texts are measured; modes: number of normalisations; summed: of those that take sums of all rows
    before a model is measured while it runs; variants: how many times the texts are run; parts: how many jobs share them; hidden:
    hidden states of MLPs, taken as four times as wide.
    """

    parameters: float
    states: int
    d: int
    texts: int
    length: int
    lengths: Sequence[int]
    modes: int
    summed: int
    variants: int
    parts: int = 1
    hidden: int = 0

    @property
    def of_mlps(self) -> "Shape | None":
        """The hidden states of MLPs as states of a model of their width, without weights; None where there are none."""
        return replace(self, parameters=0, states=self.hidden, d=4 * self.d, hidden=0) if self.hidden else None

    @property
    def tokens(self) -> int:
        return self.texts * self.length


def forward_work(shape: Shape) -> dict[str, float]:
    """Count the work of one forward pass over the texts: multiplications by weights, and numbers in hidden states."""
    return {"weights": shape.tokens * shape.parameters, "states": float(shape.tokens * shape.d * shape.states)}


def spectra_work(shape: Shape) -> dict[str, float]:
    """Count the work of one variant's spectra: sums of z z^T and their eigenvalues, Gram matrices of texts and theirs, rows."""
    each = shape.states * shape.modes
    clouds = [(min(n, shape.d), n) for n in shape.lengths]
    return {
        "covariance": float(each * shape.tokens * shape.d**2),
        "corpus eigenvalues": float(each * shape.d**3),
        "text matrices": float(each * shape.texts * sum(least * n * shape.d for least, n in clouds)),
        "text eigenvalues": float(each * shape.texts * sum(least**3 for least, _ in clouds)),
        "rows": float(each * shape.tokens * shape.d * (1 + len(clouds))),
    }


WORK = {"forward": forward_work, "dump": forward_work, "spectra": spectra_work}
"""Stages that have rates; `dump` is a forward pass that writes its states."""


def read_rates(path: Path) -> Rates:
    with path.open(newline="") as file:
        return {(row["stage"], row["term"]): float(row["seconds"]) for row in csv.DictReader(file)}


def seconds(stage: str, shape: Shape, rates: Rates) -> float:
    """Estimate CPU seconds of one variant at a stage, on one core."""
    own = sum(amount * rates[stage, term] for term, amount in WORK[stage](shape).items())
    return own + (seconds(stage, shape.of_mlps, rates) if shape.of_mlps else 0.0)


@dataclass(frozen=True)
class Bill:
    """Cost of a run: seconds on one core, peak bytes of memory, and bytes on disk while it runs."""

    seconds: float
    memory: float
    disk: float


def dump_bytes(shape: Shape) -> float:
    """Return the bytes of one variant's dump."""
    return 4.0 * shape.tokens * (shape.states + 4 * shape.hidden) * shape.d


def part_bytes(shape: Shape, batch_tokens: int) -> float:
    """Return the bytes that the parts of one variant take until they are merged, where a running model is measured.

    They are a triangle of z z^T for each part, state and mode, and a row of sums for each batch and state where a mode takes it.
    With one part there are none.
    """
    if shape.parts == 1:
        return 0.0
    sums = shape.parts * shape.modes * 8 * shape.d * (shape.d + 1) / 2
    rows = math.ceil(shape.tokens / batch_tokens) * 8 * shape.d if shape.summed else 0
    return shape.states * (sums + rows) + (part_bytes(shape.of_mlps, batch_tokens) if shape.of_mlps else 0.0)


def bill(shape: Shape, rates: Rates, dumped: bool, dtype_bytes: int = 4, batch_tokens: int = 8192) -> Bill:
    """Estimate what one model on one corpus costs up to its spectra, by way of a dump or while it runs.

    The job that dumps holds weights and a batch of all states; the one that reads dumps holds two sums for each mode. Of dumps in
    parts the trained model's are merged into one more file. Measured while running, a sum for each state and mode is held, and
    the model runs once more where a mode takes sums of all rows before; what parts have measured is on disk until it is merged.
    """
    widest = shape.of_mlps or shape
    weights, each, largest = shape.parameters * dtype_bytes, 8 * shape.d**2, 8 * widest.d**2
    batch = batch_tokens * (4 * shape.d * (shape.states + 4 * shape.hidden) + 16 * widest.d)
    decomposing = seconds("spectra", shape, rates)
    if dumped:
        time = shape.variants * (seconds("dump", shape, rates) + decomposing)
        memory = max(weights + batch, (2 * shape.modes + 1) * largest)
        return Bill(time, memory, (shape.variants + (shape.parts > 1)) * dump_bytes(shape))
    passes = 2 if shape.summed else 1
    time = shape.variants * (passes * seconds("forward", shape, rates) + decomposing)
    memory = weights + batch + (shape.states + 16 * shape.hidden) * shape.modes * each + 2 * largest
    return Bill(time, memory, shape.variants * part_bytes(shape, batch_tokens))


def shape_of(folder: Path, config: Mapping[str, Any], variants: int, summed: int) -> Shape | None:
    """Return the shape of a model from its config.json and the configuration; None if the model is not on disk yet.

    Parameters are 12 d^2 for each block, and the two tables of the vocabulary: near enough for an estimate.
    """
    file = folder / "config.json"
    if not file.exists():
        return None
    whole = json.loads(file.read_text())
    own = whole.get("text_config", whole)
    d, depth = (next((own[key] for key in keys if key in own), None) for keys in WIDTHS_AND_DEPTHS)
    if d is None or depth is None:
        return None
    states = len(resolve_layers(config["dump"]["layers"], depth)) + (2 * depth if config["dump"]["sublayers"] else 0)
    parameters = 12 * depth * d**2 + 2 * own.get("vocab_size", 0) * d
    entropy, texts = config["entropy"], config["texts"]
    hidden = len(hidden_layers(config["dump"], depth))
    return Shape(
        *(parameters, states, d, texts["count"], texts["length"], entropy["lengths"], len(entropy["normalise"])),
        *(summed, variants, config["dump"]["parts"], hidden),
    )


WIDTHS_AND_DEPTHS = (("hidden_size", "n_embd", "d_model"), ("num_hidden_layers", "n_layer", "num_layers"))
"""Names that configurations give to them."""


def estimate(plan: Plan, rates: Rates) -> str:
    """Say in one sentence what the spectra of all models that run for the stage `entropy` will cost, from nothing."""
    config, bills, unknown, kept = plan.config, [], [], 0.0
    corpora = len(config["entropy"]["corpora"])
    size = 4 if config["compute"]["dtype"] == "float32" else 2
    for model in [plan.models[name] for name in plan.running("entropy")]:
        shape = shape_of(model.folder, config, len(plan.runs[model.name]), len(plan.first_summed))
        if shape is None:
            unknown.append(model.name)
            continue
        bills += [bill(shape, rates, model.name in plan.dumped, size, config["compute"]["batch_tokens"])]
        kept += dump_bytes(shape) if config["dump"]["keep"] is True else 0
    time, memory, disk = (
        corpora * sum(one.seconds for one in bills),
        max((one.memory for one in bills), default=0.0),
        max((one.disk for one in bills), default=0.0),
    )
    text = (
        "Estimate for all spectra without the starts of jobs, one core at the rates of the benchmark: "
        f"{duration(time)}; a job needs up to {amount(memory)} of memory beside what is loaded at start, "
        f"and {amount(disk)} of disk; {amount(corpora * kept)} of dumps stay"
    )
    return text + (f"; not known before they are fetched: {', '.join(unknown)}" if unknown else "")


def duration(seconds: float) -> str:
    """Format seconds with two digits and a unit."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {unit}" if seconds < 100 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds:.2g} s" if seconds < 100 else f"{seconds:.0f} s"


def amount(size: float) -> str:
    """Format bytes with a unit."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
