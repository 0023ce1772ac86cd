"""Log progress every minute; stop when Snakemake is gone."""

import _thread
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

MINUTE = 60.0
LOOK = 1.0
"""Seconds between two looks at whether Snakemake is alive."""
GRACE = 20.0
"""Seconds that a job has to remove what is not whole once Snakemake has gone."""


@dataclass
class Pace:
    """Progress of a loop: `done` of `total` steps (None if unknown), of which `skipped` were there at the start."""

    what: str
    total: int | None
    done: int = 0
    skipped: int = 0
    started: float = field(default_factory=time.monotonic)

    def line(self) -> str:
        """Say how many steps are done and how long the rest will take at the same pace."""
        spent = time.monotonic() - self.started
        said = f"{self.what}: {self.done} of {self.total or 'an unknown number'} after {duration(spent)}"
        if not self.total or self.done == self.skipped:
            return said
        return f"{said}, about {duration(spent * (self.total - self.done) / (self.done - self.skipped))} to go"


def duration(seconds: float) -> str:
    """Format a time in the largest unit that gives at least one of it, or 0 s."""
    for name, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.0f} s"


def watch(pace: list[Pace]) -> None:
    """Start a thread that logs progress and interrupts the job when Snakemake has ended.

    Each minute it writes a line to standard output about the innermost loop. SIGTERM, by which clusters cancel, also interrupts
    the main thread, so that unfinished files are removed.
    """
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_watch, args=(pace, snakemake_above()), daemon=True).start()


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _watch(pace: list[Pace], above: int | None) -> None:
    started = said = time.monotonic()
    while True:
        time.sleep(LOOK)
        if above is not None and above not in ancestors():
            print("Snakemake has ended, and so does this job", file=sys.stderr, flush=True)
            _thread.interrupt_main(signal.SIGTERM)  # SIGINT is ignored in jobs of a Snakemake that a script put in the background
            time.sleep(GRACE)
            os._exit(1)
        if time.monotonic() - said >= MINUTE:
            said = time.monotonic()
            print(pace[-1].line() if pace else f"at work for {duration(said - started)}", flush=True)


def snakemake_above() -> int | None:
    """Return the process number of the nearest ancestor that is Snakemake; None if there is none."""
    return next((process for process in ancestors() if "snakemake" in command(process)), None)


def ancestors() -> list[int]:
    """List the process numbers of this process's ancestors, nearest first."""
    processes = [os.getppid()]
    while processes[-1] > 1 and (above := parent(processes[-1])):
        processes.append(above)
    return processes


def parent(process: int) -> int:
    """Return the number of a process's parent; 0 if the process has ended."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except FileNotFoundError:
        return 0 if Path("/proc/self/stat").exists() else int(ps_column(process, "ppid") or 0)
    except ProcessLookupError:
        return 0


def command(process: int) -> str:
    """Return a process's command line; empty if the process has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text(errors="replace").replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return "" if Path("/proc/self/stat").exists() else ps_column(process, "command")


def ps_column(process: int, column: str) -> str:
    """Query ps for a column of a process, on systems without /proc."""
    return subprocess.run(["ps", "-o", f"{column}=", "-p", str(process)], capture_output=True, text=True).stdout.strip()
