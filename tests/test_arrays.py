"""Measures of torch tensors against those of numpy arrays: one set of numbers, wherever the rows are."""

import numpy as np
import pytest
import torch

from geomkit.core import arrays
from geomkit.core.errors import DataError
from geomkit.measures import spectra
from geomkit.measures.accumulation import StateSpectra
from geomkit.measures.entropy import diff_erank, measure, metrics
from geomkit.measures.gain import information_gain, kernel_information_gain, rbf_kernel, ridge_path
from geomkit.measures.norms import layer_norm, rms_norm
from geomkit.measures.spectra import CovarianceAccumulator, is_centred, modes, normalise, spectrum

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SHAPES = [(20, 50), (50, 20), (3, 24, 24), (2, 2, 40, 18)]


@pytest.fixture(params=DEVICES)
def device(request) -> str:
    return request.param


def cloud(seed: int, *shape: int) -> np.ndarray:
    """Rows of full rank with a common offset, their eigenvalues within two decades."""
    draw = np.random.default_rng(seed)
    return (draw.standard_normal(shape) + 0.5 * draw.standard_normal(shape[-1])) * np.geomspace(1, 0.2, shape[-1])


def assert_same(found, expected, device: str, rtol: float = 1e-12) -> None:
    """A tensor on the device, in float64, whose values differ from numpy's by at most `rtol` of the largest."""
    assert isinstance(found, torch.Tensor)
    assert (found.device.type, found.dtype, found.requires_grad) == (device, torch.float64, False)
    assert tuple(found.shape) == np.shape(expected)
    np.testing.assert_allclose(found.cpu().numpy(), expected, rtol=0, atol=rtol * np.max(np.abs(expected), initial=0))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", list(modes))
def test_rows_spectra_and_every_metric_are_those_of_numpy(shape, mode, device):
    Z = cloud(1, *shape)
    rows, tensor = normalise(Z, mode), normalise(torch.tensor(Z, device=device), mode)
    assert_same(tensor, rows, device)
    known, found = spectrum(rows, is_centred(mode)), spectrum(tensor, is_centred(mode))
    assert (found.n, found.d, found.m) == (known.n, known.d, known.m)
    assert_same(found.eigenvalues, known.eigenvalues, device)
    values, measured = measure(known, eps2=0.3), measure(found, eps2=0.3)
    assert list(measured) == list(values) == [name for name in metrics if name != "alpha_req" or known.m >= 16]
    for name, one in measured.items():
        assert_same(one.value, values[name].value, device)
        if one.bound is None:
            assert values[name].bound is None
        else:
            np.testing.assert_allclose(arrays.as_numpy(one.bound), values[name].bound, rtol=1e-12)


@pytest.mark.parametrize("shape", [(16, 40), (3, 24, 32), (200, 8)])  # the last is done in blocks
def test_gains_and_ridge_paths_are_those_of_numpy(shape, device):
    Z = normalise(cloud(2, *shape), "unit")
    tensor = torch.tensor(Z, device=device)
    assert_same(information_gain(tensor, 0.3, 300), information_gain(Z, 0.3, 300), device)
    assert_same(rbf_kernel(tensor, 0.7), rbf_kernel(Z, 0.7), device)
    assert_same(kernel_information_gain(rbf_kernel(tensor, 0.7), 0.1), kernel_information_gain(rbf_kernel(Z, 0.7), 0.1), device)
    known, found = (ridge_path(rows, [0.01, 0.1, 3]) for rows in (Z, tensor))
    for name in ("penalties", "error", "freedom", "gcv", "best"):
        assert_same(getattr(found, name), getattr(known, name), device, 1e-11 if name == "gcv" else 1e-12)


def test_a_first_token_has_no_past_in_a_tensor_either(device):
    Z = cloud(3, 1, 6)
    known, found = ridge_path(Z, [0, 1.0]), ridge_path(torch.tensor(Z, device=device), [0, 1.0])
    for name in ("error", "freedom", "gcv"):
        assert_same(getattr(found, name), getattr(known, name), device)


@pytest.mark.parametrize("norm", [layer_norm, rms_norm])
def test_final_norms_are_those_of_numpy(norm, device):
    Z = cloud(4, 9, 12)
    assert_same(norm(torch.tensor(Z, device=device), 1e-5), norm(Z, 1e-5), device)


def test_diff_erank_is_that_of_numpy(device):
    trained, twins = np.abs(cloud(5, 7)), np.abs(cloud(6, 3, 7))
    assert_same(diff_erank(*(torch.tensor(x, device=device) for x in (trained, twins))), diff_erank(trained, twins), device)


@pytest.mark.parametrize("mode", list(modes))
def test_accumulated_spectra_and_sums_are_those_of_numpy(mode, device):
    Z, found = cloud(7, 60, 12), []
    for rows in (Z, torch.tensor(Z, device=device)):
        spectra_of = StateSpectra(12, [mode], [5, 20], rows.mean(axis=0))
        spectra_of.add(rows[:25], [25])
        first = spectra_of.end_document()[mode]
        spectra_of.add(rows[25:], [20, 4, 11])
        spectra_of.end_document()
        found.append([first.total, *(one.eigenvalues for part in (spectra_of.texts(), spectra_of.corpus()) for _, one in part)])
    assert len(found[0]) == 4
    for known, one in zip(*found, strict=True):
        assert_same(one, known, device)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_types_become_float64_and_the_input_stays(dtype, device):
    Z = torch.tensor(cloud(8, 30, 8), dtype=dtype, device=device, requires_grad=True)
    before = Z.detach().clone()
    for mode in modes:
        assert_same(normalise(Z, mode), normalise(Z.detach().double().cpu().numpy(), mode), device)
    assert torch.equal(Z.detach(), before)
    assert_same(spectrum(Z).eigenvalues, spectrum(Z.detach().double().cpu().numpy()).eigenvalues, device)


def test_tensors_are_refused_as_arrays_are(device):
    Z = torch.tensor(cloud(9, 5, 8), device=device)
    with pytest.raises(DataError, match="not centred"):
        spectrum(Z, centred=True)
    Z[1, 2] = torch.nan
    with pytest.raises(DataError, match="1 of 5 token vectors"):
        normalise(Z, "unit")
    with pytest.raises(DataError, match="not finite"):
        spectrum(Z)
    with pytest.raises(DataError, match=r"\(8,\)"):
        spectrum(Z[0])
    with pytest.raises(DataError, match="positive semi-definite"):
        kernel_information_gain(torch.tensor([[1.0, 3.0], [3.0, 1.0]], device=device), 0.1)
    with pytest.raises(DataError, match="not symmetric"):
        kernel_information_gain(torch.tensor([[1.0, 0.5], [0.2, 1.0]], device=device), 0.1)
    with pytest.raises(DataError, match="1e12 times the noise"):
        information_gain(1e9 * torch.eye(3, device=device))
    with pytest.raises(DataError, match=r"stable_rank: 0.0 is outside|stable_rank.*4 rows of 2 columns"):
        measure(spectra.Spectrum(torch.tensor([[1.0, 0.5], [0.1, 0.9]], device=device).double(), 4, 2), ["stable_rank"])


def test_zero_rows_are_undefined_in_a_tensor_too(device):
    for name, one in measure(spectrum(torch.zeros(20, 30, device=device))).items():
        assert bool(torch.isnan(one.value)) == (name not in ("rate_distortion", "rate_distortion_paper", "nuclear_norm")), name


def test_a_device_without_float64_is_measured_in_float32(monkeypatch):
    monkeypatch.setattr(arrays, "widest", lambda xp, device: torch.float32)
    Z = cloud(10, 40, 16)
    rows = normalise(torch.tensor(Z), "unit")
    assert rows.dtype == torch.float32
    known, found = (measure(spectrum(each)) for each in (normalise(Z, "unit"), rows))
    for name, one in found.items():
        assert float(one.value) == pytest.approx(known[name].value, rel=1e-4), name
    assert information_gain(rows).numpy() == pytest.approx(information_gain(normalise(Z, "unit")), rel=1e-4)
    with pytest.raises(DataError, match="1e4 times the noise"):
        information_gain(1e3 * torch.eye(3))


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor])
def test_a_wide_covariance_is_summed_in_blocks(kind, monkeypatch):
    Z = cloud(11, 30, 23)
    whole = CovarianceAccumulator(23).update(Z).total
    monkeypatch.setattr(spectra, "WIDE", 5)
    parts = CovarianceAccumulator(23, like=kind(Z)).update(kind(Z[:11])).update(kind(Z[11:]))
    total = arrays.as_numpy(parts.total)
    np.testing.assert_allclose(total, whole, rtol=0, atol=1e-13 * np.abs(whole).max())
    assert parts.n == 30
