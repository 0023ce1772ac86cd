"""Jobs that only need numpy start without the packages that take seconds to load."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RULES = "".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
MODULES = sorted(set(re.findall(r'"(geomkit[\w.]+):\w+"', RULES)))
"""Modules of the functions that rules call."""
WITHOUT_MODEL = [name for name in MODULES if not re.match(r"geomkit\.(models|ladder)\.|.*\.run\b", name)]
MODELS = {"torch", "transformers"}
HEAVY = MODELS | {"sklearn"}


def first_to_load(modules: Iterable[str]) -> dict[str, str]:
    """Heavy packages in a new interpreter after the import of the runner and all modules, each with the first that loads it.

    One interpreter for all: what none of them loads is not there at the end either.
    """
    code = ["import json, sys", "import geomkit.core.job", "seen = {}"]
    for module in modules:
        code.append(f"import {module}")
        code.append(f"seen |= {{name: {module!r} for name in {HEAVY!r} & set(sys.modules) if name not in seen}}")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "lib")}
    command = [sys.executable, "-c", "\n".join([*code, "print(json.dumps(seen))"])]
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


@pytest.mark.slow
def test_a_job_that_runs_no_model_loads_no_torch():
    assert len(WITHOUT_MODEL) > 30
    assert first_to_load(WITHOUT_MODEL).keys().isdisjoint(MODELS)


def test_jobs_that_only_need_numpy_import_nothing_heavy():
    light = [
        "geomkit.sources.corpora",
        "geomkit.states.decompose",
        "geomkit.studies.entropy.analyse",
        "geomkit.tables.tidy",
    ]
    assert set(light) <= set(MODULES)
    assert first_to_load(light) == {}


@pytest.mark.slow
def test_a_job_that_runs_a_model_imports_torch():
    assert first_to_load(["geomkit.tables.tidy", "geomkit.models.stream"])["torch"] == "geomkit.models.stream"
