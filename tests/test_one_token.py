"""One long token among others: lengths against brute force, and the study of it on planted texts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import geomkit
from geomkit.core.errors import ConfigError, DataError
from geomkit.core.state import State
from geomkit.laws.resampling import Documents
from geomkit.measures.entropy import measure
from geomkit.measures.one_token import (
    effective_rank_bounds,
    exact_spectrum,
    most_directions,
    rank_one_update,
    token_share,
    with_token,
)
from geomkit.measures.spectra import Spectrum, is_centred, modes, normalise, row_spectrum
from geomkit.studies.one_token.analyse import audited_text, rows_of
from geomkit.studies.one_token.claims import one_token_makes_profile
from geomkit.studies.one_token.figure import draw_one_token
from geomkit.studies.one_token.rows import OneToken
from geomkit.tables.findings import Inputs
from geomkit.tables.rows import write_csv

MODES = list(modes)


def cloud(n: int, d: int, ratio: float, seed: int, tilt: float = 0.0, decay: float = 0.1) -> np.ndarray:
    """Rows of spread lengths and a decaying spectrum, with a common direction, and one row `ratio` times their length."""
    draw = np.random.default_rng(seed)
    rows = draw.standard_normal((n, d)) * np.exp(-decay * np.arange(d)) * np.exp(draw.normal(0, 0.3, (n, 1)))
    rows += tilt * draw.standard_normal(d)
    rows[0] *= ratio * np.median(np.linalg.norm(rows[1:], axis=1)) / np.linalg.norm(rows[0])
    return rows


def lengths(rows: np.ndarray, mode: str) -> tuple[float, np.ndarray]:
    """Of the first row and the others, from the mean of the others where the mode subtracts a mean."""
    about = rows - rows[1:].mean(axis=0) if is_centred(mode) else rows
    norms = np.linalg.norm(about, axis=1)
    return float(norms[0]), norms[1:]


def spectral(rows: np.ndarray, mode: str) -> Spectrum:
    return row_spectrum(normalise(rows, mode), is_centred(mode))


def rank(own: Spectrum) -> float:
    return float(measure(own, ["erank_covariance"])["erank_covariance"].value)


def direction(rows: np.ndarray, mode: str) -> np.ndarray:
    own = rows[0] - rows[1:].mean(axis=0) if is_centred(mode) else rows[0]
    return own / np.linalg.norm(own)


@given(n=st.integers(3, 40), d=st.integers(2, 60), power=st.floats(-1, 4), tilt=st.floats(0, 2), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_the_least_share_is_least_and_bounds_hold_for_any_cloud(n, d, power, tilt, seed):
    rows = cloud(n, d, 10**power, seed, tilt)
    for mode in MODES:
        share, scaled = token_share(*lengths(rows, mode), mode), normalise(rows, mode)
        along = np.sum((scaled @ direction(rows, mode)) ** 2) / np.sum(scaled**2)
        assert share.least <= along + 1e-9
        assert share.least <= share.expected + 1e-12
        assert share.trace == pytest.approx(np.mean(np.sum(scaled**2, axis=1)), rel=1e-9)
        measured = spectral(rows, mode)
        assert rank(measured) <= most_directions(min(share.least, 1.0), measured.m) * (1 + 1e-9)
        left = scaled - np.outer(scaled @ direction(rows, mode), direction(rows, mode))
        if 1 - along > 1e-6:
            values = np.linalg.eigvalsh(left.T @ left)[::-1]
            p = np.maximum(values, 0) / values.sum()
            low, high = effective_rank_bounds(along, float(np.exp(-np.sum(p[p > 0] * np.log(p[p > 0])))))
            assert low * (1 - 1e-6) <= rank(measured) <= high * (1 + 1e-6)


@pytest.mark.parametrize("mode", ["raw", "unit"])
def test_the_prediction_is_exact_for_a_token_orthogonal_to_the_others(mode):
    rows = cloud(12, 20, 30.0, 1)
    rows[1:, 0] = 0
    rows[0] = 5.0 * np.eye(20)[0]
    found = with_token(spectral(rows[1:], mode), token_share(*lengths(rows, mode), mode))
    np.testing.assert_allclose(found.eigenvalues, spectral(rows, mode).eigenvalues, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("power", [1, 1.5, 2, 3])
def test_the_prediction_is_near_for_a_token_of_any_length_in_a_wide_cloud(mode, power):
    rows = cloud(64, 400, 10**power, 3, decay=0.005)
    found = with_token(spectral(rows[1:], mode), token_share(*lengths(rows, mode), mode))
    measured = spectral(rows, mode)
    assert (found.n, found.d, found.m) == (measured.n, measured.d, measured.m)
    assert rank(found) == pytest.approx(rank(measured), rel=0.05)


@pytest.mark.parametrize("mode", MODES)
def test_products_of_rows_give_the_exact_spectrum(mode):
    rows = cloud(9, 14, 40.0, 5, 1.0)
    found = exact_spectrum(rows[1:] @ rows[1:].T, rows[1:] @ rows[0], float(rows[0] @ rows[0]), mode)
    measured = spectral(rows, mode).eigenvalues
    np.testing.assert_allclose(found.eigenvalues[: len(measured)], measured, atol=1e-10 * measured[0])


def test_a_raw_token_is_a_rank_one_update():
    rows = cloud(30, 8, 40.0, 5, 1.0)
    values, vectors = np.linalg.eigh(rows[1:].T @ rows[1:])
    found = rank_one_update(values, vectors.T @ rows[0]) / 30
    np.testing.assert_allclose(found, spectral(rows, "raw").eigenvalues, rtol=1e-10)


def test_limits():
    others = np.ones(9)
    assert token_share(1e9, others, "unit").expected == 0.1
    for mode in MODES:
        high, low = token_share(1e12, others, mode), token_share(0.0, others, mode)
        assert high.expected == pytest.approx(0.1 if mode == "unit" else 1)
        assert high.least == pytest.approx(high.expected)
        assert low.expected == pytest.approx(0.1 if "unit" in mode else 0)
    cut = token_share(10.0, others, "centre-unit")  # ten rows, and a token of ten times their length
    assert cut.expected == pytest.approx((1 + 9 / 2) / 10)
    assert cut.least == pytest.approx(0.1)
    assert most_directions(0.0, 7) == 7
    assert most_directions(1 / 7, 7) == pytest.approx(7)
    assert most_directions(1.0, 7) == 1
    assert effective_rank_bounds(0.0, 5.0) == (5.0, 5.0)
    assert geomkit.most_effective_rank(0.0, others, "centre-unit", 5) == 5
    assert geomkit.most_effective_rank(0.0, others, "centre-unit", 50) == 9
    assert geomkit.most_effective_rank(1e9, others, "centre-unit", 50) == pytest.approx(1)
    assert geomkit.most_effective_rank(1e9, others, "unit", 50) == 10


def test_bad_lengths_are_refused():
    for length, others in ((-1.0, [1.0]), (1.0, []), (np.nan, [1.0]), (1.0, [np.inf])):
        with pytest.raises(DataError, match="lengths"):
            token_share(length, others, "raw")
    with pytest.raises(ConfigError, match="unknown"):
        token_share(1.0, [1.0], "whitened")
    with pytest.raises(DataError, match="share"):
        most_directions(1.5, 3)


# the study


def planted(tmp_path, ratio: float):
    """States of four texts in three documents at two layers: the second layer's token 2 is long, orthogonal to all others."""
    draw = np.random.default_rng(0)
    clouds = []
    for _ in range(4):
        rows = draw.standard_normal((24, 64))
        rows[:, 0] = 0
        long = rows.copy()
        long[2] = ratio * 8 * np.eye(64)[0]
        clouds.append({State(0): rows, State(1): long})
    return clouds


def test_a_planted_token_is_found_and_predicted_at_its_layer_alone(tmp_path):
    metrics = ["erank_covariance", "rate_distortion_ratio", "stable_rank"]
    audited = [audited_text(one, [2, 8, 24, 99], metrics, {"eps2": 0.5}) for one in planted(tmp_path, 500)]
    assert {n for text in audited for _, n, _ in text} == {8, 24}  # the token is the third, and texts have 24
    drawn = Documents.draw(["a", "a", "b", "c"], 200, np.random.default_rng(0))
    facts = {"model": "m", "family": "f", "seed": None, "corpus": "c", "params_nonembedding": 1, "params_total": 2, "depth": 1}
    rows = list(rows_of(audited, drawn, {State(0): 64, State(1): 64}, facts, {"eps2": 0.5}))
    assert {row.eps2 for row in rows if row.metric == "rate_distortion_ratio"} == {0.5}
    own = {(row.layer, row.length, row.normalise): row for row in rows if row.metric == "erank_covariance"}
    collapsed, fine = own[1, 24, "centre-unit"], own[0, 24, "centre-unit"]
    assert collapsed.measured < 1.5 < 15 < collapsed.without
    assert abs(collapsed.value) < 0.01
    assert collapsed.measured <= collapsed.most
    assert collapsed.ratio == pytest.approx(500, rel=0.2)
    assert fine.ratio < 2
    assert fine.measured == pytest.approx(fine.without, rel=0.1)
    assert own[1, 24, "unit"].measured > 15
    write_csv(tmp_path / "one_token.csv", OneToken, rows)
    (one, other) = one_token_makes_profile(Inputs([tmp_path / "one_token.csv"]))
    assert (one.verdict, other.verdict) == ("supported", "supported")
    draw_one_token(tmp_path / "one_token.csv", tmp_path / "one_token.pdf")
    assert (tmp_path / "one_token.pdf").stat().st_size > 1000


def test_a_text_without_a_long_token_is_left_out(tmp_path):
    assert audited_text(planted(tmp_path, 1)[0], [24], ["stable_rank"], {"eps2": 0.5}) == {}


@pytest.mark.parametrize(
    ("values", "verdict"),
    [([(-0.01, 0.02), (0.05, 0.09)], "supported"), ([(0.0, 0.01), (0.1, 0.2)], "refuted"), ([(0.05, 0.1)], "open"), ([], None)],
)
def test_one_layer_outside_of_the_margin_refutes(values, verdict, tmp_path):
    where = {"model": "m", "family": "f", "seed": None, "corpus": "c", "params_nonembedding": 1, "params_total": 2, "depth": 9}
    fixed = where | {"d": 8, "metric": "erank_covariance", "documents": 5, "n": 5, "length": 64, "normalise": "centre-unit"}
    fixed |= {"eps2": None, "measured": 2.0, "without": 9.0, "predicted": 2.1, "most": 3.0, "share": 0.9}
    rows = [
        OneToken(**fixed, layer=layer, value=(low + high) / 2, low=low, high=high, ratio=50.0)
        for layer, (low, high) in enumerate(values, 1)
    ]
    rows.append(OneToken(**fixed, layer=0, value=1.0, low=0.9, high=1.1, ratio=2.0))  # the token is short there
    rows += [OneToken(**(vars(row) | {"normalise": "unit"})) for row in rows]
    write_csv(tmp_path / "one_token.csv", OneToken, rows)
    found = one_token_makes_profile(Inputs([tmp_path / "one_token.csv"]))
    assert [one.verdict for one in found] == ([verdict] if verdict else [])
