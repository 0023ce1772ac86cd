"""Similarity of clouds: closed forms, brute force over pairs and exchanges, properties, and intervals that cover."""

from itertools import permutations

import numpy as np
import pytest

import geomkit
from geomkit.core.errors import ConfigError, DataError
from geomkit.measures import similarity as module
from geomkit.measures.similarity import Clouds, cka, mutual_neighbours, similarities, similarity

SIZES = [3, 7, 2, 8, 1, 6, 5, 4, 9, 5]
DOCUMENTS = np.repeat(np.arange(len(SIZES)), SIZES)
NUMBERS = ("value", "low", "high", "raw", "null")


def rotation(d: int, draw: np.random.Generator) -> np.ndarray:
    return np.linalg.qr(draw.standard_normal((d, d)))[0]


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Two clouds that share some directions, with documents that are alike inside."""
    draw = np.random.default_rng(0)
    X = draw.standard_normal((len(DOCUMENTS), 7)) + 2 * draw.standard_normal((len(SIZES), 7))[DOCUMENTS]
    return X, np.c_[X[:, :4] @ draw.standard_normal((4, 5)), draw.standard_normal((len(X), 4))]


def hsic(K: np.ndarray, L: np.ndarray) -> float:
    """Song et al. 2012, equation 5, as it is written."""
    n = len(K)
    K, L, one = K - np.diag(np.diag(K)), L - np.diag(np.diag(L)), np.ones(len(K))
    both = one @ K @ one * (one @ L @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ K @ L @ one)
    return float((np.trace(K @ L) + both) / (n * (n - 3)))


def brute_cka(X: np.ndarray, Y: np.ndarray) -> float:
    K, L = X @ X.T, Y @ Y.T
    return hsic(K, L) / np.sqrt(hsic(K, K) * hsic(L, L))


def brute_neighbours(X: np.ndarray, Y: np.ndarray, documents: np.ndarray, k: int) -> float:
    """Overlap of sorted lists, for rows without ties."""
    found = []
    for token in range(len(X)):
        others = np.flatnonzero(documents != documents[token])
        near = [others[np.argsort(np.linalg.norm(Z[others] - Z[token], axis=1))[:k]] for Z in (X, Y)]
        found.append(len(np.intersect1d(*near)) / k)
    return float(np.mean(found))


@pytest.mark.parametrize("most", [10**6, 0], ids=["Gram matrices", "products of columns"])
def test_cka_is_the_unbiased_estimator_and_its_interval_that_of_a_jackknife(pair, most, monkeypatch):
    monkeypatch.setattr(module, "MOST_TOKENS", most)
    X, Y = pair
    found = similarity(X, Y, DOCUMENTS, ["cka"])["cka"]
    assert found.raw == pytest.approx(brute_cka(X, Y), abs=1e-10)
    left_out = [similarity(X[own], Y[own], DOCUMENTS[own], ["cka"])["cka"].value for own in map(DOCUMENTS.__ne__, range(10))]
    error = np.sqrt(9 / 10 * np.square(left_out - np.mean(left_out)).sum())
    assert found.value - found.low == pytest.approx(2.2621571628 * error, rel=1e-9)
    assert found.high == pytest.approx(min(found.value + 2.2621571628 * error, 1), rel=1e-9)


def test_a_cloud_without_documents_and_one_with_a_document_for_each_row_are_the_same(pair):
    one, other = similarity(*pair), similarity(*pair, [f"d{row}" for row in range(len(DOCUMENTS))])
    for name in similarities:
        assert list(vars(one[name]).values()) == pytest.approx(list(vars(other[name]).values()), abs=1e-12)
    assert one["cka"].null == 0
    assert one["mutual_neighbours"].null == pytest.approx(10 / (len(DOCUMENTS) - 1))


@pytest.mark.parametrize("documents", [None, DOCUMENTS])
def test_neighbours_are_those_of_sorted_distances(pair, documents):
    names = np.arange(len(DOCUMENTS)) if documents is None else documents
    found = similarity(*pair, documents, k=4)["mutual_neighbours"]
    assert found.raw == pytest.approx(brute_neighbours(*pair, names, 4), abs=1e-12)


def exchanged(sizes: list[int]) -> list[np.ndarray]:
    """Every order of tokens in which documents of one size stand in each other's place, with their tokens in any order."""
    starts = np.cumsum([0, *sizes])
    inside = list(permutations(range(sizes[0])))
    orders = []
    for documents in permutations(range(len(sizes))):
        whole = [[]]
        for document in documents:
            whole = [[*one, *(starts[document] + np.array(own))] for one in whole for own in inside]
        orders += map(np.array, whole)
    return orders


def test_the_null_is_the_mean_over_all_exchanges_of_documents():
    draw = np.random.default_rng(1)
    documents = np.repeat(np.arange(4), 2)
    X, Y = (draw.standard_normal((8, 3)) + 2 * draw.standard_normal((4, 3))[documents] for _ in range(2))
    orders = exchanged([2] * 4)
    assert len(orders) == 24 * 16
    found = similarity(X, Y, documents, k=2)
    assert found["cka"].null == pytest.approx(np.mean([brute_cka(X, Y[order]) for order in orders]), abs=1e-12)
    assert abs(found["cka"].null) > 0.01
    mean = np.mean([brute_neighbours(X, Y[order], documents, 2) for order in orders])
    assert found["mutual_neighbours"].null == pytest.approx(mean, abs=1e-12)


def test_the_value_is_calibrated_by_the_null(pair):
    for found in similarity(*pair, DOCUMENTS).values():
        assert found.value == pytest.approx((found.raw - found.null) / (1 - found.null))
        assert found.low < found.value < found.high <= 1


def test_a_rotated_shifted_and_scaled_copy_is_equal(pair):
    draw = np.random.default_rng(2)
    X, _ = pair
    for found in similarity(X, 3 * X @ rotation(7, draw) - 5, DOCUMENTS).values():
        assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1), abs=1e-10)


def test_neither_the_order_of_tokens_nor_a_rotation_or_a_scale_changes_anything(pair):
    draw = np.random.default_rng(3)
    X, Y = pair
    order = draw.permutation(len(X))
    plain, moved = similarity(X, Y, DOCUMENTS), similarity(0.1 * X[order] @ rotation(7, draw), 7 + Y[order], DOCUMENTS[order])
    for name in similarities:
        assert [getattr(moved[name], one) for one in NUMBERS] == pytest.approx([getattr(plain[name], one) for one in NUMBERS])


def test_both_clouds_have_one_similarity(pair):
    X, Y = pair
    one, other = similarity(X, Y, DOCUMENTS), similarity(Y, X, DOCUMENTS)
    for name in similarities:
        assert [getattr(one[name], own) for own in NUMBERS] == pytest.approx([getattr(other[name], own) for own in NUMBERS])


def test_tokens_of_one_document_alone_are_no_similarity():
    """Each document is one place in both clouds, and nothing else is shared: the raw value is high, the calibrated one is not."""
    draw = np.random.default_rng(4)
    documents = np.repeat(np.arange(60), 8)
    X, Y = (draw.standard_normal((60, 40))[documents] + 0.05 * draw.standard_normal((480, 40)) for _ in range(2))
    found = similarity(X, Y, documents)
    assert found["cka"].raw > 0.2
    for one in found.values():
        assert one.low < 0 < one.high
    # with neighbours of the same document, every token's neighbours would be its document's in both
    same = similarity(X, Y, k=7)["mutual_neighbours"]
    assert same.raw > 0.99


def planted(n: int, d: int, draw: np.random.Generator, strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Two clouds of d dimensions that share four directions with as much of the variance at every width."""
    shared = draw.standard_normal((n, 4))
    pair = []
    for _ in range(2):
        noise = draw.standard_normal((n, d)) * (np.arange(1, d + 1) ** -1.5)
        own = noise * np.sqrt(n / np.square(noise).sum())
        pair.append(np.c_[strength * shared / 2, own] @ rotation(d + 4, draw))
    return pair[0], pair[1]


def test_width_does_not_move_the_calibrated_value():
    draw = np.random.default_rng(5)
    widths, values, biased = (8, 64, 512), [], []
    for d in widths:
        X, Y = planted(400, d, draw)
        values.append({name: found.value for name, found in similarity(X, Y).items()})
        noise = [draw.standard_normal((400, d)) for _ in range(2)]
        assert all(found.low < 0 < found.high for found in similarity(*noise).values())
        K, L = (rows @ rows.T for rows in (rows - rows.mean(axis=0) for rows in noise))
        biased.append(np.sum(K * L) / np.sqrt(np.sum(K * K) * np.sum(L * L)))
    assert biased[-1] > 20 * biased[0] > 0.2  # what the biased estimator gives independent rows
    for name in similarities:
        of_width = [one[name] for one in values]
        assert max(of_width) - min(of_width) < 0.06
        assert min(of_width) > 0.15


@pytest.mark.parametrize(("strength", "documents"), [(0.0, 1.0), (1.0, 1.0), (3.0, 0.0)])
def test_intervals_cover_the_mean_over_draws_of_documents(strength, documents):
    draw = np.random.default_rng(6)
    index, found = np.repeat(np.arange(24), 6), []
    for _ in range(120):
        clouds = planted(len(index), 12, draw, strength)
        clouds = [X + documents * draw.standard_normal((24, X.shape[1]))[index] / 4 for X in clouds]
        found.append(similarity(*clouds, index))
    for name in similarities:
        values = np.array([[getattr(one[name], own) for own in ("value", "low", "high")] for one in found])
        mean = values[:, 0].mean()
        covered = np.mean((values[:, 1] <= mean) & (mean <= values[:, 2]))
        assert covered >= 0.9
        assert np.mean(values[:, 0] - values[:, 1]) < 2 * 2.07 * values[:, 0].std()
        if not strength:
            assert abs(mean) < 4 * values[:, 0].std() / np.sqrt(len(found))


def test_equal_rows_are_equally_near_and_depend_on_no_order():
    draw = np.random.default_rng(7)
    kinds = draw.integers(4, size=90)
    X, Y = np.eye(4)[kinds], draw.standard_normal((90, 5))
    found = similarity(X, X @ rotation(4, draw))["mutual_neighbours"]
    assert (found.raw, found.low) == pytest.approx((1, 1))
    one, order = similarity(X, Y)["mutual_neighbours"], draw.permutation(90)
    assert similarity(X[order], Y[order])["mutual_neighbours"].raw == pytest.approx(one.raw, abs=1e-12)
    # a neighbour in Y is one of those that are equally near in X as often as chance has it
    assert one.low < 0 < one.high


def test_states_together_give_what_each_pair_gives(pair):
    draw = np.random.default_rng(8)
    first, second = [pair[0], pair[1], draw.standard_normal((len(DOCUMENTS), 3))], [pair[1] ** 2, pair[0]]
    for name, measure in similarities.items():
        together = measure(Clouds(first, DOCUMENTS), Clouds(second, DOCUMENTS))
        same = measure(own := Clouds(first, DOCUMENTS), own)
        for i, X in enumerate(first):
            for other, found in ((second, together), (first, same)):
                for j, Y in enumerate(other):
                    alone = similarity(X, Y, DOCUMENTS)[name]
                    for one in NUMBERS:
                        assert getattr(found, one)[i, j] == pytest.approx(getattr(alone, one), abs=1e-12)


def test_what_has_no_similarity_is_nan():
    draw = np.random.default_rng(9)
    X = draw.standard_normal((30, 4))
    assert np.isnan(similarity(X, np.ones((30, 3)) * 7.7, names=["cka"])["cka"].value)
    rounded = np.float32(5) + np.float32(1e-6) * draw.standard_normal((30, 4)).astype(np.float32)
    assert np.isnan(similarity(X, rounded.astype(np.float32), names=["cka"])["cka"].value)
    single = similarity(X, X, ["a"] * 30, ["cka"])["cka"]
    assert single.raw == pytest.approx(1)
    assert np.isnan([single.value, single.low, single.null]).all()
    two = similarity(X, 2 * X, ["a", "b"] * 15, ["cka"])["cka"]
    assert two.value == pytest.approx(1)
    assert np.isnan(two.low)


def test_a_tensor_and_the_public_name_are_taken():
    import torch

    X = torch.randn(40, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = geomkit.similarity(X.requires_grad_(), X.detach().numpy() @ rotation(6, np.random.default_rng(0)))
    assert found["cka"].value == pytest.approx(1)


@pytest.mark.parametrize(
    ("X", "Y", "options", "error", "message"),
    [
        (np.ones((9, 2)), np.ones((8, 2)), {}, DataError, r"rows of the same tokens, found \(9, 2\) and \(8, 2\)"),
        (np.ones(9), np.ones(9), {}, DataError, r"matrices \(n, d\)"),
        (np.ones((3, 2)), np.ones((3, 2)), {}, DataError, "four tokens or more"),
        (np.ones((9, 2)), np.ones((9, 2)), {"documents": ["a"] * 8}, DataError, r"each with its document: 9 and \(8,\)"),
        (np.full((9, 2), np.nan), np.ones((9, 2)), {}, DataError, "finite"),
        (np.ones((9, 2)), np.ones((9, 2)), {}, DataError, "10 neighbours are sought among tokens of other documents, of which a"),
        (np.ones((9, 2)), np.ones((9, 2)), {"k": 0}, ConfigError, "k must be a number of neighbours"),
        (np.ones((9, 2)), np.ones((9, 2)), {"names": ["cca"]}, ConfigError, "unknown measure of similarity 'cca'; known: cka"),
    ],
)
def test_bad_input_is_one_clear_error(X, Y, options, error, message):
    with pytest.raises(error, match=message):
        similarity(X, Y, **options)


def test_measures_take_clouds_of_unequal_widths():
    draw = np.random.default_rng(10)
    first, second = (Clouds([draw.standard_normal((50, d)) for d in widths]) for widths in ((3, 9), (5,)))
    assert cka(first, second).value.shape == mutual_neighbours(first, second).value.shape == (2, 1)
