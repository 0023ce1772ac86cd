"""Rows projected on directions of other documents: against brute force, in their limits, and that nothing of a document is in
its own directions."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.decomposition import TruncatedSVD

from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.measures.controls import document_folds
from geomkit.measures.entropy import measure
from geomkit.measures.projection import Directions, leading_directions, projected, random_projected
from geomkit.measures.spectra import is_centred, is_unit, normalise, spectrum

MODES = ["unit", "centre-unit", "centre"]
DOCUMENTS = [name for name in "abcdefghijkl" for _ in range(2)]


def clouds(texts: int = 24, n: int = 10, d: int = 12, decay: float = 0.7) -> np.ndarray:
    """Rows with a mean of their own and a decaying spectrum, the same directions in every text."""
    draw = rng(0, texts, n, d)
    return (draw.standard_normal((texts, n, d)) * np.arange(1, d + 1) ** -decay + 0.4 * draw.standard_normal(d)).astype("float32")


def rotation(d: int) -> np.ndarray:
    return np.linalg.qr(rng(1, d).standard_normal((d, d)))[0]


# folds


def test_documents_are_dealt_out_in_turn_and_stay_whole():
    documents = ["c", "c", "a", "b", "b", "f", "e", "e", "d", "c"]
    assert document_folds(documents, 3).tolist() == [0, 0, 1, 2, 2, 0, 1, 1, 2, 0]
    assert document_folds(["x", "y", "x"], 5).tolist() == [0, 1, 0]
    assert np.bincount(document_folds([f"d{i}" for i in range(53)])).tolist() == [11, 11, 11, 10, 10]


def test_one_document_has_no_other():
    with pytest.raises(DataError, match="at least 2 documents, found 1"):
        document_folds(["a", "a"])
    with pytest.raises(DataError, match="at least 2 folds"):
        leading_directions(clouds(2), "unit", np.zeros(2, dtype=int))


@pytest.mark.parametrize("mode", MODES)
def test_a_documents_own_rows_never_enter_its_directions(mode):
    rows, fold = clouds(), document_folds(DOCUMENTS)
    before = leading_directions(rows, mode, fold)
    changed = rows.copy()
    changed[DOCUMENTS.index("c")] = rng(2).standard_normal(rows.shape[1:]) * 5
    after, own = leading_directions(changed, mode, fold), fold[DOCUMENTS.index("c")]
    np.testing.assert_array_equal(after.basis[own], before.basis[own])
    for other in set(fold.tolist()) - {own}:
        assert not np.allclose(np.abs(after.basis[other].T @ before.basis[other]), np.eye(12), atol=1e-3)
    same = [text for text in np.flatnonzero(fold == own) if DOCUMENTS[text] != "c"]
    for k in (3, 12):
        first, second = (projected(cloud, mode, fold, [k])[k] for cloud in (rows, changed))
        np.testing.assert_array_equal(second.spectrum.eigenvalues[same], first.spectrum.eigenvalues[same])
        np.testing.assert_array_equal(second.kept[same], first.kept[same])


def test_a_projection_on_own_directions_would_keep_more():
    """Where documents share no direction, those of other documents hold k / d of a row, and its own would hold most."""
    names = [f"d{i}" for i in range(40)]
    draw = rng(3)
    rows = np.stack([draw.standard_normal((6, 3)) @ draw.standard_normal((3, 60)) for _ in names])
    kept = projected(rows, "unit", document_folds(names), [12])[12].kept
    assert 0.15 < kept.mean() < 0.25
    assert projected(rows, "unit", np.arange(40) % 5, [60])[60].kept == pytest.approx(1)


# limits


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n", [6, 30])
def test_directions_that_span_everything_give_the_measurement_back(mode, n):
    rows = clouds(n=n)
    whole = spectrum(normalise(rows, mode), centred=is_centred(mode))
    for result in (
        projected(rows, mode, document_folds(DOCUMENTS), [12])[12],
        random_projected(rows, mode, [12], 1, rng(0))[12],
    ):
        assert (result.spectrum.n, result.spectrum.d, result.spectrum.m) == (n, 12, whole.m)
        values = result.spectrum.eigenvalues.reshape(whole.eigenvalues.shape)
        np.testing.assert_allclose(values, whole.eigenvalues, rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(result.kept, 1, rtol=1e-12)


def test_orthonormal_rows_stay_flat():
    rows = np.broadcast_to(np.eye(8), (24, 8, 8))
    for k, result in projected(rows, "unit", document_folds(DOCUMENTS), [1, 3, 8]).items():
        np.testing.assert_allclose(result.spectrum.eigenvalues, 1 / 8, rtol=1e-12)
        np.testing.assert_allclose(result.kept, k / 8, rtol=1e-12)
        np.testing.assert_allclose(measure(result.spectrum, ["erank_covariance"])["erank_covariance"].value, k, rtol=1e-12)


def test_isotropic_rows_stay_isotropic():
    """Gaussian rows on directions of other documents are Gaussian rows of k columns."""
    names = [f"d{i}" for i in range(60)]
    rows, fresh = rng(4).standard_normal((60, 50, 24)), rng(5).standard_normal((60, 50, 24))
    rank = {}
    for k in (6, 24):
        expected = spectrum(normalise(fresh[..., :k], "unit")).eigenvalues.mean(axis=0)
        rank[k] = projected(rows, "unit", document_folds(names), [k])[k].spectrum.eigenvalues.mean(axis=0)
        np.testing.assert_allclose(rank[k], expected, rtol=0.06)
        chance = random_projected(rows, "unit", [k], 3, rng(6))[k].spectrum.eigenvalues.mean(axis=(0, 1))
        np.testing.assert_allclose(chance, expected, rtol=0.06)


@pytest.mark.parametrize("mode", MODES)
def test_rows_within_k_dimensions_lose_nothing(mode):
    rows = clouds(d=4, n=9) @ rotation(12)[:4]
    result, whole = (
        projected(rows, mode, document_folds(DOCUMENTS), [4])[4],
        spectrum(normalise(rows, mode), is_centred(mode)),
    )
    np.testing.assert_allclose(result.spectrum.eigenvalues, whole.eigenvalues[:, :4], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(result.kept, 1, rtol=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_a_rotation_of_the_donors_space_changes_nothing(mode):
    rows, fold = clouds().astype(float), document_folds(DOCUMENTS)
    plain, rotated = (projected(cloud, mode, fold, [2, 5, 9]) for cloud in (rows, rows @ rotation(12)))
    for k in plain:
        np.testing.assert_allclose(rotated[k].spectrum.eigenvalues, plain[k].spectrum.eigenvalues, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(rotated[k].kept, plain[k].kept, rtol=1e-9)


def test_more_directions_keep_more():
    kept = projected(clouds(), "centre-unit", document_folds(DOCUMENTS), [1, 3, 7, 12])
    assert all((kept[more].kept >= kept[less].kept).all() for less, more in pairwise(kept))


# peers


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("n", "k"), [(6, 9), (20, 5)])
def test_against_scikit_learn_text_by_text(mode, n, k):
    rows, fold = clouds(n=n), document_folds(DOCUMENTS)
    result = projected(rows, mode, fold, [k])[k]
    for text in (0, 7, 23):
        others = normalise(rows[fold != fold[text]], mode).reshape(-1, 12)
        svd = TruncatedSVD(k, algorithm="arpack", random_state=0).fit(others)
        own = normalise(rows[text], mode)
        part = svd.transform(own)
        np.testing.assert_allclose(result.kept[text], np.square(part).sum() / np.square(own).sum(), rtol=1e-9)
        if is_unit(mode):
            part /= np.linalg.norm(part, axis=1, keepdims=True)
        expected = np.linalg.svd(part, compute_uv=False) ** 2 / n
        m = result.spectrum.m
        np.testing.assert_allclose(result.spectrum.eigenvalues[text], expected[:m], rtol=1e-7, atol=1e-12)
        assert (expected[m:] < 1e-12).all()


def test_to_centre_after_projecting_is_the_same():
    rows, fold = clouds().astype(float), document_folds(DOCUMENTS)
    basis = leading_directions(rows, "centre-unit", fold).basis
    result = projected(rows, "centre-unit", fold, [5])[5].spectrum
    for text in range(24):
        late = spectrum(normalise(rows[text] @ basis[fold[text]][:, :5], "centre-unit"), centred=True)
        np.testing.assert_allclose(result.eigenvalues[text], late.eigenvalues, rtol=1e-8, atol=1e-13)


def test_directions_that_are_at_hand_are_used():
    rows, fold = clouds(), document_folds(DOCUMENTS)
    found = leading_directions(rows, "unit", fold)
    np.testing.assert_array_equal(projected(rows, "unit", fold, [4], found)[4].kept, projected(rows, "unit", fold, [4])[4].kept)
    last = Directions(found.basis[..., ::-1], found.rank)
    assert (projected(rows, "unit", fold, [4], last)[4].kept < projected(rows, "unit", fold, [4])[4].kept).all()


def test_random_directions_keep_their_part_on_average_and_draws_differ():
    rows = clouds(texts=6)
    result = random_projected(rows, "unit", [3, 6], 200, rng(0))
    assert result[3].spectrum.eigenvalues.shape == (200, 6, 3)
    for k in (3, 6):
        error = result[k].kept.std(axis=0) / np.sqrt(200)
        assert (np.abs(result[k].kept.mean(axis=0) - k / 12) < 4 * error).all()
    assert len(np.unique(result[3].kept[:, 0])) == 200
    assert (result[6].kept > result[3].kept).all(), "frames of one draw are nested"
    np.testing.assert_array_equal(random_projected(rows, "unit", [3], 1, rng(0))[3].kept.shape, (1, 6))


# what is not there


def test_zero_rows_have_no_share_and_no_spectrum():
    rows = clouds()
    rows[3] = 0
    result = projected(rows, "unit", document_folds(DOCUMENTS), [4])[4]
    assert np.isnan(result.kept[3])
    assert (result.spectrum.eigenvalues[3] == 0).all()
    assert np.isfinite(np.delete(result.kept, 3)).all()


def test_a_row_of_which_only_rounding_is_left_becomes_zero():
    """The first texts lie in two dimensions, and one row of another in the rest: two directions hold nothing of it."""
    rows = np.zeros((4, 3, 4))
    rows[..., :2] = rng(7).standard_normal((4, 3, 2))
    rows[3, 0] = [0, 0, 1, 1]
    rotated = rows @ rotation(4)
    result = projected(rotated, "unit", np.array([0, 0, 0, 1]), [2])[2]
    assert result.spectrum.trace == pytest.approx([1, 1, 1, 2 / 3])


@pytest.mark.parametrize("widths", [[0], [13], []])
def test_a_width_that_the_donor_does_not_have_is_refused(widths):
    for call in (
        lambda: projected(clouds(), "unit", document_folds(DOCUMENTS), widths),
        lambda: random_projected(clouds(), "unit", widths, 2, rng(0)),
    ):
        with pytest.raises(DataError, match=r"1 \.\. 12 directions"):
            call()


def test_directions_beyond_the_rank_of_other_documents_are_refused():
    rows = clouds(texts=4, n=3)
    fold = document_folds(["a", "b", "c", "d"])
    assert leading_directions(rows, "unit", fold).rank.tolist() == [9, 9, 9, 9]
    assert list(projected(rows, "unit", fold, [9, 12])) == [9, 12]
    with pytest.raises(DataError, match="10 directions cannot be found in rows of rank 9"):
        projected(rows, "unit", fold, [10])


def test_what_has_no_projection_is_refused():
    with pytest.raises(DataError, match="raw rows are not"):
        projected(clouds(), "raw", document_folds(DOCUMENTS), [3])
    with pytest.raises(DataError, match="shape"):
        projected(clouds()[0], "unit", document_folds(DOCUMENTS), [3])
    with pytest.raises(DataError, match="at least 1 draw"):
        random_projected(clouds(), "unit", [3], 0, rng(0))
