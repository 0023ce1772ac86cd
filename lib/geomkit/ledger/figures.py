"""Draw the figures of claims from records: those that ship for `docs/findings.md`, and those of a run for its page of claims."""

import io
from collections.abc import Collection, Iterable, Iterator
from importlib import import_module
from pathlib import Path

from geomkit.core.declarations import every
from geomkit.figures.claims import claim_figures
from geomkit.tables.findings import Inputs

for module in (
    *every("geomkit.studies.*.figure"),
    *every("geomkit.studies.*.figure.claims"),
    *every("geomkit.theory.figure.claims"),
):
    import_module(module)

DOTS = 200
"""To an inch."""


def drawn(files: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """Each figure that these files of records have something for, by name, as PNG without a date or versions in it."""
    inputs = Inputs(files)
    for name, draw in claim_figures.items():
        figure = draw(inputs)
        if figure is not None:
            picture = io.BytesIO()
            figure.savefig(picture, format="png", dpi=DOTS, metadata={"Software": None})
            yield name, picture.getvalue()


def figure_of(claim: str, figures: Collection[str]) -> tuple[str, str, str] | None:
    """The figure that shows a claim: its name, its caption, and the claim below which it stands, the first that it shows."""
    for name, facts in claim_figures.facts.items():
        if name in figures and claim in facts["claims"]:
            return name, facts["caption"], facts["claims"][0]
    return None
