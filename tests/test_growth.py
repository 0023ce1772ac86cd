"""Diff-eRank from spectra that are known, and what is said to grow."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from geomkit.core.provenance import rng
from geomkit.core.state import State
from geomkit.laws.exponents import Verdict
from geomkit.laws.statistics import slope
from geomkit.measures.entropy import diff_erank
from geomkit.measures.nulls import width_nulls
from geomkit.measures.spectra import Spectrum
from geomkit.states.spectra import write_spectra
from geomkit.states.texts import Texts
from geomkit.studies.size_laws.growth import compare_growth
from geomkit.studies.size_laws.rows import DiffErank, Growth, NullSlope, Slope
from geomkit.tables.rows import read_csv, write_csv
from geomkit.tables.tidy import write_resamples

ROOT = Path(__file__).parents[1]
TEXTS = Texts(["a", "a", "b", "c", "d"], [20, 20, 20, 20, 4], [1] * 5)
N, LONG, DEPTH = 16, 4, 2
"""The first LONG texts have N tokens."""
WIDTHS = {"f-6-0": 6, "f-6-1": 6, "f-8-0": 8, "f-12-0": 12}
VARIANTS = ("trained", "untrained-0", "untrained-1")
PRIMARY = {"metrics": ["erank_covariance"], "layer": "last", "length": N, "normalise": "unit"}


def spectra(model: str, variant: str) -> np.ndarray:
    """Eigenvalues (texts, d): those of a model before training are flatter."""
    d = WIDTHS[model]
    decay = np.arange(1, d + 1) ** -(1.5 if variant == "trained" else 0.5)
    return decay * np.sort(np.exp(0.1 * rng(0, model, variant).standard_normal((LONG, d))), axis=1)[:, ::-1]


def entropy(values: np.ndarray) -> np.ndarray:
    p = values / values.sum(axis=-1, keepdims=True)
    return -(p * np.log(p)).sum(axis=-1)


def write(path: Path, model: str, variants: Sequence[str], empty: int | None) -> None:
    attributes = {"params_nonembedding": WIDTHS[model] ** 3, "params_total": WIDTHS[model] ** 3, "depth": DEPTH}
    with write_spectra(path, TEXTS, attributes, {}) as writer:
        for variant in variants:
            values = spectra(model, variant)
            writer.corpus(variant, "centre-unit", State(DEPTH + 1), Spectrum(values.mean(axis=0), 80, WIDTHS[model]))
            if empty is not None:
                values[empty] = 0
            writer.texts(variant, "centre-unit", State(DEPTH + 1), Spectrum(values, N, WIDTHS[model]))


def variants_of(model: str, variants: Sequence[str]) -> Sequence[str]:
    """Which of the variants a model has."""
    return variants


def run(folder: Path, variants: Sequence[str] = VARIANTS, empty: int | None = None) -> tuple[list[DiffErank], list[Growth]]:
    """diff_erank.csv and growth.csv; of slopes.csv two metrics matter, and of resampled corpora one draw."""
    for model in WIDTHS:
        write(folder / model / "c.h5", model, variants_of(model, variants), empty if model == "f-8-0" else None)
    where = {"family": "f", "layer": "final", "normalise": "centre-unit", "metric": "matrix_entropy"}
    draws = {"trained": np.log([1.0, 3.0]), "untrained-0": np.log([4.0, 6.0]), "untrained-1": np.log([6.0, 8.0])}
    write_resamples(
        folder / "c.parquet",
        [
            where | {"model": model, "variant": variant, "eps2": None, "values": draws[variant]}
            for model in WIDTHS
            for variant in draws
        ],
    )
    row = {"family": "f", "published": False, "corpus": "c", "metric": "erank_covariance", "length": N, "normalise": "unit"}
    row |= {"against": "params_nonembedding", "primary": True, "verdict": Verdict.NO_NULL, "reason": "", "eps2": None}
    row |= dict.fromkeys(("freedom", "measurement_low", "measurement_high")) | {"combinations": 4}
    ends = [("last", 0.1, 0.3), ("final", 0.1, 0.3), ("last", -0.3, -0.1), ("last", -0.1, 0.3)]
    slopes = [Slope(**row, layer=layer, slope=(low + high) / 2, low=low, high=high) for layer, low, high in ends]
    write_csv(folder / "slopes.csv", Slope, slopes)
    write_csv(folder / "null_slopes.csv", NullSlope, [])
    outputs = [folder / name for name in ("diff_erank.csv", "growth.csv")]
    compare_growth(
        [folder / model / "c.h5" for model in WIDTHS],
        [folder / "c.parquet"],
        folder / "slopes.csv",
        folder / "null_slopes.csv",
        ROOT / "workflow/resources/published/diff_erank.csv",
        *outputs,
        dict.fromkeys(WIDTHS, "f"),
        {model: int(model[-1]) for model in WIDTHS},
        [8, N],
        PRIMARY,
        50,
        0,
    )
    return read_csv(outputs[0], DiffErank), read_csv(outputs[1], Growth)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return run(tmp_path_factory.mktemp("growth"))


def nulls(name: str, variant: str) -> dict[str, np.ndarray]:
    family = [Spectrum(spectra(model, variant), N, d) for model, d in WIDTHS.items()]
    return {model: null[name].eigenvalues for model, null in zip(WIDTHS, width_nulls(family, list(WIDTHS.values())), strict=True)}


def test_each_model_has_its_mean_over_twins_and_their_spread(tables):
    rows = {(row.model, row.variant): row for row in tables[0] if row.length == N}
    assert len(rows) == 3 * len(WIDTHS)
    for model in WIDTHS:
        values = diff_erank(
            *(np.array([entropy(spectra(model, name)) for name in names]) for names in (VARIANTS[:1], VARIANTS[1:]))
        )
        row = rows[model, "measured"]
        assert (row.value, row.sd, row.twins) == pytest.approx((values.mean(), values.std(ddof=1), 2), rel=1e-5)
        assert row.low < row.value < row.high
        for name in ("fixed-spectrum", "stretched"):
            trained, *twins = (entropy(nulls(name, variant)[model]) for variant in VARIANTS)
            assert rows[model, name].value == pytest.approx(diff_erank(trained, np.array(twins)).mean(), rel=1e-5)


def test_the_corpus_has_the_interval_of_its_resamples(tables):
    rows = [row for row in tables[0] if row.length is None and row.variant == "measured"]
    for row in rows:
        trained, *twins = (np.exp(entropy(spectra(row.model, variant).mean(axis=0))) for variant in VARIANTS)
        assert row.value == pytest.approx(np.mean(twins) - trained, rel=1e-5)
        assert (row.low, row.high) == pytest.approx((4.0, 4.0))


def test_its_slope_is_that_of_its_own_value_and_what_grows_has_an_interval_above_zero(tables):
    values = {row.model: row.value for row in tables[0] if (row.length, row.variant) == (N, "measured")}
    means = [(values["f-6-0"] + values["f-6-1"]) / 2, values["f-8-0"], values["f-12-0"]]
    expected = slope(3 * np.log([6, 8, 12]), means)
    row = next(row for row in tables[1] if (row.measure, row.length, row.family) == ("diff_erank", N, "f"))
    assert [row.slope, row.low, row.high] == pytest.approx(list(expected[:3]), rel=1e-4)
    assert row.of == "value"
    assert row.measurement_low < row.slope < row.measurement_high
    assert row.growth == ("grows" if expected.low > 0 else "flat")


def test_metrics_stand_beside_it_at_the_primary_place_with_a_word_for_each(tables):
    rows = [row for row in tables[1] if row.measure == "erank_covariance"]
    assert [(row.growth, row.layer, row.primary) for row in rows] == [
        ("grows", "last", True),
        ("falls", "last", True),
        ("flat", "last", True),
    ]


def test_the_published_one_grows_in_every_data_set_and_less_than_the_width(tables):
    rows = [row for row in tables[1] if row.published]
    assert [row.corpus for row in rows] == ["dolly", "wiki", "openwebtext2", "hh-rlhf"]
    for row in rows:
        assert row.growth == "grows"
        assert row.fixed_spectrum_slope == pytest.approx(0, abs=1e-9)
        assert 0 < row.slope < row.stretched_slope


def test_combinations_are_counted(tables):
    assert {row.combinations for row in tables[1]} == {sum(row.slope is not None for row in tables[1])}


def test_a_text_of_equal_rows_is_left_out_of_every_model(tmp_path, tables):
    rows, whole = (
        {row.model: row.value for row in each if (row.length, row.variant) == (N, "measured")}
        for each in (run(tmp_path, empty=2)[0], tables[0])
    )
    kept = [0, 1, 3]
    for model in WIDTHS:
        trained, *twins = (entropy(spectra(model, variant))[kept] for variant in VARIANTS)
        assert rows[model] == pytest.approx(diff_erank(trained, np.array(twins)).mean(), rel=1e-5)
        assert rows[model] != whole[model]


def test_without_untrained_twins_there_is_none_and_the_rest_stands(tmp_path):
    models, growth = run(tmp_path, variants=["trained"])
    assert models == []
    assert {row.measure for row in growth if row.family == "f"} == {"erank_covariance"}
