"""The small workflow with 1, 2 and 8 cores, twice, each time in another folder: every result must have the same bytes.

    python tests/determinism [cores ...]

Writes tests/determinism/result.csv: for each run its cores, jobs and files, and the files that are not those of the first run.
"""

import csv
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "workflow"), str(HERE.parent)]

from runs import ALL  # noqa: E402
from workflow_case import ROOT, Case, copy_project  # noqa: E402


def main(cores: list[str]) -> None:
    top = Path(tempfile.mkdtemp(prefix="determinism-"))
    rows: list[dict[str, object]] = []
    first: dict[str, bytes] = {}
    for turn, number in enumerate(cores):
        project = copy_project(top / f"{turn}/project")
        case = Case(project, top / str(turn) / ("deep/" * turn) / "run", ROOT / ".test/config.yaml")
        shutil.copy2(ROOT / ".test/small.jsonl", case.folder)
        outcome = case.run(*ALL, "--cores", number, limit=None)
        assert outcome.status == 0, outcome.terminal
        found = case.results()
        first = first or found
        different = sorted(path for path in first.keys() | found.keys() if first.get(path) != found.get(path))
        rows.append({"cores": number, "jobs": sum(outcome.jobs.values()), "files": len(found), "different": " ".join(different)})
        print(rows[-1], flush=True)
    with (HERE / "result.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    shutil.rmtree(top)
    if any(row["different"] for row in rows):
        raise SystemExit("results differ")


if __name__ == "__main__":
    main(sys.argv[1:] or ["8", "2", "1", "8", "2", "1"])
