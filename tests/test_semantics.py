"""Distances of documents against closed forms and scipy, agreement against scipy, choices that must not see what scores them."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import pearsonr, spearmanr

from geomkit.core.errors import DataError
from geomkit.measures.semantics import (
    Documents,
    Judged,
    cosine_distance,
    distances,
    draw,
    length_distance,
    pairs,
    random_projection,
    smallest_difference,
    split,
    tfidf,
)
from geomkit.measures.sinks import sinks


def documents(seed=0, sizes=(9, 30, 14, 5), d=12):
    draw = np.random.default_rng(seed)
    return Documents([draw.standard_normal((n, d)) @ draw.standard_normal((d, d)) + draw.standard_normal(d) for n in sizes])


def covariances(docs):
    return [np.cov(rows.T, bias=True) for rows in docs.tokens]


def with_covariance(mean, covariance):
    """2 d rows whose mean and covariance (over n) are exactly those given."""
    d = len(mean)
    root = np.sqrt(d) * np.linalg.cholesky(covariance).T
    return mean + np.vstack([root, -root])


def test_bures_wasserstein_is_that_of_matrix_square_roots():
    docs = documents()
    found, alone, C = distances["bures_wasserstein"](docs), distances["bures"](docs), covariances(docs)
    for i, j in zip(*np.triu_indices(4, 1), strict=True):
        root = sqrtm(C[i] + 1e-14 * np.eye(12)).real
        cross = np.trace(sqrtm(root @ C[j] @ root + 1e-14 * np.eye(12)).real)
        square = np.trace(C[i]) + np.trace(C[j]) - 2 * cross
        assert alone[i, j] == pytest.approx(np.sqrt(square), rel=1e-5)
        assert found[i, j] == pytest.approx(np.sqrt(square + np.square(docs.means[i] - docs.means[j]).sum()), rel=1e-5)


def test_gaussians_with_commuting_covariances_have_a_closed_form():
    draw = np.random.default_rng(1)
    basis = np.linalg.qr(draw.standard_normal((6, 6)))[0]
    values, means = draw.uniform(0.2, 3, (2, 6)), draw.standard_normal((2, 6))
    pair = [with_covariance(mean, basis * value @ basis.T) for mean, value in zip(means, values, strict=True)]
    docs = Documents(pair)
    spread = np.square(np.sqrt(values[0]) - np.sqrt(values[1])).sum()
    assert distances["bures"](docs)[0, 1] == pytest.approx(np.sqrt(spread))
    moved = np.sqrt(spread + np.square(means[0] - means[1]).sum())
    assert distances["bures_wasserstein"](docs)[0, 1] == pytest.approx(moved)
    assert distances["frobenius"](docs)[0, 1] == pytest.approx(np.linalg.norm(values[0] - values[1]))


def test_equal_covariances_leave_the_distance_of_the_means():
    rows = np.random.default_rng(2).standard_normal((20, 4))
    shift = np.array([1.0, -2, 0, 2])
    docs = Documents([rows, rows + shift])
    assert distances["bures_wasserstein"](docs)[0, 1] == pytest.approx(3)
    assert distances["bures"](docs)[0, 1] == pytest.approx(0, abs=1e-6)


def test_frobenius_is_that_of_the_covariances():
    docs = documents()
    C = covariances(docs)
    expected = [[np.linalg.norm(a - b) for b in C] for a in C]
    np.testing.assert_allclose(distances["frobenius"](docs), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["bures_wasserstein", "bures", "frobenius"])
def test_metrics_are_symmetric_and_keep_the_triangle(name):
    docs = documents(3, (4, 7, 20, 9, 13, 5, 40))
    D = distances[name](docs)
    np.testing.assert_array_equal(D, D.T)
    assert not D.diagonal().any()
    assert (pairs(D) > 0).all()
    assert (D[:, None, :] <= D[:, :, None] + D[None, :, :] + 1e-9).all()


@pytest.mark.parametrize("name", list(distances))
def test_distances_do_not_change_with_a_rotation(name):
    docs, Q = documents(4), np.linalg.qr(np.random.default_rng(5).standard_normal((12, 12)))[0]
    np.testing.assert_allclose(distances[name](docs), distances[name](Documents([rows @ Q for rows in docs.tokens])), atol=1e-9)


@pytest.mark.parametrize("name", ["mean_centred_cosine", "last_centred_cosine", "bures", "frobenius"])
def test_what_all_documents_share_does_not_count(name):
    docs = documents(6)
    moved = Documents([rows + 5 for rows in docs.tokens])
    np.testing.assert_allclose(distances[name](docs), distances[name](moved), atol=1e-7)


def test_cosine_distance_of_parallel_opposite_and_orthogonal_rows():
    np.testing.assert_allclose(cosine_distance([[1, 0], [3, 0], [0, 2], [-1, 0]])[0], [0, 0, 1, 2], atol=1e-15)
    docs = documents()
    last = np.stack([rows[-1] for rows in docs.tokens])
    unit = last / np.linalg.norm(last, axis=1, keepdims=True)
    np.testing.assert_allclose(distances["last_cosine"](docs), 1 - unit @ unit.T, atol=1e-12)
    with pytest.raises(DataError, match="document 1: a zero vector"):
        cosine_distance([[1, 0], [0, 0]])


def test_documents_are_cut_to_the_shortest():
    docs = documents()
    cut = docs.equal_sizes(np.random.default_rng(0))
    assert [len(rows) for rows in cut.tokens] == [5] * 4
    assert all((rows[:, None] == whole).all(-1).any(1).all() for rows, whole in zip(cut.tokens, docs.tokens, strict=True))
    np.testing.assert_array_equal(cut.tokens[3], docs.tokens[3])


@pytest.mark.parametrize("wrong", [[np.ones((2, 3))], [np.ones((2, 3)), np.ones((2, 4))], [np.ones((2, 3)), np.ones((0, 3))]])
def test_documents_that_do_not_fit_are_refused(wrong):
    with pytest.raises(DataError):
        Documents(wrong)


# baselines


def test_document_frequencies_are_those_of_the_background():
    vectors = tfidf(["boat fish", "boat"], ["boat", "boat sea", "boat"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1)
    boat, fish = vectors[0][vectors[1] > 0][0], vectors[0][(vectors[1] == 0) & (vectors[0] > 0)][0]
    assert fish / boat == pytest.approx((np.log(4 / 1) + 1) / (np.log(4 / 4) + 1))  # df 0 and 3 of 3 documents


def test_random_projection_tends_to_distances_of_token_frequencies():
    ids = [[5, 5, 9], [9, 9, 9, 5], [7], [7, 7]]
    counts = np.array([[2 / 3, 1 / 3, 0], [1 / 4, 3 / 4, 0], [0, 0, 1], [0, 0, 1]])
    rows = random_projection(ids, 200_000, np.random.default_rng(0))
    np.testing.assert_allclose(rows @ rows.T, counts @ counts.T, atol=0.01)
    np.testing.assert_array_equal(rows[2], rows[3])


def test_lengths_alone():
    np.testing.assert_allclose(length_distance([2, 4, 2]), np.log(2) * np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]))


# agreement


def judged(documents=12, measures=4, signal=(), kind="pearson", seed=0):
    draw = np.random.default_rng(seed)
    size = documents * (documents - 1) // 2
    human = draw.standard_normal(size)
    rows = draw.standard_normal((measures, size))
    for index, weight in enumerate(signal):
        rows[index] += weight * human
    return Judged(rows, human, kind), rows, human


def test_correlations_are_those_of_scipy():
    for kind, peer in (("pearson", pearsonr), ("spearman", spearmanr)):
        found, rows, human = judged(signal=(1, 2), kind=kind)
        np.testing.assert_allclose(found.correlations(), [peer(row, human).statistic for row in rows], rtol=1e-12)


def test_a_resample_is_the_correlation_of_its_pairs_without_documents_and_their_own_copies():
    found, rows, human = judged(8, 2, (1,))
    counts = draw(8, 1, np.random.default_rng(3))[0]
    place = np.zeros((8, 8), dtype=int)
    place[np.triu_indices(8, 1)] = np.arange(28)
    place += place.T
    drawn = np.repeat(np.arange(8), counts.astype(int))
    kept = [place[a, b] for i, a in enumerate(drawn) for b in drawn[i + 1 :] if a != b]
    np.testing.assert_allclose(found.correlations(counts), [pearsonr(row[kept], human[kept]).statistic for row in rows])


def test_intervals_hold_the_value_and_are_wider_than_those_of_independent_pairs():
    """Similarities with an effect of each document: pairs go together."""
    draws = np.random.default_rng(4)
    effect, noise = draws.standard_normal((2, 30)), draws.standard_normal((2, 435))
    first, second = np.triu_indices(30, 1)
    rows = effect[:, first] + effect[:, second] + 0.3 * noise
    found = Judged(rows[:1], rows[1]).agreement(1000, np.random.default_rng(5))[0]
    assert found.low < found.value < found.high
    assert found.high - found.low > 2 * 2 * 1.96 / np.sqrt(435)


def test_a_choice_among_noise_is_scored_at_zero_though_the_best_of_it_looks_good():
    found, *_ = judged(16, 200, (), seed=6)
    choice = found.choice(range(1, 200), 0, np.random.default_rng(7), halves=50, resamples=40)
    assert found.correlations().max() > 0.2
    assert abs(choice.score.value) < 0.08
    assert choice.chosen.sum() == pytest.approx(1)


def test_a_measure_that_agrees_is_chosen_and_beats_the_baseline():
    found, *_ = judged(20, 6, (0.2, 0, 0, 3), seed=8)
    choice = found.choice([1, 2, 3, 4, 5], 0, np.random.default_rng(9), halves=40, resamples=100)
    assert choice.chosen[2] == 1
    assert choice.difference.low > 0
    assert choice.difference.value == pytest.approx(choice.score.value - choice.baseline.value)
    assert 0 < choice.least < choice.difference.value


def test_halves_share_no_document():
    counts = draw(20, 1, np.random.default_rng(0))[0]
    sides = split(counts, 30, np.random.default_rng(1))
    drawn = np.count_nonzero(counts)
    assert set(sides.sum(axis=1)) == {(drawn + 1) // 2}
    found, *_ = judged(20, 1)
    assert not (found.weights(counts * sides) * found.weights(counts * (1 - sides))).any()


def test_smallest_difference_of_a_known_error():
    drawn = np.random.default_rng(0).standard_normal(100_000)
    assert smallest_difference(0.1 * drawn) == pytest.approx(0.28016, rel=0.01)


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(DataError, match="not of the same pairs"):
        Judged(np.ones((1, 4)), np.ones(4))
    with pytest.raises(DataError, match="pearson or spearman"):
        Judged(np.ones((1, 3)), np.ones(3), "kendall")
    with pytest.raises(DataError, match="six documents"):
        judged(5)[0].choice([1], 0, np.random.default_rng(0))


# sinks


def test_a_sink_is_one_at_all_layers_and_higher_thresholds_find_fewer():
    norms = np.ones((3, 8))
    norms[1, 0], norms[2, 5] = 200, 7
    assert np.flatnonzero(sinks(norms)).tolist() == [0]
    assert np.flatnonzero(sinks(norms, 5)).tolist() == [0, 5]
    assert np.flatnonzero(sinks(norms, 100)).tolist() == [0]
    assert not sinks(norms, 300).any()
    np.testing.assert_array_equal(sinks(norms * [[1], [1e-3], [50]], 5), sinks(norms, 5))
    with pytest.raises(DataError, match="threshold must be at least 1"):
        sinks(norms, 0.5)
