"""Kills the small workflow at moments drawn by chance, restarts it as docs/crashes.md says, and compares bytes at the end.

    python tests/faults [number of kills] [seed]

Killed are a job, Snakemake alone, or both, with SIGKILL: while an HDF5 file is written, inside a rename, or at any moment.
Whenever the run ends before it is hit, it begins again, so that there is always something to kill. Writes a row for each kill to
tests/faults/result.csv. Fails if a byte differs, if a lock, a temporary or a job is left, or if the documented line does not
bring the run to its end.
"""

import csv
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "workflow"), str(HERE.parent)]

from workflow_case import ROOT, Case, Run, copy_project  # noqa: E402

TARGETS = ("results/entropy.parquet", "results/tokens.parquet")
MOMENTS = ("write", "rename", "any")
VICTIMS = ("job", "Snakemake", "both")
SLOW_RENAME = """
import os, time
from pathlib import Path

rename, marks = os.replace, Path({marks!r})


def replace(source, target, **options):
    if not str(source).endswith(".part"):
        return rename(source, target, **options)
    mark = marks / f"rename-{{os.getpid()}}"
    mark.touch()
    time.sleep(0.15)
    rename(source, target, **options)
    time.sleep(0.15)
    mark.unlink(missing_ok=True)


os.replace = replace
"""
"""Makes renames long enough to be hit, before and after the rename itself."""


def jobs(run: Run) -> list[psutil.Process]:
    """Processes of a run that do a rule's work."""
    try:
        below = psutil.Process(run.process.pid).children(recursive=True)
    except psutil.Error:
        return []
    return [process for process in below if is_job(process)]


def is_job(process: psutil.Process) -> bool:
    try:
        return any("/.snakemake/scripts/" in word for word in process.cmdline())
    except psutil.Error:
        return False


def orphans(folder: Path) -> list[psutil.Process]:
    """Jobs that work in the folder, whoever started them."""
    found = []
    for process in psutil.process_iter():
        try:
            if is_job(process) and process.cwd() == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def come(moment: str, run: Run, folder: Path, marks: Path, draw: random.Random) -> bool:
    """Waits for the moment. False if the run has ended before."""
    for mark in marks.iterdir():
        mark.unlink(missing_ok=True)
    until = time.monotonic() + draw.uniform(2, 25)
    while run.process.poll() is None:
        hit = {
            "write": lambda: any(folder.glob("results/**/.*.h5.*.part")),
            "rename": lambda: any(marks.iterdir()),
            "any": lambda: time.monotonic() >= until,
        }[moment]()
        if hit:
            return True
        time.sleep(0.003)
    return False


def strike(victim: str, run: Run, folder: Path) -> tuple[str, float]:
    """Kills, and returns whom, and how long jobs went on without Snakemake."""
    working = jobs(run)
    killed = victim if working else "Snakemake"
    if killed in ("Snakemake", "both"):
        run.process.kill()
    if killed in ("job", "both"):
        for process in working:
            process.kill()
    if killed == "job":
        return killed, 0.0
    run.process.wait()
    start = time.monotonic()
    while orphans(folder):
        if time.monotonic() - start > 60:
            raise SystemExit("a job goes on a minute after Snakemake was killed")
        time.sleep(0.02)
    return killed, time.monotonic() - start


def snakemake(case: Case, *arguments: str) -> Run:
    return case.start(*TARGETS, *arguments, "--cores", "1")


def finished(case: Case, expected: dict[str, bytes]) -> None:
    """Fails unless the results are those of an undisturbed run, and nothing else is left."""
    found = case.results()
    different = [path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path)]
    left = [str(path) for path in case.folder.rglob("*.part")] + [
        str(path) for path in (case.folder / ".snakemake/locks").glob("*")
    ]
    if different or left:
        raise SystemExit(f"different: {different}; left behind: {left}")


def main(number: int, seed: int) -> None:
    draw, top = random.Random(seed), Path(tempfile.mkdtemp(prefix="faults-"))
    marks = top / "marks"
    marks.mkdir()
    (top / "site").mkdir()
    (top / "site/sitecustomize.py").write_text(SLOW_RENAME.format(marks=str(marks)))
    project, cases = copy_project(top / "project"), {}
    for name in ("undisturbed", "killed"):
        cases[name] = Case(project, top / name, ROOT / ".test/config.yaml", PYTHONPATH=str(top / "site"))
        shutil.copy2(ROOT / ".test/small.jsonl", top / name)
    outcome = snakemake(cases["undisturbed"]).wait()
    assert outcome.status == 0, outcome.terminal
    expected, case, rows, ends = cases["undisturbed"].results(), cases["killed"], [], 0
    moments = [MOMENTS[place % len(MOMENTS)] for place in range(number)]
    draw.shuffle(moments)
    run = snakemake(case)
    while moments:
        if come(moments[-1], run, case.folder, marks, draw):
            killed, alone = strike(draw.choice(VICTIMS), run, case.folder)
            rows.append({"kill": len(rows) + 1, "moment": moments.pop(), "killed": killed, "seconds_alone": f"{alone:.1f}"})
            print(rows[-1], flush=True)
        outcome = run.wait()
        if outcome.status == 0:  # the run had ended first: begin again, so that there is something to kill
            finished(case, expected)
            ends += 1
            shutil.rmtree(case.folder / "results")
        unlocked = snakemake(case, "--unlock").wait()  # snakemake --unlock && snakemake ...
        assert unlocked.status == 0, unlocked.terminal
        run = snakemake(case)
    outcome = run.wait()
    assert outcome.status == 0, outcome.terminal
    finished(case, expected)
    with (HERE / "result.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{number} kills, {ends + 1} runs to the end, {len(expected)} files of the same bytes each time")
    shutil.rmtree(top)


if __name__ == "__main__":
    main(*map(int, [*sys.argv[1:], *["30", "0"][len(sys.argv) - 1 :]]))
