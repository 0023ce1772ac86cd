"""The ledger of claims (claims.csv): every claim of the paper and of ours, and what was measured about it."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from geomkit.store.findings import Finding, Inputs, claims
from geomkit.store.records.claims import Claim, ClaimVerdict
from geomkit.store.records.files import write_csv
from geomkit.studies.claims import loss, published, removal, same_width, size_laws, theory, tokens, width_depth

CHAPTERS = (size_laws, same_width, width_depth, loss, published, theory, tokens, removal)
"""Modules that register claims, in the order of the ledger. Each begins with `Claims about` what the chapter is called after."""


def write_ledger(files: Sequence[Path], output: Path) -> None:
    """Every claim that is registered, tested or not, from files of records: a claim knows them by their names, and of one name
    later files go before earlier ones."""
    inputs = Inputs([Path(file) for file in files])
    chapters = [chapter.__name__ for chapter in CHAPTERS]
    names = sorted(claims, key=lambda name: chapters.index(claims[name].__module__))
    write_csv(output, Claim, [row for name in names for row in rows_of(name, inputs)])


def chapter_of(name: str) -> str:
    """What a claim's module says that its claims are about."""
    words = (sys.modules[claims[name].__module__].__doc__ or "").partition("Claims about ")[2]
    subject = re.split(r"[.:]", words)[0]
    return subject[:1].upper() + subject[1:]


def rows_of(name: str, inputs: Inputs) -> list[Claim]:
    """A claim's findings as records; one that is untested where there are none."""
    facts = claims.facts[name]
    missing = Finding(scope="", effect="", verdict=ClaimVerdict.UNTESTED, reason="nothing has been measured about it here")
    return [
        Claim(
            chapter=chapter_of(name),
            claim=name,
            statement=facts["statement"],
            source=facts["source"],
            headline=facts.get("headline"),
            **vars(finding),
        )
        for finding in claims[name](inputs) or [missing]
    ]
