"""Jobs that only need numpy start without the packages that take seconds to load."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = {path.stem: path.read_text() for path in sorted((ROOT / "workflow/scripts").glob("*.py"))}
WITHOUT_MODEL = [name for name, source in SCRIPTS.items() if "geomkit.lm" not in source]
"""Scripts that run neither a model nor a tokenizer."""
MODELS = {"torch", "transformers"}
HEAVY = MODELS | {"sklearn"}


def first_to_load(scripts: Iterable[str]) -> dict[str, str]:
    """Heavy packages that a new interpreter holds after the import statements of all scripts, each with the first that loads it.

    One interpreter for all: what none of them loads is not there at the end either.
    """
    code = ["import json, sys", "seen = {}"]
    for script in scripts:
        imports = [node for node in ast.parse(SCRIPTS[script]).body if isinstance(node, ast.Import | ast.ImportFrom)]
        code += [ast.unparse(node) for node in imports]
        code.append(f"seen |= {{name: {script!r} for name in {HEAVY!r} & set(sys.modules) if name not in seen}}")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "lib")}
    command = [sys.executable, "-c", "\n".join([*code, "print(json.dumps(seen))"])]
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


@pytest.mark.slow
def test_a_script_that_runs_no_model_loads_no_torch():
    assert len(WITHOUT_MODEL) > 40
    assert first_to_load(WITHOUT_MODEL).keys().isdisjoint(MODELS)


def test_jobs_that_only_need_numpy_import_nothing_heavy():
    assert first_to_load(["corpus", "spectra", "entropy", "merge"]) == {}


@pytest.mark.slow
def test_a_job_that_runs_a_model_imports_torch():
    assert first_to_load(["corpus", "dump"])["torch"] == "dump"
