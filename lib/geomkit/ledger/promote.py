"""Ship the results of a run: copy them into workflow/resources, under their names, and list what was left out.

    python -m geomkit.ledger.promote [PATH ...]

from the project's folder: all that ships, or what begins with these paths below `results/`. `make findings` then renders it.
"""

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from geomkit.core.shipped import FINDINGS, TRAININGS, Shipped
from geomkit.studies.next_token import claims as next_token
from geomkit.studies.next_token.rows import NextToken
from geomkit.studies.one_token import claims as one_token
from geomkit.studies.one_token.rows import OneToken
from geomkit.studies.removal import claims as removal
from geomkit.studies.same_width import claims as same_width
from geomkit.studies.semantics import claims as semantics
from geomkit.studies.size_laws.rows import FixedWidth
from geomkit.studies.tokens import claims as tokens
from geomkit.studies.tokens.rows import TokenScore
from geomkit.studies.width_share import claims as width_share
from geomkit.studies.width_share.rows import WidthPoint
from geomkit.tables.experiments import Likeness, Removal
from geomkit.tables.rows import read_csv, write_csv

READ: dict[str, tuple[type[Any], Callable[[Sequence[Any]], list[Any]]]] = {
    "tokens_summary.csv": (TokenScore, tokens.shipped),
    "one_token.csv": (OneToken, one_token.shipped),
    "next_token.csv": (NextToken, next_token.shipped),
    "width_share/points.csv": (WidthPoint, width_share.shipped),
    "ablation_summary.csv": (Removal, removal.shipped),
    "semantics_summary.csv": (Likeness, semantics.shipped),
    "scaling/fixed_width.csv": (FixedWidth, same_width.shipped),
}
"""Tables of which only the rows ship that claims and their figures read, without the thousands that nothing else shows."""


def promote(shipped: Sequence[Shipped], resources: Path) -> list[Shipped]:
    """Ship the results that are complete, and return the rest."""
    return [one for one in shipped if not ship(one, resources)]


def ship(one: Shipped, resources: Path) -> bool:
    """Ship one result, in place of the shipped copy; returns whether all of its files were there."""
    paths = sorted(one.results.glob(one.path))
    if not ((one.results / one.whole).exists() if one.whole else paths):
        return False
    for old in (path for path in resources.glob(str(one.place)) if path.is_dir()):
        shutil.rmtree(old)
    for source in paths:
        place = resources / one.place.parent / source.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place)
        elif one.path in READ:
            record, rows = READ[one.path]
            write_csv(place, record, rows(read_csv(source, record)))
        else:
            shutil.copy(source, place)
        print(f"shipped {source}")
    return True


def main() -> None:
    wanted = [one for one in (*FINDINGS, *TRAININGS) if one.path.startswith(tuple(sys.argv[1:]) or "")]
    for one in promote(wanted, Path("workflow/resources")):
        print(f"left {one.path}, made by {one.command}")


if __name__ == "__main__":
    main()
