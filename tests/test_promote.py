"""What ships of a run: the files that it has, under their names, and nothing of a family that is not whole."""

from pathlib import Path

import pytest

from geomkit.core.shipped import FINDINGS, TRAININGS, Shipped
from geomkit.ledger.promote import READ, promote

RESOURCES = Path(__file__).parents[1] / "workflow/resources"
FAMILY = Shipped("ladder/ladder-*", target="ladder", whole="ladder/README.md")


def write(path: str, text: str = "new") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project that ships one table and a family of two models."""
    monkeypatch.chdir(tmp_path)
    for path in ("findings/axes/tied.csv", "ladder/README.md", "ladder/ladder-16/config.json", "ladder/ladder-24/config.json"):
        write(f"workflow/resources/{path}", "old")
    return tmp_path / "workflow/resources"


def test_all_that_ships_is_declared_and_has_the_name_of_a_result():
    declared = {path for one in (*FINDINGS, *TRAININGS) for path in RESOURCES.glob(str(one.place))}
    shipped = {path for path in (RESOURCES / "findings").rglob("*") if path.suffix in (".csv", ".json")}
    assert shipped <= declared
    assert {one.path for one in FINDINGS} >= set(READ)


def test_what_a_run_has_ships_and_the_rest_is_told_with_its_command(project):
    tied, seeds = Shipped("axes/tied.csv"), Shipped("axes/seeds.csv", run="other")
    write("results/axes/tied.csv")
    write("results/axes/seeds.csv")
    assert promote([tied, seeds], project) == [seeds], "another configuration makes it, in a folder of its own"
    assert seeds.command.endswith("results/axes/seeds.csv --directory runs/other --configfile workflow/config/other.yaml")
    assert (project / "findings/axes/tied.csv").read_text() == "new"
    write("runs/other/results/axes/seeds.csv")
    assert promote([seeds], project) == []
    assert (project / "findings/axes/seeds.csv").read_text() == "new"


def test_a_family_replaces_the_one_that_shipped_once_it_is_whole(project):
    write("results/ladder/ladder-32/config.json")
    assert promote([FAMILY], project) == [FAMILY]
    assert sorted(path.name for path in project.glob("ladder/ladder-*")) == ["ladder-16", "ladder-24"]
    write("results/ladder/README.md")
    assert promote([FAMILY], project) == []
    assert [path.name for path in project.glob("ladder/ladder-*")] == ["ladder-32"]
    assert (project / "ladder/README.md").read_text() == "old"


def test_a_new_family_leaves_none_of_the_models_that_shipped_in_a_folder_that_it_does_not_have(project):
    write("workflow/resources/ladder/more/ladder-20/config.json", "old")
    write("workflow/resources/ladder/steps/ladder-16-step2/config.json", "old")
    more = Shipped("ladder/more/ladder-*", target="ladder", whole="ladder/README.md")
    write("results/ladder/ladder-32/config.json")
    assert promote([FAMILY, more], project) == [FAMILY, more]
    assert (project / "ladder/more/ladder-20").is_dir(), "the new family is not whole"
    write("results/ladder/README.md")
    assert promote([FAMILY, more], project) == []
    assert sorted(path.parent.name for path in project.glob("ladder/**/config.json")) == ["ladder-16-step2", "ladder-32"]
