"""The package that pip installs: library, workflow and default models, in an environment without a clone."""

import os
import re
import shutil
import site
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LARGEST = 95 << 20
"""Bytes that a package index takes of one file, with some to spare."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = out.iterdir()
    return path


class Installed:
    """A fresh environment with the wheel, in a folder of its own; what the wheel depends on is borrowed from the tests'."""

    def __init__(self, wheel: Path, folder: Path):
        self.folder, self.bin = folder, folder / "env/bin"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
        python = str(self.bin / "python")
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
        subprocess.run(pip, check=True)
        (packages,) = (folder / "env/lib").glob("python*/site-packages")
        (packages / "borrowed.pth").write_text("\n".join(site.getsitepackages()))  # whose own .pth files are not read

    def __call__(self, *command: str, **options: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        env = kept | {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}", "SLURM_CONF": os.devnull} | options
        return subprocess.run(command, cwd=self.folder, env=env, text=True, capture_output=True, check=False)


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Installed:
    return Installed(wheel, tmp_path_factory.mktemp("installed"))


def test_the_wheel_holds_library_workflow_and_models_alone(wheel):
    assert wheel.stat().st_size < LARGEST
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"geomkit", f"geomkit-{version()}.dist-info"}
    held = {name.removeprefix("geomkit/project/") for name in names if name.startswith("geomkit/project/")}
    for path in ("Snakefile", "config.yaml", "envs/geomkit.yaml", "profiles/default/config.yaml", "workflow/scripts/run.py"):
        assert path in held
    for folder in ("workflow/rules", "workflow/report", "workflow/schemas", "workflow/resources/ladder", "workflow/config"):
        files = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()}
        assert files <= held, folder
    assert {"geomkit/core/page.js", "geomkit/studies/portrait/page.html"} <= {*names}
    assert not [name for name in names if "__pycache__" in name or "/results/" in name]


def version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def test_one_version_everywhere():
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] == version()
    for path, line in {
        "CITATION.cff": f"version: {version()}",
        "workflow/Snakefile": f'VERSION = "{version()}"',
        "envs/installed.yaml": f"      - geomkit[all]=={version()}",
        "docs/modules.md": f'    pip install "geomkit[all]=={version()}" snakedeploy',
    }.items():
        assert line in (ROOT / path).read_text().splitlines(), path


def test_the_index_takes_the_wheel(wheel):
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", str(wheel)], check=True, capture_output=True)


def test_the_workflow_runs_without_a_clone(installed):
    where = installed("geomkit", "path")
    assert where.returncode == 0, where.stderr
    project = Path(where.stdout.strip())
    assert project.is_relative_to(installed.folder / "env")
    for name in ("config.yaml", "small.jsonl"):
        shutil.copy(ROOT / ".test" / name, installed.folder)
    options = ["--snakefile", str(project / "Snakefile"), "--configfile", "config.yaml", "--cores", "1"]
    run = installed(str(installed.bin / "python"), "-m", "snakemake", "results/entropy/ladder-16-s0/small.parquet", *options)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (installed.folder / "results/entropy/ladder-16-s0/small.parquet").stat().st_size > 1000
    again = installed("geomkit", "plot", "results/entropy/ladder-16-s0/small.parquet", "--configfile", "config.yaml")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Nothing to be done" in again.stdout + again.stderr
    plan = installed("geomkit", "plot", "--dry-run", "--quiet")
    assert plan.returncode == 0, plan.stdout + plan.stderr


def test_a_portrait_takes_one_command(installed):
    (installed.folder / "notes").mkdir()
    for number in range(3):
        (installed.folder / f"notes/{number}.txt").write_text(f"The harbour of town {number} was opened by the queen. " * 8)
    model = Path(installed("geomkit", "path").stdout.strip()) / "workflow/resources/ladder"
    folder = installed.folder / "model"
    shutil.copytree(model / "ladder-16-s0", folder)
    shutil.copytree(model / "tokenizer", folder, dirs_exist_ok=True)
    made = installed("geomkit", "portrait", "model", "--texts", "notes", "--length", "32", "--out", "page.html")
    assert made.returncode == 0, made.stderr
    assert "page.html" in made.stdout
    assert (installed.folder / "page.html").stat().st_size > 100_000


@pytest.fixture
def deployed(installed, tmp_path):
    """A function that deploys the workflow of a tag as the catalogue tells users to, from a repository on this machine."""
    pytest.importorskip("snakedeploy")
    owner = tmp_path / "hosted/owner"
    repository = owner / "geomkit"
    for folder in ("workflow", "config", "profiles"):
        shutil.copytree(ROOT / folder, repository / folder, ignore=shutil.ignore_patterns("resources", "__pycache__"))
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f'[url "{owner}/"]\n\tinsteadOf = https://github.com/owner/\n'
        "[user]\n\tname = nobody\n\temail = nobody@localhost\n[safe]\n\tdirectory = *\n"
    )
    options = {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}

    def deploy(tag: str) -> subprocess.CompletedProcess[str]:
        for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", tag], ["tag", tag]):
            subprocess.run(["git", *command], cwd=repository, check=True, env=os.environ | options)
        folder = tmp_path / tag
        deploy = ["deploy-workflow", "https://github.com/owner/geomkit", str(folder), "--tag", tag]
        python = str(installed.bin / "python")
        made = installed(python, "-c", "from snakedeploy.client import main; main()", *deploy, **options)
        assert made.returncode == 0, made.stderr
        return installed(
            python,
            "-m",
            "snakemake",
            "--directory",
            str(folder),
            "--snakefile",
            str(folder / "workflow/Snakefile"),
            "--dry-run",
            **options,
        )

    return repository, deploy


def test_a_deployed_workflow_takes_its_library_from_the_package(deployed):
    repository, deploy = deployed
    plan = deploy(f"v{version()}")
    assert plan.returncode == 0, plan.stdout + plan.stderr
    assert re.search(r"^dump +\d+$", plan.stdout, re.MULTILINE)
    assert "scaling_plot" in plan.stdout
    snakefile = repository / "workflow/Snakefile"
    snakefile.write_text(snakefile.read_text().replace(f'VERSION = "{version()}"', 'VERSION = "99.0.0"'))
    refused = deploy("v99.0.0")
    assert refused.returncode == 1
    message = (
        f"this workflow is geomkit 99.0.0, and the Python of Snakemake has {version()}: pip install 'geomkit[all]==99.0.0' there"
    )
    assert message in refused.stdout + refused.stderr
