"""Imported states: every layout gives the rows that were stored, and what does not fit together is one line."""

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from dumped import spectra_of
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors
from test_bad_input import refused
from test_config import SCHEMA, SHIPPED, changed, run_check

from geomkit.core.config import stages
from geomkit.core.errors import ConfigError, DataError
from geomkit.core.state import State
from geomkit.sources.imported import import_states
from geomkit.states.decompose import decompose
from geomkit.states.donors import families_of, incomparable
from geomkit.states.dumps import Dump, stored
from geomkit.states.spectra import Spectra
from geomkit.studies.entropy.analyse import measure_spectra

SIZES = {"depth": 2, "params_total": 900, "params_nonembedding": 600}
DUMP = {"layers": "all", "dtype": "float32", "compression": None}
TOKENS, D = [5, 3, 4], 6
TOTAL = sum(TOKENS)
STATES = {layer: np.random.default_rng(layer).standard_normal((TOTAL, D)).astype(np.float32) for layer in range(4)}
IDS = np.arange(TOTAL) + 7


def write_texts(folder: Path, tokens: list[Any] = TOKENS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "texts.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("document", "tokens"), *((f"d{number // 2}", size) for number, size in enumerate(tokens))])


def write_arrays(folder: Path) -> Path:
    write_texts(folder)
    for layer, rows in STATES.items():
        np.save(folder / f"layer-{layer}.npy", rows)
    np.save(folder / "ids.npy", IDS)
    return folder


def write_safetensors(folder: Path) -> Path:
    write_texts(folder)
    for number, layers in enumerate(([0, 1], [2, 3])):
        save_file({f"layer-{layer}": STATES[layer] for layer in layers}, folder / f"part-{number}.safetensors")
    return folder


def write_vllm(folder: Path, dtype: torch.dtype = torch.float32) -> Path:
    folder.mkdir(parents=True)
    start = 0
    for number, size in enumerate(TOKENS):
        states = torch.tensor(np.stack([STATES[layer][start : start + size] for layer in STATES], axis=1)).to(dtype)
        tensors = {"hidden_states": states, "token_ids": torch.tensor(IDS[start : start + size])}
        save_tensors(tensors, folder / f"request-{number}.safetensors")
        (folder / f"request-{number}.safetensors.lock").touch()
        start += size
    return folder


def write_saelens(folder: Path, keep_ids: bool = True) -> Path:
    """As its runner does: a data set in shards, with rows of one length."""
    from datasets import Array2D, Dataset, Features, Sequence, Value

    hook, shape = "blocks.0.hook_resid_post", (3, 4, D)
    columns: dict[str, Any] = {hook: STATES[1].reshape(shape)}
    features = Features({hook: Array2D(shape[1:], "float32")})
    if keep_ids:
        columns["token_ids"] = IDS.reshape(3, 4).astype(np.int32)
        features["token_ids"] = Sequence(Value("int32"), length=4)
    Dataset.from_dict(columns, features=features).save_to_disk(str(folder), num_shards=2)
    return folder


def imported(folder: Path, output: Path, dump: dict[str, Any] | None = None, **entry: Any) -> Path:
    path = output / "dumps/m/c/trained.h5"
    import_states(folder, path, {"source": "states", "path": "mine"} | SIZES | entry, DUMP | (dump or {}))
    return path


@pytest.mark.parametrize("write", [write_arrays, write_safetensors])
def test_arrays_come_back_bit_for_bit(write, tmp_path):
    with Dump(imported(write(tmp_path / "c"), tmp_path)) as dump:
        assert dump.states == [State(layer) for layer in STATES]
        assert dump.texts.document == ["d0", "d0", "d1"]
        assert dump.texts.tokens == TOKENS
        for layer, rows in STATES.items():
            np.testing.assert_array_equal(dump.rows(State(layer), 0, 3), rows)
        ids = IDS if write is write_arrays else np.full(TOTAL, -1)
        np.testing.assert_array_equal(np.concatenate([dump.ids(text) for text in range(3)]), ids)
        assert np.isnan(dump.surprisal(0)).all()


def test_a_byte_order_mark_and_hidden_copies_are_no_part_of_imported_states(tmp_path):
    folder = write_safetensors(tmp_path / "c")
    (folder / "texts.csv").write_bytes(b"\xef\xbb\xbf" + (folder / "texts.csv").read_bytes())
    (folder / "._layer-0.safetensors").write_bytes(b"no tensors")
    with Dump(imported(folder, tmp_path)) as dump:
        assert dump.texts.document == ["d0", "d0", "d1"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_vllm_files_come_back_in_every_type(dtype, tmp_path):
    path = imported(write_vllm(tmp_path / "c", dtype), tmp_path, layout="vllm", layers=[0, 1, 2, 3])
    with Dump(path) as dump:
        for layer, rows in STATES.items():
            np.testing.assert_array_equal(dump.rows(State(layer), 0, 3), torch.tensor(rows).to(dtype).float().numpy())
        assert dump.texts.document == ["request-0", "request-1", "request-2"]
        np.testing.assert_array_equal(dump.ids(1), IDS[5:8])


def test_layers_of_vllm_are_numbered_by_the_entry(tmp_path):
    path = imported(write_vllm(tmp_path / "c"), tmp_path, layout="vllm", layers=[3, 2, 1, 0], dump={"layers": [0]})
    with Dump(path) as dump:
        assert dump.states == [State(0)]
        np.testing.assert_array_equal(dump.rows(State(0), 0, 3), STATES[3])


@pytest.mark.parametrize("keep_ids", [True, False])
def test_a_cache_of_saelens_is_a_layer_of_texts_of_one_length(keep_ids, tmp_path):
    with Dump(imported(write_saelens(tmp_path / "c", keep_ids), tmp_path, layout="saelens")) as dump:
        assert dump.states == [State(1)]
        assert dump.texts.tokens == [4, 4, 4]
        np.testing.assert_array_equal(dump.rows(State(1), 0, 3), STATES[1])
        assert (dump.ids(0)[0] == 7) == keep_ids
        assert dump.absent["hidden/2"] == "layer 2 is not among the imported states"


def test_tokens_at_the_start_are_left_out(tmp_path):
    for layout, write in {"arrays": write_arrays, "vllm": write_vllm}.items():
        layers = {"layers": [0, 1, 2, 3]} if layout == "vllm" else {}
        with Dump(imported(write(tmp_path / layout), tmp_path / layout, layout=layout, skip=2, **layers)) as dump:
            assert dump.texts.tokens == [3, 1, 2]
            np.testing.assert_array_equal(dump.rows(State(1), 0, 3), STATES[1][[2, 3, 4, 7, 10, 11]])
            np.testing.assert_array_equal(dump.ids(0), IDS[2:5])


def test_what_imported_states_lack_is_absent_with_a_reason_down_to_the_table(tmp_path):
    dump, spectra, table = imported(write_arrays(tmp_path / "c"), tmp_path), tmp_path / "s/m/c.h5", tmp_path / "e/m/c.parquet"
    left_out = {"untrained": "no model runs: its states were imported"}
    decompose(partial(stored, dump), spectra, ["unit"], [3], ["trained"], ["gaussian"], None, 0, left_out)
    with h5py.File(spectra) as file:
        absent = json.loads(file.attrs["absent"])
    assert absent["untrained"] == left_out["untrained"]
    assert absent["surprisal"] == "the states were imported, and their files do not say it"
    with Spectra(spectra) as file:
        assert file.surprisal("trained") is None
    measure_spectra(spectra, table, "f", None, None, {"eps2": 0.5})
    import pyarrow.parquet as pq

    rows = pq.read_table(table).to_pylist()
    assert {row["variant"] for row in rows} == {"trained", "gaussian"}
    assert not {"loss", "loss_per_byte"} & {row["metric"] for row in rows}
    assert {row["params_nonembedding"] for row in rows} == {600}


def test_texts_whose_tokens_are_not_known_are_not_taken_for_the_same(tmp_path):
    """The projected null compares models row by row."""
    known = [imported(write_arrays(tmp_path / name / "c"), tmp_path / name) for name in "ab"]
    unknown = [imported(write_safetensors(tmp_path / name / "c"), tmp_path / name) for name in "cd"]
    for paths, reason in ((known, None), (unknown, "m has no token ids")):
        moved = [path.parents[1].rename(path.parents[2] / name) / "c/trained.h5" for path, name in zip(paths, "mn", strict=True)]
        groups = families_of(spectra_of(moved, tmp_path / str(reason)), dict.fromkeys("mn", "f"), {"m": 0, "n": 1})
        found = incomparable(groups["f"])
        assert found is None if reason is None else reason in str(found)


def spoil_array(**change: Any) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / "layer-1.npy", change["to"])


def add_tensor(name: str) -> Callable[[Path], None]:
    return lambda folder: save_file({name: STATES[1]}, folder / "a.safetensors")


def not_a_number() -> np.ndarray:
    rows = STATES[1].copy()
    rows[6, 2] = np.nan
    return rows


BAD: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "no list of texts": (lambda folder: (folder / "texts.csv").unlink(), ("texts.csv", "not there")),
    "no such column": (lambda folder: (folder / "texts.csv").write_text("text\na\n"), ("texts.csv", "'document'")),
    "tokens that are no number": (lambda folder: write_texts(folder, [5, "x", 4]), ("texts.csv, line 3", "'x'")),
    "no text": (lambda folder: write_texts(folder, []), ("texts.csv", "no text")),
    "no name": (lambda folder: (folder / "texts.csv").write_text("tokens,document\n5\n"), ("texts.csv, line 2", "not a name")),
    "semicolons": (lambda folder: (folder / "texts.csv").write_text("document;tokens\na;5\n"), ("comma", "document;tokens")),
    "tokens without end": (lambda folder: write_texts(folder, [5, "9" * 5000, 4]), ("texts.csv, line 3", "not digits")),
    "latin-1": (
        lambda folder: (folder / "texts.csv").write_bytes("document,tokens\ncafé,5\n".encode("latin-1")),
        ("texts.csv, line 2", "iconv"),
    ),
    "UTF-16": (
        lambda folder: (folder / "texts.csv").write_text("document,tokens\na,5\n", encoding="utf-16"),
        ("texts.csv", "UTF-16"),
    ),
    "a field without end": (
        lambda folder: (folder / "texts.csv").write_text("document,tokens\n" + "a" * 200_000 + ",5\n"),
        ("texts.csv, line 2", "comma-separated"),
    ),
    "a pointer of Git LFS": (
        lambda folder: (folder / "layer-1.npy").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\n"),
        ("layer-1.npy", "git lfs pull"),
    ),
    "another number of rows": (lambda folder: write_texts(folder, [5, 3, 5]), ("layer-0.npy", "(12, 6)", "(13, any)")),
    "a wrong shape": (spoil_array(to=np.ones((TOTAL, D, 1), np.float32)), ("layer-1.npy", "(12, 6, 1)")),
    "a wrong type": (spoil_array(to=np.ones((TOTAL, D), np.int64)), ("layer-1.npy", "I64", "F32")),
    "Python objects": (spoil_array(to=np.full((TOTAL, D), None)), ("layer-1.npy", "not a whole .npy file of numbers")),
    "NaN": (spoil_array(to=not_a_number()), ("layer-1.npy", "row 6", "not finite")),
    "too large for float32": (spoil_array(to=np.full((TOTAL, D), 1e300)), ("layer-1.npy", "row 0", "not finite in float32")),
    "a file that is cut off": (
        lambda folder: (folder / "layer-1.npy").write_bytes((folder / "layer-1.npy").read_bytes()[:-9]),
        ("layer-1.npy", "not a whole .npy file"),
    ),
    "a layer twice": (
        lambda folder: save_file({"layer-1": STATES[1]}, folder / "a.safetensors"),
        ("a.safetensors: layer-1", "already"),
    ),
    "a key that is no layer": (
        lambda folder: save_file({"h": STATES[1]}, folder / "a.safetensors"),
        ("a.safetensors: h", "layer-0"),
    ),
    "no safetensors": (
        lambda folder: (folder / "a.safetensors").write_bytes(b"\x08" + bytes(7) + b"[1, 2]  "),
        ("a.safetensors",),
    ),
    "an unknown type": (
        lambda folder: save_tensors({"layer-4": torch.ones(TOTAL, D).to(torch.float8_e4m3fn)}, folder / "a.safetensors"),
        ("a.safetensors: layer-4", "F8_E4M3", "BF16"),
    ),
    "a layer beyond the last": (lambda folder: np.save(folder / "layer-9.npy", STATES[1]), ("layer 9", "depth: 2")),
    "ids of another length": (lambda folder: np.save(folder / "ids.npy", IDS[:-1]), ("ids.npy", "(11,)", "12")),
    "ids that are no whole numbers": (lambda folder: np.save(folder / "ids.npy", IDS / 2), ("ids.npy", "F64")),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_one_line_and_leave_nothing(case, tmp_path):
    spoil, words = BAD[case]
    folder = write_arrays(tmp_path / "states/c")
    spoil(folder)
    refused(tmp_path, lambda: imported(folder, tmp_path / "results"), *words)


def change_vllm(**change: torch.Tensor) -> Callable[[Path], None]:
    return lambda folder: save_tensors(
        {"hidden_states": torch.ones(3, 4, D), "token_ids": torch.arange(3)} | change, folder / "request-1.safetensors"
    )


BAD_VLLM: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "other numbers of tokens": (
        change_vllm(token_ids=torch.arange(2)),
        ("request-1.safetensors: hidden_states", "(3, 4, 6)", "(2, 4, 6)"),
    ),
    "other layers": (change_vllm(hidden_states=torch.ones(3, 2, D)), ("request-1.safetensors: hidden_states", "(3, 2, 6)")),
    "another width": (change_vllm(hidden_states=torch.ones(3, 4, D + 1)), ("request-1.safetensors", "(3, 4, 7)")),
    "no ids": (
        lambda folder: save_tensors({"hidden_states": torch.ones(3, 4, D)}, folder / "request-1.safetensors"),
        ("request-1.safetensors", "no token_ids"),
    ),
    "cut off": (
        lambda folder: (folder / "request-1.safetensors").write_bytes((folder / "request-1.safetensors").read_bytes()[:-5]),
        ("request-1.safetensors", "cut off"),
    ),
    "no file": (lambda folder: [file.unlink() for file in folder.glob("*")], ("no .safetensors file",)),
}


@pytest.mark.parametrize("case", BAD_VLLM)
def test_bad_vllm_files_are_one_line_and_leave_nothing(case, tmp_path):
    spoil, words = BAD_VLLM[case]
    folder = write_vllm(tmp_path / "states/c")
    spoil(folder)
    refused(tmp_path, lambda: imported(folder, tmp_path / "results", layout="vllm", layers=[0, 1, 2, 3]), *words)


def test_bad_caches_of_saelens_are_one_line(tmp_path):
    folder = tmp_path / "states/c"
    folder.mkdir(parents=True)
    refused(tmp_path, lambda: imported(folder, tmp_path / "results", layout="saelens"), "no data-*.arrow")
    (folder / "data-0.arrow").write_bytes(b"not Arrow")
    refused(tmp_path, lambda: imported(folder, tmp_path / "results", layout="saelens"), "data-0.arrow", "not a stream of Arrow")


def test_layers_that_are_asked_for_and_not_there_are_named(tmp_path):
    folder = write_arrays(tmp_path / "states/c")
    (folder / "layer-2.npy").unlink()
    refused(tmp_path, lambda: imported(folder, tmp_path / "results", {"layers": "last"}), "no layer 2", "dump.layers", "0, 1, 3")
    refused(tmp_path, lambda: imported(folder, tmp_path / "results", skip=3), "a text has 3 tokens", "skip: 3")


ENTRY = {"source": "states", "path": "mine"} | SIZES
REFUSALS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "an unknown layout": (
        {"layout": "zarr"},
        {},
        r"models\.mine\.layout: unknown layout of states 'zarr'; known: arrays, saelens, vllm",
    ),
    "vllm without layers": ({"layout": "vllm"}, {}, r"models\.mine: layout vllm needs layers"),
    "a null that runs": ({"nulls": ["untrained"]}, {}, r"models\.mine\.nulls: untrained takes a model that runs"),
    "no folder of the corpus": ({}, {"entropy": ["mine"]}, r"models\.mine\.path: mine has no folder sotu"),
    **{
        stage: ({}, {stage: ["mine"]}, rf"{stage}\.models: mine are imported states, and this stage needs")
        for stage, block in stages(SCHEMA).items()
        if "needs" in block
    },
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_takes_a_model_is_refused_before_the_run(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    entry, selected, message = REFUSALS[case]
    config = changed("models", SHIPPED["models"] | {"mine": ENTRY | entry})
    for stage, models in selected.items():
        config[stage] = config[stage] | {"models": models}
    with pytest.raises(ConfigError, match=message):
        run_check(config)


def test_a_corpus_has_no_states(tmp_path):
    with pytest.raises(ConfigError, match=r"corpora\.mine\.source: unknown source 'states'"):
        run_check(changed("corpora", SHIPPED["corpora"] | {"mine": {"source": "states", "path": "."}}))


def test_a_size_that_an_entry_does_not_say_is_missed():
    entry = {name: value for name, value in ENTRY.items() if name != "depth"}
    with pytest.raises(ConfigError, match=r"models\.mine: 'depth' is a required property where the source is states"):
        run_check(changed("models", SHIPPED["models"] | {"mine": entry}))


def test_a_value_that_is_too_large_is_named_by_its_file(tmp_path):
    folder = write_arrays(tmp_path / "c")
    np.save(folder / "layer-1.npy", STATES[1] * np.float32(1e6))
    with pytest.raises(DataError, match=r"dump\.dtype: float16 cannot hold /hidden/1"):
        imported(folder, tmp_path, {"dtype": "float16"})
