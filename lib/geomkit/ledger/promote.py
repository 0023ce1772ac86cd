"""Rows of a run's summaries that ship: those that claims read, without the thousands that only figures show."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from geomkit.store.records.experiments import Likeness, Removal, SublayerEffect
from geomkit.store.records.files import read_csv, write_csv
from geomkit.store.records.tokens import TokenScore
from geomkit.studies.claims import removal, tokens

READ: dict[str, tuple[type[Any], Callable[[Any], bool]]] = {
    "tokens_summary": (TokenScore, tokens.reads),
    "ablation_summary": (Removal, removal.reads_removal),
    "components_summary": (SublayerEffect, removal.reads_sublayer),
    "semantics_summary": (Likeness, removal.reads_likeness),
}
"""By the name of a summary: its record, and whether a claim reads a row."""


def ship(summary: Path, output: Path) -> None:
    """Writes the rows of a summary that ship. The name of its file says which one it is."""
    record, read = READ[summary.stem]
    write_csv(output, record, [row for row in read_csv(summary, record) if read(row)])
