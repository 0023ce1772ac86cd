"""Whatever a configuration says, it is accepted, or lines name the keys."""

import copy
import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_config import RESOURCES, SCHEMA, SHIPPED

from geomkit.core.catalogue import declared_by_kind
from geomkit.core.checks import checked
from geomkit.core.config import completed
from geomkit.core.configfiles import ConfigFiles
from geomkit.core.errors import ConfigError

pytestmark = pytest.mark.slow

KNOWN = declared_by_kind()
GONE = object()
Keys = tuple[Any, ...]
OPTIONS: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}


def places(config: Any, keys: Keys = ()) -> Iterator[Keys]:
    """Keys of all that stands in a configuration."""
    for key, value in config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, list) else ():
        yield (*keys, key)
        yield from places(value, (*keys, key))


PLACES = list(places(SHIPPED))
WORDS = sorted({str(keys[-1]) for keys in PLACES} | {"all", "last", "final", "none", "ladder", "sotu", "ladder-16-s0", "unit"})
NUMBERS = st.integers() | st.integers(-2, 300) | st.floats() | st.sampled_from([1e-3, 0.5, 16.0, 2**63, 10**30])
TEXTS = (
    st.text(max_size=20)
    | st.sampled_from(WORDS)
    | st.sampled_from(["1e-3", "016", "no", "../x", "~root", "a" * 320, "a\0b", "x\n"])
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS | st.dates() | st.just(datetime.datetime(2024, 1, 1, 12))
ENTRIES = st.dictionaries(
    st.sampled_from(sorted(SCHEMA["properties"]["models"]["additionalProperties"]["properties"])),
    st.sampled_from(["local", "bundled", "pypi", "hub", "states", "ladder", ".", "model", "a==1", "0" * 64]) | SCALARS,
)
VALUES = ENTRIES | st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3), max_leaves=6
)


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    """The shipped configuration with one to three places changed, taken out, or joined by a new key."""
    config: dict[Any, Any] = copy.deepcopy(SHIPPED)
    for keys in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        *above, last = keys
        inside: Any = config
        for key in above:
            if not isinstance(inside, dict | list) or (isinstance(inside, dict) and key not in inside):
                break
            if isinstance(inside, list) and not (isinstance(key, int) and key < len(inside)):
                break
            inside = inside[key]
        else:
            change(inside, last, draw)
    return config


def change(inside: Any, last: Any, draw: st.DrawFn) -> None:
    value = draw(st.just(GONE) | VALUES)
    if isinstance(inside, list):
        inside[last : last + 1] = [] if value is GONE else [value]
    elif isinstance(inside, dict):
        inside.pop(last, None)
        if value is not GONE:
            inside[draw(st.just(last) | st.just(last) | SCALARS)] = value


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a model in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text('{"num_hidden_layers": 2}')
    return tmp_path


def hold(config: dict[str, Any], here: Path) -> None:
    """Fails unless the configuration, in a file, is accepted or refused in lines that each name a key."""
    path = here / "mine.yaml"
    path.write_text(yaml.safe_dump(config, allow_unicode=True))
    told = yaml.safe_load(path.read_text())
    said = ""
    try:
        files = ConfigFiles([RESOURCES.parents[1] / "config.yaml", path], SCHEMA["properties"])
        checked(completed(told, SHIPPED), SCHEMA, KNOWN, RESOURCES, files)
    except ConfigError as error:
        said = str(error)
    lines = said.splitlines()
    assert len(lines) == len(set(lines))
    for line in lines:
        assert len(line) < 2000
        assert re.match(r"config: (top level|[^\s:]+): .", line), line


@settings(max_examples=40, derandomize=True, phases=[Phase.generate], **OPTIONS)
@given(config=configurations())
def test_a_configuration_is_accepted_or_lines_name_the_keys(here, config):
    hold(config, here)


@pytest.mark.conformance
@settings(max_examples=600, **OPTIONS)
@given(config=configurations())
def test_many_configurations(here, config):
    hold(config, here)


LINES = """seed: 1
seed: 016
'seed': 2
texts:
  count: 5
  length: 1e2
entropy: {models: [ladder]}
models: {no: {source: local}}
2020: {}
no: 1
a: *b
b: &b [*b]
<<: {seed: 1}
\tx: 1
- a
? x
# remark
---
"a
{""".splitlines()


@settings(max_examples=60, derandomize=True, phases=[Phase.generate], **OPTIONS)
@given(text=st.lists(st.sampled_from(LINES), max_size=6).map("\n".join))
def test_whatever_is_yaml_is_read_or_refused_with_its_lines(here, text):
    (here / "mine.yaml").write_text(text)
    try:
        faults = [str(fault) for fault in ConfigFiles([here / "mine.yaml"], SCHEMA["properties"]).faults()]
    except ConfigError as error:
        faults = [str(error)]
    for said in faults:
        assert re.match(r"config: [^\s:]+: .*lines? \d", said), said
