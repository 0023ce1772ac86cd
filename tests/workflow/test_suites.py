"""Suites of settings that are shipped."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from workflow_case import ROOT, Case, Outcome

from geomkit.core.config import expand_models

OURS = (
    *("all-widths", "one-model", "tokens", "experiments", "semantics", "dialogue", "directions", "pythia-steps", "running"),
    "controls",
    "one_token",
    "next_token",
    "width_share",
    "sag",
    "word_order",
    "mlp-width",
)
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


def test_a_family_on_the_hub_is_followed_along_its_widths_with_no_further_setting(project, tmp_path):
    suite = ROOT / "workflow/config/pythia.yaml"
    models = yaml.safe_load(suite.read_text())["models"]
    outcome = Case(project, tmp_path, suite).run("results/width_share.pdf", "--cores", "1", "--dry-run")
    assert outcome.status == 0, outcome.terminal
    assert set(re.findall(r"Fetching the model (\S+)", outcome.terminal)) == set(models)
    made = ("measure_lengths", "width_share", "width_share_figure", "dump", "spectra")
    assert [outcome.jobs.get(rule, 0) for rule in made] == [len(models), 1, 1, 0, 0]


LAWS = {"scaling", "verdicts", "growth", "projections", "loss_laws", "data_laws", "scaling_plot", "claims_page"}


def test_one_model_has_no_laws_and_a_run_says_what_it_makes_instead(project, tmp_path):
    """The ladder beside it has as many sizes as laws take, and a target that is named is made."""
    ladder = project / "workflow/resources/ladder"
    shutil.copytree(ladder / "ladder-16-s0", tmp_path / "my-model")
    shutil.copytree(ladder / "tokenizer", tmp_path / "my-model", dirs_exist_ok=True)
    (tmp_path / "my-texts").mkdir()
    (tmp_path / "my-texts/a.txt").write_text("Fog over the harbour.")
    case = Case(project, tmp_path, ROOT / "workflow/config/one-model.yaml")
    alone = case.run("--cores", "1", "--dry-run", settings={"texts": {"length": 100}})
    assert alone.status == 0, alone.terminal
    assert not LAWS & set(alone.jobs)
    assert alone.jobs["dump"] == alone.jobs["entropy_layers"] == 1
    (line,) = re.findall(r"^Laws with size take 3 sizes of a family, and mine has 1: .*$", alone.terminal, re.MULTILINE)
    assert "left out are results/" in line
    assert line.endswith("made instead: results/portraits/mine/notes.html")
    (line,) = re.findall(r"^Defaults that do not fit .*$", alone.terminal, re.MULTILINE)
    assert "entropy.lengths is [16, 64], not [16, 64, 256]" in line
    named = case.run("results/scaling_plot.pdf", "--cores", "1", "--dry-run")
    assert {"scaling", "verdicts"} <= set(named.jobs)
    assert "Laws with size" not in named.terminal
    beside = case.run("--cores", "1", "--dry-run", settings={"entropy": {"models": ["mine", "ladder"], "corpora": ["sotu"]}})
    assert set(beside.jobs) >= LAWS
    assert "Laws with size" not in beside.terminal


def test_the_suite_of_tokens_probes_both_models_on_both_corpora(project, tmp_path):
    outcome = Case(project, tmp_path, ROOT / "workflow/config/tokens.yaml").run(
        "results/tokens.html", "--cores", "1", "--dry-run"
    )
    assert outcome.status == 0, outcome.terminal
    assert {rule: outcome.jobs[rule] for rule in ("dump", "spectra", "probe")} == {"dump": 4, "spectra": 4, "probe": 4}


def test_the_suite_of_steps_measures_every_revision_of_a_training_in_one_job(project, tmp_path):
    suite = ROOT / "workflow/config/pythia-steps.yaml"
    models = set(expand_models(yaml.safe_load(suite.read_text())["models"], ROOT / "workflow/resources"))
    outcome = Case(project, tmp_path, suite).run("results/trajectory_plot.pdf", "--cores", "1", "--dry-run")
    assert outcome.status == 0, outcome.terminal
    assert set(re.findall(r"Fetching the model (\S+)", outcome.terminal)) == models
    assert {rule: outcome.jobs[rule] for rule in ("fetch_model", "trajectory_training", "weights")} == {
        "fetch_model": len(models), "trajectory_training": 2, "weights": 1,
    }  # fmt: skip


def test_word_order_runs_each_model_of_the_hub_once_when_asked_for(project, tmp_path):
    suite = ROOT / "workflow/config/pythia.yaml"
    outcome = Case(project, tmp_path, suite).run("results/word_order.pdf", "--cores", "1", "--dry-run")
    assert outcome.status == 0, outcome.terminal
    models = [name for name, entry in yaml.safe_load(suite.read_text())["models"].items() if entry["family"] == "pythia"]
    assert (outcome.jobs["shuffled_blocks"], outcome.jobs["order_effects"]) == (len(models), 1)


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


def shipped(project: Path) -> tuple[set[str], set[str]]:
    """Names of the models of the entries ladder and ladder-more."""
    ladder = project / "workflow/resources/ladder"
    few, more = ({path.name for path in folder.glob("ladder-*")} for folder in (ladder, ladder / "more"))
    return few, more


def test_the_picture_has_one_entry_of_the_ladder_and_what_verdicts_are_judged_by_has_both(project, tmp_path):
    few, more = shipped(project)
    picture = Case(project, tmp_path / "picture", {}).run("results/scaling_plot.pdf", "--cores", "1", "--dry-run")
    assert picture.status == 0, picture.terminal
    assert (picture.jobs["dump"], picture.jobs["project"]) == (len(few), len(few))
    assert not {name for name in more if f"results/dumps/{name}/" in picture.terminal}
    suite = ROOT / "workflow/config/all-widths.yaml"
    corpora = len(yaml.safe_load(suite.read_text())["entropy"]["corpora"])
    verdicts = Case(project, tmp_path / "verdicts", suite).run("results/scaling/verdicts.csv", "--cores", "1", "--dry-run")
    assert verdicts.status == 0, verdicts.terminal
    assert verdicts.jobs["project"] == corpora * len(few | more)
    assert verdicts.jobs["projections"] == corpora
    assert "untrained" not in verdicts.terminal


def test_the_ladder_is_trained_into_the_folders_that_it_ships_in(project, tmp_path):
    outcome = Case(project, tmp_path, {}).run("ladder", "--cores", "1", "--dry-run")
    assert outcome.status == 0, outcome.terminal
    weights = set(re.findall(r"results/ladder/((?:more/)?ladder-\d+-s\d+)/model\.safetensors", outcome.terminal))
    assert outcome.jobs["ladder_model"] == len(weights)
    few, more = shipped(project)
    assert weights >= few | {f"more/{name}" for name in more}
