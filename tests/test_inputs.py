"""Files of models and corpora that jobs read, and digests of what they hold."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_plan import CONFIG, KNOWN

from geomkit.core.config import expand_models
from geomkit.core.digest import content_digest
from geomkit.core.errors import ConfigError
from geomkit.core.inputs import Inputs, content, made, original, staged, staged_content, unstaged_files, with_files
from geomkit.core.plan import Plan

PIN = {"source": "hub", "repository": "me/net", "revision": "main"}


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    """A local model with its tokenizer beside it, one from the network, one of a GGUF file with an adapter, and states."""
    monkeypatch.chdir(tmp_path)
    for path in (
        *("nets/mine/config.json", "nets/mine/model.safetensors", "nets/tokenizer/tokenizer.json", "net.gguf"),
        *("lora/adapter_config.json", "states/one/layer-1.npy", "notes/a.txt", "notes/.hidden", "one.txt"),
    ):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(path)
    entries: dict[str, dict[str, Any]] = {
        "mine": {"source": "local", "path": "nets/mine", "family": "a"},
        "far": PIN | {"family": "a", "objective": "masked"},
        "packed": {"source": "local", "path": "net.gguf", "adapter": "lora", "family": "a"},
        "theirs": {"source": "states", "path": "states", "depth": 1, "params_total": 2, "params_nonembedding": 1},
    }
    corpora = {
        "one": {"source": "local", "path": "one.txt"}, "two": {"source": "local", "path": "notes"},
        "web": {"source": "hub", "repository": "me/texts", "revision": "main"},
    }  # fmt: skip
    config = CONFIG | {"models": entries, "corpora": corpora, "entropy": CONFIG["entropy"] | {"corpora": ["one", "web"]}}
    return Inputs(Plan(config, expand_models(entries, tmp_path), KNOWN, ["entropy", "tokens"]), tmp_path)


def job(**names: str) -> SimpleNamespace:
    return SimpleNamespace(**names)


def test_a_folder_comes_first_and_then_the_files_in_it(inputs):
    model, tokenizer = Path("nets/mine"), Path("nets/tokenizer/tokenizer.json")
    assert inputs.model_files(job(model="mine")) == [model, model / "config.json", model / "model.safetensors"]
    assert inputs.tokenizer_files(job(tokenizer="mine")) == [model, tokenizer]
    assert inputs.states_files(job(model="theirs", corpus="one")) == [Path("states/one"), Path("states/one/layer-1.npy")]
    assert inputs.corpus_files(job(corpus="two")) == [Path("notes"), Path("notes/a.txt")]
    assert inputs.corpus_files(job(corpus="one")) == [Path("one.txt")]


def test_what_a_rule_makes_is_a_string(inputs):
    assert inputs.model_files(job(model="far")) == ["results/models/far"]
    assert inputs.model_files(job(model="packed")) == ["results/models/packed"]
    assert inputs.converted_files(job(name="far")) == ["results/sources/models/far"]
    assert inputs.converted_files(job(name="packed")) == [Path("net.gguf")]
    assert inputs.adapter_files(job(name="packed"))[0] == Path("lora")
    assert inputs.adapter_files(job(name="far")) == []
    assert inputs.corpus_files(job(corpus="web")) == ["results/sources/corpora/web"]


def test_what_a_stage_takes_from_the_network_is_listed_once(inputs):
    assert inputs.downloads("entropy", "entropy", corpora=["one"]) == [
        "results/sources/models/far",
        "results/sources/corpora/web",
    ]
    assert inputs.downloads("tokens") == ["results/sources/models/far"]
    nothing = inputs.plan.config | {"tokens": CONFIG["tokens"] | {"models": [], "corpora": ["web"]}}
    assert Inputs(Plan(nothing, inputs.plan.models, KNOWN, []), inputs.resources).downloads("tokens", corpora=["web"]) == []


def test_each_revision_is_downloaded_and_converted_on_its_own(inputs):
    pin = {name: value for name, value in PIN.items() if name != "revision"}
    entries = {"net": pin | {"revisions": {"every": 10, "to": 10}}}
    stages = {stage: CONFIG[stage] | {"models": ["net"], "corpora": []} for stage in ("entropy", "tokens")}
    config = inputs.plan.config | stages | {"models": entries}
    found = Inputs(Plan(config, expand_models(entries, inputs.resources), KNOWN, ["entropy"]), inputs.resources)
    assert found.downloads("entropy") == ["results/sources/models/net-step0", "results/sources/models/net-step10"]
    assert found.converted_files(job(name="net-step10")) == ["results/sources/models/net-step10"]
    assert found.model_files(job(model="net-step0")) == ["results/models/net-step0"]
    assert found.converted_content(job(name="net-step10")) == [pin | {"revision": "step10"}, None]
    assert found.adapter_files(job(name="net-step0")) == []


def test_names_with_braces_are_refused(tmp_path):
    (tmp_path / "{a}.txt").write_text("a")
    with pytest.raises(ConfigError, match=r"\{a\}.txt: Snakemake takes braces"):
        with_files(tmp_path)


def test_contents_are_pins_of_what_is_fetched_and_digests_of_what_is_here(inputs):
    assert inputs.model_content(job(model="far")) == inputs.tokenizer_content(job(tokenizer="far")) == PIN
    assert inputs.corpus_content(job(corpus="web"))["repository"] == "me/texts"
    assert inputs.model_content(job(model="mine")) == content_digest(Path("nets/mine"))
    assert inputs.tokenizer_content(job(tokenizer="mine")) == content_digest(Path("nets/tokenizer"))
    assert inputs.corpus_content(job(corpus="one")) == content_digest(Path("one.txt"))
    assert inputs.states_content(job(model="theirs", corpus="one")) == content_digest(Path("states/one"))
    assert inputs.converted_content(job(name="packed")) == [content_digest(Path("net.gguf")), content_digest(Path("lora"))]
    assert inputs.converted_content(job(name="far")) == [PIN, None]


def test_what_a_rule_makes_has_a_time_in_place_of_a_digest(inputs):
    Path("results").mkdir()
    Path("results/mine.txt").write_text("mine")
    assert made("results/mine.txt")
    assert not made("one.txt")
    assert content(Path("results/mine.txt")) is None


def test_without_a_shared_folder_models_are_copied_and_keep_their_places(inputs, tmp_path, monkeypatch):
    elsewhere = Inputs(inputs.plan, inputs.resources, shared=False)
    copies = ["results/staged/nets/mine", "results/staged/nets/tokenizer"]
    assert elsewhere.model_files(job(model="mine")) == elsewhere.tokenizer_files(job(tokenizer="mine")) == copies
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    assert staged(tmp_path / "nets/mine") == ["results/staged/-above-/nets/mine"]
    assert original("results/staged/-above-/nets/mine") == Path("../nets/mine")
    assert original("results/models/far") == Path("results/models/far")
    assert unstaged_files(job(place="-above-/nets/tokenizer"))[1] == Path("../nets/tokenizer/tokenizer.json")
    assert staged_content(job(place="-above-/nets/tokenizer")) == content_digest(tmp_path / "nets/tokenizer")


def test_sizes_count_files_in_folders_once(inputs):
    Path("notes/big").write_bytes(bytes(3 * 10**6))
    assert inputs.megabytes(["notes", "notes/big"]) == 3
    with pytest.raises(FileNotFoundError):
        inputs.megabytes(["results/later"])
    assert Inputs(inputs.plan, inputs.resources, shared=False).megabytes(["results/later", "results/staged/notes"]) == 3
