"""Intervals over documents: peers, limits, and what they cover."""

import numpy as np
import pytest
from scipy import stats

from geomkit.core.errors import DataError
from geomkit.laws.resampling import Documents
from geomkit.laws.statistics import partial_correlation

NAMES = np.repeat([f"d{number}" for number in range(30)], 8)


@pytest.fixture
def documents():
    return Documents.draw(NAMES, 400, np.random.default_rng(0))


def test_the_mean_is_the_mean_and_its_interval_that_of_documents(documents):
    draw = np.random.default_rng(1)
    own = draw.normal(size=30)
    values = own[np.unique(NAMES, return_inverse=True)[1]] + 0.01 * draw.normal(size=240)
    found = documents.mean(values)
    np.testing.assert_allclose(found.value, values.mean())
    half = stats.norm.ppf(0.975) * own.std() / np.sqrt(30)
    np.testing.assert_allclose(found.high - found.low, 2 * half, rtol=0.15)
    assert found.documents == 30


def test_a_mean_leaves_out_what_is_not_there(documents):
    values = np.arange(240.0)
    values[::3] = np.nan
    values[NAMES == "d3"] = np.nan
    found = documents.mean(values)
    np.testing.assert_allclose(found.value, np.nanmean(values))
    assert found.documents == 29
    assert np.isnan(documents.mean(np.full(240, np.nan)).value)


def test_one_document_has_no_interval():
    found = Documents.draw(["a"] * 5, 100, np.random.default_rng(0)).mean(np.arange(5))
    assert found.value == 2
    assert np.isnan([found.low, found.high]).all()


def test_without_controls_it_is_spearmans(documents):
    x, y = np.random.default_rng(2).random((2, 240)).round(1)
    np.testing.assert_allclose(documents.partial_rank_correlation(x, x + y).value, stats.spearmanr(x, x + y).statistic)


def test_partial_it_is_the_correlation_of_what_controls_leave(documents):
    draw = np.random.default_rng(3)
    controls = draw.random((3, 240))
    x, y = controls[0] + draw.random(240), np.exp(controls.sum(axis=0)) + draw.random(240)
    found = documents.partial_rank_correlation(x, y, controls)
    ranks = stats.rankdata([x, y, *controls], axis=1)
    np.testing.assert_allclose(found.value, partial_correlation(ranks[0], ranks[1], ranks[2:]), rtol=1e-9)
    assert found.low < found.value < found.high


def test_resamples_are_the_correlation_of_repeated_documents():
    draw = np.random.default_rng(4)
    x, y, z = draw.random((3, 240))
    documents = Documents(np.unique(NAMES, return_inverse=True)[1], draw.multinomial(30, np.full(30, 1 / 30), 1).astype(float))
    found = documents.partial_rank_correlation(x, y, [z])
    ranks = stats.rankdata([x, y, z], axis=1)
    again = np.repeat(ranks, documents.counts[0].astype(int)[documents.index], axis=1)
    np.testing.assert_allclose(found.low, partial_correlation(again[0], again[1], again[2:]), rtol=1e-9)


def test_constant_or_repeated_controls_change_nothing(documents):
    x, y, z = np.random.default_rng(5).random((3, 240))
    alone = documents.partial_rank_correlation(x, y, [z]).value
    np.testing.assert_allclose(documents.partial_rank_correlation(x, y, [z, z, np.ones(240)]).value, alone, rtol=1e-8)


@pytest.mark.parametrize("x", [np.ones(240), np.arange(240.0)])
def test_what_does_not_vary_beside_its_controls_has_none(documents, x):
    with pytest.raises(DataError, match="does not vary"):
        documents.partial_rank_correlation(x, np.random.default_rng(6).random(240), [np.arange(240.0)])


def test_nan_is_refused(documents):
    with pytest.raises(DataError, match="finite"):
        documents.partial_rank_correlation(np.full(240, np.nan), np.arange(240.0))


def test_the_interval_covers_and_without_documents_it_would_not():
    draw = np.random.default_rng(7)
    index = np.unique(NAMES, return_inverse=True)[1]
    covered = {"documents": 0, "tokens": 0}
    for _ in range(200):
        values = draw.normal(size=30)[index] + draw.normal(size=240)
        for kind, names in (("documents", NAMES), ("tokens", np.arange(240))):
            found = Documents.draw(names, 200, draw).mean(values)
            covered[kind] += found.low <= 0 <= found.high
    assert covered["documents"] > 178
    assert covered["tokens"] < 150
