"""Time from the start of a job's process until its script begins: Snakemake's preamble, and what the script imports.

Jobs that only need numpy must not load torch, transformers or scikit-learn, which alone take seconds.
"""

import ast
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow/scripts"
HEAVY = {"torch", "transformers", "sklearn"}
PREAMBLE = "import snakemake.io; from snakemake.logging import logger; from snakemake.iocontainers import Snakemake"
RUNS = 9
TARGET = 1.5


def imports(script: str) -> str:
    """The import statements that run when a script starts."""
    tree = ast.parse((SCRIPTS / f"{script}.py").read_text())
    return "\n".join(ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom))


def loaded(code: str) -> set[str]:
    """Top-level modules that a new interpreter holds once it has run the code."""
    names = "import sys, json; print(json.dumps([name for name in sys.modules if '.' not in name]))"
    return set(json.loads(run(f"{code}\n{names}")))


def seconds(code: str) -> list[float]:
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run(code)
        times.append(time.perf_counter() - start)
    return times


def run(code: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "lib")}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout


def main() -> None:
    print(f"Start of a job, seconds, median and longest of {RUNS} runs")
    print(f"{'script':<10}{'median':>8}{'longest':>9}{'target':>9}  heavy modules")
    for script in ("spectra", "entropy"):
        code = f"{PREAMBLE}\n{imports(script)}"
        heavy, times = sorted(HEAVY & loaded(code)), seconds(code)
        print(f"{script:<10}{median(times):>8.2f}{max(times):>9.2f}{f'< {TARGET}':>9}  {', '.join(heavy) or 'none'}")


if __name__ == "__main__":
    main()
