"""Jobs that only need numpy start without the packages that take seconds to load."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "transformers", "sklearn"}


def heavy_modules(script: str) -> set[str]:
    """Heavy packages that a new interpreter holds once it has run a script's import statements."""
    tree = ast.parse((ROOT / f"workflow/scripts/{script}.py").read_text())
    imports = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    code = "\n".join([*imports, "import json, sys", "print(json.dumps(list(sys.modules)))"])
    environment = os.environ | {"PYTHONPATH": str(ROOT / "lib")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return HEAVY & set(json.loads(done.stdout))


def scripts() -> dict[str, bool]:
    """Every script, and whether it imports geomkit.lm, as only those that run a model or a tokenizer do."""
    sources = {path.stem: path.read_text() for path in sorted((ROOT / "workflow/scripts").glob("*.py"))}
    return {name: "geomkit.lm" in source for name, source in sources.items()}


@pytest.mark.parametrize("script", [name for name, runs_a_model in scripts().items() if not runs_a_model])
def test_a_script_that_runs_no_model_loads_no_torch(script):
    assert not heavy_modules(script) & {"torch", "transformers"}


@pytest.mark.parametrize("script", ["corpus", "spectra", "entropy", "merge"])
def test_jobs_that_only_need_numpy_import_nothing_heavy(script):
    assert heavy_modules(script) == set()


def test_a_job_that_runs_a_model_imports_torch():
    assert "torch" in heavy_modules("dump")
