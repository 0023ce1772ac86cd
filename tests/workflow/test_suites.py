"""Suites of settings that are shipped, and the style of the rules."""

import re
from pathlib import Path

import pytest
import yaml
from runs import SETTINGS, write_corpus
from workflow_case import ROOT, Case, Outcome

OURS = ("tokens", "experiments", "semantics", "dialogue", "directions", "pythia-steps", "running", "controls")
SUITES = [path for path in sorted((ROOT / "workflow/config").glob("*.yaml")) if path.stem not in OURS]
"""Families on the hub."""


@pytest.fixture(scope="module", params=SUITES, ids=lambda suite: suite.stem)
def listing(request, project, tmp_path_factory) -> tuple[Path, Outcome]:
    """A suite, and what all of it would run."""
    outcome = Case(project, tmp_path_factory.mktemp("suite"), request.param).run("--cores", "1", "--dry-run")
    assert outcome.status == 0, outcome.terminal
    return request.param, outcome


def test_a_suite_fetches_each_of_its_models_and_corpora_from_the_hub(listing):
    suite, outcome = listing
    settings = yaml.safe_load(suite.read_text())
    chosen = set(settings["entropy"]["models"])
    models = [name for name, entry in settings["models"].items() if {name, entry.get("family", name)} & chosen]
    wanted = [*(f"model {name}" for name in models), *(f"corpus {name}" for name in settings["entropy"]["corpora"])]
    assert sorted(re.findall(r"Fetching the (\w+ .+)", outcome.terminal)) == sorted(wanted)
    assert outcome.jobs["dump"] == len(models) * len(settings["entropy"]["corpora"])


def test_controls_at_fixed_width_that_need_many_twins_run_only_when_asked_for(listing):
    assert listing[1].jobs.keys().isdisjoint({"final_state", "fixed_width"})


def test_the_suite_of_tokens_probes_both_models_on_both_corpora(project, tmp_path):
    outcome = Case(project, tmp_path, ROOT / "workflow/config/tokens.yaml").run(
        "results/tokens.html", "--cores", "1", "--dry-run"
    )
    assert outcome.status == 0, outcome.terminal
    assert {rule: outcome.jobs[rule] for rule in ("dump", "spectra", "probe")} == {"dump": 4, "spectra": 4, "probe": 4}


def test_the_suite_of_steps_measures_every_revision_of_a_training_in_one_job(project, tmp_path):
    suite = ROOT / "workflow/config/pythia-steps.yaml"
    models = yaml.safe_load(suite.read_text())["models"]
    outcome = Case(project, tmp_path, suite).run("results/trajectory_plot.pdf", "--cores", "1", "--dry-run")
    assert outcome.status == 0, outcome.terminal
    assert set(re.findall(r"Fetching the model (\S+)", outcome.terminal)) == set(models)
    assert {rule: outcome.jobs[rule] for rule in ("fetch_model", "trajectory_training", "weights")} == {
        "fetch_model": len(models), "trajectory_training": 2, "weights": 1,
    }  # fmt: skip
    assert all(entry["revision"] == f"step{entry['step']}" for entry in models.values())


def test_controls_at_fixed_width_have_the_twins_of_every_model(project, tmp_path):
    settings = yaml.safe_load(SUITES[0].read_text())
    asked = Case(project, tmp_path, SUITES[0]).run("results/scaling/fixed_width.csv", "--cores", "1", "--dry-run")
    assert asked.status == 0, asked.terminal
    pairs = len(settings["models"]) * len(settings["entropy"]["corpora"])
    assert (asked.jobs["fixed_width"], asked.jobs["final_state"]) == (1, pairs)


def test_fetching_alone_is_a_target(project, tmp_path):
    settings = yaml.safe_load(SUITES[0].read_text())
    models, corpora = (len(settings[kind]) for kind in ("models", "corpora"))
    outcome = Case(project, tmp_path, SUITES[0]).run("fetch", "--cores", "1", "--dry-run")
    assert outcome.jobs == {"fetch_model": models, "fetch_corpus": corpora, "fetch": 1}


def test_snakemake_finds_nothing_to_complain_about(project, tmp_path):
    write_corpus(tmp_path / "run")
    outcome = Case(project, tmp_path / "run", SETTINGS).run("--lint")
    assert outcome.status == 0, outcome.terminal
    assert "Congratulations" in outcome.terminal
