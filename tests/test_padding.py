"""Rows as callers hand them over: masks, padding that nobody mentioned, rows that were centred before, and what is no array."""

import warnings

import numpy as np
import pytest
import torch

import geomkit
from geomkit.core.errors import ConfigError, DataError
from geomkit.measures.entropy import absent, metrics
from geomkit.measures.spectra import Spectrum, is_centred, modes, row_spectrum

TEXTS, N, D = 4, 24, 40
TOKENS = np.ones((TEXTS, N), dtype=np.int64)
TOKENS[0, 10:] = TOKENS[1, :5] = TOKENS[2, 20:] = 0


@pytest.fixture
def batch() -> np.ndarray:
    """Token vectors with a common offset; the rows of padding hardly differ."""
    draw = np.random.default_rng(0)
    Z = draw.standard_normal((TEXTS, N, D)) + 0.5 * draw.standard_normal(D)
    Z[TOKENS == 0] = 3 * draw.standard_normal(D)
    return Z + 1e-3 * draw.standard_normal(Z.shape)


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def rank(spectrum) -> np.ndarray:
    return np.asarray(geomkit.measure(spectrum, ["erank_covariance"])["erank_covariance"].value)


# one call


@pytest.mark.parametrize("mode", list(modes))
def test_one_call_is_normalise_and_spectrum(mode, batch):
    Z = batch[3]
    centred = is_centred(mode)
    found, known = geomkit.spectrum(Z, mode), geomkit.spectrum(geomkit.normalise(Z, mode), centred=centred)
    np.testing.assert_array_equal(found.eigenvalues, known.eigenvalues)
    assert (found.n, found.d, found.m) == (N, D, N - centred)


def test_old_calls_that_are_right_stay(batch):
    Z = batch[3]
    unit, centred = geomkit.normalise(Z, "unit"), geomkit.normalise(Z, "centre-unit")
    np.testing.assert_array_equal(geomkit.spectrum(unit).eigenvalues, geomkit.spectrum(Z, "unit").eigenvalues)
    for told in (geomkit.spectrum(centred, True), geomkit.spectrum(centred, centred=True)):
        np.testing.assert_array_equal(told.eigenvalues, geomkit.spectrum(Z, "centre-unit").eigenvalues)
    assert geomkit.spectrum(unit, False).m == N


# masks


@pytest.mark.parametrize(
    "kind", [np.asarray, torch.tensor, lambda mask: mask.astype(bool), lambda mask: mask / 1.0, np.ndarray.tolist]
)
@pytest.mark.parametrize("mode", list(modes))
def test_a_masked_batch_is_its_texts_without_their_padding(mode, kind, batch):
    alone = [geomkit.measure(geomkit.spectrum(Z[own == 1], mode)) for Z, own in zip(batch, TOKENS, strict=True)]
    batch[TOKENS == 0] = np.nan
    for Z in (batch, torch.tensor(batch, requires_grad=True)):
        spectra = geomkit.spectrum(Z, mode, mask=kind(TOKENS))
        assert [one.n for one in spectra] == TOKENS.sum(axis=1).tolist()
        found = geomkit.measure(spectra)
        assert list(found) == list(alone[3])
        for name, one in found.items():
            expected = [text[name].value if name in text else np.nan for text in alone]
            np.testing.assert_allclose(np.asarray(one.value), expected, rtol=1e-10, err_msg=name)
            if one.bound is not None:
                bounds = [text[name].bound for text in alone]
                np.testing.assert_allclose(np.asarray(one.bound), bounds, rtol=1e-10, err_msg=name)


def test_a_masked_text_is_one_spectrum(batch):
    found = geomkit.spectrum(batch[0], "unit", TOKENS[0])
    assert isinstance(found, Spectrum)
    np.testing.assert_array_equal(found.eigenvalues, geomkit.spectrum(batch[0, :10], "unit").eigenvalues)


def test_a_transformers_output_is_handed_over_with_its_attention_mask():
    from transformers import LlamaConfig, LlamaModel

    torch.manual_seed(0)
    model = LlamaModel(
        LlamaConfig(vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    ).eval()
    ids = torch.randint(1, 99, (2, 20))
    mask = torch.ones_like(ids)
    mask[0, 8:] = 0
    padded = model(ids * mask, attention_mask=mask, output_hidden_states=True)
    alone = model(ids[:1, :8], output_hidden_states=True)
    for layer in range(3):
        found = rank(geomkit.spectrum(padded.hidden_states[layer], "centre-unit", mask=mask))
        assert found[0] == pytest.approx(rank(geomkit.spectrum(alone.hidden_states[layer], "centre-unit"))[0], rel=1e-4)
        with pytest.warns(UserWarning, match=r"1 of 2 texts may hold rows of padding.*mask=attention_mask"):
            geomkit.spectrum(padded.hidden_states[layer], "centre-unit")
    with pytest.raises(DataError, match=r"found a BaseModelOutputWithPast: hand over one of its states"):
        geomkit.spectrum(padded, "unit")
    with pytest.raises(DataError, match=r"found a tuple of 3 tensors: hand over one"):
        geomkit.spectrum(padded.hidden_states, "unit", mask)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (TOKENS[:2], r"mask has shape \(2, 24\).*one of shape \(4, 24\)"),
        (TOKENS[:, None, None], r"mask has shape \(4, 1, 1, 24\)"),
        (TOKENS[0], r"mask has shape \(24,\)"),
        ((1.0 - TOKENS) * -1e9, r"1 \(or True\) for tokens and 0 .*found -1000000000.0"),
        (TOKENS * 7, "found 7"),
        (np.where(TOKENS, 1.0, np.nan), "found nan"),
        ("attention", "mask must be an array of ones"),
        (TOKENS * np.array([[1], [1], [0], [1]]), "mask: text 2 has 0 of the 1 tokens"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(mask, message, batch):
    with pytest.raises(DataError, match=message):
        geomkit.spectrum(batch, "unit", mask=mask)


def test_a_mask_needs_a_mode_and_enough_tokens(batch):
    with pytest.raises(ConfigError, match="needs a mode: unit, centre-unit, centre, raw"):
        geomkit.spectrum(geomkit.normalise(batch, "unit"), mask=TOKENS)
    with pytest.raises(DataError, match="text 0 has 1 of the 2 tokens"):
        geomkit.spectrum(batch[0], "centre-unit", mask=np.arange(N) == 3)
    with pytest.raises(DataError, match=r"found shape \(1, 4, 24, 40\)"):
        geomkit.spectrum(batch[None], "unit", mask=TOKENS[None])


# padding that nobody mentioned


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor])
def test_padding_is_noticed(kind, batch):
    for call in (lambda Z: geomkit.spectrum(Z, "unit"), lambda Z: geomkit.spectrum(geomkit.normalise(Z, "unit"))):
        with pytest.warns(UserWarning, match="3 of 4 texts may hold rows of padding"):
            call(kind(batch))
    with pytest.warns(UserWarning, match="the text may hold rows of padding"):
        geomkit.spectrum(kind(batch[0]), "centre-unit")


def test_padding_that_differs_by_its_position_alone_is_noticed_in_a_batch(batch):
    batch[:] = np.random.default_rng(1).standard_normal(batch.shape)
    batch[:2, 12:] = batch[0, 12:]
    with pytest.warns(UserWarning, match="2 of 4 texts"):
        geomkit.spectrum(batch, "unit")


def test_texts_of_one_length_give_no_warning(batch):
    Z = np.random.default_rng(2).standard_normal((8, N, D)) + 3
    Z[:, 5:9] = Z[:, 4:5]  # a token again and again
    geomkit.spectrum(Z, "unit")
    geomkit.spectrum(Z[:, :3], "unit")
    geomkit.spectrum(batch, "unit", mask=np.ones((TEXTS, N)))


# rows that were centred before


@pytest.mark.parametrize("change", [np.asarray, torch.tensor, np.float32, np.float16, lambda Z: 5 * Z])
@pytest.mark.parametrize("n", [2, 3, N])
def test_rows_that_were_centred_are_refused_where_nobody_says_so(n, change, batch):
    centred = geomkit.normalise(batch[3, :n], "centre-unit")
    for call in (
        lambda: geomkit.spectrum(change(centred)),
        lambda: geomkit.spectrum(change(centred), "unit"),
        lambda: geomkit.spectrum(change(np.stack([0 * centred, centred]))),
        lambda: geomkit.spectrum(change(batch[3, :n] - batch[3, :n].mean(axis=0)), "unit"),
    ):
        with pytest.raises(DataError, match=r"geomkit.spectrum\(Z, 'centre-unit'\), or say centred=True"):
            call()
    assert geomkit.spectrum(change(centred), centred=True).m == n - 1
    assert geomkit.spectrum(change(centred), centred=False).m == n


def test_tokens_that_come_again_do_not_hide_it(batch):
    Z = batch[3][np.random.default_rng(3).integers(0, 9, N)]
    assert geomkit.spectrum(Z, "unit").m == N
    with pytest.raises(DataError, match="had their mean row subtracted"):
        geomkit.spectrum(geomkit.normalise(Z, "centre-unit"))


def test_rows_are_not_centred_twice(batch):
    Z = batch[3]
    with pytest.raises(DataError, match="centred and scaled before"):
        geomkit.spectrum(geomkit.normalise(Z, "centre-unit"), "centre-unit")
    own = geomkit.spectrum(Z - Z.mean(axis=0), "centre-unit")
    np.testing.assert_allclose(own.eigenvalues, geomkit.spectrum(Z, "centre-unit").eigenvalues, rtol=1e-9)
    with pytest.raises(ConfigError, match="centred=False, but centre-unit"):
        geomkit.spectrum(Z, "centre-unit", centred=False)
    with pytest.raises(DataError, match="not centred"):
        geomkit.spectrum(Z, "unit", centred=True)


@pytest.mark.parametrize("r", [1, 3, 10])
def test_rows_of_low_rank_on_both_sides_of_zero_are_not_taken_for_centred(r):
    draw = np.random.default_rng(r)
    assert geomkit.spectrum(geomkit.normalise(draw.standard_normal((N, r)) @ draw.standard_normal((r, D)), "unit")).m == N
    assert geomkit.spectrum(np.eye(D)[:N]).m == N


# what is no array of token vectors


@pytest.mark.parametrize(
    ("Z", "message"),
    [
        ("abc", "real numbers, found ndarray of <U3"),
        (None, r"found shape \(\)"),
        ([[1, 2], [3]], "found a list whose rows differ in length"),
        ([["a", "b"]], "real numbers"),
        (np.ones(3), r"found shape \(3,\)"),
        (np.ones((3, 3)) + 1j, "complex128"),
        (torch.ones(3, 3) + 1j, "complex64"),
        (torch.eye(3).to_sparse(), "sparse_coo"),
        (torch.eye(3).to_sparse_csr(), "sparse_csr"),
        (torch.empty(3, 3, device="meta"), "on meta"),
        (np.ma.masked_array(np.eye(3), np.eye(3) > 0), "masked array"),
        ({"hidden_states": 1}, "found a dict: hand over one of its states"),
        (np.zeros((0, 3)), "at least 1 rows"),
        (np.full((3, 3), np.nan), "3 of 3 token vectors are not finite"),
        (np.array([[1.0, np.inf], [1, 1]]), "1 of 2 token vectors are not finite"),
    ],
)
def test_what_is_no_array_of_token_vectors_is_one_line(Z, message):
    with pytest.raises(DataError, match=message):
        geomkit.spectrum(Z, "unit")


def test_arrays_of_every_kind_are_measured(batch):
    import pandas as pd

    whole = np.round(100 * batch[3]).astype(np.int64)
    expected = geomkit.spectrum(whole.astype(np.float64), "centre-unit").eigenvalues
    for Z in (
        whole,
        whole.tolist(),
        np.asfortranarray(whole),
        pd.DataFrame(whole),
        torch.tensor(whole),
        whole.astype(np.float32),
    ):
        np.testing.assert_allclose(np.asarray(geomkit.spectrum(Z, "centre-unit").eigenvalues), expected, rtol=1e-9)
    strided = np.repeat(whole, 2, axis=0)[::2]
    np.testing.assert_array_equal(geomkit.spectrum(strided, "centre-unit").eigenvalues, expected)


@pytest.mark.parametrize("mode", ["center", 3, ["unit"]])
def test_an_unknown_mode_is_named_with_those_that_there_are(mode):
    with pytest.raises(ConfigError, match=r"unknown mode of normalisation .*known: unit, centre-unit, centre, raw"):
        geomkit.spectrum(np.eye(3), mode)


def test_a_mean_of_another_width_is_refused():
    with pytest.raises(DataError, match=r"3 numbers has shape \(2,\)"):
        geomkit.normalise(np.eye(3), "centre-unit", mean=np.zeros(2))


# measure


@pytest.mark.parametrize("Z", [np.eye(3), torch.eye(3), [np.eye(3)], None, "Z"])
def test_measure_says_that_it_takes_a_spectrum(Z):
    with pytest.raises(DataError, match=r"on a spectrum, found a .*geomkit.measure\(geomkit.spectrum\(Z, 'unit'\)\)"):
        geomkit.measure(Z)


def test_measure_says_what_names_and_parameters_are():
    found = geomkit.spectrum(np.eye(3))
    for names in ("erank_covariance", 3):
        with pytest.raises(ConfigError, match=rf"a list such as \['erank_covariance'\], found {names!r}"):
            geomkit.measure(found, names)
    with pytest.raises(ConfigError, match=r"eps2 must be a number, found '0.5'"):
        geomkit.measure(found, eps2="0.5")
    of_iterator = geomkit.measure(found, iter(["stable_rank", "rate_distortion"]), eps2=np.float32(0.5))
    assert list(of_iterator) == ["stable_rank", "rate_distortion"]


def test_absent_has_the_reason_of_what_is_undefined():
    why = absent(geomkit.spectrum(np.zeros((20, 30))))
    assert why["erank_covariance"] == "undefined (rows that are zero, or equal up to rounding)"
    assert set(metrics) - set(why) == {"rate_distortion", "rate_distortion_paper", "nuclear_norm"}
    both = np.stack([np.zeros((40, 50)), np.diag(np.arange(50.0))[3:43], np.diag(np.arange(50.0) * (np.arange(50) < 15))[:40]])
    assert absent(row_spectrum(both), ["alpha_req", "stable_rank"]) == {
        "alpha_req": "undefined for 2 of 3 texts (rows that are zero, or equal up to rounding; a zero eigenvalue)",
        "stable_rank": "undefined for 1 of 3 texts (rows that are zero, or equal up to rounding)",
    }
    parts = [geomkit.spectrum(both[1]), geomkit.spectrum(both[0, :5], centred=False)]
    assert absent(parts, ["alpha_req"])["alpha_req"].startswith("fewer than 8 eigenvalues")
