"""The ledger of claims (claims.csv): every claim of the paper and of ours, and what was measured about it."""

from collections.abc import Sequence
from pathlib import Path

from geomkit.store.records import Claim, ClaimVerdict, write_csv
from geomkit.studies.claims import laws, tokens
from geomkit.studies.claims.registry import Finding, Inputs, claims

CHAPTERS = (laws, tokens)
"""Modules that register claims, in the order of the ledger."""


def write_ledger(folders: Sequence[str], output: Path) -> None:
    """Every claim that is registered, tested or not, from the records in the folders: later ones before earlier ones."""
    inputs = Inputs([Path(folder) for folder in folders])
    write_csv(output, Claim, [row for name in claims for row in rows_of(name, inputs)])


def rows_of(name: str, inputs: Inputs) -> list[Claim]:
    """A claim's findings as records; one that is untested where there are none."""
    facts = claims.facts[name]
    missing = Finding(scope="", effect="", verdict=ClaimVerdict.UNTESTED, reason="nothing has been measured about it here")
    return [
        Claim(claim=name, statement=facts["statement"], source=facts["source"], **vars(finding))
        for finding in claims[name](inputs) or [missing]
    ]
