"""A portrait or a comparison as an object: its table, and the page, figure and LaTeX that are made from it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from geomkit.core.errors import ConfigError
from geomkit.core.provenance import replacing
from geomkit.studies.portrait.rows import Facts, facts_of, write

KINDS = (".html", ".pdf", ".parquet", ".csv")


def savable(path: str | Path) -> Path:
    """Return a path that a portrait can be saved at. Raises ConfigError for another ending, and where there is no such folder."""
    path = Path(path)
    if path.suffix not in KINDS:
        raise ConfigError(f"{path}: a portrait is saved as {', '.join(KINDS)}")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.parent}")
    return path


class Portrait:
    """One model on some texts, or two models compared.

    table: the numbers, one row for each (`geomkit.studies.portrait.rows`), as an Arrow table.
    """

    def __init__(self, table: pa.Table):
        self.table = table

    @property
    def facts(self) -> Facts:
        """What the page says beside the numbers."""
        return facts_of(self.table)

    def to_pandas(self) -> Any:
        """Return the table as a DataFrame of pandas, which must be installed."""
        return self.table.to_pandas()

    def to_latex(self, metrics: Sequence[str] = ("erank_covariance", "rate_distortion_ratio"), normalise: str = "unit") -> str:
        """Return a LaTeX table with metrics after every block, mean over the longest texts with its 95 % interval.

        Raises ConfigError for a metric or a normalisation that was not measured.
        """
        own = self.table.filter(pc.equal(self.table["section"], "difference" if self.facts.kind == "comparison" else "depth"))
        if self.facts.kind == "portrait":
            own = own.filter(pc.equal(own["variant"], "trained"))
        rows = [row for row in own.to_pylist() if row["scope"] == "text" and row["normalise"] == normalise]
        rows = [row for row in rows if row["sinks"] in (None, "with")]
        if not rows:
            known = sorted({str(row["normalise"]) for row in own.to_pylist()})
            raise ConfigError(f"normalisation {normalise!r} was not measured; there are {', '.join(known)}")
        if unknown := [name for name in metrics if name not in {row["metric"] for row in rows}]:
            raise ConfigError(
                f"metric {unknown[0]!r} was not measured; there are {', '.join(sorted({r['metric'] for r in rows}))}"
            )
        longest = max(row["n"] for row in rows)
        cells = {(row["place"], row["metric"]): row for row in rows if row["n"] == longest}
        places = list(dict.fromkeys(row["place"] for row in rows))
        labels = [self.facts.labels.get(name, (name, ""))[0] for name in metrics]
        lines = [" & ".join([place, *(cell_of(cells.get((place, name))) for name in metrics)]) + r" \\" for place in places]
        head = " & ".join(["state", *labels]) + r" \\"
        return "\n".join([rf"\begin{{tabular}}{{l{'r' * len(metrics)}}}", head, r"\hline", *lines, r"\end{tabular}", ""])

    def save(self, path: str | Path) -> Path:
        """Write the page (.html), the figure (.pdf) or the table (.parquet, .csv). For errors see `savable`."""
        path = savable(path)
        if path.suffix == ".html":
            page = self._page()
            with replacing(path) as temporary:
                temporary.write_text(page, encoding="utf-8")
        elif path.suffix == ".pdf":
            from geomkit.studies.portrait.figure import figures, save

            save(figures(self.table), path)
        elif path.suffix == ".parquet":
            write(self.table, path)
        else:
            write(self.table, path.with_suffix(".parquet"), path)
        return path

    def _page(self) -> str:
        from geomkit.studies.portrait.page import page

        return page(self.table)

    def _repr_html_(self) -> str:
        """Show the page in a notebook, in a frame of its own."""
        from html import escape

        frame = f'<iframe srcdoc="{escape(self._page(), quote=True)}" width="100%" height="900" style="border:0"></iframe>'
        return frame

    def __repr__(self) -> str:
        return "\n".join([f"{' and '.join(self.facts.models)} on {self.facts.corpus}", *self.facts.sentences])


def cell_of(row: dict[str, Any] | None) -> str:
    """Format a cell of a LaTeX table."""
    if row is None or row["value"] is None:
        return "--"
    if row["low"] is None:
        return f"{row['value']:.3g}"
    return f"{row['value']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"
