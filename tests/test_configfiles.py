"""What files of a configuration say is what is measured: what YAML would lose or read otherwise is refused, with its line."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_config import RESOURCES, SCHEMA, SHIPPED, make_model

from geomkit.core.catalogue import declared_by_kind
from geomkit.core.checks import Checked, checked
from geomkit.core.config import completed
from geomkit.core.configfiles import ConfigFiles
from geomkit.core.errors import ConfigError

Check = Callable[..., str]
MINE = """seed: 0
models:
  mine: {source: local, path: model}
corpora:
  notes: {source: local, path: notes.txt, reader: text}
entropy:
  models: [mine]
  corpora: [notes]
"""


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """What is said of files over the shipped configuration, as Snakemake joins them; nothing if they are accepted."""
    monkeypatch.chdir(tmp_path)
    make_model(tmp_path / "model", 2)
    (tmp_path / "notes.txt").write_text("Fog over the harbour.")

    def said_of(*texts: str, name: str = "mine.yaml", over: Mapping[str, Any] | None = None) -> str:
        config: Any = SHIPPED
        paths = [tmp_path / (name if not number else f"{number}.yaml") for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
            config = completed(json.loads(text) if path.suffix == ".json" else yaml.safe_load(text), config)
        files = ConfigFiles([RESOURCES.parents[1] / "config.yaml", *paths], SCHEMA["properties"])
        try:
            checked(completed(over or {}, config), SCHEMA, declared_by_kind(), RESOURCES, files)
        except ConfigError as error:
            return str(error)
        return ""

    return said_of


def fitted(path: Path, text: str) -> Checked:
    """What a file over the shipped configuration comes to."""
    path.write_text(text)
    files = ConfigFiles([RESOURCES.parents[1] / "config.yaml", path], SCHEMA["properties"])
    return checked(completed(yaml.safe_load(text), SHIPPED), SCHEMA, declared_by_kind(), RESOURCES, files)


@pytest.mark.parametrize(
    ("text", "lengths", "primary", "budgets"),
    [
        ("texts: {length: 64}", [16, 64], 64, [1, 2, 4, 8, 16, 32]),
        ("texts: {length: 100}", [16, 64], 64, [1, 2, 4, 8, 16, 32]),
        ("texts: {length: 20}", [16], 16, [1, 2, 4, 8, 16]),
        ("texts: {length: 12}", [12], 12, [1, 2, 4, 8]),
        ("texts: {length: 1000}", [16, 64, 256], 256, [1, 2, 4, 8, 16, 32]),
        ("entropy: {lengths: [16, 32]}", [16, 32], 32, [1, 2, 4, 8, 16, 32]),
        ("texts: {length: 64}\nscaling: {primary: {length: 16}}", [16, 64], 16, [1, 2, 4, 8, 16, 32]),
        ("texts: {length: 12}\ntokens: {selection: {models: []}}", [12], 12, [1, 2, 4, 8, 16, 32]),
    ],
)
def test_shorter_texts_take_one_key(tmp_path, text, lengths, primary, budgets):
    """Budgets of a selection that no stage makes stay as they are."""
    config, _, change = fitted(tmp_path / "mine.yaml", text)
    assert config["entropy"]["lengths"] == lengths
    assert config["scaling"]["primary"]["length"] == primary
    assert config["tokens"]["selection"]["budgets"] == budgets
    changed = {"entropy.lengths": lengths, "scaling.primary.length": primary, "tokens.selection.budgets": budgets}
    defaults = SHIPPED["entropy"]["lengths"], SHIPPED["scaling"]["primary"]["length"], SHIPPED["tokens"]["selection"]["budgets"]
    of_user = set(yaml.safe_load(text).get("entropy", {})) | set(yaml.safe_load(text).get("scaling", {}))
    for (key, value), default in zip(changed.items(), defaults, strict=True):
        if not of_user:
            assert (f"{key} is {value}, not {default}" in change) == (value != default)
    assert "\n" not in change
    assert SHIPPED["entropy"]["lengths"] == [16, 64, 256]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("texts: {length: 64}\nentropy: {lengths: [16, 256]}", "entropy.lengths: 256 is more than texts.length 64"),
        (
            "texts: {length: 64}\nscaling: {primary: {length: 256}}",
            "scaling.primary.length: 256 is not among entropy.lengths [16, 64]",
        ),
        ("texts: {length: 64}\ntokens: {selection: {budgets: [99]}}", "tokens.selection.budgets: 99 is too much for texts of 64"),
    ],
)
def test_a_length_of_the_users_own_that_does_not_fit_is_one_fault(check, text, message):
    (said,) = check(text + "\n").splitlines()
    assert said.startswith(f"config: {message}")
    assert said.endswith("(mine.yaml, line 2)")


def test_all_faults_are_listed_at_once_each_with_its_line(check):
    said = check(
        "sed: 1\n"
        "models:\n"
        "  mine: {source: local, path: nowhere}\n"
        "  other: {source: locl, path: model}\n"
        "corpora:\n"
        "  notes: {source: local, path: notes.txt, reader: txt, colum: a}\n"
        "texts: {count: many, lengt: 3, cout: 4}\n"
        "entropy:\n"
        "  models: [mine, other]\n"
        "  corpora: [notes, notez, nots]\n"
        "  nulls: [gausian]\n"
        "  normalise: unit\n"
        "tokens: {eps2: 0}\n"
        "ablation: {models: [], needle: {fillers: speeches}}\n"
    )
    starts = [
        ("top level: unknown key 'sed'", 1),
        ("texts.count: 'many' is not of type 'integer'", 7),
        ("texts: unknown key 'lengt'", 7),
        ("texts: unknown key 'cout'", 7),
        ("entropy.normalise: 'unit' is not of type 'array'; a list is written [unit]", 12),
        ("tokens.eps2: 0 is less than or equal to the minimum of 0", 13),
        ("models.other.source: unknown source 'locl'", 4),
        ("corpora.notes.reader: unknown corpus reader 'txt'", 6),
        (f"models.mine.path: nowhere does not exist in {Path.cwd()}, the working directory", 3),
        ("entropy.corpora: unknown corpus 'notez'", 10),
        ("entropy.corpora: unknown corpus 'nots'", 10),
        ("entropy.nulls: unknown null 'gausian'", 11),
        ("ablation.needle.fillers: unknown corpus 'speeches'", 14),
    ]
    lines = said.splitlines()
    for start, line in starts:
        (found,) = [one for one in lines if one.startswith(f"config: {start}")]
        assert found.endswith(f"(mine.yaml, line {line})")
    assert len(lines) == len(starts), "nothing is listed that follows from another fault"


def test_a_configuration_as_it_is_meant_is_accepted(check):
    assert check(MINE) == ""


def test_a_key_that_stands_twice_is_refused_with_both_lines(check):
    said = check(MINE + "entropy: {lengths: [16]}\n")
    assert said.startswith("config: entropy: stands twice in mine.yaml, lines 6 and 9, and the first would be lost")
    assert "config: models.mine: stands twice in mine.yaml, lines 3 and 4" in check(
        MINE.replace("corpora:\n", "  'mine': {source: local, path: other}\ncorpora:\n", 1)
    )
    said = check('{\n\t"seed": 1,\n\t"texts": {"count": 1, "count": 2}\n}', name="mine.json")
    assert said.startswith("config: texts.count: stands twice in mine.json, lines 3 and 3")
    assert check('{\n\t"seed": 1}', name="mine.json") == ""


def test_an_override_in_another_file_is_no_repetition(check):
    assert check(MINE, "entropy: {lengths: [16]}\nscaling: {primary: {length: 16}}\n") == ""
    assert check(MINE, "models: {mine: {tokenizer: other}}\n") == ""


def test_a_merge_key_is_yaml(check):
    assert check(MINE + "texts: &texts {count: 3, length: 300}\ntrajectory: {<<: {models: []}, <<: {corpora: [notes]}}\n") == ""


NAMES = {"2020": "a number", "2024-01-01": "a date", "no": "true or false", "1.5": "a number", "~": "nothing", "0x1f": "a number"}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_yaml_does_not_read_as_text_is_to_be_quoted(name, check):
    said = check(MINE.replace("notes:", f"{name}:").replace("[notes]", f"[{name}]"))
    of_catalogue, of_stage = said.splitlines()
    assert of_catalogue == (
        f'config: corpora: the name {name} is read as {NAMES[name]}, not as text; quote it: "{name}" (mine.yaml, line 5)'
    )
    assert of_stage.startswith("config: entropy.corpora.0: ")
    assert of_stage.endswith("(mine.yaml, line 8)")
    said = check(MINE.replace("notes:", f'"{name}":').replace("[notes]", f"[{name}]"))
    if name == "~":  # no name, even if it is quoted
        said = said.splitlines()[0]
        assert said.startswith("config: corpora: '~' does not match")
        assert said.endswith("(mine.yaml, line 4)")
    else:
        assert said.startswith(f'config: entropy.corpora.0: {name} is read as {NAMES[name]}, not as text; quote it: "{name}"')
        assert said.endswith("(mine.yaml, line 8)")


def test_quoted_names_of_digits_are_names(check):
    assert check(MINE.replace("notes:", '"2020":').replace("[notes]", '["2020"]')) == ""
    assert check(MINE.replace("mine:", "'007':").replace("[mine]", "['007']")) == ""


@pytest.mark.parametrize("text", ["revision: 1234567", "family: 7", "path: 2020"])
def test_a_value_that_is_to_be_text_is_to_be_quoted(text, check):
    key, value = text.split(": ")
    entry = (
        {"source": "hub", "repository": "a/b", "revision": "main"} if key == "revision" else {"source": "local", "path": "model"}
    )
    said = check(
        MINE.replace("{source: local, path: model}", yaml.safe_dump(entry | {key: int(value)}, default_flow_style=True).strip())
    )
    assert f'config: models.mine.{key}: {value} is read as a number, not as text; quote it: "{value}"' in said
    assert said.endswith("(mine.yaml, line 3)")


@pytest.mark.parametrize(
    ("written", "remedy"),
    [
        ("1e-3", "YAML reads it as text; write 1.0e-3"),
        ("5E4", "YAML reads it as text; write 5.0e+4"),
        ("-.5e3", "YAML reads it as text; write -0.5e+3"),
        ('"0.5"', "write it without quotes: 0.5"),
    ],
)
def test_a_number_that_is_read_as_text_is_shown_as_yaml_has_it(written, remedy, check):
    said = check(MINE + f"theory:\n  models: [mine]\n  eps2: {written}\n")
    value = written.strip('"')
    assert said.startswith(f"config: theory.eps2: '{value}' is not of type 'number'; {remedy}; ")
    assert said.endswith("(mine.yaml, line 11)")
    if "e+" in remedy or "e-" in remedy:
        assert yaml.safe_load(remedy.split()[-1]) == float(value)


@pytest.mark.parametrize(("written", "read"), [("016", "14"), ("1:30", "90"), ("-007", "-7")])
def test_a_number_in_another_base_is_refused(written, read, check):
    said = check(MINE + f"texts: {{count: 5, length: {written}}}\n")
    assert said.startswith(f'config: texts.length: YAML reads {written} as {read}; write "{written}" for a name, or the number')
    assert said.endswith("(mine.yaml, line 9)")


@pytest.mark.parametrize("written", ["0", "0.5", "0.05", "1_000"])
def test_numbers_as_people_write_them_are_numbers(written, check):
    assert "YAML reads" not in check(MINE + f"seed_of_mine: {written}\n")


@pytest.mark.parametrize(
    ("key", "line", "message"),
    [
        ("texts", "texts: {count: 10.0}", "texts.count: 10.0 is not of type 'integer'; write 10"),
        ("theory", "theory: {models: [mine], eps2: .nan}", "theory.eps2: nan is not of type 'number'"),
        ("theory", "theory: {models: [mine], eps2: .inf}", "theory.eps2: inf is not of type 'number'"),
        ("ablation", "ablation: {models: mine}", "ablation.models: 'mine' is not of type 'array'; a list is written [mine]"),
        ("dump", "dump: {layers: -1}", "dump.layers: -1"),
        ("compute", "compute: {device: off}", "compute.device: off is not one of ['auto', 'cpu', 'cuda']"),
        ("dump", "dump: {compression: none}", "dump.compression: 'none' is not one of [null, 'gzip', 'lzf']"),
        ("texts", "texts: {counts: 5}", "texts: unknown key 'counts'"),
        ("models", "theory:", "theory: nothing stands there; give it a value, or leave the key out"),
        ("trajectory", "trajectory: {models: [mine]}", "trajectory.models: mine has no step; set models.mine.step"),
    ],
)
def test_a_fault_is_named_with_its_line(key, line, message, check):
    said = check(MINE + line + "\n")
    assert said.startswith(f"config: {message}")
    assert said.endswith("(mine.yaml, line 9)")


def test_what_the_command_line_says_has_no_line(check):
    said = check(MINE + "texts: {count: 5, length: 300}\n", over={"texts": {"count": "6"}})
    assert "--configfile" in said
    assert "line" not in said.replace("--configfile", "")


def test_dots_in_names_do_not_hide_the_line(check):
    said = check(MINE.replace("mine:", "llm-1.5b:").replace("[mine]", "[llm-1.5b]").replace("path: model", "path: nowhere"))
    assert "config: models.llm-1.5b.path: nowhere does not exist" in said
    assert said.endswith("(mine.yaml, line 3)")


def test_an_entry_of_a_name_that_is_taken_is_refused_and_one_key_may_be_changed(check):
    said = check(MINE.replace("notes:", "sotu:").replace("[notes]", "[sotu]"))
    assert said.startswith("config: corpora.sotu: stands in ")
    assert "member, package, sha256, split would stay; choose another name" in said
    assert said.endswith("(mine.yaml, line 5)")
    assert check(MINE + "  metrics: all\n", "corpora: {sotu: {split: train}}\n") == ""
    assert "models.mine: stands in mine.yaml, line 3, too" in check(
        MINE.replace("path: model}", "path: model, family: f}"), "models: {mine: {source: local, path: model}}\n"
    )


def test_a_file_of_a_workflow_around_it_is_read_one_level_deeper(tmp_path):
    path = tmp_path / "caller.yaml"
    path.write_text("samples: {a: 007}\ngeomkit:\n  texts:\n    count: 5\n    length: 016\n")
    (fault,) = ConfigFiles([path], SCHEMA["properties"]).faults()
    assert re.search(r"texts\.length: YAML reads 016 as 14.*caller.yaml, line 5", str(fault))


def test_an_alias_that_contains_itself_is_refused(check):
    (said,) = [check("seed: 0\n"), check("entropy: &a {corpora: [*a]}\n")][1:]
    assert "entropy.corpora.0: an alias that contains itself" in said


def test_files_that_are_not_there_are_no_fault(tmp_path):
    (tmp_path / "binary").write_bytes(b"\x80\xff")
    assert not list(ConfigFiles([tmp_path / "gone.yaml", tmp_path / "binary"], SCHEMA["properties"]).faults())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dump:\n\tlayers: all\n", "line 2"),
        ("a: {{x}}\n", ""),
        ("seed: 1\nseed: 2\n", "seed: stands twice in mine.yaml, lines 1 and 2"),
        ("- a\n", "no keys at the top"),
    ],
)
def test_what_snakemake_does_not_take_for_yaml_can_be_asked_for(text, message, tmp_path):
    (tmp_path / "mine.yaml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "geomkit.core.configfiles", "mine.yaml"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.count("\n")) == ((1, 1) if message else (0, 0))
    assert message in done.stderr
    assert "Traceback" not in done.stderr
