"""Slopes, resampling of documents and seeds, and partial correlations against closed forms and peers."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from geomkit.core.errors import DataError
from geomkit.laws import resampling, statistics

ROOT = Path(__file__).parents[1]
DOCUMENTS = np.repeat([f"d{k}" for k in range(40)], 5)
SIZES = np.array([1e6, 4e6, 1e7, 1e8])


def generator(seed=0):
    return np.random.default_rng(seed)


def measured(seed=0, seeds=(3, 1, 2, 3), null=False):
    """For each size (seeds, texts) values of a law 2 x^-0.1, or of its null 3 x^-0.05, with what texts and seeds share."""
    texts, draw = np.exp(0.2 * generator(99).standard_normal(DOCUMENTS.size)), generator(seed)
    level = 3 * SIZES**-0.05 if null else 2 * SIZES**-0.1
    return [mean * texts * np.exp(0.05 * draw.standard_normal((k, 1))) for mean, k in zip(level, seeds, strict=True)]


def bootstrap(values, resamples, draw, null=None, documents=DOCUMENTS):
    """Exponents of values, or of values over null, in resamples of documents and seeds."""
    drawn = resampling.draw_resamples(documents, [len(value) for value in values], resamples, draw)
    return statistics.slope_weights(np.log(SIZES)) @ (drawn.levels(values) - (0 if null is None else drawn.levels(null)))


class TestSlope:
    def test_it_is_that_of_linregress_with_its_t_interval(self):
        x = np.log(SIZES)
        y = -0.1 * x + 0.01 * generator().standard_normal(4)
        line, slope = stats.linregress(x, y), statistics.slope(x, y, level=0.9)
        width = stats.t.ppf(0.95, 2) * line.stderr
        assert tuple(slope) == pytest.approx((line.slope, line.slope - width, line.slope + width, 2))

    def test_exact_data_leave_no_interval(self):
        assert tuple(statistics.slope([0, 1, 2], [5, 3, 1])) == pytest.approx((-2, -2, -2, 1))

    def test_it_covers_the_truth_as_often_as_it_says(self):
        x, draw, covered = np.log(np.geomspace(1, 1e4, 5)), generator(), 0
        for _ in range(1000):
            _, low, high, _ = statistics.slope(x, 0.3 * x + draw.standard_normal(5), level=0.8)
            covered += low <= 0.3 <= high
        assert covered / 1000 == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / 1000))

    @pytest.mark.parametrize(
        ("x", "y"), [([0, 1], [0, 1]), ([1, 1, 1], [0, 1, 2]), ([0, 1, 2], [0, 1, np.nan]), ([0, 1, 2], [0, 1])]
    )
    def test_too_little_is_an_error(self, x, y):
        with pytest.raises(DataError, match="three points"):
            statistics.slope(x, y)


class TestClusterBootstrap:
    def test_documents_come_with_all_of_their_texts(self):
        counts = resampling.Documents.draw(DOCUMENTS, 50, generator()).draws.T
        by_document = counts.reshape(50, 40, 5)
        assert (by_document == by_document[..., :1]).all()
        assert (by_document[..., 0].sum(axis=1) == 40).all()

    def test_spread_of_a_mean_is_that_of_document_means(self):
        documents = generator(1).standard_normal(40)
        values = np.repeat(documents, 5)
        expected = documents.std() / math.sqrt(40)
        clustered, independent = (
            resampling.draw_resamples(names, [], 4000, generator()).means(values) for names in (DOCUMENTS, np.arange(200))
        )
        assert clustered.std() == pytest.approx(expected, rel=0.05)
        assert independent.std() == pytest.approx(expected / math.sqrt(5), rel=0.05)

    def test_seeds_are_drawn_within_each_resample(self):
        seeds = np.array([0.0, 1.0, 2.0])
        counts = resampling.seed_counts(3, 4000, generator()).T
        draws = resampling.over_seeds([np.tile(seeds[:, None], 4000)], [counts])
        assert draws == pytest.approx(seeds[None] @ counts / 3)
        assert draws.std() == pytest.approx(seeds.std() / math.sqrt(3), rel=0.05)

    def test_a_seed_that_is_not_drawn_does_not_spoil_its_size(self):
        draws = resampling.over_seeds([np.array([[np.nan, np.nan], [1.0, 1.0]])], [np.array([[0, 1], [2, 1]])])
        assert draws[0, 0] == 1
        assert np.isnan(draws[0, 1])

    def test_percentiles_leave_out_resamples_without_a_value(self):
        draws = np.r_[np.linspace(0, 1, 1001), np.nan]
        assert resampling.percentile_interval(draws, 0.9) == pytest.approx((0.05, 0.95))


class TestResamples:
    def test_it_is_the_slope_of_each_resample_by_brute_force(self):
        values, null, numbers = measured(), measured(1, null=True), (3, 1, 2, 3)
        drawn = resampling.draw_resamples(DOCUMENTS, numbers, 30, generator(5))

        def exponent(counts, *seeds):
            ratios = [
                np.repeat(np.log(np.repeat(v, counts, axis=1).mean(axis=1) / np.repeat(w, counts, axis=1).mean(axis=1)), k).mean()
                for v, w, k in zip(values, null, seeds, strict=True)
            ]
            return stats.linregress(np.log(SIZES), ratios).slope

        counts = zip(drawn.texts.T.astype(int), *(seeds.T.astype(int) for seeds in drawn.seeds), strict=True)
        expected = [exponent(*resample) for resample in counts]
        assert bootstrap(values, 30, generator(5), null) == pytest.approx(expected, rel=1e-9)

    def test_with_one_document_and_one_seed_it_is_the_slope_of_size_means(self):
        values = measured(seeds=(1, 1, 1, 1))
        expected = statistics.slope(np.log(SIZES), [math.log(value.mean()) for value in values]).value
        draws = bootstrap(values, 3, generator(), documents=np.zeros(200))
        assert draws == pytest.approx([expected] * 3)

    def test_what_value_and_null_share_leaves_their_difference(self):
        values = measured()
        null = [value * x**0.3 for x, value in zip(SIZES, values, strict=True)]
        draws = bootstrap(values, 100, generator(), null)
        assert draws == pytest.approx(np.full(100, -0.3), abs=1e-12)

    def test_a_paired_null_narrows_the_difference(self):
        noise = np.exp(generator(3).standard_normal((4, 200)))
        values = [mean * shared[None] for mean, shared in zip(2 * SIZES**-0.1, noise, strict=True)]
        null = [shared[None] for shared in noise]
        alone = bootstrap(values, 200, generator())
        paired = bootstrap(values, 200, generator(), null)
        assert paired.std() < alone.std() / 1e6

    def test_a_mean_that_is_not_positive_gives_nan(self):
        values = [-value for value in measured()]
        assert np.isnan(bootstrap(values, 5, generator())).all()


class TestPartialCorrelation:
    def test_one_control_has_the_textbook_formula(self):
        z = generator().standard_normal(100)
        x, y = z + generator(1).standard_normal(100), z + generator(2).standard_normal(100)
        r = np.corrcoef([x, y, z])
        expected = (r[0, 1] - r[0, 2] * r[1, 2]) / math.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
        assert statistics.partial_correlation(x, y, z) == pytest.approx(expected)
        assert statistics.partial_correlation(x, y) == pytest.approx(r[0, 1])

    def test_what_only_controls_carry_is_gone(self):
        basis = np.linalg.qr(np.column_stack([np.ones(60), generator().standard_normal((60, 4))]))[0].T[1:]
        x, y = basis[0] + basis[2] + basis[3], basis[1] - basis[2] + 2 * basis[3]
        assert statistics.partial_correlation(x, y, basis[2:]) == pytest.approx(0, abs=1e-12)
        assert abs(statistics.partial_correlation(x, y)) > 0.2

    def test_fisher_interval_covers_the_truth_as_often_as_it_says(self):
        draw, covered = generator(), 0
        for _ in range(1000):
            z, x, y = draw.standard_normal((3, 15))
            _, low, high, freedom = statistics.partial_correlation_interval(x + z, 0.5 * x + y + z, z, level=0.9)
            covered += low <= 0.5 / math.sqrt(1.25) <= high
        assert freedom == 11
        assert covered / 1000 == pytest.approx(0.9, abs=4 * math.sqrt(0.9 * 0.1 / 1000))

    def test_identity_closes_the_interval(self):
        x = np.arange(20.0)
        assert statistics.partial_correlation_interval(x, x) == pytest.approx((1, 1, 1, 17))

    @pytest.mark.parametrize(
        ("x", "y", "controls"),
        [
            ([1, 1, 1, 1, 1], [1, 2, 3, 4, 5], ()),
            ([1, 2, 3, 4, 5], [1, 2, 3, 5, 4], [2, 4, 6, 8, 10]),
            ([1, 2, 3], [1, 3, 2, 4], ()),
        ],
    )
    def test_nothing_left_or_other_lengths_are_an_error(self, x, y, controls):
        with pytest.raises(DataError):
            statistics.partial_correlation(x, y, controls)

    def test_an_interval_needs_a_degree_of_freedom(self):
        with pytest.raises(DataError, match="4 observations"):
            statistics.partial_correlation_interval([1, 2, 3, 4], [1, 3, 2, 4], [1, 2, 2, 1])


@pytest.mark.parametrize("family", ["cerebras-gpt", "pythia"])
def test_published_matrix_entropies_fall_with_their_normaliser_and_are_nearly_flat_without(family):
    with (ROOT / "workflow/resources/published/matrix_entropy.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["family"] == family]
    n, width, ratio = (np.array([float(row[k]) for row in rows]) for k in ("params_nonembedding", "width", "value"))
    assert statistics.partial_correlation(ratio, 1 / np.log(width)) ** 2 > 0.95
    with_null, raw = (statistics.slope(np.log(n), np.log(y)).value for y in (ratio, ratio * np.log(width)))
    assert abs(raw) < abs(with_null) / 3


def test_categories_hold_labels_fixed_whatever_their_effect():
    draw = np.random.default_rng(5)
    size, data = np.repeat([1.0, 2.0, 3.0], 4), np.tile(["a", "b", "c", "d"], 3)
    effect = 10 * draw.standard_normal(3)[np.repeat(range(3), 4)] + 10 * draw.standard_normal(4)[np.tile(range(4), 3)]
    x, y = draw.standard_normal((2, 12))

    def centred(values):
        table = values.reshape(3, 4)
        return (table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()).ravel()

    assert statistics.categories(size, data).shape == (5, 12)
    found = statistics.partial_correlation(x + effect, y - 3 * effect, statistics.categories(size, data))
    assert found == pytest.approx(np.corrcoef(centred(x), centred(y))[0, 1])
