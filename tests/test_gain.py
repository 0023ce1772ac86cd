"""Information gain and the ridge path against scikit-learn, closed forms and their own symmetries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geomkit.core.errors import DataError
from geomkit.measures.entropy import measure
from geomkit.measures.gain import RidgePath, information_gain, kernel_information_gain, rbf_kernel, ridge_path
from geomkit.measures.spectra import normalise, spectrum

SHAPES = [(1, 5), (12, 40), (40, 12), (30, 30), (40, 10), (41, 10), (75, 3), (100, 1)]
"""The last three are taken in blocks."""


def cloud(seed: int, *shape: int) -> np.ndarray:
    """Unit rows, anisotropic and with a common offset, as hidden states have."""
    draw = np.random.default_rng(seed)
    rows = (draw.standard_normal(shape) + 2 * draw.standard_normal(shape[-1])) * np.geomspace(1, 0.05, shape[-1])
    return normalise(rows, "unit")


def orthonormal(n: int, d: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(n).standard_normal((d, n)))[0].T


def ridge(past: np.ndarray, token: np.ndarray, penalty: float) -> tuple[float, float]:
    """|z - X^T w|^2 and |w|^2 by scikit-learn."""
    from sklearn.linear_model import Ridge

    if not len(past):
        return token @ token, 0.0
    w = Ridge(penalty, fit_intercept=False, solver="svd").fit(past.T, token).coef_
    return np.square(token - past.T @ w).sum(), w @ w


# information gain


@pytest.mark.parametrize(("tokens", "d"), SHAPES)
def test_gain_is_the_ridge_optimum_of_a_token_on_its_past(tokens, d):
    Z = cloud(tokens + d, tokens, d)
    c = d / (tokens * 0.3)
    optimum = [fit + size / c for fit, size in (ridge(Z[:t], Z[t], 1 / c) for t in range(tokens))]
    np.testing.assert_allclose(np.expm1(information_gain(Z, eps2=0.3)) / c, optimum, rtol=1e-9)


@pytest.mark.parametrize(("tokens", "d"), SHAPES)
def test_gains_sum_to_the_log_determinant_and_to_the_rate_distortion(tokens, d):
    Z = cloud(1, tokens, d) * np.linspace(0.5, 2, tokens)[:, None]
    total = information_gain(Z, eps2=0.3).sum()
    assert total == pytest.approx(np.linalg.slogdet(np.eye(tokens) + d / (tokens * 0.3) * Z @ Z.T)[1], rel=1e-12)
    entropy = measure(spectrum(Z), ["rate_distortion"], eps2=0.3)["rate_distortion"].value
    assert (tokens + d) / 2 * total == pytest.approx(entropy, rel=1e-12)


@pytest.mark.parametrize(("tokens", "d"), SHAPES)
def test_gains_of_a_prefix_are_a_prefix_of_the_gains(tokens, d):
    Z = cloud(2, tokens, d)
    gains = information_gain(Z, n=120)
    for length in range(1, tokens + 1):
        np.testing.assert_allclose(information_gain(Z[:length], n=120), gains[:length], rtol=1e-11)


def test_default_n_is_the_number_of_tokens():
    Z = cloud(3, 9, 20)
    np.testing.assert_array_equal(information_gain(Z), information_gain(Z, eps2=0.5, n=9))
    np.testing.assert_allclose(information_gain(Z, n=18), information_gain(Z, eps2=1.0), rtol=1e-13)


@pytest.mark.parametrize(("tokens", "d"), SHAPES)
def test_rotations_do_not_matter(tokens, d):
    Z = cloud(4, tokens, d)
    np.testing.assert_allclose(information_gain(Z @ orthonormal(d, d)), information_gain(Z), rtol=1e-11)


@pytest.mark.parametrize(("tokens", "d"), [(12, 40), (75, 3)])
def test_batch_is_one_by_one(tokens, d):
    Z = cloud(5, 2, 3, tokens, d)
    gains = information_gain(Z, n=80)
    assert gains.shape == (2, 3, tokens)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_allclose(gains[i, j], information_gain(Z[i, j], n=80), rtol=1e-12)
    assert information_gain(Z[:0]).shape == (0, 3, tokens)


def test_float32_is_taken_as_float64_and_stays():
    Z = cloud(6, 9, 20).astype(np.float32)
    before = Z.copy()
    np.testing.assert_array_equal(information_gain(Z), information_gain(Z.astype(np.float64)))
    np.testing.assert_array_equal(Z, before)


@pytest.mark.parametrize("repeats", [5, 40])
@pytest.mark.parametrize("eps2", [1e-4, 0.5, 100])
def test_repeated_tokens(eps2, repeats):
    d = 6
    Z = np.tile(orthonormal(3, d), (repeats, 1))
    c = d / (len(Z) * eps2)
    earlier = np.arange(len(Z)) // 3
    np.testing.assert_allclose(information_gain(Z, eps2), np.log1p(c / (1 + earlier * c)), rtol=1e-9)


def test_orthogonal_unit_rows_one_token_and_zero_rows():
    np.testing.assert_allclose(information_gain(orthonormal(7, 30), eps2=0.2), np.log1p(30 / (7 * 0.2)), rtol=1e-13)
    np.testing.assert_allclose(information_gain([[0.0, 3.0, 4.0]], eps2=0.5), [np.log1p(6 * 25)], rtol=1e-14)
    for tokens in (4, 40):
        Z = cloud(7, tokens, 5)
        Z[::2] = 0
        gains = information_gain(Z)
        np.testing.assert_array_equal(gains[::2], 0)
        np.testing.assert_allclose(gains[1::2], information_gain(Z[1::2], n=tokens), rtol=1e-12)


@pytest.mark.parametrize("repeats", [3, 50])
def test_rounding_is_the_epsilon_times_the_longest_row(repeats):
    direction = np.full(8, 8**-0.5)
    for signal in (1e3, 1e7, 1e11):
        Z = np.tile(np.sqrt(signal) * direction, (repeats, 1))
        exact = np.log1p(signal / (1 + np.arange(repeats) * signal))
        np.testing.assert_allclose(information_gain(Z, eps2=8 / repeats), exact, atol=10 * 2.2e-16 * signal)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-150, 1e-8, 1, 1e4])
@pytest.mark.parametrize(("tokens", "d"), [(12, 40), (75, 3)])
def test_gains_are_in_their_range_at_any_scale(tokens, d, scale):
    Z = scale * cloud(8, tokens, d)
    Z[tokens // 2 :] = Z[: tokens - tokens // 2]
    Z[1] *= 10
    gains = information_gain(Z, eps2=0.5)
    highest = np.log1p(d / (tokens * 0.5) * np.square(Z).sum(axis=1))
    assert (gains >= 0).all()
    assert (gains <= highest * (1 + 1e-12) + 1e-15).all()


def test_gains_that_vanish_are_not_negative():
    lengths = 10 ** np.random.default_rng(0).uniform(-6, 4, 60)
    lengths[0] = 1e5
    gains = information_gain(lengths[:, None] * cloud(8, 1, 40))
    assert (gains >= 0).all()
    assert (gains == 0).any()


ROWS = st.tuples(st.integers(2, 20), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(-4, 4))
)


@given(ROWS, st.data(), st.sampled_from([0.01, 0.5, 10]))
def test_a_token_more_in_the_past_lowers_every_later_gain(Z, data, eps2):
    without = data.draw(st.integers(0, len(Z) - 2))
    fewer = information_gain(np.delete(Z, without, axis=0), eps2, n=len(Z))
    gains = np.delete(information_gain(Z, eps2), without)
    highest = np.log1p(Z.shape[1] / (len(Z) * eps2) * np.square(np.delete(Z, without, axis=0)).sum(axis=1))
    np.testing.assert_allclose(gains[:without], fewer[:without], atol=1e-10)
    assert (gains[without:] <= fewer[without:] + 1e-10).all()
    assert (gains >= 0).all()
    assert (fewer <= highest + 1e-12).all()


@pytest.mark.parametrize("eps2", [0, -1, np.nan])
def test_distortion_must_be_positive(eps2):
    with pytest.raises(DataError, match="eps2"):
        information_gain(np.eye(2), eps2)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_values_that_are_not_finite_are_refused(value):
    Z = cloud(9, 5, 3)
    Z[1, 2] = value
    for function in (information_gain, lambda Z: rbf_kernel(Z, 1.0), lambda Z: ridge_path(Z, [1.0])):
        with pytest.raises(DataError, match="1 of 5 token vectors"):
            function(Z)


@pytest.mark.parametrize("shape", [(3,), (0, 3), (3, 0)])
def test_what_is_no_text_is_refused(shape):
    for function in (information_gain, lambda Z: rbf_kernel(Z, 1.0), lambda Z: ridge_path(Z, [1.0])):
        with pytest.raises(DataError, match="shape"):
            function(np.ones(shape))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("eps2", [1e-13, 1e-300])
def test_noise_that_rounding_hides_is_refused(eps2):
    for Z in (cloud(10, 4, 4), cloud(10, 40, 4)):
        with pytest.raises(DataError, match="1e12 times the noise"):
            information_gain(Z, eps2, n=len(Z))
    with pytest.raises(DataError, match="1e12 times the noise"):
        kernel_information_gain(np.eye(3), eps2)


def test_fewer_tokens_in_c_than_in_the_text_are_refused():
    with pytest.raises(DataError, match=r"number of tokens, 5, found 4"):
        information_gain(cloud(11, 5, 3), n=4)


# kernels


@pytest.mark.parametrize(("tokens", "d"), SHAPES)
def test_linear_kernel_is_information_gain(tokens, d):
    Z = cloud(12, tokens, d)
    np.testing.assert_allclose(
        kernel_information_gain(Z @ Z.T, noise=tokens * 0.5 / d), information_gain(Z, eps2=0.5), rtol=1e-10
    )


@pytest.mark.parametrize("noise", [0.01, 1.0])
@pytest.mark.parametrize("kind", ["linear", "rbf"])
def test_against_the_posterior_of_a_gaussian_process(kind, noise):
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, DotProduct

    Z = cloud(13, 15, 6)
    kernel, K = (DotProduct(0, "fixed"), Z @ Z.T) if kind == "linear" else (RBF(0.4, "fixed"), rbf_kernel(Z, 0.4))
    process = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None)
    deviation = [np.sqrt(kernel.diag(Z[:1]))]
    for t in range(1, 15):
        deviation.append(process.fit(Z[:t], np.zeros(t)).predict(Z[t : t + 1], return_std=True)[1])
    expected = np.log1p(np.concatenate(deviation) ** 2 / noise)
    np.testing.assert_allclose(kernel_information_gain(K, noise), expected, rtol=1e-9)


def test_gains_of_a_kernel_sum_to_its_log_determinant_in_a_batch():
    K = rbf_kernel(cloud(14, 2, 3, 20, 8), 0.7)
    gains = kernel_information_gain(K, 0.1)
    assert gains.shape == (2, 3, 20)
    np.testing.assert_allclose(gains.sum(axis=-1), np.linalg.slogdet(np.eye(20) + K / 0.1)[1], rtol=1e-12)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_allclose(gains[i, j], kernel_information_gain(K[i, j], 0.1), rtol=1e-12)


def test_independent_and_repeated_tokens_of_a_kernel():
    np.testing.assert_allclose(kernel_information_gain(np.diag([1.0, 2.0, 0.0]), 0.5), np.log([3.0, 5.0, 1.0]), rtol=1e-14)
    earlier = np.arange(6)
    np.testing.assert_allclose(kernel_information_gain(np.ones((6, 6)), 0.5), np.log1p(2 / (1 + 2 * earlier)), rtol=1e-12)


def test_the_kernel_is_not_written_to_in_either_memory_order():
    for order in "CF":
        K = np.array(rbf_kernel(cloud(15, 9, 4), 0.5), order=order)
        before = K.copy()
        once = kernel_information_gain(K, 1.0)
        np.testing.assert_array_equal(kernel_information_gain(K, 1.0), once)
        np.testing.assert_array_equal(K, before)
        assert once.sum() == pytest.approx(np.linalg.slogdet(np.eye(9) + K)[1])


@pytest.mark.parametrize("length_scale", [0.05, 0.5, 20])
def test_rbf_kernel_is_that_of_scikit_learn(length_scale):
    from sklearn.metrics.pairwise import rbf_kernel as peer

    Z = np.tile(cloud(16, 2, 12, 7), (1, 3, 1))
    K = rbf_kernel(Z, length_scale)
    np.testing.assert_array_equal(np.diagonal(K, axis1=-2, axis2=-1), 1)
    assert (K <= 1).all()
    for i in range(2):
        np.testing.assert_allclose(K[i], peer(Z[i], gamma=1 / (2 * length_scale**2)), rtol=1e-10, atol=1e-12)
    far = rbf_kernel(Z[0] + 1e6, length_scale)
    np.testing.assert_allclose(far, K[0], rtol=1e-5, atol=1e-5)


def test_rbf_kernel_of_distinct_rows_goes_from_the_identity_to_ones():
    Z = cloud(17, 8, 5)
    np.testing.assert_allclose(rbf_kernel(Z, 1e-4), np.eye(8), atol=1e-12)
    np.testing.assert_allclose(rbf_kernel(Z, 1e8), 1, rtol=1e-12)


def test_what_is_no_kernel_is_refused():
    for K, problem in (
        (np.ones(3), "square"),
        (np.ones((2, 3)), "square"),
        (np.ones((0, 0)), "square"),
        (np.array([[1.0, 0.5], [0.4, 1.0]]), "symmetric"),
        (np.array([[1.0, 2.0], [2.0, 1.0]]), "semi-definite"),
        (np.diag([1.0, -0.5]), "semi-definite"),
        (np.diag([1.0, -30.0]), "semi-definite"),
        (np.diag([1.0, np.nan]), "finite"),
    ):
        for batch in (K, np.stack([K, K])) if K.ndim == 2 else (K,):
            with pytest.raises(DataError, match=problem):
                kernel_information_gain(batch, noise=1.0)
    for noise in (0, -1, np.nan):
        with pytest.raises(DataError, match="noise must be positive"):
            kernel_information_gain(np.eye(2), noise)
    for length_scale in (0, -1, np.nan):
        with pytest.raises(DataError, match="length_scale"):
            rbf_kernel(np.eye(2), length_scale)


# ridge path

PENALTIES = np.geomspace(1e-3, 1e3, 13)
PATHS = [(2, 5), (9, 30), (30, 30), (31, 30), (32, 30), (60, 7)]


def brute_force(Z: np.ndarray, penalty: float) -> tuple[float, float]:
    """Degrees of freedom and GCV from the hat matrix H = X^T (X X^T + penalty I)^-1 X, for rows X."""
    past, token = Z[:-1], Z[-1]
    H = past.T @ np.linalg.solve(past @ past.T + penalty * np.eye(len(past)), past)
    rest = np.eye(len(token)) - H
    return np.trace(H), len(token) * np.square(rest @ token).sum() / np.trace(rest) ** 2 / (token @ token)


@pytest.mark.parametrize(("tokens", "d"), PATHS)
def test_path_against_scikit_learn_and_the_hat_matrix(tokens, d):
    Z = 3 * cloud(tokens * d, tokens, d)
    path = ridge_path(Z, PENALTIES)
    np.testing.assert_array_equal(path.penalties, PENALTIES)
    errors = [ridge(Z[:-1], Z[-1], penalty)[0] / (Z[-1] @ Z[-1]) for penalty in PENALTIES]
    freedom, gcv = np.transpose([brute_force(Z, penalty) for penalty in PENALTIES])
    np.testing.assert_allclose(path.error, errors, rtol=1e-9)
    np.testing.assert_allclose(path.freedom, freedom, rtol=1e-9)
    np.testing.assert_allclose(path.gcv, gcv, rtol=1e-9)
    assert path.best == PENALTIES[gcv.argmin()]


@pytest.mark.parametrize(("tokens", "d"), PATHS)
def test_path_goes_from_least_squares_to_nothing(tokens, d):
    Z = cloud(18, tokens, d)
    path = ridge_path(Z, [0, *np.geomspace(1e-6, 1e6, 25), 1e12])
    w, _, rank, _ = np.linalg.lstsq(Z[:-1].T, Z[-1])
    assert path.error[0] == pytest.approx(np.square(Z[-1] - Z[:-1].T @ w).sum(), rel=1e-9, abs=1e-25)
    assert path.freedom[0] == pytest.approx(rank, rel=1e-12)
    assert path.error[-1] == pytest.approx(1)
    assert path.freedom[-1] == pytest.approx(0, abs=1e-9)
    assert (np.diff(path.error) >= 0).all()
    assert (np.diff(path.freedom) <= 0).all()


def test_path_has_no_unit():
    Z = cloud(19, 12, 20)
    one, ten = ridge_path(Z, PENALTIES), ridge_path(10 * Z, 100 * PENALTIES)
    for name in ("error", "freedom", "gcv"):
        np.testing.assert_allclose(getattr(ten, name), getattr(one, name), rtol=1e-11)


def test_best_finds_the_noise():
    draw = np.random.default_rng(20)
    past = draw.standard_normal((40, 200))
    weights, noise = draw.standard_normal(40), 3.0
    token = weights @ past + noise * draw.standard_normal(200)
    best = ridge_path(np.vstack([past, token]), np.geomspace(1e-2, 1e4, 61)).best
    assert best == pytest.approx(noise**2, rel=1)  # the ratio of the variances of noise and weights


@pytest.mark.parametrize("d", [4, 12])
@pytest.mark.parametrize("repeats", [1, 3, 50])
def test_token_that_the_past_repeats(d, repeats):
    Z = np.tile(orthonormal(2, d), (repeats + 1, 1))[: 2 * repeats + 1]
    penalties = np.array([0, 1e-3, 0.5, 10])
    path = ridge_path(Z, penalties)
    np.testing.assert_allclose(path.error, (penalties / (repeats + penalties)) ** 2, rtol=1e-9, atol=1e-25)
    np.testing.assert_allclose(path.freedom, 2 * repeats / (repeats + penalties), rtol=1e-12)
    np.testing.assert_allclose(path.gcv, d * path.error / (d - path.freedom) ** 2, rtol=1e-9)


def test_gcv_is_undefined_where_freedom_reaches_d_and_best_leaves_it_out():
    Z = cloud(21, 30, 6)
    path = ridge_path(Z, [0, 1e-9, 1.0, 1e9])
    assert path.freedom[0] == pytest.approx(6)
    np.testing.assert_array_equal(np.isnan(path.gcv), [True, False, False, False])
    assert path.best == path.penalties[1 + path.gcv[1:].argmin()]
    assert np.isnan(ridge_path(Z, [0]).best)
    by_hand = RidgePath(np.arange(3.0), np.ones((2, 3)), np.ones((2, 3)), np.array([[np.nan, 2, 1], [np.nan] * 3]))
    np.testing.assert_array_equal(by_hand.best, [2, np.nan])


def test_gcv_has_a_limit_as_the_penalty_vanishes():
    Z = cloud(22, 30, 6)
    eigenvalues, vectors = np.linalg.eigh(Z[:-1].T @ Z[:-1])
    limit = 6 * np.square((vectors.T @ Z[-1]) / eigenvalues).sum() / (1 / eigenvalues).sum() ** 2
    np.testing.assert_allclose(ridge_path(Z, [1e-30, 1e-20, 1e-12]).gcv, limit, rtol=1e-8)


@pytest.mark.parametrize(("tokens", "d"), [(6, 12), (12, 6)])
def test_batch_of_paths_is_one_by_one(tokens, d):
    Z = cloud(23, 2, 3, tokens, d)
    Z[0, 1, :3] = Z[0, 1, 3]
    batch = ridge_path(Z, PENALTIES)
    assert batch.best.shape == (2, 3)
    for i, j in np.ndindex(2, 3):
        single = ridge_path(Z[i, j], PENALTIES)
        assert single.best.shape == ()
        assert batch.best[i, j] == single.best
        for name in ("error", "freedom", "gcv"):
            np.testing.assert_allclose(getattr(batch, name)[i, j], getattr(single, name), rtol=1e-9)
    assert ridge_path(Z[:0], PENALTIES).error.shape == (0, 3, 13)


@pytest.mark.filterwarnings("error")
def test_tokens_without_a_past_and_zero_tokens():
    alone = ridge_path([[3.0, 4.0]], [0, 1.0])
    np.testing.assert_array_equal(alone.error, 1)
    np.testing.assert_array_equal(alone.freedom, 0)
    np.testing.assert_allclose(alone.gcv, 1 / 2)
    blank = ridge_path(np.vstack([np.zeros((3, 5)), np.ones((1, 5))]), [0, 1.0])
    np.testing.assert_array_equal(blank.error, 1)
    np.testing.assert_array_equal(blank.freedom, 0)
    for tokens in (4, 40):
        zero = ridge_path(np.vstack([cloud(24, tokens, 5), np.zeros((1, 5))]), [1.0])
        assert np.isnan([zero.error[0], zero.gcv[0], zero.best]).all()
        assert zero.freedom[0] == pytest.approx(brute_force(np.vstack([cloud(24, tokens, 5), np.ones((1, 5))]), 1.0)[0])


@pytest.mark.parametrize("penalties", [[], 1.0, [[1.0]], [-1.0], [np.nan], [np.inf, 1.0]])
def test_penalties_that_cannot_be_are_refused(penalties):
    with pytest.raises(DataError, match="penalties"):
        ridge_path(np.eye(3), penalties)
