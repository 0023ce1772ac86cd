"""Write the ledger of claims (claims.csv): every claim of the paper and of ours, with its measurements and verdicts."""

import re
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from geomkit.core.declarations import every
from geomkit.tables.findings import UNTESTED, Claim, Finding, Inputs, claims
from geomkit.tables.rows import write_csv

for module in (*every("geomkit.studies.*.claims"), *every("geomkit.theory.claims")):
    import_module(module)

ORDER = (
    *("size_laws", "width_share", "sag", "same_width", "word_order", "mlp_width", "theory", "loss"),
    *("tokens", "next_token", "removal", "sinks", "one_token", "semantics", "training"),
)
"""Studies in the order of the ledger; others follow by name."""
MISSING = Finding(scope="", effect="", verdict=UNTESTED, reason="nothing has been measured about it here")


def write_ledger(files: Iterable[Path], output: Path) -> None:
    """Write every registered claim, tested or not, with its findings from files of records."""
    inputs = Inputs(files)
    write_csv(output, Claim, [row for name in sorted(claims, key=place_of) for row in rows_of(name, inputs)])


def place_of(name: str) -> tuple[int, str]:
    """The position of a claim's study in the ledger."""
    study = claims[name].__module__.removesuffix(".claims").rpartition(".")[2]
    return ORDER.index(study) if study in ORDER else len(ORDER), study


def chapter_of(name: str) -> str:
    """The chapter of a claim, which its module's docstring names after `Claims about`, up to a colon or a stop."""
    words = (sys.modules[claims[name].__module__].__doc__ or "").partition("Claims about ")[2]
    subject = re.split(r"[.:]", words)[0]
    return subject[:1].upper() + subject[1:]


def rows_of(name: str, inputs: Inputs) -> list[Claim]:
    """A claim's findings as records; one that is untested where there are none."""
    facts = {"headline": None, "exists": False, "exact": False} | dict(claims.facts[name])
    return [
        Claim(chapter=chapter_of(name), claim=name, **facts, **vars(finding)) for finding in claims[name](inputs) or [MISSING]
    ]
