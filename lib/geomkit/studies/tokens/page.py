"""Write the page of tokens: a text, and how each of its tokens relates to those before it, in one file for a browser."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.errors import DataError
from geomkit.core.html import filled, script_json, shared_script
from geomkit.core.provenance import replacing
from geomkit.studies.tokens.rows import TokenPage
from geomkit.tables.rows import read_json

VIEWS = ("gain", "surprisal")
"""Names of series that the page shows beside the methods: no method may have one of these."""


def tokens_page(template: str, data: Mapping[str, Any]) -> str:
    """Put the data into the template, as JSON that cannot end its script block.

    template: HTML with `{{ shared }}` once in its script, and `{{ data }}` once inside <script type="application/json">.
    data: `title`, `note`, and `texts`, each with

    - `name`; `tokens`, T decoded strings; `surprisal` (T,) in nats;
    - `layers`, each with `layer`, `name`, `gain` (T,) in nats and `targets`, each with `position` p in 1..T-1 and by method
      `weights` (p,), `chosen` positions below p, and `kl` in nats. A layer's targets all have the same methods.

    Numbers are kept to six digits. NaN and None stand for what is not known and become null. Anything else in data is left out.
    Raises DataError, which names the place, for what is missing, of another length, infinite, or there twice.
    """
    page = {"title": str(part(data, "title", "data")), "note": str(part(data, "note", "data"))}
    texts = [text_data(text, where) for text, where in parts(data, "texts", "data")]
    differ([text["name"] for text in texts], "data.texts: name")
    return filled(template, data=script_json({**page, "texts": texts}), shared=shared_script())


def text_data(text: Mapping[str, Any], where: str) -> dict[str, Any]:
    tokens = [str(token) for token in part(text, "tokens", where)]
    layers = [layer_data(layer, len(tokens), place) for layer, place in parts(text, "layers", where)]
    differ([layer["layer"] for layer in layers], f"{where}.layers: layer")
    surprisal = numbers(part(text, "surprisal", where), len(tokens), f"{where}.surprisal")
    return {"name": str(part(text, "name", where)), "tokens": tokens, "surprisal": surprisal, "layers": layers}


def layer_data(layer: Mapping[str, Any], length: int, where: str) -> dict[str, Any]:
    targets = [target_data(target, length, place) for target, place in parts(layer, "targets", where, least=0)]
    differ([target["position"] for target in targets], f"{where}.targets: position")
    for number, target in enumerate(targets):
        same_methods(targets[0]["weights"], target["weights"], f"{where}.targets[{number}].weights")
    gain = numbers(part(layer, "gain", where), length, f"{where}.gain")
    return {"layer": int(part(layer, "layer", where)), "name": str(part(layer, "name", where)), "gain": gain, "targets": targets}


def target_data(target: Mapping[str, Any], length: int, where: str) -> dict[str, Any]:
    position = int(part(target, "position", where))
    if not 0 < position < length:
        raise DataError(f"{where}.position: {position}; a target of {length} tokens that has a past is in 1..{length - 1}")
    weights, chosen, kl = (part(target, name, where) for name in ("weights", "chosen", "kl"))
    for name, methods in (("chosen", chosen), ("kl", kl)):
        same_methods(weights, methods, f"{where}.{name}")
    if taken := sorted(set(weights) & set(VIEWS)):
        raise DataError(f"{where}.weights: a method may not be called {taken[0]}")
    return {
        "position": position,
        "weights": {method: numbers(weights[method], position, f"{where}.weights.{method}") for method in weights},
        "chosen": {method: positions(chosen[method], position, f"{where}.chosen.{method}") for method in weights},
        "kl": {method: numbers([kl[method]], 1, f"{where}.kl.{method}")[0] for method in weights},
    }


def part(data: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in data:
        raise DataError(f"{where}: no {name}; there are {', '.join(map(str, data)) or 'none'}")
    return data[name]


def parts(data: Mapping[str, Any], name: str, where: str, least: int = 1) -> list[tuple[Mapping[str, Any], str]]:
    """The entries of a list, each with its path for error messages."""
    entries = part(data, name, where)
    if len(entries) < least:
        raise DataError(f"{where}.{name}: none; the page needs {least} or more")
    return [(entry, f"{where}.{name}[{number}]") for number, entry in enumerate(entries)]


def numbers(values: Sequence[float | None], length: int, where: str) -> list[float | None]:
    """Numbers to six digits, None for NaN."""
    array = np.asarray(values, dtype=float)
    if array.shape != (length,):
        raise DataError(f"{where}: shape {array.shape}; it must be ({length},)")
    if np.isinf(array).any():
        raise DataError(f"{where}: infinite at {int(np.argmax(np.isinf(array)))}")
    return [None if np.isnan(value) else float(f"{value:.6g}") for value in array]


def positions(values: Sequence[int], below: int, where: str) -> list[int]:
    chosen = sorted(int(value) for value in values)
    if chosen and not 0 <= chosen[0] <= chosen[-1] < below:
        raise DataError(f"{where}: {chosen}; positions before the target are 0..{below - 1}")
    differ(chosen, where)
    return chosen


def same_methods(expected: Mapping[str, Any], actual: Mapping[str, Any], where: str) -> None:
    if set(actual) != set(expected):
        raise DataError(f"{where}: methods {', '.join(sorted(actual))}; they must be {', '.join(sorted(expected))}")


def differ(values: Sequence[Any], where: str) -> None:
    if twice := [value for number, value in enumerate(values) if value in values[:number]]:
        raise DataError(f"{where} {twice[0]} is there twice")


def draw_page(texts: Path, template: Path, output: Path) -> None:
    """Write results/tokens.html."""
    with replacing(output) as temporary:
        temporary.write_text(tokens_page(template.read_text(), asdict(read_json(texts, TokenPage))))
