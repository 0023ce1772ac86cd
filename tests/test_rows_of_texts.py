"""A corpus with one row for each text: its metrics, resamples, null for width, and places, against brute force on its rows."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from geomkit.core.provenance import rng
from geomkit.core.state import State
from geomkit.laws.resampling import Documents, percentile_interval
from geomkit.measures.entropy import measure
from geomkit.measures.resampled_rows import resampled_metrics
from geomkit.measures.spectra import (
    CovarianceAccumulator,
    is_centred,
    is_unit,
    modes,
    normalise,
    reweighted,
    row_spectrum,
    spectrum,
)
from geomkit.states.families import opened_families
from geomkit.states.projected_texts import projected_texts
from geomkit.states.spectra import write_spectra
from geomkit.states.texts import Texts
from geomkit.studies.entropy.analyse import measure_spectra
from geomkit.studies.entropy.figure_means import collect_points
from geomkit.studies.entropy.width_nulls import measure_width_nulls
from geomkit.studies.published.rows import PublishedValue
from geomkit.studies.size_laws.exponents import compare_exponents
from geomkit.studies.size_laws.resamples import resample_corpora
from geomkit.studies.size_laws.rows import NullSlope, Point, Slope
from geomkit.tables.measurements import Where, read_measurements, read_resamples
from geomkit.tables.rows import read_csv, write_csv
from geomkit.tables.tidy import merge

DOCUMENTS = [f"d{text // 2}" for text in range(20)]
TOKENS, DEPTH, RESAMPLES = 6, 2, 40
TEXTS = Texts(DOCUMENTS, [TOKENS] * 20, [1] * 20)
WIDTHS = {"f-4": 4, "f-6": 6, "f-9": 9}
MODES, METRICS = ["unit", "centre"], ["erank_covariance", "rate_distortion"]
VARIANTS = ("trained", "shuffled", "untrained-0", "gaussian")


def states(model: str, variant: str) -> np.ndarray:
    """Rows (texts, tokens, d) of the last block."""
    draw, d = rng(0, model, variant), WIDTHS[model]
    return draw.standard_normal((20, TOKENS, d)) * np.arange(1, d + 1) ** -0.5 + 0.4 * draw.standard_normal((20, 1, d))


def pooled(model: str, variant: str, kind: str) -> np.ndarray:
    rows = states(model, variant)
    return rows[:, -1] if kind == "last" else rows.mean(axis=1)


@pytest.fixture(scope="module")
def spectra(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spectra")
    paths = [folder / model / "c.h5" for model in WIDTHS]
    for path in paths:
        model, size = path.parent.name, WIDTHS[path.parent.name] ** 2
        with write_spectra(path, TEXTS, {"params_nonembedding": size, "params_total": size, "depth": DEPTH}, {}) as writer:
            for variant in VARIANTS:
                rows = states(model, variant)
                for mode in MODES:
                    whole = normalise(rows.reshape(-1, rows.shape[-1]), mode)
                    writer.corpus(variant, mode, State(DEPTH), row_spectrum(whole, is_centred(mode)))
                    writer.texts(variant, mode, State(DEPTH), row_spectrum(normalise(rows, mode), is_centred(mode)))
                    for number, part in enumerate(np.split(whole, 10)):
                        if variant != "gaussian":
                            own = CovarianceAccumulator(rows.shape[-1]).update(part)
                            writer.document(variant, mode, State(DEPTH), number, own)
                for kind in ("last", "mean"):
                    writer.pooled(variant, State(DEPTH), kind, pooled(model, variant, kind))
    return paths


@pytest.fixture(scope="module")
def families():
    return dict.fromkeys(WIDTHS, "f"), dict.fromkeys(WIDTHS, 0)


@pytest.fixture(scope="module")
def table(spectra, families, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    parts = []
    for path in spectra:
        parts.append(folder / path.parent.name / "c.parquet")
        measure_spectra(path, parts[-1], "f", 0, METRICS, {"eps2": 0.5})
    parts.append(folder / "nulls" / "c.parquet")
    measure_width_nulls(spectra, *families, parts[-1], MODES, [TOKENS], METRICS, {"eps2": 0.5})
    merge(parts, folder / "entropy.parquet")
    return folder / "entropy.parquet"


@pytest.fixture(scope="module")
def resampled(spectra, families, tmp_path_factory):
    path = tmp_path_factory.mktemp("resamples") / "c.parquet"
    resample_corpora(spectra, *families, path, MODES, METRICS, {"eps2": 0.5}, RESAMPLES, 3)
    return path


def expected(cloud: np.ndarray, mode: str, metric: str) -> float:
    return float(measure(spectrum(cloud, mode), [metric], **({"eps2": 0.5} if metric == "rate_distortion" else {}))[metric].value)


@pytest.mark.parametrize("kind", ["last", "mean"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("metric", METRICS)
def test_a_cloud_of_whole_texts_is_that_of_its_rows_and_a_place_of_its_own(table, kind, mode, metric):
    found = read_measurements(table, "f", "c")
    for variant in VARIANTS:
        values = [expected(pooled(model, variant, kind), mode, metric) for model in WIDTHS]
        layer = "last"
        where = Where(layer, mode, None, metric, rows=kind)
        assert found.variants[variant][where][:, 0] == pytest.approx(values)
        tokens = found.variants[variant][Where(layer, mode, None, metric)]
        assert not np.allclose(tokens[:, 0], values), "the cloud of tokens is another"
        assert found.variants[variant][Where(layer, mode, TOKENS, metric)].shape == (3, 20)


def test_a_table_without_the_column_is_of_tokens(table, tmp_path):
    old = pq.read_table(table)
    tokens = [rows in (None, "tokens") for rows in old["rows"].to_pylist()]
    pq.write_table(old.filter(tokens).drop_columns(["rows"]), tmp_path / "old.parquet")
    before, now = (read_measurements(path, "f", "c") for path in (tmp_path / "old.parquet", table))
    for variant, arrays in before.variants.items():
        own = {where: values for where, values in now.variants[variant].items() if where.rows == "tokens"}
        assert list(arrays) == list(own)
        assert all(np.array_equal(arrays[where], own[where], equal_nan=True) for where in own)


@pytest.mark.parametrize("kind", ["last", "mean"])
@pytest.mark.parametrize("mode", MODES)
def test_the_null_for_width_is_the_widest_models_rows_on_its_leading_directions(spectra, families, table, kind, mode):
    tokens = normalise(states("f-9", "trained").reshape(-1, 9), mode)
    basis = np.linalg.svd(tokens, full_matrices=False)[2]
    rows = normalise(pooled("f-9", "trained", kind), mode)
    found = read_measurements(table, "f", "c").variants["projected"]
    for place, (_, width) in enumerate(WIDTHS.items()):
        part = rows @ basis[:width].T
        if is_unit(mode):
            part /= np.linalg.norm(part, axis=1, keepdims=True)
        value = measure(row_spectrum(part, is_centred(mode)), ["erank_covariance"])["erank_covariance"].value
        assert found[Where("last", mode, None, "erank_covariance", rows=kind)][place, 0] == pytest.approx(value)
    own = expected(pooled("f-9", "trained", kind), mode, "erank_covariance")
    assert value == pytest.approx(own), "at its own width the null is the model"
    with opened_families(spectra, *families) as groups:
        assert "normalised again" in projected_texts(groups["f"], "raw", "last", kind)
        assert "one size" in projected_texts(groups["f"][:1], mode, "last", kind)


@pytest.mark.parametrize("mode", MODES)
def test_resamples_scatter_about_the_value_and_are_of_the_same_documents(resampled, table, mode):
    found = read_resamples(resampled, "f", dict.fromkeys(WIDTHS, DEPTH))
    where = Where("last", mode, None, "erank_covariance", rows="last")
    counts = Documents.draw([f"d{k}" for k in range(10)], RESAMPLES, rng(3, "corpus", "c")).counts
    for variant in ("trained", "shuffled", "untrained-0"):
        for place, model in enumerate(WIDTHS):
            rows = normalise(pooled(model, variant, "last"), mode)
            drawn = []
            for count in counts.astype(int):
                cloud = np.repeat(rows, np.repeat(count, 2), axis=0)
                values = np.linalg.eigvalsh(cloud.T @ cloud)
                shares = values[values > 1e-12] / values.sum()
                drawn.append(np.exp(-np.sum(shares * np.log(shares))))
            value = expected(pooled(model, variant, "last"), mode, "erank_covariance")
            assert found[variant][where][place] == pytest.approx(np.array(drawn) - np.mean(drawn) + value)
    assert found["projected"][where].shape == (3, RESAMPLES)
    assert found["projected"][where][2] == pytest.approx(found["trained"][where][2]), "the donor at its own width"


def test_exponents_have_the_projected_donor_as_their_null_and_a_primary_place_may_have_rows(table, resampled, tmp_path):
    paths = {name: tmp_path / f"{name}.csv" for name in ("slopes", "null_slopes")}
    published = tmp_path / "published.csv"
    write_csv(published, PublishedValue, [])
    primary = {"metrics": ["erank_covariance"], "layer": "last", "length": None, "normalise": "centre", "rows": "last"}
    compare_exponents(
        table, [resampled], published, **paths, fits=tmp_path / "fits.json", primary=primary, exploratory=[], resamples=RESAMPLES,
        held_out=1, seed=0,
    )  # fmt: skip
    slopes = read_csv(paths["slopes"], Slope)
    (one,) = [row for row in slopes if row.primary and row.against == "width"]
    assert (one.rows, one.length, one.normalise) == ("last", None, "centre")
    values = [expected(pooled(model, "trained", "last"), "centre", "erank_covariance") for model in WIDTHS]
    assert one.slope == pytest.approx(np.polyfit(np.log([4, 6, 9]), np.log(values), 1)[0])
    nulls = {row.null: row for row in read_csv(paths["null_slopes"], NullSlope) if row.key == one.key}
    assert {"projected", "fixed-spectrum", "stretched", "untrained", "shuffled", "gaussian"} <= set(nulls)
    assert nulls["projected"].difference == pytest.approx(one.slope - nulls["projected"].slope)
    assert nulls["projected"].measurement_low < nulls["projected"].difference < nulls["projected"].measurement_high
    collect_points(table, tmp_path / "points.csv", primary, [], RESAMPLES, 0, [resampled])
    points = {(row.model, row.variant): row for row in read_csv(tmp_path / "points.csv", Point) if row.metric != "loss"}
    drawn = read_resamples(resampled, "f", dict.fromkeys(WIDTHS, DEPTH))["trained"]
    for place, (model, value) in enumerate(zip(WIDTHS, values, strict=True)):
        row = points[model, "trained"]
        ends = percentile_interval(drawn[Where("last", "centre", None, "erank_covariance", rows="last")][place])
        assert (row.value, row.low, row.high) == pytest.approx((value, *ends))
        assert (row.rows, row.length, row.primary, row.documents) == ("last", None, True, 10)


# resampled rows


@pytest.mark.parametrize(("n", "d"), [(12, 5), (6, 9)])
@pytest.mark.parametrize("mode", list(modes))
def test_reweighted_rows_are_repeated_rows(n, d, mode):
    rows = normalise(rng(1, n, d).standard_normal((n, d)), mode)
    weights = rng(2, n).multinomial(n, np.full(n, 1 / n), size=5)
    found = reweighted(rows, weights, is_centred(mode))
    assert reweighted(rows, np.ones((1, n)), is_centred(mode)).eigenvalues[0] == pytest.approx(
        row_spectrum(rows, is_centred(mode)).eigenvalues
    )
    for values, weight in zip(found.eigenvalues, weights, strict=True):
        again = np.linalg.svd(np.repeat(rows, weight, axis=0), compute_uv=False) ** 2 / n
        np.testing.assert_allclose(values[: again.size], again[: found.m], rtol=1e-9, atol=1e-12)


def test_intervals_cover_where_resamples_alone_would_lie_below():
    """Rows of 30 documents in 24 dimensions: a plain percentile interval of the effective rank hardly ever covers its mean."""
    draw, scale, names = rng(4), np.arange(1, 25) ** -0.25, np.repeat(np.arange(30), 2)
    weights = Documents.draw(names, 80, draw).draws.T
    values, intervals, plain = [], [], []
    for _ in range(120):
        rows = (draw.standard_normal((30, 1, 24)) + draw.standard_normal((30, 2, 24))).reshape(60, 24) * scale
        one = resampled_metrics(normalise(rows, "centre"), weights, True, ["erank_covariance"], {})["erank_covariance"]
        again = measure(reweighted(normalise(rows, "centre"), weights, True), ["erank_covariance"])["erank_covariance"].value
        assert one.drawn.mean() == pytest.approx(float(one.measured.value))
        values.append(float(one.measured.value))
        intervals.append(percentile_interval(one.drawn))
        plain.append(percentile_interval(again))
    truth = np.mean(values)
    covered, missed = (np.mean([low <= truth <= high for low, high in ends]) for ends in (intervals, plain))
    assert covered > 0.85
    assert missed < 0.5
