"""The small workflow through profiles/slurm on a real SLURM of this machine, with a job killed midway."""

import os
import re
import shutil
import subprocess
import time
from importlib.util import find_spec

import psutil
import pytest
from runs import MODELS, SETTINGS, write_corpus
from workflow_case import ROOT, Case, calls, copy_project

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def slurm() -> str:
    """Why the tests of this file cannot run here, or nothing."""
    if not shutil.which("sinfo"):
        return "SLURM is not installed: .ci/slurm start"
    nodes = ["timeout", "5", "sinfo", "--noheader", "--states=idle,mixed,allocated"]  # it waits long for a SLURM that was stopped
    if not subprocess.run(nodes, capture_output=True).stdout.strip():
        return "no SLURM answers, or it has no node that works: .ci/slurm start"
    return "" if find_spec("snakemake_executor_plugin_slurm") else "snakemake-executor-plugin-slurm is not installed"


def test_a_cluster_gives_the_bytes_of_a_local_run_though_a_job_is_killed(done, case, tmp_path):
    if reason := slurm():
        pytest.skip(reason)
    folder = tmp_path / "some/where/else"
    folder.parent.mkdir(parents=True)
    write_corpus(folder)
    project = copy_project(tmp_path / "project")
    cluster = Case(project, folder, SETTINGS, SLURM_CONF=os.environ.get("SLURM_CONF", "/etc/slurm/slurm.conf"))
    profile = ["--workflow-profile", str(ROOT / "profiles/slurm"), "--slurm-init-seconds-before-status-checks", "5"]
    spectra = [f"results/spectra/{model}/small.h5" for model in MODELS]
    run = cluster.start(*spectra, *profile)
    try:
        while not (found := dumping(folder)) and run.process.poll() is None:
            time.sleep(0.05)
        for job in found[:1]:
            job.kill()
        outcome = run.wait()
    finally:
        run.stop()
    assert found, outcome.terminal
    assert outcome.status == 0, outcome.terminal
    assert outcome.jobs["dump"] == outcome.jobs["spectra"] == 2
    assert "Trying to restart" in outcome.terminal, outcome.terminal
    outcome = cluster.run("results/entropy.parquet", *profile)
    assert outcome.status == 0, outcome.terminal
    assert outcome.jobs["entropy"] == 2
    assert "dump" not in outcome.jobs
    assert re.search(r"Submitted array job .* task IDs are 1-2\.", outcome.terminal), outcome.terminal
    results, expected = cluster.results(), case.results()
    assert {"entropy.parquet", "spectra/ladder-16-s0/small.h5", "dumps/ladder-24-s0/small/trained.h5"} <= results.keys()
    assert [path for path, content in results.items() if content != expected[path]] == []
    assert not list(folder.rglob("*.part"))


def dumping(folder) -> list[psutil.Process]:
    """Jobs that dump in this folder: no children of Snakemake, but of SLURM."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            if calls(process, "dump_states") and process.cwd() == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found
