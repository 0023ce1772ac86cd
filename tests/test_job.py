"""A rule's names reach its function as arguments, and what does not fit is found before any job runs."""

import os
import pty
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from geomkit.core import job
from geomkit.core.config import ModelSpec
from geomkit.core.errors import ConfigError
from geomkit.core.job import arguments, call, check_rules, is_function, prepared, signature
from geomkit.core.variants import VARIANTS
from geomkit.measures.entropy import metrics

ROOT = Path(__file__).parents[1]
MERGE = "geomkit.tables.tidy:merge_stage"
JUDGE = "geomkit.studies.semantics.analyse:judge"
STORED = "geomkit.states.dumps:stored"
RUNS = "geomkit.models.stream:runs"
LAYERS = "geomkit.studies.entropy.figure:draw_layers"


class Names(dict):
    """As Snakemake's lists of named things."""

    def __getattr__(self, name: str):
        return self[name]

    def __iter__(self):
        return iter(self.values())


def rule(function: str = MERGE, *, inputs=("tables",), outputs=("output", "absent"), **params):
    names = {"function": function, "code": "0", **params}
    return SimpleNamespace(
        name="mine", input=Names.fromkeys(inputs, "a"), output=Names.fromkeys(outputs, "b"), params=Names(names),
        wildcard_names={"model"},
    )  # fmt: skip


def test_a_signature_is_read_without_an_import():
    code = "import sys; from geomkit.core.job import signature; print(*signature('geomkit.models.stream:runs').required);"
    code += "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "lib")}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
    assert {"folder", "texts", "spec"} <= set(said.split())
    assert "part" not in said.split()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("geomkit.tables.tidy:nowhere", "no function 'nowhere'"),
        ("geomkit.nowhere:it", "is no function of the library"),
        ("numpy:zeros", "is no function of the library"),
        ("geomkit.tables.tidy.merge_stage", "is no function of the library"),
    ],
)
def test_a_function_that_is_not_there_is_refused(function, message):
    with pytest.raises(ConfigError, match=message):
        signature(function)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, ""),
        ({"summary": "x.csv"}, ""),
        ({"sumary": "x.csv"}, "rule mine: geomkit.tables.tidy:merge_stage takes no 'sumary'; it takes absent, output, summaries"),
        ({"outputs": ("output",)}, "needs 'absent', which the rule does not give"),
        ({"inputs": ("tables", "weights")}, "takes no 'weights'"),
        ({"inputs": (), "function": "of another workflow"}, ""),
        ({"outputs": ("output",), "absent": "x"}, ""),
        ({"tables": "x"}, "rule mine: 'tables' is given twice"),
    ],
)
def test_names_that_do_not_fit_are_found_before_a_job_runs(change, message):
    if not message:
        check_rules([rule(**change)])
        return
    with pytest.raises(ConfigError, match=message):
        check_rules([rule(**change)])


def test_a_function_that_is_bound_takes_and_needs_names_of_the_rule():
    bound = {"states": STORED, "family": "f", "model_seed": 0, "halves": 1, "resamples": 1, "eps2": 0.5, "seed": 0, "metrics": []}
    texts = ("corpus", "background", "judgements")
    fits = rule(JUDGE, inputs=("dumps", *texts), outputs=("output", "summary"), **bound)
    check_rules([fits])
    with pytest.raises(ConfigError, match="needs 'dumps'"):
        check_rules([rule(JUDGE, inputs=texts, outputs=("output", "summary"), **bound)])


def test_a_jobs_names_become_arguments(monkeypatch):
    monkeypatch.setattr(job, "load", {MERGE: take, STORED: opened}.get)
    made = SimpleNamespace(
        input=Names(tables=["a", "b"], one="c"),
        output=Names(output="d"),
        params=Names(function=MERGE, code="digest", states=STORED, number=3),
        wildcards=Names(width="16", model="m", rate="0.5", other="x"),
    )
    function, given = prepared(made)
    states = given.pop("states")
    assert function is take
    assert (given.pop("tables"), given.pop("output")) == ([Path("a"), Path("b")], Path("d"))
    assert given == {"number": 3, "code": "digest", "width": 16, "model": "m", "rate": 0.5}
    assert isinstance(states, partial)
    assert (states.func, states.keywords) == (opened, {"one": Path("c")})


def take(tables, output, number, code, states, width: int, model: str, rate: float):
    """What a rule might call."""


def opened(one):
    """What a rule might bind."""


def test_a_parameter_is_not_taken_from_a_wildcard_of_its_name():
    assert arguments(lambda model: None, {"model": "given"}, {"model": "wildcard"}) == {"model": "given"}


@pytest.mark.parametrize("value", ["geomkit.states.dumps:stored", "geomkit.a:b"])
def test_names_of_functions_are_known(value):
    assert is_function(value)


@pytest.mark.parametrize("value", [None, 3, "erank", "geomkit:b", "geomkit.a", "geomkit.a:b.c", ["geomkit.a:b"]])
def test_other_values_are_no_names_of_functions(value):
    assert not is_function(value)


def digest(wildcards=None, function=MERGE, **parameters):
    return call(function, **parameters)["code"](wildcards)


def test_a_digest_changes_with_names_values_and_what_a_wildcard_chooses():
    same = digest(twins=3, folds=5)
    assert digest(folds=5, twins=3) == same
    assert (
        len(
            {same, digest(twins=5, folds=3), digest(twins=3, splits=5), digest(twins=3), digest(function=JUDGE, twins=3, folds=5)}
        )
        == 5
    )
    assert digest("a", size=lambda wildcards: len(wildcards)) != digest("ab", size=lambda wildcards: len(wildcards))
    assert digest("a", size=lambda wildcards, input: 1) == digest("a", size=lambda wildcards, input: 2)
    assert digest(states="other") != digest(states=STORED)


def test_how_a_model_is_run_counts_in_the_digest():
    def how(**changed):
        return digest("w", spec=lambda wildcards: ModelSpec(device="cpu")._replace(**changed))

    others = [{"device": "auto"}, {"dtype": "bfloat16"}, {"objective": "masked"}, {"trust_remote_code": True}]
    assert len({how(), *(how(**other) for other in others)}) == 1 + len(others)
    code = (
        "from geomkit.core.config import ModelSpec; from geomkit.core.job import call; "
        f"print(call({MERGE!r}, spec=ModelSpec(device='cpu'))['code']('w'))"
    )
    again = [sys.executable, "-c", code]
    found = subprocess.run(again, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT / "lib")})
    assert found.stdout.strip() == how()


def test_a_bound_function_counts_in_the_digest(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        job, "code_digest", lambda modules, *rest, **names: seen.append([path.stem for path in modules]) or ("d", [])
    )
    digest(states=STORED)
    assert seen == [["tidy", "dumps"]]


def test_names_of_metrics_and_nulls_that_a_job_uses_follow_its_digest():
    """Those of parameters, at any depth, with or without a number, and those in the code of the function."""

    def named(function: str, **params) -> set[str]:
        return {*digest(function=function, **params).split()[1:]} & {*metrics, *VARIANTS}

    measure = "geomkit.studies.entropy.analyse:measure_spectra"
    assert named(measure) == set()
    assert named(measure, metrics=["erank_covariance"], parameters={"stable_rank": 1}) == {"erank_covariance", "stable_rank"}
    assert named("geomkit.states.dumping:dump_states", states=RUNS, variants=["untrained-0"]) >= {"untrained"}


def test_how_a_metric_is_drawn_counts_for_figures_that_show_it(tmp_path, monkeypatch):
    library = shutil.copytree(ROOT / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(job, "LIBRARY", library)
    shown = [digest(function=LAYERS, shown=names) for names in ((), ["stable_rank"], ["erank_covariance"])]
    path = library / "geomkit/measures/entropy.py"
    path.write_text(path.read_text().replace('label="stable rank"', 'label="rank"'))
    again = [digest(function=LAYERS, shown=names) for names in ((), ["stable_rank"], ["erank_covariance"])]
    assert [one == two for one, two in zip(shown, again, strict=True)] == [True, False, True]


RUN = """
from pathlib import Path
from types import SimpleNamespace
from tests_job_names import Names
from geomkit.core import job
job.load = {loads}
made = SimpleNamespace(
    input=Names(), output=Names(output="made.txt"), params=Names(function="f", code=""), wildcards=Names(), log=["job.log"]
)
job.run(made)
"""
NAMES = "class Names(dict):\n    def __getattr__(self, name):\n        return self[name]\n"


@pytest.fixture
def script(tmp_path):
    def written(body: str) -> list[str]:
        (tmp_path / "tests_job_names.py").write_text(NAMES)
        (tmp_path / "own.py").write_text(f"def f(output):\n    {body}\n")
        (tmp_path / "run.py").write_text(RUN.replace("{loads}", "lambda name: __import__('own').f"))
        return [sys.executable, "run.py"]

    return written


def test_a_job_says_everything_to_its_log(script, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "lib")}
    done = subprocess.run(script("print('said'); output.write_text('whole')"), cwd=tmp_path, env=environment, capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"")
    assert (tmp_path / "made.txt").read_text() == "whole"
    assert "said" in (tmp_path / "job.log").read_text()


def test_a_debugger_stops_in_the_job(script, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "lib"), "GEOMKIT_DEBUG": "1"}
    mine, terminal = pty.openpty()
    started = subprocess.Popen(
        script("output.write_text('whole')"), cwd=tmp_path, env=environment, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.write(mine, b"p 'stopped with ' + output.name\ncontinue\n")
    assert started.wait(60) == 0
    assert b"stopped with made.txt" in os.read(mine, 65536)
    assert (tmp_path / "made.txt").read_text() == "whole"
