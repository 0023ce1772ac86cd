"""What the project says about itself in two places is the same in both."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def test_conda_environment_has_the_ranges_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pip = yaml.safe_load((ROOT / "envs/geomkit.yaml").read_text())["dependencies"][-1]["pip"]
    assert set(pip) == {package for package in project["dependencies"] if not package.startswith("snakemake")}


def undescribed(schema: dict, path: str = "") -> list[str]:
    """Paths of the schema's properties that neither describe themselves nor refer to a definition that does."""
    found = []
    for name, entry in schema.get("properties", {}).items():
        if "description" not in entry and "$ref" not in entry:
            found.append(f"{path}/{name}")
        found += undescribed(entry, f"{path}/{name}")
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), dict):
            found += undescribed(schema[part], f"{path}/{part}")
    return found


def test_every_key_of_the_configuration_is_described():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    assert undescribed(schema) == []
    assert all("description" in entry for entry in schema["$defs"].values())
    assert undescribed({"properties": {"a": {"type": "object", "properties": {"b": {}}}}}) == ["/a", "/a/b"]


@pytest.mark.parametrize("page", ["README.md", "results/README.md"])
def test_files_that_a_page_names_exist(page):
    text = (ROOT / page).read_text()
    named = re.findall(r"`((?:lib|workflow|profiles|envs|tests)/[\w./-]+)`|\]\(([\w./-]+)\)", text)
    assert named or page != "README.md"
    for path in [either for pair in named for either in pair if either]:
        assert (ROOT / path).exists(), f"{page} names {path}"


def test_files_of_results_that_the_page_names_are_made_by_a_rule():
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk")).replace("{{", "{").replace("}}", "}")
    table = (ROOT / "results/README.md").read_text().split("## Columns")[0]
    for cell in re.findall(r"^\| (`[^|]+`) \|", table, flags=re.MULTILINE):
        for path in re.findall(r"`([^`]+)`", cell):
            assert f"results/{path}".replace("trained", "{variant}") in rules, f"no rule makes results/{path}"
