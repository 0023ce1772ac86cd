"""What the project says about itself in two places is the same in both."""

import csv
import re
import tomllib
from pathlib import Path
from runpy import run_path

import pytest
import yaml
from word_count import words

from geomkit.core import schema_page

ROOT = Path(__file__).parents[1]


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def packages(*extras: str) -> set[str]:
    """Requirements of the project with these extras, and of the extras that they name."""
    found = set(PROJECT["dependencies"])
    for extra in extras:
        for package in EXTRAS[extra]:
            named = re.fullmatch(r"geomkit\[(.+)\]", package)
            found |= packages(*named[1].split(",")) if named else {package}
    return found


def test_conda_environment_has_the_ranges_of_pyproject():
    pip = yaml.safe_load((ROOT / "envs/geomkit.yaml").read_text())["dependencies"][-1]["pip"]
    assert set(pip) == {package for package in packages("all") if not package.startswith("snakemake")}
    assert len(pip) == len(set(pip))


def test_the_library_alone_needs_numpy_the_array_api_and_scipy_and_all_is_every_other_extra():
    names = [re.split(r"[<>=]", package)[0] for package in PROJECT["dependencies"]]
    assert names == ["numpy", "array-api-compat", "scipy"]
    assert packages("all") == packages(*(extra for extra in EXTRAS if extra not in ("test", "site", "benchmark")))
    everywhere = [
        package for extra in ("fast", "files", "lm", "workflow", "page") for package in EXTRAS[extra] if "geomkit" not in package
    ]
    assert len(everywhere) == len(set(everywhere))


def test_every_constraint_is_within_its_range_and_every_installation_is_constrained():
    from packaging.requirements import Requirement

    ranges = {requirement.name: requirement.specifier for requirement in map(Requirement, packages("all"))}
    pinned = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert "torch" in {pin.name for pin in pinned}
    for pin in pinned:
        (version,) = pin.specifier
        assert version.operator == "=="
        assert version.version in ranges[pin.name]
    for path in ("Makefile", ".ci/run"):
        for line in (ROOT / path).read_text().splitlines():
            if "pip install" in line:
                assert "--constraint constraints.txt" in line, f"{path}: {line}"


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


def test_the_pages_of_the_configuration_are_those_of_the_schema():
    schema, config = (
        yaml.safe_load((ROOT / path).read_text()) for path in ("workflow/schemas/config.schema.yaml", "config.yaml")
    )
    shipped = [ROOT / "docs/configuration.md", *(ROOT / "docs/configuration").iterdir()]
    made = schema_page.pages(schema, config)
    assert {path.relative_to(ROOT / "docs").as_posix(): path.read_text() for path in shipped} == made, "run: make docs"
    assert {name for _, names in schema_page.PAGES.values() for name in names} <= set(schema["properties"])


def test_the_pages_of_a_schema_have_every_key_with_its_kind_and_value():
    schema = {
        "properties": {
            "seed": {"description": "A seed. For all.", "type": "integer"},
            "runs": {"description": "Runs.", "type": "object", "properties": {"each": {"$ref": "#/$defs/each"}}},
        },
        "$defs": {
            "each": {
                "description": "One | each.",
                "type": "array",
                "items": {"type": "object", "properties": {"dtype": {"description": "Type.", "enum": [None, "a"]}}},
            }
        },
    }
    made = schema_page.pages(schema, {"seed": 3, "runs": {"each": [{"dtype": "a"}]}})
    text = made["configuration/studies.md"]
    assert "| [`seed`](configuration/compute.md#seed) | A seed |\n" in made["configuration.md"]
    assert "| [`runs`](configuration/studies.md#runs) | Runs |\n" in made["configuration.md"]
    assert "## seed\n\nA seed. For all. Whole number; `3` ships.\n" in made["configuration/compute.md"]
    assert "| `runs.each` | list of mappings | One \\| each. |  |\n" in text
    assert "| `runs.each[ ].dtype` | null/a | Type. |  |\n" in text


PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (ROOT, ROOT / "docs", ROOT / "docs/configuration", ROOT / "results")
    for path in folder.glob("*.md")
)


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_exist(page):
    text = (ROOT / page).read_text()
    named = re.findall(r"`((?:lib|workflow|profiles|envs|tests|docs)/[\w./-]+)`", text)
    linked = re.findall(r"\]\((?!https?:)([\w./-]+)(?:#[\w-]+)?\)|<img src=\"([^\"]+)\"", text)
    for path in [ROOT / name for name in named] + [(ROOT / page).parent / name for pair in linked for name in pair if name]:
        assert path.exists(), f"{page} names {path}"


def test_the_site_names_files_outside_docs_or_links_to_them_on_github(monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    monkeypatch.setenv("GITHUB_REF_NAME", "v1")
    page = Path("docs/configuration/models.md")
    text = "[all](../configuration.md), [card](../../workflow/card.md), ![figure](../../workflow/figure.png)"
    named = run_path(str(ROOT / "docs/conf.py"))["linked"](page, text)
    assert named == text.replace("[card](../../workflow/card.md)", "card (`workflow/card.md`)")
    monkeypatch.setenv("GITHUB_REPOSITORY", "a/b")
    linked = run_path(str(ROOT / "docs/conf.py"))["linked"](page, text)
    assert linked == text.replace("../../workflow/card.md", "https://github.com/a/b/blob/v1/workflow/card.md")


def test_the_readme_is_short_and_has_numbers_only_in_its_findings():
    text = (ROOT / "README.md").read_text()
    assert words(text) <= 600
    before, findings, after = re.split(r"<!-- /?findings -->", text)
    assert findings.strip()
    assert not re.findall(r"\d+\.\d+ \[|\d ?%", before + after)


STUMBLES = (
    "told from",
    "told apart",
    "is told",
    "otherwise than",
    "order of chance",
    "in the place of",
    "of what it",
    " nor does ",
    "| so |",
)


@pytest.mark.parametrize(
    "page", [*PAGES, *(path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("workflow/report/*.rst")))]
)
def test_pages_are_in_plain_english(page):
    text = " ".join((ROOT / page).read_text().split())
    assert [phrase for phrase in STUMBLES if phrase in text] == []


def test_no_cell_of_a_table_is_longer_than_two_sentences():
    for line in (ROOT / "results/README.md").read_text().splitlines():
        for cell in line.split("|") if line.startswith("|") else []:
            assert len(re.findall(r"[.;](?=\s|$)", cell.strip().rstrip(".;"))) <= 1, cell


def test_files_of_results_that_the_page_names_are_made_by_a_rule():
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk")).replace("{{", "{").replace("}}", "}")
    table = (ROOT / "results/README.md").read_text().split("## Columns")[0]
    for cell in re.findall(r"^\| (`[^|]+`) \|", table, flags=re.MULTILINE):
        for path in re.findall(r"`([^`]+)`", cell):
            assert f"results/{path}".replace("trained", "{variant}") in rules, f"no rule makes results/{path}"


def test_nothing_from_the_configuration_goes_through_a_shell():
    for path in [*(ROOT / "workflow").rglob("*.smk"), ROOT / "Snakefile", ROOT / "workflow/Snakefile"]:
        assert not re.search(r"^\s+(shell|run):", path.read_text(), re.MULTILINE), (
            f"{path.name}: scripts take arguments, a shell splits them"
        )
    for path in (ROOT / "lib").rglob("*.py"):
        assert not re.search(r"shell=True|os\.system|os\.popen|(?<![.\w])(eval|exec)\(", path.read_text()), path


def test_the_recorded_runs_with_kills_and_with_other_cores_have_the_same_bytes():
    with (ROOT / "tests/faults/result.csv").open(newline="") as file:
        kills = list(csv.DictReader(file))
    assert len(kills) >= 30
    assert {row["killed"] for row in kills} == {"jobs", "Snakemake", "both"}
    assert sum(bool(row["hit"]) for row in kills) >= 10
    assert all(row["outcome"].startswith("same bytes at end ") for row in kills)
    with (ROOT / "tests/determinism/result.csv").open(newline="") as file:
        runs = list(csv.DictReader(file))
    assert sorted(row["cores"] for row in runs) == ["1", "1", "2", "2", "8", "8"]
    assert len({(row["jobs"], row["files"]) for row in runs}) == 1
    assert [row["different"] for row in runs if row["different"]] == []


def test_a_profile_with_arrays_submits_all_jobs_of_a_rule_at_once():
    """The plugin never submits jobs of an array that a limit separates from the others of their rule."""
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    for rule in profile["slurm-array-jobs"].split(", "):
        assert f"rule {rule}:" in rules
    assert profile["jobs"] == "unlimited"
    assert int(profile["max-jobs-per-timespan"].split("/")[0]) >= 1000


def test_only_the_weights_only_loader_reads_pickles():
    for path in (ROOT / "lib").rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"pickle\.loads?\(|weights_only=False|allow_pickle=True|joblib\.load", text), path
        assert text.count("torch.load(") == text.count("weights_only=True"), path


def test_what_is_fetched_depends_on_nothing_but_where_it_comes_from():
    rules = (ROOT / "workflow/rules/fetch.smk").read_text()
    assert re.findall(r"entry=lambda wildcards: settings\.(\w+)\(", rules) == ["download", "download"]


def test_every_exception_of_a_contract_is_an_import_that_there_is():
    """What matches nothing any more would silently allow it again."""
    import grimp

    graph = grimp.build_graph("geomkit", include_external_packages=True)
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    exceptions = {one for contract in contracts for one in contract.get("ignore_imports", [])}
    assert len(exceptions) > 10
    assert [one for one in sorted(exceptions) if not graph.find_matching_direct_imports(one)] == []
