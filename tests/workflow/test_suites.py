"""Suites of settings that are shipped, and the style of the rules."""

import re

import pytest
import yaml
from workflow_case import ROOT, Case

SUITES = [
    path for path in sorted((ROOT / "workflow/config").glob("*.yaml")) if path.stem not in ("tokens", "sinks", "pythia-steps")
]
"""Families on the hub."""


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.stem)
def test_a_suite_fetches_each_of_its_models_and_corpora_from_the_hub(project, tmp_path, suite):
    settings = yaml.safe_load(suite.read_text())
    chosen = set(settings["entropy"]["models"])
    models = [name for name, entry in settings["models"].items() if {name, entry.get("family", name)} & chosen]
    outcome = Case(project, tmp_path, suite).run("--cores", "1", "--dry-run")
    assert outcome.status == 0, outcome.terminal
    wanted = [*(f"model {name}" for name in models), *(f"corpus {name}" for name in settings["entropy"]["corpora"])]
    assert sorted(re.findall(r"Fetching the (\w+ .+)", outcome.terminal)) == sorted(wanted)
    assert outcome.jobs["dump"] == len(models) * len(settings["entropy"]["corpora"])


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


def test_only_the_target_of_controls_at_fixed_width_waits_for_many_twins(project, tmp_path):
    case = Case(project, tmp_path, SUITES[0])
    whole = case.run("--cores", "1", "--dry-run")
    assert whole.jobs.keys().isdisjoint({"final_state", "fixed_width"})
    asked = case.run("results/scaling/fixed_width.csv", "--cores", "1", "--dry-run")
    assert asked.status == 0, asked.terminal
    assert (asked.jobs["fixed_width"], asked.jobs["final_state"]) == (1, whole.jobs["dump"])


def test_fetching_alone_is_a_target(project, tmp_path):
    settings = yaml.safe_load(SUITES[0].read_text())
    models, corpora = (len(settings[kind]) for kind in ("models", "corpora"))
    outcome = Case(project, tmp_path, SUITES[0]).run("fetch", "--cores", "1", "--dry-run")
    assert outcome.jobs == {"fetch_model": models, "fetch_corpus": corpora, "fetch": 1}


def test_snakemake_finds_nothing_to_complain_about(case):
    outcome = case.run("--lint")
    assert outcome.status == 0, outcome.terminal
    assert "Congratulations" in outcome.terminal
