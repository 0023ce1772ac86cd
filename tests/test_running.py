"""Models measured as they run, along training and beside the ladder: every number again from dumped states."""

import json
import shutil
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest

from geomkit.core.config import ModelSpec
from geomkit.core.state import State
from geomkit.ladder.control_metrics import measure_controls
from geomkit.measures.controls import document_folds
from geomkit.measures.entropy import measure
from geomkit.measures.projection import projected
from geomkit.measures.spectra import normalise, row_spectrum, spectrum
from geomkit.models.cutting import tokenizer_sha256
from geomkit.models.stream import runs, runs_by_name
from geomkit.states.dumping import dump_states
from geomkit.states.dumps import Dump
from geomkit.states.texts import Sample, Texts, read_texts, write_texts
from geomkit.studies.training.measure import measure_training
from geomkit.tables.measurements import Where, only_family, read_measurements

LENGTHS, DOCUMENTS = [20, 7, 20, 20, 12], ["a", "a", "b", "c", "c"]
LONG = [0, 2, 3]
METRICS = ["erank_covariance", "rate_distortion_ratio"]
HOW = (ModelSpec(device="cpu"), 45, 3)
"""How a model is run, tokens in a batch, and the seed."""
WANTED = {"length": 20, "normalisation": "unit", "metrics": METRICS, "parameters": {"eps2": 0.5}}


@pytest.fixture(scope="module")
def texts(tmp_path_factory, tokenizer):
    draws = np.random.default_rng(0)
    ids = [draws.integers(0, 300, n).astype(np.int32) for n in LENGTHS]
    facts = {"tokenizer sha256": tokenizer_sha256(tokenizer), "corpus sha256": "0", "model": "x"}
    path = tmp_path_factory.mktemp("texts") / "c.h5"
    write_texts(path, Sample(ids, [], Texts(DOCUMENTS, LENGTHS, LENGTHS)), np.ones(300, int), facts)
    return path


@pytest.fixture(scope="module")
def models(tiny, tmp_path_factory):
    """Two models that stand for two steps of one training: the second has the weights of another architecture's seed."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("steps")
    for step, factor in ((1, 1.0), (8, 1.5)):
        shutil.copytree(tiny("gpt-neox"), folder / f"t-s0-step{step}")
        model = AutoModelForCausalLM.from_pretrained(folder / f"t-s0-step{step}")
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim > 1:
                    weight.mul_(factor)
        model.save_pretrained(folder / f"t-s0-step{step}")
    return {path.name: path for path in sorted(folder.iterdir())}


def dump(folder, texts, *outputs):
    dump_states(
        partial(runs, folder, texts, "m", *HOW), outputs, {"dtype": "float32", "compression": None}, ["trained", "shuffled"]
    )


def states(folder, texts, output):
    """Rows of every layer of the trained model and of the shuffled texts."""
    outputs = [output / f"m/c/{variant}.h5" for variant in ("trained", "shuffled")]
    dump(folder, texts, *outputs)
    found = {}
    for path in outputs:
        with Dump(path) as file:
            for layer in range(4):
                rows = file.rows(State(layer), 0, len(LENGTHS))
                start = np.cumsum([0, *LENGTHS[:-1]])
                found[path.stem, layer] = rows, rows[start[LONG, None] + np.arange(20)]
    return found


@pytest.fixture(scope="module")
def along(models, texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("along")
    options = {
        "variants": ["trained", "shuffled", "untrained-0", "untrained-1"],
        "drawn": ["gaussian"],
        **WANTED,
    }
    output = folder / "t-s0/c.parquet"
    measure_training(
        partial(runs_by_name, texts, *HOW), [*models.values()], dict.fromkeys(models, 0), output,
        folder / "t-s0/resamples/c.parquet", family="f", resamples=20, seed=3, **options,
    )  # fmt: skip
    return output, folder / "t-s0/resamples/c.parquet"


def read(table):
    return read_measurements(table, *only_family(table), by_size=False)


def test_values_of_every_step_and_layer_are_those_of_the_dumped_states(models, texts, along, tmp_path):
    measured = read(along[0])
    assert [model.name for model in measured.models] == list(models)
    assert measured.documents == DOCUMENTS
    for row, (name, folder) in enumerate(models.items()):
        for (variant, layer), (_, clouds) in states(folder, texts, tmp_path / name).items():
            for metric, own in measure(spectrum(normalise(clouds, "unit")), METRICS, eps2=0.5).items():
                found = measured.at(Where(layer, "unit", 20, metric), variant)[row]
                assert found[LONG] == pytest.approx(own.value, rel=1e-5)
                assert np.isnan(np.delete(found, LONG)).all()


def test_what_is_the_same_at_every_step_is_measured_once(models, along):
    rows = pq.read_table(along[0], columns=["model", "variant"]).to_pylist()
    once = {row["model"] for row in rows if row["variant"] in ("untrained-0", "untrained-1", "gaussian")}
    assert once == {next(iter(models))}
    assert {row["model"] for row in rows if row["variant"] == "shuffled"} == set(models)


def test_the_corpus_has_one_row_for_each_text_and_its_resamples_are_near(models, texts, along, tmp_path):
    name, folder = list(models.items())[1]
    rows, _ = states(folder, texts, tmp_path)["trained", 2]
    last = rows[read_texts(texts).sample.texts.offset[1:] - 1]
    own = measure(row_spectrum(normalise(last, "centre"), True), METRICS, eps2=0.5)["erank_covariance"].value
    place = {"model": name, "layer": 2, "rows": "last", "normalise": "centre", "metric": "erank_covariance", "variant": "trained"}
    table = pq.read_table(along[0]).to_pylist()
    (found,) = [row["value"] for row in table if row["text"] == -1 and place.items() <= row.items()]
    assert found == pytest.approx(own, rel=1e-5)
    again = pq.read_table(along[1]).to_pylist()
    (drawn,) = [row["values"] for row in again if (place | {"layer": "2"}).items() <= row.items()]
    assert len(drawn) == 20
    assert min(drawn) < found < max(drawn)


def test_drawn_rows_are_as_flat_as_chance_allows(along):
    values = read(along[0]).at(Where(None, "unit", 20, "erank_covariance", directions=32), "gaussian")[0, LONG]
    again = [
        measure(spectrum(normalise(np.random.default_rng(k).standard_normal((20, 32)), "unit")))["erank_covariance"].value
        for k in range(50)
    ]
    assert min(again) < values.mean() < max(again)


def test_controls_have_the_protocols_states_and_the_widest_ones_projections(tiny, models, texts, tmp_path):
    output = tmp_path / "controls.parquet"
    states_of = partial(runs_by_name, texts, *HOW, {"layers": ["last", "final"], "sublayers": False})
    files = [folder / "config.json" for folder in models.values()]
    measure_controls(states_of, files, output, corpus="c", family="controls", **WANTED)
    assert json.loads(pq.read_schema(output).metadata[b"absent"]) == {}
    measured, first, where = read(output), next(iter(models)), Where("last", "unit", 20, "erank_covariance")
    assert {place.layer for place in measured.variants["trained"]} == {"last", "final", "plain"}
    # both are of one width: the donor is the first, and all of its directions are its own rows
    own = measured.at(where)[0, LONG]
    assert measured.projections("projected", where, [32])[0][0, LONG] == pytest.approx(own, rel=1e-6)
    _, clouds = states(models[first], texts, tmp_path)["trained", 2]
    known = projected(clouds, "unit", document_folds([DOCUMENTS[k] for k in LONG]), [32])[32]
    assert measure(known.spectrum, METRICS, eps2=0.5)["erank_covariance"].value == pytest.approx(own, rel=1e-5)


def test_the_loss_of_a_text_is_its_mean_surprisal(models, texts, along, tmp_path):
    folder = next(iter(models.values()))
    dump(folder, texts, tmp_path / "m/c/trained.h5")
    with Dump(tmp_path / "m/c/trained.h5") as file:
        surprisal = [file.surprisal(text) for text in range(len(LENGTHS))]
    own = [np.nanmean(values) for values in surprisal]
    assert read(along[0]).losses["trained"].values[0] == pytest.approx(own, rel=1e-5)
