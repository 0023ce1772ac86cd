"""Kills the small workflow at moments drawn by chance, restarts it as docs/crashes.md says, and compares bytes at the end.

    python tests/faults [number of kills] [seed]

Killed are the jobs that run, Snakemake alone, or both, with SIGKILL: while an HDF5 file is written, inside a rename, or at any
moment. A restart goes on from there. Two runs are killed side by side. Whenever one comes to its end, it begins again, so that
there is always something to kill. Each kill is a row of tests/faults/result.csv. Fails if a byte differs, if a lock, a temporary
or a job is left, if a restart does not go on, or if fewer than a third of the kills left a file half-written or half-renamed.
"""

import csv
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import psutil

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "workflow"), str(HERE.parent)]

from workflow_case import ROOT, Case, Run, copy_project  # noqa: E402

TARGETS = ("results/entropy.parquet", "results/tokens.parquet")
MOMENTS = ("HDF5 write", "rename", "any")
RUNS = ("first", "second")
"""Runs that are killed side by side."""
VICTIMS = ("jobs", "Snakemake", "both")
TEMPORARY = (".*.part", ".*.batches")
"""Files that are being written, and batches of a dump that are kept until it is whole."""
SLOW_RENAME = """
import os, time
from pathlib import Path

rename, marks = os.replace, Path({marks!r})


def replace(source, target, **options):
    if not str(source).endswith(".part"):
        return rename(source, target, **options)
    mark = marks / f"rename-{{os.getpid()}}"
    mark.write_text(f"{{target}}, before its rename")
    time.sleep(0.5)
    rename(source, target, **options)
    mark.write_text(f"{{target}}, after its rename")
    time.sleep(0.5)
    mark.unlink(missing_ok=True)


os.replace = replace
"""
"""Makes renames long enough to be hit, before and after the rename itself."""


@dataclass
class Kill:
    """A row of the result."""

    run: str
    moment: str
    killed: str
    hit: str
    """Files that were half-written or in the middle of their rename when the kill had struck."""
    seconds: float
    """From the start of the run to the kill."""
    seconds_alone: float
    """How long jobs went on without Snakemake."""
    outcome: str = ""


def is_job(process: psutil.Process) -> bool:
    """Whether a process does a rule's work."""
    try:
        return any("/.snakemake/scripts/" in word for word in process.cmdline())
    except psutil.Error:
        return False


def jobs(run: Run) -> list[psutil.Process]:
    try:
        return [process for process in psutil.Process(run.process.pid).children(recursive=True) if is_job(process)]
    except psutil.Error:
        return []


def orphans(folder: Path) -> list[psutil.Process]:
    """Jobs that work in the folder, whoever started them."""
    found = []
    for process in filter(is_job, psutil.process_iter()):
        try:
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def waits(run: Run, ready: Callable[[], bool]) -> bool:
    """Waits for it. False if the run ends before."""
    while run.process.poll() is None:
        if ready():
            return True
        time.sleep(0.01)
    return False


def comes(moment: str, run: Run, folder: Path, marks: Path, draw: random.Random) -> bool:
    """Waits for the moment. False if the run ends before."""
    for mark in marks.iterdir():
        mark.unlink(missing_ok=True)
    if moment == "any":
        until = draw.uniform(0, 15)
        return waits(run, lambda: bool(jobs(run))) and waits(run, after(until))
    here = marks.iterdir if moment == "rename" else lambda: folder.glob("results/**/.*.h5.*.part")
    seen = set(here())  # files of jobs that were killed before
    while waits(run, lambda: not seen.issuperset(here())):
        new = set(here()) - seen
        seen.update(new)
        if draw.random() < 0.5:  # or the first file of a run would always be the one
            continue
        time.sleep(draw.uniform(0, 0.4))
        if new & set(here()):
            return True
    return False


def after(seconds: float) -> Callable[[], bool]:
    until = time.monotonic() + seconds
    return lambda: time.monotonic() >= until


def written(folder: Path, marks: Path, working: list[psutil.Process]) -> str:
    """What these jobs have half-written, or are renaming."""
    numbers = {str(process.pid) for process in working}
    renamed = [mark.read_text() for mark in marks.iterdir() if mark.name.rpartition("-")[2] in numbers]
    half = [path for path in folder.glob("results/**/.*.part") if path.stem.rpartition("-")[2] in numbers]
    names = [path.with_name(path.name.removeprefix(".").rsplit(".", 2)[0]) for path in half]
    return "; ".join(sorted(renamed) or sorted(f"{name}, half-written" for name in names))


def strike(victim: str, run: Run, folder: Path, marks: Path) -> tuple[str, str, float]:
    """Kills, and returns whom, what the kill hit, and how long jobs went on without Snakemake."""
    working = jobs(run)
    killed = victim if working else "Snakemake"
    hit = written(folder, marks, working)
    if killed in ("Snakemake", "both"):
        run.process.kill()
    if killed in ("jobs", "both"):
        for process in working:
            process.kill()
        psutil.wait_procs(working, timeout=10)
        hit = written(folder, marks, working)  # what the kill found, not what was there just before
    if killed == "jobs":
        return killed, hit, 0.0
    run.process.wait()
    start = time.monotonic()
    while orphans(folder):
        if time.monotonic() - start > 300:
            raise SystemExit("a job goes on five minutes after Snakemake was killed")
        time.sleep(0.1)
    return killed, hit, time.monotonic() - start


def snakemake(case: Case, *arguments: str) -> Run:
    return case.start(*TARGETS, *arguments, "--cores", "1")


def finished(case: Case, expected: dict[str, bytes]) -> None:
    """Fails unless the results are those of an undisturbed run, and nothing else is left."""
    found = case.results()
    different = sorted(path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path))
    left = [str(path) for pattern in TEMPORARY for path in case.folder.glob(f"results/**/{pattern}")]
    left += [str(path) for name in ("locks", "incomplete") for path in (case.folder / ".snakemake" / name).glob("*")]
    if different or left:
        raise SystemExit(f"different: {different}; left behind: {left}")


def disturb(case: Case, expected: dict[str, bytes], moments: list[str], marks: Path, draw: random.Random) -> list[Kill]:
    """Kills and restarts a run at each of the moments, and checks its results whenever it comes to its end."""
    rows: list[Kill] = []
    ends = 0
    while True:
        run, start, killed = snakemake(case), time.monotonic(), ""
        if moments and comes(moments[-1], run, case.folder, marks, draw):
            seconds = time.monotonic() - start
            killed, hit, alone = strike(draw.choice(VICTIMS), run, case.folder, marks)
            hit = hit.replace(f"{case.folder}/", "").replace("results/", "")
            rows.append(Kill(case.folder.name, moments.pop(), killed, hit, seconds, alone))
            print(rows[-1], flush=True)
        outcome = run.wait(None)
        if killed in ("Snakemake", "both"):  # snakemake --unlock && snakemake ...
            unlocked = snakemake(case, "--unlock").wait(None)
            assert unlocked.status == 0, unlocked.terminal
        else:
            assert outcome.status == 0 or (killed, outcome.status) == ("jobs", 1), outcome.terminal
        if outcome.status == 0:
            finished(case, expected)
            ends += 1
            for row in rows:
                row.outcome = row.outcome or f"same bytes at end {ends}"
            print(f"{case.folder.name}: end {ends}, the same bytes", flush=True)
            if not moments:
                return rows
            shutil.rmtree(case.folder / "results")


def main(number: int, seed: int) -> None:
    draw, top = random.Random(seed), Path(tempfile.mkdtemp(prefix="faults-"))
    project, cases = copy_project(top / "project"), {}
    for name in ("undisturbed", *RUNS):
        (top / name).mkdir()
        (top / f"{name}-marks").mkdir()
        (top / f"{name}-site").mkdir()
        (top / f"{name}-site/sitecustomize.py").write_text(SLOW_RENAME.format(marks=str(top / f"{name}-marks")))
        cases[name] = Case(project, top / name, ROOT / ".test/config.yaml", PYTHONPATH=str(top / f"{name}-site"))
        shutil.copy2(ROOT / ".test/small.jsonl", top / name)
    outcome = snakemake(cases["undisturbed"]).wait(None)
    assert outcome.status == 0, outcome.terminal
    expected = cases["undisturbed"].results()
    print(f"{len(expected)} files of an undisturbed run, {outcome.jobs}", flush=True)
    moments = [MOMENTS[place % len(MOMENTS)] for place in range(number)]
    draw.shuffle(moments)
    with ThreadPoolExecutor() as pool:
        runs = [
            pool.submit(
                disturb, cases[name], expected, moments[place :: len(RUNS)], top / f"{name}-marks", random.Random(seed + place)
            )
            for place, name in enumerate(RUNS)
        ]
        rows = [row for run in runs for row in run.result()]
    with (HERE / "result.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Kill)], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(asdict(row) | {"seconds": f"{row.seconds:.1f}", "seconds_alone": f"{row.seconds_alone:.1f}"})
    hits = sum(bool(row.hit) for row in rows)
    print(f"{number} kills, {hits} in a write or a rename; at every end the same {len(expected)} files")
    shutil.rmtree(top)
    if 3 * hits < number:
        raise SystemExit("too few kills hit a write or a rename")


if __name__ == "__main__":
    main(*map(int, [*sys.argv[1:], *["30", "0"][len(sys.argv) - 1 :]]))
