"""Portraits by the workflow: any model and corpus by the target's name alone, and what is no name is refused."""

import pytest
from runs import SETTINGS, write_corpus
from workflow_case import Case

from geomkit.studies.portrait.rows import facts_of, read

pytestmark = pytest.mark.workflow
PAIR = "results/portraits/ladder-16-s0-vs-ladder-24-s0"


@pytest.fixture(scope="module")
def pages(project, tmp_path_factory) -> Case:
    """A portrait and a comparison of models that no stage selects."""
    folder = tmp_path_factory.mktemp("portraits") / "run"
    write_corpus(folder)
    case = Case(project, folder, SETTINGS)
    outcome = case.run("results/portraits/ladder-16-s0/small.html", f"{PAIR}/small.html", f"{PAIR}/small.pdf", "--cores", "1")
    assert outcome.status == 0, outcome.terminal
    assert outcome.jobs["portrait_spectra"] == 2
    return case


@pytest.mark.slow
def test_a_portrait_and_a_comparison_are_made_by_name(pages):
    for name, kind in (("results/portraits/ladder-16-s0", "portrait"), (PAIR, "comparison")):
        facts = facts_of(read(pages.folder / f"{name}/small.parquet"))
        assert (facts.kind, facts.corpus) == (kind, "small")
        assert facts.command.endswith(f"{name}/small.html")
        assert "<html" in (pages.folder / f"{name}/small.html").read_text()[:200]
    assert (pages.folder / f"{PAIR}/small.pdf").read_bytes().startswith(b"%PDF")


def test_any_model_and_corpus_of_the_catalogue_can_be_named_and_no_other(project, tmp_path):
    case = Case(project, tmp_path, {})
    planned = case.run("results/portraits/smollm2/chitchat.html", "--cores", "1", "--dry-run")
    assert planned.status == 0, planned.terminal
    assert planned.jobs["portrait_spectra"] == planned.jobs["portrait"] == 1
    assert "dump" not in planned.jobs
    apart = case.run("results/portraits/ladder-16-s0-vs-smollm2/sotu.html", "--cores", "1", "--dry-run")
    assert (apart.jobs["passages"], apart.jobs["passage_texts"], apart.jobs["portrait_of_passages"]) == (1, 2, 2)
    missing = case.run("results/portraits/smollm3/chitchat.html", "--cores", "1", "--dry-run")
    assert missing.status != 0
    assert "results/portraits/smollm3/chitchat" in missing.terminal


def test_a_name_that_reads_as_a_comparison_is_refused(project, tmp_path):
    entry = {"models": {"a-vs-b": {"source": "hub", "repository": "a/b", "revision": "main"}}}
    outcome = Case(project, tmp_path, entry).run("--cores", "1", "--dry-run")
    assert outcome.status != 0
    assert "-vs- in 'a-vs-b' names a comparison of two models; rename it" in outcome.terminal
