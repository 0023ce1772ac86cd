"""Measured while running against measured from a dump: the same numbers in the same places; and memory known beforehand."""

from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

from geomkit.errors import ConfigError, DataError
from geomkit.lm import measuring, memory, passes, placing
from geomkit.lm.cutting import tokenizer_sha256
from geomkit.lm.dumping import dump_model
from geomkit.lm.measuring import measure_model
from geomkit.lm.memory import Layout, need, planned
from geomkit.lm.models import load_tokenizer, sizes
from geomkit.lm.placing import HOST, free_memory
from geomkit.store import decomposition
from geomkit.store.texts import Sample, Texts, write_texts
from geomkit.studies.spectra import decompose_dumps

TEXTS = Texts(["a", "a", "b", "c", "c", "c"], [12, 9, 5, 12, 12, 3], [40, 30, 20, 41, 42, 9])
VARIANTS = ["trained", "shuffled", "untrained-0"]
LENGTHS, GAIN, SEED = [4, 12, 20], {"n": 12, "eps2": 0.5}, 3
SINKS = {"thresholds": [1.5, 10.0], "eps2": 0.5, "metrics": ["rate_distortion_ratio", "erank_covariance"]}
COMPUTE = {"device": "cpu", "dtype": "float32", "batch_tokens": 26}
"""Batches that begin and end within documents."""


def texts_of(folder: Path, path: Path) -> Path:
    draw = np.random.default_rng(0)
    ids = [draw.integers(0, 300, n).astype(np.int32) for n in TEXTS.tokens]
    attributes = {"model": "m", "tokenizer sha256": tokenizer_sha256(load_tokenizer(folder)), "corpus sha256": "c", "seed": SEED}
    write_texts(path, Sample(ids, [], TEXTS), np.arange(300), attributes)
    return path


COMMON = {"origin": {"source": "local"}, "trust_remote_code": False, "compute": COMPUTE, "seed": SEED}
ASKED = {"lengths": LENGTHS, "drawn": ["gaussian"], "gain": GAIN, "seed": SEED, "whitened": ["last"], "sinks": SINKS}
DUMP = {"layers": "all", "sublayers": False}


def measure(folder: Path, tmp_path: Path, modes: list[str], **dump: object) -> Path:
    """Spectra of one model while it runs, with all that later stages ask for."""
    output = tmp_path / "running/m/c.h5"
    measure_model(
        folder,
        texts_of(folder, tmp_path / "texts.h5"),
        output,
        DUMP | dump,
        modes=modes,
        variants=VARIANTS,
        **COMMON | ASKED,
    )
    return output


def both(folder: Path, tmp_path: Path, modes: list[str], **dump: object) -> tuple[Path, Path]:
    """Spectra of one model by way of dumps, and without."""
    running, stored = measure(folder, tmp_path, modes, **dump), tmp_path / "stored/m/c.h5"
    dumps = [str(tmp_path / f"dumps/m/c/{variant}.h5") for variant in VARIANTS]
    dump_model(folder, tmp_path / "texts.h5", dumps, {**DUMP, "dtype": "float32", "compression": None} | dump, **COMMON)
    decompose_dumps(dumps, stored, modes=modes, **ASKED)
    return stored, running


def contents(path: Path) -> tuple[dict[str, np.ndarray], dict[str, dict], dict]:
    """Arrays and attributes by path, and the file's own attributes."""
    arrays: dict[str, np.ndarray] = {}
    attributes: dict[str, dict] = {}
    with h5py.File(path) as file:

        def visit(name, item):
            attributes[name] = {key: np.asarray(value).tolist() for key, value in item.attrs.items()}
            if isinstance(item, h5py.Dataset):
                arrays[name] = item[()]

        file.visititems(visit)
        return arrays, attributes, dict(file.attrs)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["gpt-neox", "opt-350m"])  # the second has states of two widths
def test_the_numbers_are_those_of_a_dump_in_the_same_places(architecture, tiny, tmp_path):
    stored, running = (
        contents(path) for path in both(tiny(architecture), tmp_path, ["unit", "centre-unit", "raw"], sublayers=True)
    )
    assert running[0].keys() == stored[0].keys()
    assert {name.split("/")[0] for name in running[0]} >= {*VARIANTS, "gaussian"}
    assert {name.split("/")[-1] for name in running[0]} >= {"gcv", "moment", "count", "without"}
    for name, expected in stored[0].items():
        if expected.dtype.kind == "f":
            largest = np.nanmax(np.abs(expected), initial=0)
            np.testing.assert_allclose(running[0][name], expected, rtol=0, atol=1e-10 * largest, err_msg=name)
        else:
            np.testing.assert_array_equal(running[0][name], expected)
    assert running[1] == stored[1]
    assert running[2] == stored[2]


def measured(folder: Path, tmp_path: Path, modes: list[str], layers: object = "all") -> Path:
    """Spectra of the trained model alone, while it runs."""
    output = tmp_path / f"running{len(modes)}/m/c.h5"
    texts = texts_of(folder, tmp_path / "texts.h5")
    what = {"modes": modes, "lengths": [4], "variants": ["trained"], "drawn": [], "gain": None, "seed": SEED}
    dump = {"layers": layers, "sublayers": False}
    measure_model(folder, texts, output, dump, COMPUTE, **what, origin={}, trust_remote_code=False)
    return output


def test_a_first_pass_is_made_only_for_what_is_centred_or_not_of_unit_length(tiny, tmp_path, monkeypatch):
    whole, made = passes.passes, []
    for module in (measuring, passes):
        monkeypatch.setattr(
            module, "passes", lambda *arguments, **options: made.append(arguments[-1]) or whole(*arguments, **options)
        )
    measured(tiny("llama"), tmp_path, ["unit"])
    assert made == ["m trained"]
    for modes in (["unit", "centre-unit"], ["raw"]):
        made.clear()
        measured(tiny("llama"), tmp_path, modes)
        assert made == ["m trained, means", "m trained"]


def test_wide_states_keep_no_sums_of_documents_and_say_so(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(decomposition, "WIDEST", 16)
    stored, running = (contents(path) for path in both(tiny("gpt-neox"), tmp_path, ["unit"]))
    assert running[0].keys() == stored[0].keys()
    assert not [name for name in running[0] if "/documents/" in name]
    assert running[2]["absent"] == stored[2]["absent"]
    assert "documents/hidden/2" in running[2]["absent"]


def test_a_state_that_overflows_is_named_and_leaves_nothing(tiny, tmp_path, monkeypatch):
    whole = passes.capture

    def overflown(*arguments, **options):
        for batch in whole(*arguments, **options):
            next(iter(batch.states.values()))[0, 0] = np.inf
            yield batch

    monkeypatch.setattr(passes, "capture", overflown)
    with pytest.raises(DataError, match=r"/hidden/\d: the model computed NaN or infinity there"):
        measured(tiny("gpt-neox"), tmp_path, ["unit"])
    assert not list(tmp_path.glob("running*/**/*.*"))


# memory


def configuration(depth: int, d: int) -> SimpleNamespace:
    return SimpleNamespace(get_text_config=lambda: SimpleNamespace(num_hidden_layers=depth, hidden_size=d))


def test_sums_are_counted_for_each_layer_mode_and_kept_document():
    found = need(configuration(32, 4096), 8_000_000_000, {"every": 1}, False, ["unit", "centre-unit"], "bfloat16", 8192)
    assert (len(found.states), found.own, found.sums) == (34, frozenset(), 34 * 2 * 4096**2 * 8)
    assert found.weights == 16_000_000_000
    found = need(configuration(2, 32), 10, "all", True, ["unit"], "float32", 100)
    assert (len(found.states), len(found.own)) == (4 + 4, 4)  # of the last block, its two sublayers, and the final state
    assert found.sums == 12 * 32**2 * 8


def test_parameters_are_counted_without_loading(tiny, load):
    for architecture in ("gpt-neox", "llama"):  # the second ties its embeddings
        parameters, where = planned(tiny(architecture), "bfloat16", HOST, False)
        assert parameters == sizes(load(architecture)).params_total
        assert where == Layout(HOST, [HOST] * 2, HOST, {HOST: 2 * parameters})


def test_too_little_memory_is_found_before_the_model_runs(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 1000)
    nowhere = SimpleNamespace(device=torch.device("cpu"), objective="causal")  # holds no model
    monkeypatch.setattr(passes, "prepare", lambda *_: (nowhere, {}))
    with pytest.raises(ConfigError, match=r"m: needs 0\.0 GB for sums: 4 layers x 1 modes x 32\^2 x 8 B and 2 x 1 of a document"):
        measured(tiny("gpt-neox"), tmp_path, ["unit"])
    assert not list(tmp_path.glob("running*/**/*.*"))


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(placing, "LIMIT", tmp_path / "memory.max")
    assert free_memory(torch.device("cpu")) > 1000
    (tmp_path / "memory.max").write_text("1000\n")
    assert free_memory(torch.device("cpu")) == 1000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(torch.device("cpu")) > 1000
