"""Time from the start of a job's process until its function begins: Snakemake's preamble, the runner, and the function's module.

Jobs that only need numpy must not load torch, transformers or scikit-learn, which alone take seconds.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
MODELS = {"torch", "transformers", "accelerate"}
HEAVY = MODELS | {"sklearn", "datasets", "matplotlib"}
PREAMBLE = "import snakemake.io; from snakemake.logging import logger; from snakemake.iocontainers import Snakemake"
RUNS = 9
TARGETS = {"states.decompose": 1.5, "studies.entropy.analyse": 1.5, "models.cutting": 3.0, "models.stream": 3.0}


def loaded(code: str) -> set[str]:
    """Modules that a new interpreter holds once it has run the code."""
    return set(json.loads(run(f"{code}\nimport sys, json; print(json.dumps(list(sys.modules)))")))


def seconds(code: str) -> list[float]:
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run(f"{code}\nimport os; os._exit(0)")
        times.append(time.perf_counter() - start)
    return times


def run(code: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "lib")}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout


def main() -> None:
    print(f"Start of a job, seconds, median and longest of {RUNS} runs")
    print(f"{'module':<17}{'median':>8}{'longest':>9}{'target':>9}  heavy modules")
    for module, target in TARGETS.items():
        code = f"{PREAMBLE}\nimport geomkit.core.job, geomkit.core.logs, geomkit.{module}"
        heavy, times = sorted(HEAVY & loaded(code)), seconds(code)
        print(f"{module:<17}{median(times):>8.2f}{max(times):>9.2f}{f'< {target}':>9}  {', '.join(heavy) or 'none'}")


if __name__ == "__main__":
    main()
