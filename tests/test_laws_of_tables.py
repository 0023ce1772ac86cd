"""The scaling stage on a table of two families whose laws are known."""

import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from geomkit.measures.entropy import Measurement
from geomkit.measures.spectra import Spectrum
from geomkit.store.measured import families, read_measured
from geomkit.store.metric_rows import add_metrics
from geomkit.store.tables import TableWriter, merge, read_csv

ROOT = Path(__file__).parents[1]
SIZES = {"s": 1e4, "m": 4e4, "l": 2e5, "xl": 1e6}
EXPONENTS = {"trained": -0.1, "fixed-spectrum": -0.25, "stretched": 0.1, "untrained-0": 0.0, "untrained-1": 0.2}
TEXTS = np.exp(0.2 * np.sin(np.arange(12)))
PRIMARY = {"metrics": ["erank_covariance"], "layer": "last", "length": 64, "normalise": "unit"}


def value(family: str, size: float, seed: int, variant: str, layer: str) -> np.ndarray:
    """Values of the texts: a power law in the larger family, a flat one in the other."""
    law = EXPONENTS[variant] if family == "125" else 0.0
    return TEXTS * size**law * (1.0 if layer == "last" else 2.0) * 1.01**seed


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two families, one with two seeds and a name like a number; widths, depths and rows in no order."""
    folder = tmp_path_factory.mktemp("tables")
    for family, (name, size), seed in product(("125", "other"), reversed(SIZES.items()), range(2)):
        if family == "other" and seed:
            continue
        depth = 3 if name == "s" else 5
        writer = TableWriter(
            model=f"{family}-{name}-{seed}",
            family=family,
            seed=seed,
            params_nonembedding=int(size),
            params_total=int(2 * size),
            depth=depth,
            corpus="c",
        )
        for variant, (layer, number) in product(EXPONENTS, {"last": depth, "final": depth + 1, "inner": 1}.items()):
            spectrum = Spectrum(np.ones((12, 8)), 64, int(np.sqrt(size)))
            results = {"erank_covariance": Measurement(value(family, size, seed, variant, layer), None)}
            rows = {"text": np.arange(12), "document": [f"d{text // 3}" for text in range(12)], "sublayer": "block"}
            add_metrics(writer, spectrum, results, **rows, layer=number, normalise="unit", variant=variant)
        writer.add(variant="trained", text=-1, metric="loss", value=4 * size**-0.05, n=9)
        writer.write(folder / f"{family}-{name}-{seed}" / "c.parquet", {})
    merge(sorted(folder.glob("*/c.parquet")), folder / "all.parquet")
    return folder / "all.parquet"


@pytest.fixture(scope="module")
def scaling() -> Callable[..., None]:
    """The script's function, without the job around it."""
    source = (ROOT / "workflow/scripts/scaling.py").read_text().split("with logged(")[0]
    module = ModuleType("scaling_script")
    sys.modules["scaling_script"] = module
    exec(compile(source, "scaling.py", "exec"), module.__dict__)
    return module.main


def test_arrays_hold_one_family_in_order_of_size(table):
    assert families(table) == [("125", "c"), ("other", "c")]
    measured = read_measured(table, "125", "c")
    assert [model.name for model in measured.models] == [f"125-{name}-{seed}" for name, seed in product(SIZES, range(2))]
    assert [model.width for model in measured.models][::2] == [int(np.sqrt(size)) for size in SIZES.values()]
    assert measured.documents == [f"d{text // 3}" for text in range(12)]
    for variant, layer in product(EXPONENTS, ("last", "final")):
        expected = [value("125", size, seed, variant, layer) for size, seed in product(SIZES.values(), range(2))]
        np.testing.assert_array_equal(measured.variants[variant][layer, "unit", 64, "erank_covariance"], expected)
    twins = measured.nulls(("last", "unit", 64, "erank_covariance"))["untrained"]
    np.testing.assert_allclose(twins[0], (TEXTS + TEXTS * 1e4**0.2) / 2)


def test_slopes_are_those_of_the_laws_that_the_table_was_made_from(table, scaling, tmp_path):
    published = ROOT / "workflow/resources/published/matrix_entropy.csv"
    outputs = [tmp_path / name for name in ("slopes.csv", "fits.json", "entropy_loss.json")]
    scaling(table, published, *outputs, PRIMARY, 100, 1, 0)
    rows = {(row["family"], row["layer"], row["against"]): row for row in read_csv(outputs[0])}
    row = rows["125", "last", "params_nonembedding"]
    assert (row["primary"], row["verdict"]) == (1, "beyond width: between the nulls")
    assert [row[name] for name in ("slope", "low", "high")] == pytest.approx([-0.1] * 3, abs=1e-6)
    assert row["fixed-spectrum slope"] == pytest.approx(-0.25, abs=1e-5)
    assert row["fixed-spectrum difference"] == pytest.approx(0.15, abs=1e-5)
    assert row["stretched slope"] == pytest.approx(0.1, abs=1e-5)
    assert row["stretched difference"] == pytest.approx(-0.2, abs=1e-5)
    assert row["stretched measurement_low"] == pytest.approx(-0.2, abs=1e-5)
    assert rows["125", "last", "width"]["slope"] == pytest.approx(-0.2, abs=1e-4)
    assert rows["125", "final", "params_nonembedding"]["primary"] == 0
    assert rows["other", "last", "params_nonembedding"]["slope"] == pytest.approx(0, abs=1e-9)
    assert {row["family"] for row in rows.values()} == {"125", "other", "cerebras-gpt (published)", "pythia (published)"}
