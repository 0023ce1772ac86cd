"""The walkthroughs of CONTRIBUTING.md, followed literally in a copy of the project."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from workflow_case import ROOT, Case, copy_project

from geomkit.core.catalogue import declared_by_kind
from geomkit.core.declarations import described

EXTENSIONS, STUDY = (ROOT / "CONTRIBUTING.md").read_text().split("## A study, from question to figure")
NEW = {
    "metric": "tail_share",
    "null": "signs",
    "selection method": "cosine",
    "corpus reader": "csv",
    "model source": "checkpoint",
}
"""What the page adds, by kind."""
CLAIM = "effective rank grows with size"
SIZE: dict[str, Any] = {
    "texts": {"count": 8, "length": 40},
    "dump": {"layers": ["last", "final"]},
    "compute": {"device": "cpu"},
    "entropy": {"lengths": [40], "normalise": ["unit"]},
    "scaling": {"primary": {"length": 40}, "bootstrap": 100},
    "tokens": {"selection": {"layers": ["last"], "texts": 2, "targets": 1, "budgets": [1, 2], "removed": 0}},
    "peak": {"models": ["ladder-16-s0", "mine"], "corpora": ["notes"]},
}
"""What makes the run a short one; the page chooses all else."""
TARGETS = ("peak.pdf", "scaling_plot.pdf", "nulls_plot.pdf", "tokens_summary.csv", "scaling/verdicts.csv")
LOOK = """
import json
from pathlib import Path
from matplotlib.text import Text
from geomkit.studies.size_laws.figure import scaling
from geomkit.figures import style

seen = {}
def keep(figures, output):
    seen[Path(output).stem] = [text.get_text() for page in list(figures) for text in page.findobj(Text)]

scaling.save = keep
"""


class Walk(NamedTuple):
    """A finished run: the project with what was added, and the folder with its results."""

    project: Path
    results: Path
    settings: dict[str, Any]

    def python(self, code: str) -> Any:
        """What a new interpreter prints as JSON with the copy's library."""
        command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(self.project / 'lib')!r})\n{code}"]
        done = subprocess.run(command, cwd=self.results.parent, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.results / name).open(newline="") as file:
            return list(csv.DictReader(file))


def blocks(language: str, text: str = EXTENSIONS) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def study() -> dict[str, str]:
    """What the page says of a study, by the file that the first line of each block names."""
    parts = [block.partition("\n") for block in blocks(r"\w+", STUDY)]
    return {first.lstrip("#. "): text for first, _, text in parts}


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings, key by key: the second's lists and values replace the first's."""
    both = {key: merged(first[key], second[key]) for key in first.keys() & second.keys() if isinstance(second[key], Mapping)}
    return {**first, **second, **both}


def follow(project: Path) -> None:
    """Appends each block of code to the file that its first line names."""
    for block in blocks("python"):
        first, _, code = block.partition("\n")
        path = project / first.removeprefix("# ")
        path.write_text(f"{path.read_text()}\n\n{code}")


def add_study(project: Path) -> None:
    """Makes the files of the study, its block last of the schema's properties and of the configuration."""
    for name, text in study().items():
        path = project / name
        path.parent.mkdir(exist_ok=True)
        before, end, after = path.read_text().partition("$defs:") if path.exists() else ("", "", "")
        path.write_text(f"{before}{text}{end}{after}")


def chosen() -> dict[str, Any]:
    """All settings of the page in one."""
    settings: dict[str, Any] = {}
    for block in blocks("yaml"):
        settings = merged(settings, yaml.safe_load(block))
    return settings


def write_inputs(folder: Path, ladder: Path) -> None:
    """The table of notes and the checkpoint that the page speaks of."""
    words = ["law", "people", "war", "peace", "year", "nation", "power", "world", "men", "work"]
    draw = np.random.default_rng(0)
    rows = "".join(f'{number},"{" ".join(draw.choice(words, 60))}"\n' for number in range(45))
    (folder / "notes.csv").write_text(f"number,body\n{rows}")
    for source in ("ladder-32-s0", "tokenizer"):
        shutil.copytree(ladder / source, folder / "runs/mine/checkpoint-1000", dirs_exist_ok=True)


def test_each_walkthrough_says_where_its_code_goes():
    assert len(blocks("python")) == len(re.findall("^### ", EXTENSIONS, flags=re.MULTILINE)) == len(NEW) + 1
    for block in blocks("python"):
        path = block.partition("\n")[0].removeprefix("# ")
        assert (ROOT / path).is_file(), f"CONTRIBUTING.md names {path}"


def test_a_study_adds_files_of_its_own_and_two_blocks():
    assert {name for name in study() if (ROOT / name).exists()} == {"config.yaml", "workflow/schemas/config.schema.yaml"}
    assert {Path(name).parent.as_posix() for name in study()} >= {"lib/geomkit/studies/peak", "workflow/rules", "workflow/report"}


def test_nothing_that_is_added_is_there_already():
    for kind, name in NEW.items():
        assert name not in declared_by_kind()[kind]
    assert CLAIM not in described("geomkit.studies.size_laws.claims", "claims.register")


def test_the_code_keeps_the_projects_style(tmp_path):
    project = copy_project(tmp_path)
    shutil.copy2(ROOT / "pyproject.toml", project)
    follow(project)
    add_study(project)
    scripts = Path(sys.executable).parent
    for command in ("ruff check lib", "ruff format --check lib", "snakefmt --check workflow", "lint-imports"):
        program, *arguments = command.split()
        done = subprocess.run(
            [scripts / program, *arguments], cwd=project, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": "lib"}
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """One run with every extension of the page."""
    project, folder = copy_project(tmp_path_factory.mktemp("project")), tmp_path_factory.mktemp("run")
    follow(project)
    add_study(project)
    write_inputs(folder, project / "workflow/resources/ladder")
    settings = merged(SIZE, chosen())
    outcome = Case(project, folder, settings).run(*(f"results/{target}" for target in TARGETS), "--cores", "2")
    assert outcome.status == 0, outcome.terminal
    return Walk(project, folder / "results", merged(yaml.safe_load((project / "config.yaml").read_text()), settings))


@pytest.fixture(scope="module")
def table(walk: Walk) -> list[dict[str, Any]]:
    return pq.read_table(walk.results / "entropy.parquet").to_pylist()


@pytest.fixture(scope="module")
def drawn(walk: Walk) -> dict[str, list[str]]:
    """Every text in the figure of laws, as the copy's own library draws it."""
    scaling = walk.settings["scaling"]
    primary, exploratory = scaling["primary"], scaling["exploratory"]
    names = ("pairs", "differences", "null_slopes")
    paths = ", ".join(f"Path('results/scaling/{name}.csv')" for name in names)
    return walk.python(
        f"{LOOK}\nscaling.draw_scaling(Path('results/points.csv'), Path('results/scaling/fits.json'), {paths},"
        f" Path('scaling_plot.pdf'), {primary!r}, {exploratory!r})\n"
        "print(json.dumps(seen))"
    )


@pytest.mark.workflow
def test_a_metric_is_in_the_table_with_its_parameter(table):
    rows = [row for row in table if row["metric"] == "tail_share" and row["variant"] == "trained" and row["text"] >= 0]
    assert {row["model"] for row in rows} == {"ladder-16-s0", "ladder-24-s0", "mine"}
    assert all(0 < row["value"] <= row["bound"] == 1 - 3 / min(row["n"], row["d"]) for row in rows)


@pytest.mark.workflow
def test_a_metric_is_drawn_and_marked(drawn):
    assert any("share beyond the leading directions (exploratory)" in text for text in drawn["scaling_plot"])


@pytest.mark.workflow
def test_a_null_is_in_the_table_and_in_the_figure(table, drawn):
    assert {row["model"] for row in table if row["variant"] == "signs"} >= {"ladder-16-s0", "mine"}
    assert any("rows of random signs" in text for text in drawn["scaling_plot"])


@pytest.mark.workflow
def test_a_selection_method_has_scores(walk):
    rows = pq.read_table(walk.results / "tokens.parquet").to_pylist()
    scores = [row for row in rows if row["method"] == "cosine" and row["metric"] == "divergence"]
    assert scores
    assert all(row["value"] >= 0 for row in scores)
    assert "cosine" in {row["method"] for row in walk.rows("tokens_summary.csv")}


@pytest.mark.workflow
def test_a_reader_has_read_the_column(walk):
    rows = pq.read_table(walk.results / "corpora/notes.parquet").to_pylist()
    assert len(rows) == 45
    assert all(len(row["text"].split()) == 60 for row in rows)


@pytest.mark.workflow
def test_a_source_gives_the_model(table):
    sizes = {row["model"]: row["d"] for row in table if (row["metric"], row["variant"]) == ("erank_covariance", "trained")}
    assert sizes == {"ladder-16-s0": 16, "ladder-24-s0": 24, "mine": 32}


@pytest.mark.workflow
def test_a_claim_is_in_the_ledger(walk):
    walk.python(
        "from pathlib import Path; from geomkit.ledger.table import write_ledger\n"
        "write_ledger([Path('results/scaling/verdicts.csv')], Path('results/claims.csv')); print('null')"
    )
    rows = [row for row in walk.rows("claims.csv") if row["claim"] == CLAIM]
    assert {"ladder on notes" in row["scope"] for row in rows} == {True}
    place = ("erank_covariance", "last", "unit")
    found = [row for row in walk.rows("scaling/verdicts.csv") if (row["metric"], row["layer"], row["normalise"]) == place]
    laws = sorted((row for row in found if row["exponent"]), key=lambda row: int(row["length"]))
    assert [row["value"] for row in rows] == [row["exponent"] for row in laws]


@pytest.mark.workflow
def test_a_study_has_its_table_and_its_figure(walk, table):
    ranks = {
        (row["model"], row["layer"]): row["value"]
        for row in table
        if (row["metric"], row["variant"], row["text"], row["normalise"]) == ("erank_covariance", "trained", -1, "unit")
    }
    rows = walk.rows("peak.csv")
    assert [row["model"] for row in rows] == ["ladder-16-s0", "mine"]
    for row in rows:
        assert float(row["value"]) == ranks[row["model"], int(row["layer"])]
        assert float(row["value"]) == max(value for (model, _), value in ranks.items() if model == row["model"])
    assert (walk.results / "peak.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.workflow
def test_a_study_is_among_the_default_targets_and_on_a_page_of_the_configuration(walk, tmp_path):
    outcome = Case(walk.project, tmp_path, {}).run("--cores", "1", "--dry-run")
    assert (outcome.jobs["peak"], outcome.jobs["peak_figure"]) == (1, 1)
    code = "import yaml, json; from geomkit.core.schema_page import pages; read = lambda path: yaml.safe_load(open(path))\n"
    files = [str(walk.project / name) for name in ("workflow/schemas/config.schema.yaml", "config.yaml")]
    page = walk.python(f"{code}print(json.dumps(pages(*map(read, {files!r}))))")["configuration/studies.md"]
    assert "## peak\n\nAt which layer" in page
    assert '| `peak.models` | list of strings | Models, entries or families; empty for none. | `["ladder"]` |' in page
