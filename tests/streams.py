"""One tiny model's states as it runs and from dumps, on all texts or on parts of them, with all that can be asked of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from geomkit.core.config import ModelSpec
from geomkit.models.cutting import tokenizer_sha256
from geomkit.models.load import load_tokenizer
from geomkit.models.stream import runs
from geomkit.states.decompose import decompose, sum_rows
from geomkit.states.dumping import dump_states
from geomkit.states.dumps import stored
from geomkit.states.partial_spectra import merge_spectra
from geomkit.states.parts import part_name
from geomkit.states.stream import Open
from geomkit.states.texts import Sample, Texts, write_texts

DOCUMENTS = [3, 1, 2, 5, 1, 1, 2]
"""Texts of each document: with batches of 36 tokens three texts of 12 fit, so that the fourth document takes two batches."""
MODES, VARIANTS, DRAWN = ["unit", "centre-unit", "centre", "raw"], ["trained", "shuffled", "untrained-0"], ["gaussian"]
STATES = {"layers": "all", "sublayers": True, "mlp_hidden": ["last"]}
STORAGE = {"dtype": "float32", "compression": None}
MEASURED: dict[str, Any] = {
    "modes": MODES,
    "lengths": [4, 12],
    "variants": VARIANTS,
    "drawn": DRAWN,
    "gain": {"n": 12, "eps2": 0.5},
    "whitened": "all",
    "sinks": {"thresholds": [10.0, 2.0], "modes": MODES, "eps2": 0.5, "metrics": ["rate_distortion_ratio", "erank_covariance"]},
    "kept": {"pooled": ["last", "mean"]},
    "seed": 0,
}
Way = Callable[[str | None], Open]
"""Where states come from, by the name of a part; None for all texts."""


def store(path: Path, folder: Path) -> Path:
    """Documents of so many texts of random tokens, the last text of each shorter."""
    names = [f"d{number}" for number, count in enumerate(DOCUMENTS) for _ in range(count)]
    draw, ends = np.random.default_rng(0), np.cumsum(DOCUMENTS) - 1
    ids = [draw.integers(1, 300, 12 - 5 * (text in ends)).astype(np.int32) for text in range(len(names))]
    sizes = [len(own) for own in ids]
    sha256 = tokenizer_sha256(load_tokenizer(folder))
    facts = {"model": "m", "tokenizer sha256": sha256, "corpus sha256": "c", "seed": 0}
    write_texts(path, Sample(ids, [], Texts(names, sizes, sizes)), np.arange(300), facts)
    return path


@dataclass(frozen=True)
class Case:
    """A model in a folder with its texts; `top` takes its dumps."""

    model: Path
    top: Path
    objective: str = "causal"
    batch_tokens: int = 36

    @property
    def texts(self) -> Path:
        path = self.top / "texts.h5"
        return path if path.exists() else store(path, self.model)

    def running(self, part: str | None = None, modes: Any = MODES) -> Open:
        """The model as it runs."""
        spec = ModelSpec(device="cpu", objective=self.objective)
        how = (spec, self.batch_tokens, 0, STATES, {"source": "test"}, part, modes, "all")
        return partial(runs, self.model, self.texts, "m", *how)

    def dumps(self, part: str | None = None) -> list[Path]:
        """Files of its states, made where they are not there."""
        outputs = [self.top / f"dumps/{part or 'whole'}/m/c/{variant}.h5" for variant in VARIANTS]
        if not outputs[0].exists():
            dump_states(self.running(part, None), outputs, STATES | STORAGE, VARIANTS, part)
        return outputs

    def dumped(self, part: str | None = None) -> Open:
        return partial(stored, self.dumps(part))

    @property
    def ways(self) -> dict[str, Way]:
        return {"running": self.running, "dumped": self.dumped}


def spectra(states: Open, output: Path, **changed: Any) -> Path:
    decompose(states, output, **MEASURED | changed)
    return output


def in_parts(way: Way, top: Path, parts: int, **changed: Any) -> list[Path]:
    """Spectra of each part, and the file that they make at `top / c.h5`."""
    names = [part_name(number, parts) for number in range(parts)]
    sums = [top / "sums" / name / "m/c.h5" for name in names]
    variants = changed.get("variants", VARIANTS)
    for name, path in zip(names, sums, strict=True):
        sum_rows(way(name), path, variants, DRAWN, name, 0)
    made = [spectra(way(name), top / name / "m/c.h5", part=name, sums=sums, **changed) for name in names]
    merge_spectra(made, top / "c.h5")
    return made


def contents(path: Path) -> tuple[dict[str, np.ndarray], dict[str, dict], dict]:
    """Arrays and attributes by path, and the file's own attributes."""
    arrays: dict[str, np.ndarray] = {}
    attributes: dict[str, dict] = {}
    with h5py.File(path) as file:

        def visit(name, item):
            attributes[name] = {key: np.asarray(value).tolist() for key, value in item.attrs.items()}
            if isinstance(item, h5py.Dataset):
                arrays[name] = item[()]

        file.visititems(visit)
        return arrays, attributes, dict(file.attrs)
