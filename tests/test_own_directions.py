"""A model on fewer of its own directions: what is planted must come out, and only of families of one size."""

import numpy as np
import pytest

from geomkit.studies.size_laws.own_directions import Curve, measure_own_directions
from geomkit.studies.size_laws.rows import OwnDirections
from geomkit.tables.rows import read_csv
from geomkit.tables.tidy import DONOR_COLUMNS, TableWriter

DIRECTIONS = (16, 32, 64)
EXPONENT = 0.5


def planted(folder, sizes=(1000,)):
    """A table in which a metric of each text is a power of the number of directions."""
    table = TableWriter(DONOR_COLUMNS, corpus="sotu", family="f")
    texts = np.arange(6)
    documents = [f"d{text // 2}" for text in texts]
    level = np.linspace(1, 2, texts.size)
    for size in sizes:
        model = {"model": f"m{size}", "seed": None, "params_nonembedding": size, "params_total": size, "depth": 3}
        for k in DIRECTIONS:
            for metric, values in {"erank_covariance": level * k**EXPONENT, "norm_kept": np.full(6, k / 64)}.items():
                cells = {"text": texts.tolist(), "document": documents, "metric": [metric] * 6, "value": values.tolist()}
                where = {"layer": 3, "sublayer": "block", "normalise": "unit", "n": 128, "donor": f"m{size}", "depth": 3, "d": k}
                for variant, columns in {"projected": {}, "common-dimension": model}.items():
                    table.add(**(where | columns | cells | {"bound": [1.0] * 6}), variant=variant)
    table.write(folder / "sotu.parquet", {})
    measure_own_directions([str(folder / "sotu.parquet")], folder / "own.csv", 50, 0)
    return read_csv(folder / "own.csv", OwnDirections)


def test_a_power_of_the_number_of_directions_is_found(tmp_path):
    rows = planted(tmp_path)
    assert [row.directions for row in rows] == [*DIRECTIONS, None]
    assert [row.value for row in rows[:3]] == pytest.approx([1.5 * k**EXPONENT for k in DIRECTIONS])
    assert [row.norm_kept for row in rows] == [0.25, 0.5, 1.0, None]
    assert (rows[3].value, rows[3].low, rows[3].high) == pytest.approx((EXPONENT,) * 3), "texts share the exponent"
    assert {(row.layer, row.length, row.documents) for row in rows} == {("last", 128, 3)}
    assert rows[0].low < rows[0].value < rows[0].high


def test_a_family_of_several_sizes_has_no_row(tmp_path):
    assert planted(tmp_path, (1000, 2000)) == []


def test_a_slope_takes_three_numbers_of_directions_and_positive_means():
    draws = np.ones((2, 3))
    assert Curve(np.array([1, 2]), np.ones((2, 2)), draws).slope() is None
    assert Curve(np.array([1, 2, 4]), np.array([[1.0, 1.0], [1, 1], [0, 0]]), draws).slope() is None
