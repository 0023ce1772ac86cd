"""Rows of metrics: apart from the tables, so that a new metric reruns what measures, and not everything that writes a table."""

from collections.abc import Mapping

import numpy as np

from geomkit.measures.entropy import Measurement
from geomkit.measures.spectra import Spectrum
from geomkit.store.tables import TableWriter


def add_metrics(table: TableWriter, spectrum: Spectrum, results: Mapping[str, Measurement], **columns: object) -> None:
    """A block of rows for each metric of a spectrum, or of a batch of them."""
    for name, result in results.items():
        value = np.atleast_1d(result.value)
        table.add(**columns, metric=name, value=value, bound=result.bound, n=spectrum.n, d=spectrum.d)
