"""The table of the final state: every number again from dumped states, and what is absent."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest

from geomkit.core.config import ModelSpec
from geomkit.core.errors import DataError
from geomkit.core.state import State
from geomkit.measures.entropy import measure
from geomkit.measures.norms import plain
from geomkit.measures.spectra import normalise, spectrum
from geomkit.models.cutting import tokenizer_sha256
from geomkit.models.stream import runs
from geomkit.states.dumping import dump_states
from geomkit.states.dumps import Dump
from geomkit.states.texts import Sample, Texts, write_texts
from geomkit.studies.same_width.final_state import measure_final_state
from geomkit.tables.measurements import Where, read_measurements

LENGTHS, DOCUMENTS = [20, 7, 20, 12], ["a", "a", "b", "c"]
METRICS = ["erank_covariance", "rate_distortion", "alpha_req"]
STATES = {"layers": ["last", "final"], "sublayers": False}


@pytest.fixture
def texts(tmp_path, tokenizer):
    draws = np.random.default_rng(0)
    ids = [draws.integers(0, 300, n).astype(np.int32) for n in LENGTHS]
    facts = {"tokenizer sha256": tokenizer_sha256(tokenizer), "corpus sha256": "0", "model": "x"}
    write_texts(tmp_path / "texts.h5", Sample(ids, [], Texts(DOCUMENTS, LENGTHS, LENGTHS)), np.ones(300, int), facts)
    return tmp_path / "texts.h5"


def states(folder, texts, batch_tokens=45):
    return partial(runs, folder, texts, "m", ModelSpec(device="cpu"), batch_tokens, 0, STATES)


def run(folder, texts, output, batch_tokens=45, **changed):
    options = {
        "twins": 3,
        "modes": ["unit", "centre-unit"],
        "lengths": [4, 20, 64],
        "metrics": METRICS,
        "parameters": {"eps2": 0.5},
    }
    options |= {"family": "tiny", "model_seed": 1}
    measure_final_state(states(folder, texts, batch_tokens), output, **(options | changed))
    found = pq.read_table(output)
    return found.to_pylist(), json.loads(found.schema.metadata[b"absent"])


@pytest.mark.parametrize(("architecture", "kind", "eps"), [("gpt2", "layer", 1e-5), ("llama", "rms", 1e-6)])
def test_every_number_is_that_of_the_dumped_states(tiny, texts, tmp_path, architecture, kind, eps):
    rows, missing = run(tiny(architecture), texts, tmp_path / "m/c.parquet")
    variants = ("trained", "untrained-2")
    outputs = [tmp_path / f"dumps/m/c/{name}.h5" for name in variants]
    dump_states(states(tiny(architecture), texts), outputs, STATES | {"dtype": "float32", "compression": None}, variants)
    seen = 0
    for path, variant in zip(outputs, variants, strict=True):
        with Dump(path) as file:
            assert (file.attributes["final norm"], file.attributes["final norm eps"]) == (kind, eps)
            clouds_of = {("block", 2): file.rows(State(2), 0, 4), ("block", 3): file.rows(State(3), 0, 4)}
            clouds_of["plain", 3] = plain(clouds_of["block", 2], kind, eps)
            for (part, layer), values in clouds_of.items():
                for mode in ("unit", "centre-unit"):
                    clouds = np.stack([values[first : first + 20] for first in (0, 27)])
                    own = measure(spectrum(normalise(clouds, mode), centred=mode == "centre-unit"), METRICS[:2])
                    for metric, result in own.items():
                        where = {
                            "variant": variant,
                            "sublayer": part,
                            "layer": layer,
                            "normalise": mode,
                            "n": 20,
                            "metric": metric,
                        }
                        found = [row for row in rows if all(row[name] == value for name, value in where.items())]
                        assert [(row["text"], row["document"], row["d"]) for row in found] == [(0, "a", 32), (2, "b", 32)]
                        np.testing.assert_allclose([row["value"] for row in found], result.value, rtol=1e-4)
                        seen += len(found)
    assert seen == 2 * 3 * 2 * 2 * 2
    assert {row["variant"] for row in rows} == {"trained", "untrained-0", "untrained-1", "untrained-2"}
    assert {row["text"] for row in rows if row["n"] == 4} == {0, 1, 2, 3}
    assert {(row["model"], row["family"], row["seed"], row["corpus"], row["depth"]) for row in rows} == {("m", "tiny", 1, "c", 2)}
    assert missing["n = 64"] == "the longest text has 20 tokens"
    assert missing["alpha_req, unit, n = 4"].startswith("fewer than 8 eigenvalues")


def test_untrained_twins_have_nothing_to_remove_and_the_trained_model_has(tiny, texts, tmp_path):
    run(tiny("gpt2"), texts, tmp_path / "m/c.parquet")
    found = read_measurements(tmp_path / "m/c.parquet", "tiny", "c").variants
    where = Where("final", "unit", 20, "erank_covariance")
    bare = replace(where, layer="plain")
    for twin in ("untrained-0", "untrained-2"):
        np.testing.assert_allclose(found[twin][where], found[twin][bare], rtol=1e-4)
    assert (np.abs(found["trained"][where] / found["trained"][bare] - 1)[0, [0, 2]] > 1e-3).all()


def test_arrays_have_a_column_for_each_text(tiny, texts, tmp_path):
    rows, _ = run(tiny("llama"), texts, tmp_path / "m/c.parquet")
    found = read_measurements(tmp_path / "m/c.parquet", "tiny", "c")
    (model,) = found.models
    assert (model.name, model.seed, model.width, found.documents) == ("m", 1, 32, DOCUMENTS)
    assert (found.eps2["rate_distortion"], found.eps2["erank_covariance"]) == (0.5, None)
    assert {where.layer for where in found.variants["trained"]} == {"last", "final", "plain"}
    assert set(found.variants) == {"trained", "untrained-0", "untrained-1", "untrained-2"}
    place = Where("plain", "centre-unit", 20, "rate_distortion")
    twin = found.variants["untrained-1"][place]
    assert twin.shape == found.variants["trained"][place].shape == (1, 4)
    assert np.isnan(twin[0, [1, 3]]).all()
    where = {
        "variant": "untrained-1",
        "sublayer": "plain",
        "normalise": "centre-unit",
        "n": 20,
        "metric": "rate_distortion",
        "text": 2,
    }
    (row,) = [row for row in rows if all(row[name] == value for name, value in where.items())]
    assert twin[0, 2] == row["value"]


def test_batches_change_nothing_but_rounding(tiny, texts, tmp_path):
    one, many = (run(tiny("gpt2"), texts, tmp_path / f"{size}/m/c.parquet", batch_tokens=size)[0] for size in (1000, 20))
    assert [{**row, "value": 0, "bound": 0} for row in one] == [{**row, "value": 0, "bound": 0} for row in many]
    np.testing.assert_allclose([row["value"] for row in one], [row["value"] for row in many], rtol=1e-3)


def test_without_a_final_norm_nothing_is_plain(tiny, texts, tmp_path):
    rows, missing = run(tiny("openai-gpt"), texts, tmp_path / "m/c.parquet", twins=1)
    assert {row["sublayer"] for row in rows} == {"block"}
    assert missing["plain"] == "m has no final norm that is known"


def test_texts_of_another_tokenizer_are_refused(tiny, texts, tmp_path):
    import h5py

    with h5py.File(texts, "a") as file:
        file.attrs["tokenizer sha256"] = "other"
    with pytest.raises(DataError, match=r"cut by the tokenizer of x, which is not that of m"):
        run(tiny("gpt2"), texts, tmp_path / "m/c.parquet")
