"""Runs of the workflow for tests: a copy of the project, folders of their own, and no network."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import yaml

from geomkit.measures.selection import lasso_path

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "config.yaml", "workflow", "profiles", "envs", "lib")
PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name.lower() not in ("pythonpath", "no_proxy", "snakemake_profile")},
    **dict.fromkeys(PROXIES, "http://127.0.0.1:9"),
    "HF_HUB_OFFLINE": "1",
    "PIP_NO_INDEX": "1",
    "PIP_CONFIG_FILE": os.devnull,
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "SLURM_CONF": os.devnull,  # with SLURM installed and stopped, each start of Snakemake would wait ten seconds for its answer
}


def copy_project(folder: Path) -> Path:
    """What a run needs of the project, in a folder where it may be edited.

    Compiled code goes with it, and counts there, for times of files are copied too: the Lasso's solver takes ten seconds to
    compile, so that is done before.
    """
    lasso_path(np.eye(3), 2, 0, [1])
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part)
        else:
            shutil.copy2(ROOT / part, folder / part)
    return folder


@dataclass(frozen=True)
class Outcome:
    """Exit status of a run, and what it said on the terminal."""

    status: int
    terminal: str

    @property
    def jobs(self) -> dict[str, int]:
        """Number of jobs of each rule."""
        tables = re.findall(r"^job +count\n[- ]+\n((?:\w+ +\d+\n)+)", self.terminal, re.MULTILINE)
        rows = (row.split() for row in tables[-1].splitlines()) if tables else ()
        return {rule: int(count) for rule, count in rows if rule != "total"}

    @property
    def changed(self) -> set[str]:
        """Rules that a dry run lists because their params, the digest of their code among them, are not what they were."""
        found = re.search(r"^ +params have changed since last execution:\n +(.+)$", self.terminal, re.MULTILINE)
        return set(found[1].split(", ")) if found else set()


class Run:
    """A run of Snakemake that has been started."""

    def __init__(self, command: list[str], folder: Path, environment: Mapping[str, str]):
        self.output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT
        )

    def wait(self, limit: float | None = 1200) -> Outcome:
        """What it came to. Raises TimeoutExpired if it is not over within so many seconds."""
        status = self.process.wait(limit)
        self.output.seek(0)
        return Outcome(status, self.output.read())

    def stop(self) -> None:
        """Ends it if it still goes on; Snakemake ends its jobs."""
        self.process.terminate()
        self.process.wait(timeout=60)


class Case:
    """A working folder with its settings, on top of the project's own config.yaml."""

    def __init__(self, project: Path, folder: Path, settings: Path | Mapping[str, Any], **environment: str):
        self.project, self.folder, self.environment = project, folder, ENVIRONMENT | environment
        self.snakefile = project / "Snakefile"
        folder.mkdir(parents=True, exist_ok=True)
        self.settings = settings if isinstance(settings, Path) else folder / "settings.yaml"
        if not isinstance(settings, Path):
            self.settings.write_text(yaml.safe_dump(settings))

    def start(self, *arguments: str, settings: Mapping[str, Any] | None = None) -> Run:
        """Snakemake with the arguments, targets first; `settings` go on top of those of the case."""
        files = [str(self.settings)]
        if settings is not None:
            more = self.folder / "more.yaml"
            more.write_text(yaml.safe_dump(settings))
            files.append(str(more))
        command = [sys.executable, "-m", "snakemake", *arguments, "--snakefile", str(self.snakefile)]
        return Run([*command, "--directory", str(self.folder), "--configfile", *files], self.folder, self.environment)

    def run(self, *arguments: str, settings: Mapping[str, Any] | None = None, limit: float | None = 1200) -> Outcome:
        return self.start(*arguments, settings=settings).wait(limit)

    def results(self) -> dict[str, bytes]:
        """Every result by its path: all of results/ but what jobs said and how long they took."""
        top = self.folder / "results"
        files = [file for file in sorted(top.rglob("*")) if file.is_file() and not file.name.startswith(".")]
        paths = {file.relative_to(top).as_posix(): file for file in files}
        return {path: file.read_bytes() for path, file in paths.items() if path.split("/")[0] not in ("logs", "benchmarks")}


def calls(process: psutil.Process, function: str) -> bool:
    """Whether a process is a job that calls a function of the library, which the script that Snakemake writes for it names."""
    scripts = [Path(word) for word in process.cmdline() if word.endswith(".run.py")]
    return any(script.is_file() and function in script.read_text(errors="replace") for script in scripts)
