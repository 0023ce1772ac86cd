"""The table of projections: what a family's donors give, text by text, and what is absent, with its reason."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from dumped import spectra_of

from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.core.state import State
from geomkit.measures.controls import document_folds
from geomkit.measures.entropy import measure
from geomkit.measures.projection import leading_directions, projected, random_projected
from geomkit.measures.spectra import normalise, spectrum
from geomkit.states.dumps import stored, write_dump
from geomkit.states.texts import Texts
from geomkit.studies.same_width.shuffled_donor import project_shuffled
from geomkit.studies.size_laws.projections import Settings, join_projections, powers_of_two, project_donor
from geomkit.tables.measurements import Where, read_measurements

LENGTHS = [24, 24, 24, 24, 10, 24, 24, 24]
DOCUMENTS = ["a", "a", "b", "c", "d", "d", "e", "f"]
ENOUGH = [text for text, tokens in enumerate(LENGTHS) if tokens >= 20]
METRICS = ["erank_covariance", "rate_distortion", "alpha_req"]
SETTINGS = Settings(["unit", "centre-unit"], [4, 20], METRICS, {"eps2": 0.5}, 3, 0)
FAMILY = {"small-s0": 5, "small-s1": 5, "middle": 9, "wide-s0": 12, "wide-s1": 12}


def hidden(name: str, layer: int, width: int) -> np.ndarray:
    draw = rng(0, name, layer)
    return (draw.standard_normal((sum(LENGTHS), width)) * np.arange(1, width + 1) ** -0.5 + 0.3).astype(np.float32)


def dumped(
    folder: Path,
    name: str,
    width: int,
    layers: Sequence[int] = (1, 2),
    ids: int = 0,
    final: int = 0,
    documents: Any = DOCUMENTS,
    norm: str = "none",
) -> Path:
    """A model of one block."""
    path, texts = folder / name / "corpus" / "trained.h5", Texts(documents, LENGTHS, LENGTHS)
    attributes = {"depth": 1, "params_nonembedding": width**2, "params_total": 2 * width**2}
    attributes |= {"final norm": norm, "final norm eps": 1e-5}
    tokens = rng(ids, "ids").integers(0, 300, sum(LENGTHS))
    with write_dump(path, texts, attributes, {}, "float32", None, [5, 3]) as writer:
        states = {State(layer): hidden(name, layer, final if final and layer == 2 else width) for layer in layers}
        stop = sum(LENGTHS[:5])
        for rows in (slice(stop), slice(stop, None)):
            writer.append(
                tokens[rows], np.zeros(len(tokens[rows]), np.float32), {state: own[rows] for state, own in states.items()}
            )
    return path


def table(folder: Path, dumps: Mapping[str, Path], settings: Settings = SETTINGS) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows and what is absent."""
    output = folder / "sotu.parquet"
    seeds = {name: int(name[-1]) if "-s" in name else None for name in dumps}
    families, spectra = dict.fromkeys(dumps, "family"), spectra_of(dumps.values(), folder)
    tables = [folder / f"projections/{name}/sotu.parquet" for name in dumps]
    for dump, own in zip(dumps.values(), tables, strict=True):
        project_donor(partial(stored, dump), spectra, own, families, seeds, **vars(settings))
    join_projections(spectra, tables, families, seeds, output, settings.modes)
    found = pq.read_table(output)
    return found.to_pylist(), json.loads(found.schema.metadata[b"absent"])


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], dict[str, str]]:
    folder = tmp_path_factory.mktemp("family")
    return table(folder, {name: dumped(folder, name, width) for name, width in FAMILY.items()})


def values(rows: Sequence[Mapping[str, Any]], **where: Any) -> dict[int, float]:
    """By text, the values of the rows that fit."""
    found = [row for row in rows if all(row[name] == value for name, value in where.items())]
    assert len({row["text"] for row in found}) == len(found)
    return {row["text"]: row["value"] for row in found}


def clouds(name: str, layer: int, n: int) -> np.ndarray:
    start = np.concatenate([[0], np.cumsum(LENGTHS)])[:-1]
    return np.stack([hidden(name, layer, FAMILY[name])[first : first + n] for first in start[ENOUGH]])


NAMED = [DOCUMENTS[text] for text in ENOUGH]


@pytest.mark.parametrize("mode", ["unit", "centre-unit"])
@pytest.mark.parametrize(("layer", "donor", "k"), [(1, "wide-s1", 5), (2, "middle", 5), (2, "wide-s0", 9)])
def test_a_donor_is_projected_on_every_narrower_width(family, mode, layer, donor, k):
    expected = projected(clouds(donor, layer, 20), mode, document_folds(NAMED), [k])[k]
    where = {"variant": "projected", "donor": donor, "d": k, "layer": layer, "normalise": mode, "n": 20}
    for metric in METRICS[:2]:
        found = values(family[0], **where, metric=metric)
        assert list(found) == ENOUGH, "every text of as many tokens"
        np.testing.assert_allclose(list(found.values()), measure(expected.spectrum, [metric])[metric].value, rtol=1e-12)
    np.testing.assert_allclose(list(values(family[0], **where, metric="norm_kept").values()), expected.kept, rtol=1e-12)


def test_a_donor_at_its_own_width_is_the_measurement(family):
    own = measure(spectrum(normalise(clouds("wide-s0", 2, 20), "unit")), METRICS)
    for variant in ("projected", "random-projection"):
        for metric in METRICS[:2]:
            found = values(family[0], variant=variant, donor="wide-s0", d=12, layer=2, normalise="unit", n=20, metric=metric)
            np.testing.assert_allclose(list(found.values()), own[metric].value, rtol=1e-9)


def test_every_model_is_compared_on_its_own_directions_at_the_narrowest_width(family):
    rows = [row for row in family[0] if row["variant"] == "common-dimension"]
    assert {row["d"] for row in rows} == {5}
    assert {row["model"] for row in rows} == set(FAMILY)
    assert all(row["model"] == row["donor"] and row["params_nonembedding"] == FAMILY[row["model"]] ** 2 for row in rows)
    assert {(row["model"], row["seed"]) for row in rows} == {
        ("small-s0", 0), ("small-s1", 1), ("middle", None), ("wide-s0", 0), ("wide-s1", 1)
    }  # fmt: skip
    where = {"normalise": "unit", "n": 4, "layer": 1, "metric": "erank_covariance", "d": 5, "donor": "middle"}
    assert values(rows, **where) == values(family[0], **where, variant="projected")


def test_random_projections_are_of_the_widest_models_and_averaged_over_draws(family):
    rows = [row for row in family[0] if row["variant"] == "random-projection"]
    assert {(row["donor"], row["d"]) for row in rows} == {(name, d) for name in ("wide-s0", "wide-s1") for d in (5, 9, 12)}
    drawn = random_projected(clouds("wide-s1", 1, 20), "unit", [5, 9], 3, rng(0, "random-projection", "wide-s1"))
    expected = measure(drawn[9].spectrum, METRICS)["erank_covariance"].value
    assert expected.shape == (3, len(ENOUGH))
    where = {"donor": "wide-s1", "d": 9, "layer": 1, "normalise": "unit", "n": 20, "metric": "erank_covariance"}
    np.testing.assert_allclose(list(values(rows, **where).values()), expected.mean(axis=0), rtol=1e-12)


def test_rows_are_of_texts_with_their_documents_and_widths_not_of_models(family):
    rows = [row for row in family[0] if row["variant"] != "common-dimension"]
    assert all(row["document"] == DOCUMENTS[row["text"]] and row["text"] >= 0 for row in family[0])
    assert {(row["model"], row["seed"], row["params_total"]) for row in rows} == {(None, None, None)}
    assert {(row["donor"], row["d"]) for row in rows if row["variant"] == "projected"} == {
        *((name, d) for name in ("wide-s0", "wide-s1") for d in (5, 9, 12)),
        ("middle", 5),
        ("middle", 9),
    }
    assert {row["text"] for row in rows if row["n"] == 4} == set(range(8))
    assert all((row["bound"] is None) == (row["metric"] == "alpha_req") for row in rows)


def test_metrics_that_a_shape_does_not_allow_are_absent_with_a_reason(family):
    assert family[1]["alpha_req, projected on 5 directions, unit, n = 20"].startswith("fewer than 8 eigenvalues")
    assert not [row for row in family[0] if row["metric"] == "alpha_req"]


# the final state without gain and bias


@pytest.fixture(scope="module")
def normed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]], dict[str, str]]:
    folder = tmp_path_factory.mktemp("normed")
    dumps = {name: dumped(folder, name, width, norm="layer") for name, width in FAMILY.items()}
    return folder, *table(folder, dumps)


def plain_clouds(name: str, n: int) -> np.ndarray:
    rows = clouds(name, 1, n).astype(np.float64)
    return (rows - rows.mean(axis=-1, keepdims=True)) / np.sqrt(rows.var(axis=-1, keepdims=True) + 1e-5)


@pytest.mark.parametrize("mode", ["unit", "centre-unit"])
def test_plain_rows_are_made_of_the_last_blocks_and_projected_as_others_are(normed, mode):
    where = {"layer": 2, "sublayer": "plain", "normalise": mode, "n": 20, "metric": "erank_covariance"}
    expected = projected(plain_clouds("wide-s0", 20), mode, document_folds(NAMED), [5])[5].spectrum
    found = values(normed[1], **where, variant="projected", donor="wide-s0", d=5)
    np.testing.assert_allclose(list(found.values()), measure(expected, METRICS)["erank_covariance"].value, rtol=1e-12)
    for name, width in FAMILY.items():
        own = spectrum(normalise(plain_clouds(name, 20), mode), centred=mode == "centre-unit")
        found = values(normed[1], **where, variant="trained", model=name, d=width)
        assert list(found) == ENOUGH
        np.testing.assert_allclose(list(found.values()), measure(own, METRICS)["erank_covariance"].value, rtol=1e-12)


def test_plain_rows_change_nothing_of_the_other_layers(normed, family):
    assert [row for row in normed[1] if row["sublayer"] != "plain"] == family[0]
    assert {row["variant"] for row in normed[1] if row["sublayer"] == "plain"} == {
        "projected", "random-projection", "common-dimension", "trained"
    }  # fmt: skip
    assert not [row for row in normed[1] if row["variant"] == "trained" and row["sublayer"] != "plain"]


def test_arrays_of_plain_rows_hold_the_models_themselves(normed):
    found = read_measurements(normed[0] / "sotu.parquet", "family", "sotu", metrics=["erank_covariance"])
    where = Where("plain", "unit", 20, "erank_covariance")
    trained = found.variants["trained"]
    assert {place.layer for place in trained} == {"plain"}
    assert trained[where].shape == (5, 8)
    nulls = found.projections("projected", where, list(FAMILY.values()))
    for row in (3, 4):
        np.testing.assert_allclose(nulls[row][row, ENOUGH], trained[where][row, ENOUGH], rtol=1e-9)
        assert (np.abs(nulls[row][0, ENOUGH] / trained[where][0, ENOUGH] - 1) > 1e-3).all()
        assert {layer: width[row] for layer, width in found.widths.items()} == {"last": 12, "final": 12, "plain": 12}
    assert np.isfinite(found.variants["common-dimension"][where][:, ENOUGH]).all()


def test_unit_rows_of_a_plain_rms_norm_are_those_of_the_last_block(tmp_path):
    dumps = {name: dumped(tmp_path, name, width, norm="rms") for name, width in (("small", 5), ("large", 9))}
    rows, _ = table(tmp_path, dumps)
    for variant in ("projected", "random-projection"):
        where = {"variant": variant, "donor": "large", "d": 5, "normalise": "unit", "n": 20, "metric": "erank_covariance"}
        last, bare = (values(rows, **where, layer=layer, sublayer=part) for layer, part in ((1, "block"), (2, "plain")))
        np.testing.assert_allclose(list(last.values()), list(bare.values()), rtol=1e-9)


def test_without_a_final_norm_there_is_no_plain_layer(tmp_path):
    dumps = {"small": dumped(tmp_path, "small", 5, norm="layer"), "large": dumped(tmp_path, "large", 9)}
    rows, absent = table(tmp_path, dumps)
    assert {row["sublayer"] for row in rows} == {"block"}
    assert absent["projections, family, plain"] == "large has no final norm that is known"


def test_directions_of_chance_are_drawn_where_they_are_asked_for(family, tmp_path):
    dumps = {name: dumped(tmp_path, name, width) for name, width in FAMILY.items()}
    bracket = {"modes": ["unit"], "lengths": [20]}
    rows, _ = table(tmp_path, dumps, replace(SETTINGS, bracket=bracket))
    drawn = [row for row in rows if row["variant"] == "random-projection"]
    assert {(row["normalise"], row["n"]) for row in drawn} == {("unit", 20)}
    where = {"variant": "random-projection", "normalise": "unit", "n": 20}
    assert drawn == [row for row in family[0] if all(row[name] == value for name, value in where.items())]
    assert [row for row in rows if row not in drawn] == [row for row in family[0] if row["variant"] != "random-projection"]


# what is absent


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"ids": 1}, "large and small read different texts (their tokenizers differ)"),
        ({"documents": ["x", *DOCUMENTS[1:]]}, "large and small read different texts (their tokenizers differ)"),
    ],
)
def test_models_that_read_different_texts_are_not_projected(tmp_path, changed, reason):
    dumps = {"small": dumped(tmp_path, "small", 5), "large": dumped(tmp_path, "large", 9, **changed)}
    rows, absent = table(tmp_path, dumps)
    assert (rows, absent) == ([], {"projections, family": reason.replace("large and small", "small and large")})


def test_a_family_of_one_size_is_its_own_donor_on_powers_of_two_of_its_directions(tmp_path):
    rows, _ = table(tmp_path, {"only": dumped(tmp_path, "only", 40)})
    assert {row["d"] for row in rows if row["variant"] == "projected"} == {16, 32, 40}
    assert {row["d"] for row in rows if row["variant"] == "common-dimension"} == {16}
    assert "random-projection" not in {row["variant"] for row in rows}
    assert powers_of_two(64) == [16, 32, 64]
    rows, absent = table(tmp_path, {"narrow": dumped(tmp_path, "narrow", 12)})
    assert not rows
    assert absent["projections, family, last"] == "no donor is wider than 12, the narrowest width"


def test_without_a_wider_donor_a_layer_is_absent(tmp_path):
    dumps = {name: dumped(tmp_path, name, width, final=4) for name, width in (("small", 5), ("large", 9))}
    rows, absent = table(tmp_path, dumps)
    assert {row["layer"] for row in rows} == {1}
    assert absent["projections, family, final"] == "no donor is wider than 4, the narrowest width"


def test_one_document_raw_rows_and_layers_that_were_not_dumped_are_absent(tmp_path):
    alone = {name: dumped(tmp_path / "alone", name, width, documents=["a"] * 8) for name, width in (("s", 5), ("l", 9))}
    assert table(tmp_path, alone)[1] == {
        "projections, family": "directions are those of other documents, and there is one document"
    }
    part = {name: dumped(tmp_path / "part", name, width, layers=[1]) for name, width in (("s", 5), ("l", 9))}
    rows, absent = table(tmp_path, part, Settings(["raw", "unit"], [20, 500], ["stable_rank"], {"eps2": 0.5}, 2, 0))
    assert {(row["layer"], row["normalise"]) for row in rows} == {(1, "unit")}
    assert absent["projections, family, final"] == "this layer of s is not among dump.layers"
    assert absent["projections, raw"] == "projected rows are normalised again, which raw rows are not"
    assert absent["projections of l, n = 500"] == "texts as long are of fewer than 2 documents"


def test_directions_that_other_documents_cannot_tell_are_absent(tmp_path):
    names = ["a", "a", "a", "a", "a", "a", "a", "b"]
    dumps = {name: dumped(tmp_path, name, width, documents=names) for name, width in (("s", 5), ("l", 9))}
    rows, absent = table(tmp_path, dumps, Settings(["unit"], [4, 20], ["stable_rank"], {"eps2": 0.5}, 2, 0))
    reason = "rows of other documents have rank 4"
    assert absent["projected, l on 5 directions, last, unit, n = 4"] == reason
    assert {row["d"] for row in rows if (row["donor"], row["n"], row["variant"]) == ("l", 4, "projected")} == {9}
    assert {row["d"] for row in rows if (row["donor"], row["n"], row["variant"]) == ("l", 20, "projected")} == {5, 9}


def test_the_same_settings_give_the_same_bytes(tmp_path):
    dumps = {"small": dumped(tmp_path, "small", 5), "large": dumped(tmp_path, "large", 9)}
    contents = []
    for order in (list(dumps), list(dumps)[::-1]):
        table(tmp_path, {name: dumps[name] for name in order})
        contents.append((tmp_path / "sotu.parquet").read_bytes())
    assert contents[0] == contents[1]


def test_two_models_of_one_size_without_seeds_are_refused(tmp_path):
    dumps = {name: dumped(tmp_path, name, 5) for name in ("small", "again")}
    with pytest.raises(DataError, match="family: again and small are both of 25 parameters"):
        table(tmp_path, dumps)


# as arrays


def test_arrays_have_a_row_for_each_model_and_a_column_for_each_text(tmp_path):
    dumps = {name: dumped(tmp_path, name, width) for name, width in FAMILY.items()}
    rows, _ = table(tmp_path, dumps)
    found, widths = read_measurements(tmp_path / "sotu.parquet", "family", "sotu"), list(FAMILY.values())
    assert [model.name for model in found.models] == ["small-s0", "small-s1", "middle", "wide-s0", "wide-s1"]
    assert {layer: width[2] for layer, width in found.widths.items()} == {"last": 9, "final": 9}
    for donor, variant, layer, n in ((4, "projected", 2, 20), (3, "random-projection", 1, 4)):
        place = Where("last" if layer == 1 else "final", "unit", n, "rate_distortion")
        assert found.variants[variant][replace(place, directions=5)].shape == (5, 8)
        name = found.models[donor].name
        for row, width in zip(found.projections(variant, place, widths)[donor], widths, strict=True):
            where = {"variant": variant, "donor": name, "layer": layer, "normalise": "unit", "n": n, "metric": "rate_distortion"}
            assert {text: value for text, value in enumerate(row) if np.isfinite(value)} == values(rows, **where, d=width)
    nulls = found.projections("projected", Where("last", "unit", 20, "erank_covariance"), widths)
    assert set(nulls) == {2, 3, 4}
    assert np.isfinite(nulls[2][:, ENOUGH]).all(axis=1).tolist() == [True, True, True, False, False]
    common = found.variants["common-dimension"][Where("final", "centre-unit", 20, "norm_kept")]
    assert np.isfinite(common[:, ENOUGH]).all()
    assert dict(zip(ENOUGH, common[2, ENOUGH], strict=True)) == values(
        rows, variant="common-dimension", donor="middle", layer=2, normalise="centre-unit", n=20, metric="norm_kept"
    )
    some = read_measurements(tmp_path / "sotu.parquet", "family", "sotu", ["last"], ["norm_kept"], ["projected"], by_size=False)
    assert {(where.layer, where.metric) for where in some.variants.pop("projected")} == {("last", "norm_kept")}
    assert not some.variants
    nothing = read_measurements(tmp_path / "sotu.parquet", "other", "sotu", like=found)
    assert (nothing.models, nothing.variants) == (found.models, {})


def test_shuffled_text_of_the_widest_model_is_projected_on_the_directions_of_text(tmp_path):
    dumps = {name: dumped(tmp_path, name, width) for name, width in FAMILY.items()}
    spectra, seeds = spectra_of(dumps.values(), tmp_path), dict.fromkeys(FAMILY, 0) | {"small-s1": 1, "wide-s1": 1}

    def made(name: str) -> Path:
        own = dumps[name]
        other = dumped(tmp_path / "chance", "middle" if name == "middle" else "wide-s1", FAMILY[name])
        shuffled = own.with_name("shuffled.h5")
        other.rename(shuffled)
        output = tmp_path / "order" / name / "corpus.parquet"
        families = dict.fromkeys(FAMILY, "family")
        settings = {"modes": ["unit"], "lengths": [20], "metrics": METRICS[:1], "parameters": {"eps2": 0.5}}
        project_shuffled(partial(stored, [own, shuffled]), spectra, output, families, seeds, **settings)
        return output

    assert not pq.read_table(made("middle")).num_rows, "it is not the widest"
    rows = pq.read_table(made("wide-s0")).to_pylist()
    assert {(row["variant"], row["d"]) for row in rows} == {(v, k) for v in ("projected", "projected-shuffled") for k in (5, 9)}
    text, chance = clouds("wide-s0", 1, 20), clouds("wide-s1", 1, 20)
    fold = document_folds(NAMED)
    directions = leading_directions(text, "unit", fold)
    for variant, own in (("projected", text), ("projected-shuffled", chance)):
        expected = measure(projected(own, "unit", fold, [5], directions)[5].spectrum, METRICS[:1])[METRICS[0]].value
        np.testing.assert_allclose(list(values(rows, variant=variant, d=5).values()), expected, rtol=1e-6)
