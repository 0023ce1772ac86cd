"""A dataset of a run's tables: what is written loads, says how it was made, and reaches a local hub when that is asked for."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import h5py
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from test_fetch import COMMIT, Hub, files

from geomkit.command import main
from geomkit.core.errors import ConfigError, DataError
from geomkit.core.provenance import file_sha256
from geomkit.sources import fetch
from geomkit.sources.publish import publish, tables_of
from geomkit.tables.tidy import TableWriter, merge, read_absent

DEFAULTS = Path(__file__).parents[1] / "config.yaml"
COLUMNS = {"family": "ladder", "normalise": "unit", "layer": 2, "sublayer": "block", "n": 64, "d": 16, "params_nonembedding": 10}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A merged table of two row groups, whose names have different codes, its parts, a portrait, and a file of spectra."""
    folder = tmp_path / "run/results"
    for model in ("ladder-16-s0", "ladder-32-s0"):
        table = TableWriter(**COLUMNS, model=model, corpus="sotu", variant="trained")
        for metric, value in ((f"only-{model}", 0.5), ("erank_covariance", 3.0)):
            table.add(metric=metric, value=value, text=[0, 1], document=["a", "b"])
        (folder / f"entropy/{model}").mkdir(parents=True)
        table.write(folder / f"entropy/{model}/sotu.parquet", {"alpha_req": "too few"})
    merge(sorted(folder.glob("entropy/*/*.parquet")), folder / "entropy.parquet")
    for model in ("mine", "theirs"):
        (folder / f"portraits/{model}").mkdir(parents=True)
        facts = pa.table({"model": pa.array([model]).dictionary_encode(), "value": [1.5]}).replace_schema_metadata(
            {"facts": model}
        )
        pq.write_table(facts, folder / f"portraits/{model}/notes.parquet")
        pq.write_table(facts, folder / f"portraits/{model}/notes.passages.parquet")
    (folder / "spectra/ladder-16-s0").mkdir(parents=True)
    with h5py.File(folder / "spectra/ladder-16-s0/sotu.h5", "w") as file:
        file.attrs.update({"weights_sha256": "0" * 64, "device": "cpu", "depth": 2, "absent": "{}"})
    return folder


def dataset(results: Path, **options: Any) -> Path:
    options = {"folder": results.parent / "out", "configs": [], "defaults": DEFAULTS} | options
    return Path(publish(results, "somebody/geometry", **options))


def front_of(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def test_a_dataset_has_merged_tables_and_portraits_with_plain_names(results):
    folder = dataset(results)
    tables = {"data/entropy.parquet", "data/portraits/mine/notes.parquet", "data/portraits/theirs/notes.parquet"}
    assert set(files(folder)) == tables | {"README.md", "provenance.json"}
    for name in tables:
        written, source = pq.read_table(folder / name), pq.read_table(results / name.removeprefix("data/"))
        assert written.to_pylist() == source.to_pylist()
        assert not [field for field in written.schema if pa.types.is_dictionary(field.type)]
    assert read_absent(folder / "data/entropy.parquet") == read_absent(results / "entropy.parquet")
    assert pq.read_metadata(folder / "data/portraits/mine/notes.parquet").metadata[b"facts"] == b"mine"


def test_the_card_names_every_table_and_its_columns_for_the_hub(results):
    folder = dataset(results)
    configs = {one["config_name"]: one["data_files"] for one in front_of(folder)["configs"]}
    assert configs == {
        "entropy": [{"split": "train", "path": "data/entropy.parquet"}],
        "portraits": [{"split": "train", "path": ["data/portraits/mine/notes.parquet", "data/portraits/theirs/notes.parquet"]}],
    }
    text = (folder / "README.md").read_text()
    assert "In `portraits`, `section` says what a row is" in text
    assert "| `entropy` | 8 |" in text
    assert "| `portraits` | 2 |" in text
    assert all(f"`{name}` (" in text for name in pq.read_schema(folder / "data/entropy.parquet").names)
    assert 'load_dataset("somebody/geometry", "entropy", split="train")' in text


@pytest.mark.slow
def test_every_table_loads_by_its_name(results, tmp_path, monkeypatch):
    from datasets import load_dataset

    folder = dataset(results)
    loaded = load_dataset(str(folder), "entropy", split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.to_list() == pq.read_table(results / "entropy.parquet").to_pylist()
    portraits = load_dataset(str(folder), "portraits", split="train", cache_dir=str(tmp_path / "cache"))
    assert portraits["model"][:] == ["mine", "theirs"]


def test_provenance_has_digests_versions_and_what_each_measurement_recorded(results):
    about = json.loads((dataset(results) / "provenance.json").read_text())
    assert about["tables"]["entropy.parquet"] == file_sha256(results / "entropy.parquet")
    assert set(about["tables"]) == {str(file.relative_to(results)) for each in tables_of(results).values() for file in each}
    assert about["measurements"] == [
        {"model": "ladder-16-s0", "corpus": "sotu", "weights_sha256": "0" * 64, "device": "cpu", "depth": 2}
    ]
    assert "pyarrow" in about["versions"]


def test_the_command_that_makes_it_again_names_the_configuration_that_comes_with_it(results, tmp_path):
    text = (dataset(results) / "README.md").read_text()
    assert (
        "geomkit plot results/entropy.parquet results/portraits/mine/notes.parquet results/portraits/theirs/notes.parquet\n"
        in text
    )
    assert "the configuration that ships" in text
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("seed: 1\n"), second.write_text("seed: 2\n")
    again = dataset(results, configs=[first])
    assert (again / "config.yaml").read_bytes() == first.read_bytes()
    assert "notes.parquet --configfile config.yaml\n" in (again / "README.md").read_text()
    both = dataset(results, configs=[first, second])
    assert [(both / f"config-{number}.yaml").read_text() for number in (1, 2)] == ["seed: 1\n", "seed: 2\n"]
    assert "--configfile config-1.yaml config-2.yaml\n" in (both / "README.md").read_text()
    assert not (both / "config.yaml").exists()


def test_the_same_results_give_the_same_bytes(results):
    first = files(dataset(results))
    assert files(dataset(results)) == first
    assert files(dataset(results, folder=results.parent / "other")) == first


def test_a_configuration_that_is_not_the_runs_own_is_refused(results, tmp_path):
    table = TableWriter(**COLUMNS | {"family": "pythia"}, model="pythia-70m", corpus="sotu", variant="trained")
    table.add(metric="erank_covariance", value=2.0)
    table.write(results / "tokens.parquet", {})
    with pytest.raises(ConfigError, match=r"tokens\.parquet: the family pythia is not in the configuration.*--configfile"):
        dataset(results)
    assert not (results.parent / "out").exists()
    own = tmp_path / "own.yaml"
    own.write_text("models: {pythia-70m: {source: hub, repository: a/b, revision: main, family: pythia}}\n")
    assert "tokens" in {one["config_name"] for one in front_of(dataset(results, configs=[own]))["configs"]}
    own.write_text("models: [")
    with pytest.raises(ConfigError, match=r"--configfile .*own\.yaml: cannot be read"):
        dataset(results, configs=[own])


def test_what_cannot_be_published_is_one_error_and_leaves_nothing(results, tmp_path):
    with pytest.raises(DataError, match=r"nothing: no table such as entropy\.parquet"):
        dataset(tmp_path / "nothing")
    (results.parent / "out").mkdir()
    (results.parent / "out/thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match=r"--out .*out: is there already, and is no dataset"):
        dataset(results)
    assert files(results.parent / "out") == {"thesis.tex": b"mine"}
    for name in ("no body/geometry", "a/b/c", "../geometry"):
        with pytest.raises(ConfigError, match=re.escape(f"--repo {name}: write it as owner/name")):
            publish(results, name, tmp_path / "other", [], DEFAULTS)
    (results / "entropy.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"entropy\.parquet: not a whole Parquet file"):
        dataset(results, folder=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_the_command_writes_to_the_last_part_of_the_name_and_uses_no_network(results, monkeypatch, capsys):
    monkeypatch.chdir(results.parent)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was used"))
    assert main(["publish", "results", "--repo", "somebody/geometry"]) == 0
    assert capsys.readouterr().out == "geometry\n"
    assert (results.parent / "geometry/README.md").is_file()
    assert main(["publish", "nowhere", "--repo", "somebody/geometry"]) == 1
    assert capsys.readouterr().err.startswith("DataError: nowhere: no table")


@pytest.fixture
def hub() -> Iterator[tuple[str, type[Hub]]]:
    """The address of a hub with one dataset, which has a file of its owner's, and its handler."""

    class Handler(Hub):
        repositories = {"somebody/there": {"LICENSE": b"MIT"}}  # noqa: RUF012
        served: list[str] = []  # noqa: RUF012

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", Handler
    server.shutdown()
    server.server_close()


def upload(endpoint: str, results: Path, repo: str, token: str = "hf_secret") -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, for the hub's address is read when its client is imported."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    own = {"HF_ENDPOINT": endpoint, "HF_HOME": str(results.parent / "home"), "PYTHONPATH": str(Path(fetch.__file__).parents[2])}
    code = "import sys; from geomkit.command import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, "publish", "results", "--repo", repo, "--upload"],
        env=kept | own | ({"HF_TOKEN": token} if token else {}), cwd=results.parent, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("repo", ["somebody/geometry", "geometry", "somebody/there"])
def test_an_upload_makes_the_dataset_on_the_hub_that_is_in_the_folder(results, hub, repo):
    endpoint, server = hub
    done = upload(endpoint, results, repo)
    assert done.returncode == 0, done.stderr
    name = repo if "/" in repo else f"somebody/{repo}"
    assert done.stdout.splitlines()[-1] == f"{endpoint}/datasets/{name}"
    before = {"LICENSE": b"MIT"} if repo == "somebody/there" else {}
    assert server.repositories[name] == files(results.parent / repo.rpartition("/")[2]) | before
    assert COMMIT not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("repo", "token", "message"),
    [
        ("somebody/geometry", "", r"somebody/geometry: .*hf auth login"),
        ("somebody/geometry", "hf_wrong", r"somebody/geometry: .*hf auth login"),
        ("somebody/gated-texts", "hf_secret", r"somebody/gated-texts: access is denied.*hf auth login"),
    ],
)
def test_a_hub_that_takes_nothing_is_one_line_that_says_what_to_do(results, hub, repo, token, message):
    endpoint, server = hub
    done = upload(endpoint, results, repo, token)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("SourceError")]
    assert re.match(f"SourceError: {message}", line)
    assert "Traceback" not in done.stderr
    assert set(server.repositories) == {"somebody/there"}


@pytest.mark.slow
def test_a_hub_out_of_reach_leaves_the_folder_to_upload_later(results):
    done = upload("http://127.0.0.1:9", results, "somebody/geometry")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("SourceError: somebody/geometry: ")
    assert (results.parent / "geometry/README.md").is_file()
