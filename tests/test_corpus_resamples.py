"""Corpora whose documents are drawn with replacement, against brute force on their rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.core.state import State
from geomkit.laws.resampling import Documents
from geomkit.measures.entropy import measure
from geomkit.measures.nulls import width_nulls
from geomkit.measures.spectra import CovarianceAccumulator, Spectrum, normalise, spectrum
from geomkit.states.families import opened_families
from geomkit.states.spectra import write_spectra
from geomkit.states.texts import Texts
from geomkit.studies.size_laws.resamples import resample_corpora
from geomkit.tables.measurements import Where, beside, read_resamples

TEXTS = Texts(["a", "a", "b", "c", "d"], [20, 20, 15, 30, 25], [1] * 5)
DOCUMENTS = {"a": (0, 40), "b": (40, 55), "c": (55, 85), "d": (85, 110)}
WIDTHS = {"f-5": 5, "f-8": 8, "f-12": 12, "alone": 6}
DEPTH, METRICS, RESAMPLES = 2, ["matrix_entropy", "rate_distortion"], 7
FAMILIES = {name: name.split("-")[0] for name in WIDTHS}


def rows(model: str, variant: str, mode: str) -> np.ndarray:
    draw = rng(0, model, variant)
    return normalise(draw.standard_normal((110, WIDTHS[model])) * np.arange(1, WIDTHS[model] + 1) ** -0.5 + 0.3, mode)


def write(path: Path, model: str, without: Sequence[str] = ()) -> None:
    size = WIDTHS[model] ** 2
    with write_spectra(path, TEXTS, {"params_nonembedding": size, "params_total": size, "depth": DEPTH}, {}) as writer:
        for variant in ("trained", "untrained-0", "untrained-1", "gaussian"):
            for mode in ("unit", "centre-unit"):
                cloud = rows(model, variant, mode)
                writer.corpus(variant, mode, State(DEPTH), spectrum(cloud, centred=mode == "centre-unit"))
                for number, (first, last) in enumerate(DOCUMENTS.values()):
                    if variant not in ("gaussian", *without):
                        own = CovarianceAccumulator(WIDTHS[model]).update(cloud[first:last])
                        writer.document(variant, mode, State(DEPTH), number, own)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("spectra")

    def run(name: str, without: Sequence[str] = ()):
        paths = {model: folder / name / model / "c.h5" for model in WIDTHS}
        for model, path in paths.items():
            write(path, model, without if model == "f-8" else ())
        output = folder / name / "c.parquet"
        settings = (["unit", "centre-unit"], METRICS, {"eps2": 0.5}, RESAMPLES, 3)
        resample_corpora(paths.values(), FAMILIES, dict.fromkeys(WIDTHS), output, *settings)
        return output

    return run


def models(family: str) -> dict[str, int]:
    return {name: DEPTH for name in WIDTHS if FAMILIES[name] == family}


def redrawn(model: str, variant: str, mode: str) -> list[Spectrum]:
    """Spectra of each resample's rows, one document after another, at the corpus's number of tokens."""
    found = []
    for counts in Documents.draw(list(DOCUMENTS), RESAMPLES, rng(3, "corpus", "c")).counts.astype(int):
        places = np.concatenate([np.arange(*ends) for ends, n in zip(DOCUMENTS.values(), counts, strict=True) for _ in range(n)])
        cloud = rows(model, variant, mode)[places]
        own = np.linalg.eigvalsh(cloud.T @ cloud / len(cloud))[::-1]
        found.append(Spectrum(own, 110, WIDTHS[model]))
    return found


def values(spectra: Sequence[Spectrum], metric: str) -> list[float]:
    return [float(measure(one, METRICS)[metric].value) for one in spectra]


@pytest.mark.parametrize("mode", ["unit", "centre-unit"])
@pytest.mark.parametrize("metric", METRICS)
def test_every_model_and_variant_has_the_same_draws_of_documents(drawn, mode, metric):
    found = read_resamples(drawn("whole"), "f", models("f"))
    for variant in ("trained", "untrained-0", "untrained-1"):
        expected = [values(redrawn(model, variant, mode), metric) for model in models("f")]
        np.testing.assert_allclose(found[variant][Where("last", mode, None, metric)], expected, rtol=1e-9)
    where = Where("last", mode, None, metric)
    twins = beside(found, where)["untrained"]
    np.testing.assert_allclose(twins, np.mean([found[f"untrained-{k}"][where] for k in (0, 1)], axis=0))


@pytest.mark.parametrize("metric", METRICS)
def test_nulls_for_width_are_those_of_the_resampled_family(drawn, metric):
    found = read_resamples(drawn("whole"), "f", models("f"))
    family = zip(*(redrawn(model, "trained", "unit") for model in models("f")), strict=True)
    nulls = [width_nulls(resample, [1, 2, 3]) for resample in family]
    for name in ("fixed-spectrum", "stretched"):
        expected = [values([null[k][name] for null in nulls], metric) for k in range(3)]
        np.testing.assert_allclose(found[name][Where("last", "unit", None, metric)], expected, rtol=1e-9)


def test_gaussian_rows_are_of_no_document_and_stay(drawn):
    found = read_resamples(drawn("whole"), "alone", models("alone"))
    own = measure(spectrum(rows("alone", "gaussian", "unit")), METRICS)["matrix_entropy"].value
    np.testing.assert_allclose(found["gaussian"][Where("last", "unit", None, "matrix_entropy")], np.full((1, RESAMPLES), own))


def test_one_size_has_no_nulls_for_width_and_a_layer_that_was_not_measured_no_rows(drawn):
    found = read_resamples(drawn("whole"), "alone", models("alone"))
    assert set(found) == {"trained", "untrained-0", "untrained-1", "gaussian"}
    assert {where.layer for arrays in found.values() for where in arrays} == {"last"}


def test_what_one_model_lacks_the_family_lacks(drawn):
    found = read_resamples(drawn("wide", ["trained"]), "f", models("f"))
    assert {variant for variant, keys in found.items() if keys} == {"untrained-0", "untrained-1", "gaussian"}


def test_a_family_that_is_not_there_has_nothing(drawn):
    assert read_resamples(drawn("whole"), "other", {}) == {}


def test_written_twice_it_has_the_same_bytes(drawn):
    assert drawn("whole").read_bytes() == drawn("again").read_bytes()


def test_files_of_two_models_of_one_size_without_seeds_are_refused(tmp_path):
    paths = {name: tmp_path / name / "c.h5" for name in ("f-5", "f-5-again")}
    for path in paths.values():
        write(path, "f-5")
    families = dict.fromkeys(paths, "f")
    with opened_families(paths.values(), families, {"f-5": 0, "f-5-again": 1}) as groups:
        assert [member.name for member in groups["f"]] == list(paths)
    with (
        pytest.raises(DataError, match="f: f-5 and f-5-again are both of 25 parameters"),
        opened_families(paths.values(), families, dict.fromkeys(paths)),
    ):
        pass
