"""Side by side with peers and with targets: `python tests/benchmarks [name ...]`, each in a process of its own, one thread."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = (
    "metrics",
    "gain",
    "lasso",
    "cost",
    "fits",
    "dump",
    "ablation",
    "memory",
    "running",
    "start",
    "scale",
    "loading",
    "portrait",
    "similarity",
)
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python tests/benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHMARKS)}; all of them if none is named")
    names = parser.parse_args().names or BENCHMARKS
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    path = os.pathsep.join([str(HERE.parents[1] / "lib"), *filter(None, [os.environ.get("PYTHONPATH")])])
    failed = []
    for name in names:
        print(f"== {name} ==", flush=True)
        # -P: coverage.py in this folder is not the package of that name, which numba imports
        if subprocess.run(
            [sys.executable, "-P", HERE / f"{name}.py"], env=os.environ | THREADS | {"PYTHONPATH": path}
        ).returncode:
            failed.append(name)
        print(flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
