"""Rows that are equal but for rounding, in every type that states are computed and stored in: their spectrum has no shape, and
tables say why."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from geomkit.core.arrays import EPSILONS, narrowest, rounding
from geomkit.core.errors import ConfigError
from geomkit.core.state import State
from geomkit.measures.accumulation import StateSpectra, text_spectra
from geomkit.measures.entropy import measure
from geomkit.measures.projection import leading_directions, projected
from geomkit.measures.spectra import normalise, spectrum
from geomkit.sources.imported import import_states
from geomkit.states.decompose import decompose
from geomkit.states.dumps import Dump, stored, write_dump
from geomkit.states.sinks import metrics_of
from geomkit.states.texts import Texts
from geomkit.studies.entropy.analyse import measure_spectra
from geomkit.tables.tidy import absent_of, read_columns

N, D = 16, 48


def equal_rows(dtype: str, texts: int = 1, steps: float = 1) -> np.ndarray:
    """Rows (texts, N, D) in float64 that are equal but for errors of some epsilon of a type."""
    draw = np.random.default_rng(len(dtype))
    row = draw.standard_normal(D)
    return row * (1 + steps * EPSILONS[dtype] * draw.uniform(-1, 1, (texts, N, D)))


@pytest.mark.parametrize("dtype", EPSILONS)
def test_rows_that_are_equal_up_to_rounding_have_no_direction(dtype):
    rows = equal_rows(dtype)[0]
    np.testing.assert_array_equal(normalise(rows, "centre-unit", dtype=dtype), 0)
    np.testing.assert_array_equal(normalise(rows, "centre-unit", mean=rows.mean(axis=0), dtype=dtype), 0)
    if dtype not in ("float64", "bfloat16"):
        np.testing.assert_array_equal(normalise(rows.astype(dtype), "centre-unit"), 0)
    kind = getattr(torch, dtype)
    assert not normalise(torch.tensor(rows).to(kind), "centre-unit").any()
    assert not normalise(torch.tensor(rows), "centre-unit", dtype=kind).any()


@pytest.mark.parametrize("dtype", EPSILONS)
def test_rows_that_differ_by_more_than_rounding_keep_their_direction(dtype):
    steps = 20 * rounding(np.zeros(1), dtype) / EPSILONS[dtype]
    centred = normalise(equal_rows(dtype, steps=steps)[0], "centre-unit", dtype=dtype)
    np.testing.assert_allclose((centred**2).sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("dtype", EPSILONS)
def test_a_coordinate_that_is_large_in_all_rows_hides_no_other(dtype):
    """Language models have some that are hundreds of times the others: each number is rounded relative to itself."""
    rows = np.random.default_rng(1).standard_normal((N, D))
    rows[:, 7] = 4 / rounding(np.zeros(1), dtype)
    others = np.delete(rows, 7, axis=1)
    centred = normalise(rows, "centre-unit", dtype=dtype)
    np.testing.assert_allclose(np.delete(centred, 7, axis=1), normalise(others, "centre-unit"), atol=1e-3)
    equal = equal_rows(dtype)[0]
    equal[:, 7] *= 1000
    np.testing.assert_array_equal(normalise(equal, "centre-unit", dtype=dtype), 0)


def test_a_long_row_hides_no_other():
    """Attention sinks are a thousand times longer than other rows."""
    rows = np.random.default_rng(0).standard_normal((N, D))
    rows[0] *= 1000
    centred = normalise(rows, "centre-unit", dtype="bfloat16")
    np.testing.assert_allclose((centred**2).sum(axis=1), 1, rtol=1e-12)


def test_unit_and_raw_rows_do_not_depend_on_the_type():
    rows = equal_rows("float32")[0]
    for mode in ("unit", "raw"):
        np.testing.assert_array_equal(normalise(rows, mode, dtype="bfloat16"), normalise(rows, mode))


def test_whole_numbers_are_exact():
    rows = np.tile(np.arange(1, D + 1) * 10**9, (N, 1))
    rows[0, 0] += 1
    assert (normalise(rows, "centre-unit") != 0).any()
    assert not normalise(rows.astype(np.float32), "centre-unit").any()


def test_the_narrower_type_counts():
    assert narrowest("float32", np.float16, torch.float64) == "float16"
    assert narrowest(np.dtype("float32"), torch.bfloat16) == "bfloat16"
    assert rounding(np.zeros(1, np.float16), "float32") == rounding(np.zeros(1), "float16") == 2**-7.5
    assert rounding(np.zeros(1, np.int64)) == rounding(np.zeros(1)) == 2**-39
    for unknown in ("float8", "int64", 16, ["float32"]):
        with pytest.raises(ConfigError, match="unknown dtype"):
            normalise(np.eye(3), "unit", dtype=unknown)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_goes_through_spectra_of_texts_keeps_its_type(dtype):
    clouds = equal_rows(dtype, texts=3)
    clouds[1] = np.random.default_rng(1).standard_normal((N, D))
    flat = clouds.reshape(-1, D)
    (_, _, found), *_ = text_spectra(flat, [N] * 3, ["centre-unit"], [N], dtype)
    assert (found.trace > 0).tolist() == [False, True, False]
    whole = StateSpectra(D, ["centre-unit"], [N], flat[:N].mean(axis=0), dtype=dtype)
    whole.add(flat[:N], [N])
    whole.end_document()
    assert [float(one.trace.sum()) for part in (whole.texts(), whole.corpus()) for _, one in part] == [0, 0]
    assert np.isnan(metrics_of(clouds[0], ["rate_distortion_ratio", "erank_covariance"], "centre-unit", 0.5, dtype)).all()
    fold = np.array([0, 1, 0])
    directions = leading_directions(clouds[[0, 2, 2]], "unit", fold, dtype)
    assert directions.rank.tolist() == [1, 1]
    assert projected(clouds, "centre-unit", fold, [D], dtype=dtype)[D].spectrum.trace[0] == 0


TEXTS = Texts(["a", "b"], [N, N], [0, 0])


@pytest.mark.parametrize(
    ("computed", "kept", "expected"),
    [
        ("float32", "float32", "float32"),
        ("bfloat16", "float32", "bfloat16"),
        ("float32", "bfloat16", "bfloat16"),
        ("float32", "float16", "float16"),
        ("bfloat16", "float16", "bfloat16"),
        (None, "float16", "float16"),
        (None, "float32", "float32"),
    ],
)
def test_a_dump_says_the_narrower_type_of_computing_and_storing(tmp_path, computed, kept, expected):
    path = tmp_path / "trained.h5"
    with write_dump(path, TEXTS, {"dtype": computed} if computed else {}, {}, kept, None, [2]) as writer:
        writer.append(np.zeros(2 * N), None, {State(0): np.ones((2 * N, D), np.float32)})
    with Dump(path) as dump:
        assert dump.dtype == expected


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
def test_degenerate_texts_are_absent_with_a_reason_and_no_number(tmp_path: Path, kind):
    folder, dump = tmp_path / "states", tmp_path / "dumps/m/c/trained.h5"
    folder.mkdir()
    (folder / "texts.csv").write_text(f"document,tokens\na,{N}\nb,{N}\n")
    rows = torch.tensor(equal_rows(kind, texts=2).reshape(-1, D)).to(getattr(torch, kind))
    save_file({"layer-0": rows}, folder / "x.safetensors")
    sizes = {"depth": 0, "params_total": 1, "params_nonembedding": 1}
    entry = {"source": "states", "path": "mine", "layers": [0], **sizes}
    import_states(folder, dump, entry, {"layers": [0], "dtype": "float32", "compression": None})
    spectra, table = tmp_path / "spectra/m/c.h5", tmp_path / "entropy/m/c.parquet"
    decompose(partial(stored, dump), spectra, ["unit", "centre-unit"], [N], ["trained"], [], None, 0)
    measure_spectra(spectra, table, "f", None, ["erank_covariance", "nuclear_norm"], {})
    reasons = absent_of(table)
    assert reasons[f"erank_covariance, trained, centre-unit, n = {N}, /hidden/0"] == (
        "undefined for 2 of 2 texts (rows that are zero, or equal up to rounding)"
    )
    found = read_columns(table, ["text", "normalise", "metric", "value"])
    values = {(row["normalise"], row["metric"]): row["value"] for row in found if row["text"] == 0}
    assert ("centre-unit", "erank_covariance") not in values
    assert values["centre-unit", "nuclear_norm"] == 0
    assert values["unit", "erank_covariance"] == pytest.approx(1, abs=1e-2 if kind == "bfloat16" else 1e-4)


def test_real_rows_in_a_short_type_keep_their_metrics():
    rows = np.random.default_rng(2).standard_normal((N, D)) + 1
    exact = measure(spectrum(rows, "centre-unit"))
    for kind in (torch.float32, torch.float16, torch.bfloat16):
        for name, one in measure(spectrum(torch.tensor(rows).to(kind), "centre-unit")).items():
            assert float(one.value) == pytest.approx(float(exact[name].value), rel=1e-2), name
