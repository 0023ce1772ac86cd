"""Names of trainings: `ladder-<width>[x<layers>][-mlp<times>][-tied][-tokens<n>][-rate<r>][-decay<w>]-s<seed>`.

A part that is left out is the ladder's own: `ladder-16-s0` is a model of the ladder, `ladder-16x8-s0` has eight layers instead of
two, `ladder-16-mlp16-s0` an MLP of 16 widths instead of four, `ladder-16-tied-s0` one matrix for both embeddings, and
`ladder-16-tokens2000000-rate0.01-decay0.03-s5` a recipe of its own. Weights saved on the way add `-step<n>`, the number of steps
of the optimizer: `ladder-16-s0-step35`. This module knows no torch, so that the workflow can read names.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from geomkit.core.errors import ConfigError

FORM = re.compile(r"(?P<width>\d+)(?:x(?P<depth>\d+))?(?:-mlp(?P<mlp>\d+))?(?P<tied>-tied)?")
NUMBER = r"\d+(?:\.\d+)?(?:e-?\d+)?"
NAME = re.compile(
    rf"ladder-{FORM.pattern}(?:-tokens(?P<tokens>\d+))?(?:-rate(?P<peak_rate>{NUMBER}))?"
    rf"(?:-decay(?P<weight_decay>{NUMBER}))?-s(?P<seed>\d+)"
)


@dataclass(frozen=True)
class Form:
    """Differences of a model from the ladder's of its width: number of layers, widths of the MLP, one matrix for both embeddings.
    The ladder's own form is the empty string."""

    depth: int | None = None
    mlp: int = 4
    tied: bool = False

    def __str__(self) -> str:
        depth = "" if self.depth is None else f"x{self.depth}"
        return depth + (f"-mlp{self.mlp}" if self.mlp != Form.mlp else "") + ("-tied" if self.tied else "")


@dataclass(frozen=True)
class Training:
    """A model to be trained: its width, seed and form, and its changes to the ladder's recipe."""

    width: int
    seed: int
    form: Form = Form()
    tokens: int | None = None
    peak_rate: float | None = None
    weight_decay: float | None = None

    @property
    def recipe(self) -> dict[str, Any]:
        """The fields of a recipe that are this training's own."""
        own = {"tokens": self.tokens, "peak_rate": self.peak_rate, "weight_decay": self.weight_decay}
        return {key: value for key, value in own.items() if value is not None}

    def __str__(self) -> str:
        words = {"tokens": "tokens", "peak_rate": "rate", "weight_decay": "decay"}
        own = "".join(f"-{words[key]}{value}" for key, value in self.recipe.items())
        return f"ladder-{self.width}{self.form}{own}-s{self.seed}"


def read_form(match: re.Match[str]) -> tuple[int, Form]:
    depth, mlp = match["depth"], match["mlp"]
    return int(match["width"]), Form(int(depth) if depth else None, int(mlp) if mlp else Form.mlp, bool(match["tied"]))


def parse_form(word: str | int) -> tuple[int, Form]:
    """The width and the form that a word such as `16x8` stands for. Raises ConfigError for another word."""
    match = FORM.fullmatch(str(word))
    if match is None:
        raise ConfigError(f"ladder: {word!r} is no form; it is <width>[x<layers>][-mlp<times>][-tied], such as 16x8")
    return read_form(match)


def parse(name: str) -> Training:
    """Read the training that a name defines. Raises ConfigError for a name that is not of the scheme."""
    match = NAME.fullmatch(name)
    if match is None:
        raise ConfigError(f"ladder: {name!r} is not the name of a training")
    width, form = read_form(match)
    numbers = {"tokens": int, "peak_rate": float, "weight_decay": float}
    own = {key: number(match[key]) for key, number in numbers.items() if match[key]}
    return Training(width, int(match["seed"]), form, **own)


def expand(group: Mapping[str, Any]) -> Iterator[Training]:
    """All trainings of a group of the configuration: its forms, at each point of its grid of rates and decays, with each seed.

    With `seeds: own` each point of the grid has one seed, and no two points the same.
    """
    grid = list(product(group.get("peak_rates", [None]), group.get("weight_decays", [None])))
    for word in group["forms"]:
        width, form = parse_form(word)
        for point, (rate, decay) in enumerate(grid):
            for seed in [point] if group["seeds"] == "own" else range(group["seeds"]):
                yield Training(width, seed, form, group.get("tokens"), rate, decay)
