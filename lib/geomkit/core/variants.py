"""Registry of variants and nulls, each declared once, by a decorator on the function that makes it.

A new one is one function with `@variant(name, kind=..., label=..., short=..., marker=..., colour=..., line=...)`, all literals,
in geomkit.models.variants, geomkit.measures.nulls or geomkit.measures.projection. Checks of the configuration, jobs, tables and
figures are derived from it.

kind  "model": a model runs; it takes a `geomkit.models.variants.Bench`, and returns the model and the texts that it reads.
      "rows": rows are drawn instead of each text's; it takes (n, d, rng) and returns them (n, d).
      "family": spectra are made of a family's; it takes (the trained models' Spectrum each, one of them to be like) and returns a
      Spectrum of that one's shape.
      "tokens": a model's own rows are measured in fewer directions; `geomkit.studies.size_laws.projections` calls it, of which
      models and in how many, and `geomkit.studies.size_laws.pairs` judges by `projected` alone.
width   Of kind "family": True for a null of width for published tables, which have no tokens. A table's law goes beyond width
        only if it differs from all of these.
seeds   Of a variant that is made several times, the key under `entropy` that says how often: `name-0`, `name-1`, .., and its
        function also takes the number, `seed`.
label, short, marker, colour, line: what figures call it and how they draw it (`geomkit.figures.style`).
"""

import importlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from geomkit.core.config import STATES
from geomkit.core.declarations import Declaration, declared
from geomkit.core.errors import ConfigError
from geomkit.core.registry import check_counted

Kind = Literal["model", "rows", "family", "tokens"]

TRAINED = "trained"


@dataclass(frozen=True)
class Variant:
    """The declaration of a variant, without how it is drawn."""

    name: str
    kind: Kind
    module: str
    function: str
    width: bool = False
    seeds: str | None = None

    @property
    def chosen(self) -> bool:
        """Whether the configuration chooses it as a null; otherwise it is always measured."""
        return self.kind in ("model", "rows") and self.name != TRAINED

    def make(self, *arguments: Any, **options: Any) -> Any:
        """Call its constructor, which is imported only now."""
        if self.chosen:
            check_counted("null", self.name)
        return getattr(importlib.import_module(self.module), self.function)(*arguments, **options)


def from_declaration(one: Declaration) -> Variant:
    """Build a variant from its declaration. Raises ConfigError for an unknown kind or keyword."""
    try:
        result = Variant(one.name, module=one.module, function=one.function, **one.facts)
    except TypeError as error:
        raise ConfigError(f"variant {one.name!r} in {one.module}: {error}") from None
    if result.kind not in get_args(Kind):
        raise ConfigError(
            f"variant {one.name!r} in {one.module}: unknown kind {result.kind!r}; known: {', '.join(get_args(Kind))}"
        )
    if result.width and result.kind != "family":
        raise ConfigError(f'variant {one.name!r} in {one.module}: width=True is for kind "family", not for {result.kind!r}')
    return result


VARIANTS: Mapping[str, Variant] = {
    name: from_declaration(one)
    for part in (
        declared("geomkit.measures.nulls", "variant"),
        declared("geomkit.models.variants", "variant"),
        declared("geomkit.measures.projection", "variant"),
    )
    for name, one in part.items()
}
"""By name, in the order of declaration."""

WIDTH_NULLS = tuple(name for name, one in VARIANTS.items() if one.width)
"""A law goes beyond width only if it differs from all of these."""


def by_kind(kind: Kind) -> list[Variant]:
    """List the variants of a kind."""
    return [one for one in VARIANTS.values() if one.kind == kind]


def nulls() -> list[str]:
    """List the nulls that a configuration may choose."""
    return [name for name, one in VARIANTS.items() if one.chosen]


def own(entropy: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the block `entropy` for one catalogue entry, which may set its own `nulls` and numbers of seeds."""
    keys = ("nulls", *filter(None, (one.seeds for one in VARIANTS.values())))
    merged = {**entropy, **{key: entry[key] for key in keys if key in entry}}
    if entry.get("source") == STATES:
        merged["nulls"] = [name for name in merged["nulls"] if VARIANTS[name].kind == "rows"]
    return merged


def union(entropy: Mapping[str, Any], entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """List the variants that any of the entries is run for, in the order of `runs`."""
    each = [own(entropy, entry) for entry in entries]
    most = {key: max(one[key] for one in each) for key in filter(None, (one.seeds for one in VARIANTS.values()))}
    return runs(most | {"nulls": [name for name in nulls() if any(name in one["nulls"] for one in each)]})


def left_out(entropy: Mapping[str, Any], key: str, entry: Mapping[str, Any]) -> dict[str, str]:
    """Return the nulls that the configuration chooses and an entry leaves out, with reasons."""
    kept, asked = own(entropy, entry)["nulls"], entry.get("nulls", entropy["nulls"])
    runs_none = "no model runs: its states were imported"
    return {
        name: runs_none if name in asked else f"models.{key}.nulls leaves it out" for name in entropy["nulls"] if name not in kept
    }


def runs(entropy: Mapping[str, Any]) -> list[str]:
    """List the variants that a model is run for: itself, and the chosen nulls, each as often as configured."""
    names = []
    for one in by_kind("model"):
        if one.name in (TRAINED, *entropy["nulls"]):
            names += [f"{one.name}-{seed}" for seed in range(entropy[one.seeds])] if one.seeds else [one.name]
    return names


def drawn(entropy: Mapping[str, Any]) -> list[str]:
    """List the chosen nulls of drawn rows."""
    return [one.name for one in by_kind("rows") if one.name in entropy["nulls"]]


def base(name: str) -> str:
    """Return the declared name of a variant that may carry a number: `untrained` for `untrained-0`. Other names stay."""
    match = re.fullmatch(r"(.+)-\d+", name)
    return match[1] if match and match[1] in VARIANTS and VARIANTS[match[1]].seeds else name


def make_run(name: str, bench: Any) -> Any:
    """Return the model and the texts of a variant."""
    one = VARIANTS[base(name)]
    return one.make(bench, seed=int(name.removeprefix(f"{one.name}-"))) if one.seeds else one.make(bench)
