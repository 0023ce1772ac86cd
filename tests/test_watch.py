"""What goes on beside a job's work: lines in its log, and an end with Snakemake's."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from geomkit.core.logs import progress
from geomkit.core.watch import Pace, ancestors, duration, parent, snakemake_above

LIBRARY = Path(__file__).parents[1] / "lib"


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (59.4, "59 s"), (60, "1.0 min"), (3599, "60.0 min"), (5400, "1.5 h")])
def test_a_time_is_said_in_a_unit_of_which_there_is_one(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("total", "done", "skipped", "said"),
    [
        (40, 10, 0, "probe: 10 of 40 after 1.0 min, about 3.0 min to go"),
        (40, 30, 20, "probe: 30 of 40 after 1.0 min, about 1.0 min to go"),
        (40, 0, 0, "probe: 0 of 40 after 1.0 min"),
        (None, 7, 0, "probe: 7 of an unknown number after 1.0 min"),
    ],
)
def test_a_line_says_how_far_and_how_long_still(total, done, skipped, said):
    assert Pace("probe", total, done, skipped, time.monotonic() - 60).line() == said


def test_a_loop_is_counted_while_it_runs_and_forgotten_afterwards():
    from geomkit.core import logs

    seen = []
    for item in progress("abc", "letters"):
        seen.append((item, logs._pace[-1].done, logs._pace[-1].total))
        for _ in progress(iter("xy"), "inner"):
            assert logs._pace[-1].total is None
            break
    assert seen == [("a", 0, 3), ("b", 1, 3), ("c", 2, 3)]
    assert logs._pace == []


def test_the_processes_above_are_found():
    assert ancestors()[0] == os.getppid() == parent(os.getpid())
    assert parent(2**22 + 1) == 0


JOB = """
import sys, time
from pathlib import Path
from geomkit.core import watch
watch.LOOK, watch.MINUTE = 0.05, 0.2
from geomkit.core.logs import logged, progress
from geomkit.core.provenance import replacing

with logged("job.log"):
    with replacing("result") as temporary:
        temporary.write_text("half")
        Path("ready").touch()
        for _ in progress(range(1000), "steps"):
            time.sleep(0.1)
"""


@pytest.mark.slow
@pytest.mark.parametrize("ignored", ["", "signal.signal(signal.SIGINT, signal.SIG_IGN)"], ids=["foreground", "background"])
def test_a_job_writes_lines_and_ends_with_snakemake_and_leaves_nothing_half_written(ignored, tmp_path):
    """Snakemake runs a job in a shell, so that the job's parent outlives Snakemake. In the background SIGINT is ignored."""
    (tmp_path / "job.py").write_text(JOB)
    (tmp_path / "snakemake.py").write_text(
        f"import signal, subprocess, sys\n{ignored}\n"
        "subprocess.run(['bash', '-c', f'set -e; {sys.executable} job.py; echo done'])\n"
    )
    environment = os.environ | {"PYTHONPATH": str(LIBRARY)}
    above = subprocess.Popen([sys.executable, "snakemake.py"], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait(lambda: (tmp_path / "ready").exists() and "steps: " in (tmp_path / "job.log").read_text())
        assert list(tmp_path.glob(".result.*.part"))
    finally:
        above.send_signal(signal.SIGKILL)
        above.wait()
    wait(lambda: not list(tmp_path.glob(".result.*.part")))
    assert not (tmp_path / "result").exists()
    log = (tmp_path / "job.log").read_text()
    assert "Snakemake has ended" in log
    assert "of 1000 after" in log
    assert "Traceback" not in log


def wait(condition) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("waited for 30 s")


def test_a_job_that_was_started_by_hand_has_no_snakemake_above(tmp_path):
    code = "from geomkit.core.watch import snakemake_above; print(snakemake_above())"
    environment = os.environ | {"PYTHONPATH": str(LIBRARY)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(snakemake_above())


def test_a_job_ends_with_its_work_and_says_that_all_is_well(tmp_path):
    (tmp_path / "job.py").write_text(
        "from geomkit.core.logs import logged\nwith logged('job.log'):\n    print('done')\nraise SystemExit(7)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(LIBRARY)}
    assert subprocess.run([sys.executable, "job.py"], cwd=tmp_path, env=environment, check=False).returncode == 0
    assert (tmp_path / "job.log").read_text() == "done\n"
