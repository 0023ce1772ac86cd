"""The scaling stage on a table of two families whose laws are known."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from geomkit.core.errors import DataError
from geomkit.core.state import State
from geomkit.laws.exponents import Verdict
from geomkit.measures.entropy import Measurement
from geomkit.measures.spectra import Spectrum
from geomkit.studies.size_laws.exponents import Ladder, compare_exponents
from geomkit.studies.size_laws.rows import NullSlope, Slope, by_slope
from geomkit.tables.fits import MetricLaw
from geomkit.tables.measurements import LOSS, SHARED, Where, beside, families, read_measurements
from geomkit.tables.rows import read_csv, read_json
from geomkit.tables.tidy import TableWriter, merge, write_resamples

ROOT = Path(__file__).parents[1]
SIZES = {"s": 1e4, "m": 4e4, "l": 2e5, "xl": 1e6}
EXPONENTS = {"trained": -0.1, "fixed-spectrum": -0.25, "stretched": 0.1, "untrained-0": 0.0, "untrained-1": 0.2}
BEND = {"trained": 0.3, "stretched": 0.5}
"""Exponents of a metric of the corpus, m, which moves by DRAWN in its resamples, and its null by the half."""
DRAWN = np.linspace(-0.02, 0.02, 101)
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
            writer.add_metrics(spectrum, results, **rows, layer=number, normalise="unit", variant=variant)
        for variant in ("trained", "stretched"):
            writer.add(
                variant=variant,
                text=-1,
                layer=depth,
                sublayer="block",
                normalise="unit",
                metric="m",
                value=size ** BEND[variant],
                n=9,
            )
        for text, tokens in ((-1, 78), *enumerate(range(1, 13))):
            document = None if text < 0 else f"d{text // 3}"
            writer.add(variant="trained", text=text, document=document, metric="loss", value=4 * size**-0.05, n=tokens)
        writer.write(folder / f"{family}-{name}-{seed}" / "c.parquet", {})
    merge(sorted(folder.glob("*/c.parquet")), folder / "all.parquet")
    return folder / "all.parquet"


def test_arrays_hold_one_family_in_order_of_size(table):
    assert families(table) == [("125", "c"), ("other", "c")]
    measured = read_measurements(table, "125", "c", SHARED)
    assert [model.name for model in measured.models] == [f"125-{name}-{seed}" for name, seed in product(SIZES, range(2))]
    assert [model.width for model in measured.models][::2] == [int(np.sqrt(size)) for size in SIZES.values()]
    assert measured.documents == [f"d{text // 3}" for text in range(12)]
    for variant, layer in product(EXPONENTS, ("last", "final")):
        expected = [value("125", size, seed, variant, layer) for size, seed in product(SIZES.values(), range(2))]
        np.testing.assert_array_equal(measured.variants[variant][Where(layer, "unit", 64, "erank_covariance")], expected)
    twins = beside(measured.variants, Where("last", "unit", 64, "erank_covariance"))["untrained"]
    np.testing.assert_allclose(twins[0], (TEXTS + TEXTS * 1e4**0.2) / 2)


def test_one_place_has_one_array_whether_its_layer_is_named_by_word_number_or_state(table):
    """A number is each model's own layer: 3 is the last of the smallest size alone, and 5 that of all others."""
    measured = read_measurements(table, "125", "c")
    deep = np.array([model.depth == 5 for model in measured.models])
    for word, shallow in (("last", 3), ("final", 4)):
        place = Where(word, "unit", 64, "erank_covariance")
        by_word = measured.at(place)
        np.testing.assert_array_equal(by_word, measured.variants["trained"][place])
        for numbers in ((shallow, shallow + 2), (State(shallow), State(shallow + 2))):
            by_number = [measured.at(replace(place, layer=number)) for number in numbers]
            np.testing.assert_array_equal(np.where(deep[:, None], by_number[1], by_number[0]), by_word)
            assert np.isnan(by_number[1][~deep]).all()
    assert {where.layer for where in measured.variants["trained"]} == {1, "last", "final"}
    at_five = read_measurements(table, "125", "c", layers=[5])
    assert {where.layer for where in at_five.variants["trained"]} == {"last"}
    assert [model.name for model in at_five.models] == [model.name for model in measured.models if model.depth == 5]


def test_texts_that_are_too_short_for_any_length_are_among_the_documents_of_losses(tmp_path):
    """A corpus of short texts has laws of the corpus and of the loss, and takes nothing from other corpora."""
    for seed, size in enumerate((100, 400, 1600)):
        writer = TableWriter(
            model=f"m{size}", family="f", seed=seed, params_nonembedding=size, params_total=2 * size, depth=1, corpus="c"
        )
        where = {"variant": "trained", "layer": 1, "sublayer": "block", "normalise": "unit", "metric": "m", "d": 4}
        writer.add(**where, text=-1, value=size**0.3, n=12)
        if size == 100:
            writer.add(**where, text=[0], document=["a"], value=np.ones(1), n=5)
        writer.add(
            variant="trained", text=[0, 1, 2], document=["a", "a", "b"], metric="loss", value=np.ones(3), n=np.array([5, 3, 4])
        )
        writer.write(tmp_path / f"m{size}" / "c.parquet", {})
    merge(sorted(tmp_path.glob("*/c.parquet")), tmp_path / "all.parquet")
    measured = read_measurements(tmp_path / "all.parquet", "f", "c", SHARED)
    assert measured.documents == ["a", "a", "b"]
    assert measured.variants["trained"][Where("last", "unit", 5, "m")].shape == (3, 3)
    ladder = Ladder(measured, {}, 20, np.random.default_rng(0))
    assert ladder.drawn["trained"][LOSS].shape == (3, 20)


def test_two_models_of_one_size_that_no_seed_tells_apart_are_refused(tmp_path):
    """Their mean would be a size of its own, and a law would converge on it."""
    for name in ("one", "other"):
        writer = TableWriter(model=name, family="f", params_nonembedding=100, params_total=200, depth=1, corpus="c")
        writer.add(variant="trained", text=-1, layer=1, sublayer="block", normalise="unit", metric="m", value=1.0, n=9, d=4)
        writer.write(tmp_path / name / "c.parquet", {})
    merge(sorted(tmp_path.glob("*/c.parquet")), tmp_path / "all.parquet")
    with pytest.raises(DataError, match="f: one and other are both of 100 parameters without embeddings"):
        read_measurements(tmp_path / "all.parquet", "f", "c")


def test_losses_are_nats_over_tokens(table):
    loss = read_measurements(table, "125", "c").known_losses()["trained"]
    np.testing.assert_array_equal(loss.tokens, np.tile(np.arange(1.0, 13), (8, 1)))
    np.testing.assert_allclose(
        loss.nats / loss.tokens, np.repeat([4 * size**-0.05 for size in SIZES.values()], 2)[:, None].repeat(12, 1)
    )


@pytest.fixture(scope="module")
def outputs(table, tmp_path_factory) -> dict[str, Path]:
    """What the stage writes of these tables."""
    folder = tmp_path_factory.mktemp("scaling")
    published = ROOT / "workflow/resources/published/matrix_entropy.csv"
    where = {"family": "other", "layer": "last", "normalise": "unit", "metric": "m"}
    resamples = [
        where | {"model": f"other-{name}-0", "variant": variant, "eps2": None, "values": size ** (BEND[variant] + share * DRAWN)}
        for (name, size), (variant, share) in product(SIZES.items(), (("trained", 1), ("stretched", 0.5)))
    ]
    write_resamples(folder / "c.parquet", resamples)
    files = {name: folder / name for name in ("slopes.csv", "null_slopes.csv", "fits.json")}
    compare_exponents(table, [str(folder / "c.parquet")], published, *files.values(), PRIMARY, [], 101, 1, 0)
    return files


def test_slopes_are_those_of_the_laws_that_the_table_was_made_from(outputs):
    found = read_csv(outputs["slopes.csv"], Slope)
    rows = {(row.family, row.layer, row.against, row.metric): row for row in found}
    row = rows["125", "last", "params_nonembedding", "erank_covariance"]
    assert (row.primary, row.verdict, row.length, row.published) == (True, Verdict.NOT_JUDGED, 64, False)
    assert [row.slope, row.low, row.high] == pytest.approx([-0.1] * 3, abs=1e-6)
    nulls = by_slope(read_csv(outputs["null_slopes.csv"], NullSlope))[row.key]
    assert set(nulls) == {"fixed-spectrum", "stretched", "untrained"}
    fixed, stretched = nulls["fixed-spectrum"], nulls["stretched"]
    assert (fixed.slope, fixed.difference) == pytest.approx((-0.25, 0.15), abs=1e-5)
    assert (stretched.slope, stretched.difference, stretched.measurement_low) == pytest.approx((0.1, -0.2, -0.2), abs=1e-5)
    assert rows["125", "last", "width", "erank_covariance"].slope == pytest.approx(-0.2, abs=1e-4)
    assert rows["125", "final", "params_nonembedding", "erank_covariance"].primary is False
    assert rows["other", "last", "params_nonembedding", "erank_covariance"].slope == pytest.approx(0, abs=1e-9)
    assert {(row.family, row.published) for row in found} == {
        ("125", False), ("other", False), ("cerebras-gpt", True), ("pythia", True),
    }  # fmt: skip


def test_of_a_corpus_the_measurement_part_is_that_of_its_resamples(outputs):
    rows = {(row.family, row.metric, row.against): row for row in read_csv(outputs["slopes.csv"], Slope)}
    row = rows["other", "m", "params_nonembedding"]
    assert row.length is None
    assert row.slope == pytest.approx(0.3, abs=1e-5)
    assert [row.measurement_low, row.measurement_high] == pytest.approx([0.281, 0.319], abs=1e-5)
    null = by_slope(read_csv(outputs["null_slopes.csv"], NullSlope))[row.key]["stretched"]
    assert [null.measurement_low, null.measurement_high] == pytest.approx([-0.2095, -0.1905], abs=1e-5)
    assert rows["125", "m", "params_nonembedding"].measurement_low is None


def test_the_loss_has_an_exponent_and_its_measurement_part_too(outputs):
    rows = [row for row in read_csv(outputs["slopes.csv"], Slope) if row.metric == "loss"]
    assert len(rows) == 6
    of_size = [row for row in rows if row.against == "params_nonembedding"]
    for row in of_size:
        assert [row.slope, row.measurement_low, row.measurement_high] == pytest.approx([-0.05] * 3, abs=1e-5)
        assert (row.layer, row.length, row.normalise, row.eps2, row.verdict) == (None, None, None, None, Verdict.NOT_JUDGED)


def test_the_number_of_exponents_that_were_looked_at_stands_beside_each(outputs):
    rows = read_csv(outputs["slopes.csv"], Slope)
    assert {row.combinations for row in rows} == {sum(row.slope is not None for row in rows)}


def test_the_loss_has_no_interval_where_seeds_reject_the_form(outputs):
    """Two seeds of one family have the same loss, so that any misfit but rounding rejects; the other has one seed."""
    laws = {(law.family, law.form): law for law in read_json(outputs["fits.json"], list[MetricLaw]) if law.metric == "loss"}
    assert laws["125", "power"].interval["b"] == pytest.approx((-0.05, -0.05), abs=1e-6)
    assert laws["125", "log_linear"].params
    assert laws["125", "log_linear"].interval == {}
    assert laws["other", "log_linear"].interval["b"]
