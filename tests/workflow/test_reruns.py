"""What runs again after a change, and what does not."""

import re

import pytest
from runs import MODELS, listed, upstream


@pytest.mark.parametrize(
    ("module", "users", "jobs"),
    [
        ("lm/capture.py", {"dump", "components"}, {"dump": 2, "spectra": 2, "entropy": 2, "width_nulls": 1}),
        (
            "measures/entropy.py",
            {"entropy", "width_nulls", "corpus_resamples", "projections", "sinks", "components"},
            {"entropy": 2, "width_nulls": 1},
        ),
    ],
)
def test_a_change_of_the_library_reruns_the_rules_that_use_it_and_what_follows(case, done, module, users, jobs):
    path = case.project / "lib/geomkit" / module
    source = path.read_text()
    try:
        path.write_text(source + "\n\nCHANGED = 1\n")
        outcome = listed(case)
    finally:
        path.write_text(source)
    assert outcome.changed == users
    assert upstream(outcome) == jobs


def test_a_change_of_a_figure_redraws_it_alone(case, done):
    path = case.project / "lib/geomkit/figures/layers.py"
    source = path.read_text()
    try:
        path.write_text(source + "\n\nCHANGED = 1\n")
        outcome = listed(case)
    finally:
        path.write_text(source)
    assert outcome.jobs == {"entropy_layers": 1, "all": 1}


def test_comments_and_docstrings_rerun_nothing_nor_do_changes_that_were_undone(case, done):
    sources = {path: path.read_text() for path in (case.project / "lib/geomkit").rglob("*.py")}
    try:
        for path, source in sources.items():
            remarked = re.sub(r"^( +)(?=return\b)", r'\1"""A remark."""  # and another\n\1', source, flags=re.MULTILINE)
            path.write_text(re.sub(r'"""[A-Z].*?"""', '"""Other words."""', remarked, flags=re.DOTALL))
        assert all(path.read_text() != source for path, source in sources.items() if "return" in source)
        outcome = listed(case)
    finally:
        for path, source in sources.items():
            path.write_text(source)
    assert outcome.jobs == {}
    assert "Nothing to be done" in outcome.terminal


@pytest.mark.parametrize(
    ("arguments", "settings", "jobs"),
    [
        (["--forcerun", "entropy"], None, {"entropy": 2}),
        ([], {"entropy": {"eps2": 0.25}}, {"entropy": 2, "width_nulls": 1}),
        (
            [],
            {"entropy": {"models": [*MODELS, "ladder-32-s0"]}},
            {"dump": 1, "spectra": 1, "entropy": 1, "width_nulls": 1},
        ),
    ],
    ids=["forced", "another eps2", "one more model"],
)
def test_what_is_asked_for_runs_with_what_follows_and_no_more(case, done, arguments, settings, jobs):
    assert upstream(listed(case, *arguments, settings=settings)) == jobs


def test_a_report_is_written_without_a_network(case, done):
    outcome = case.run("--report", "report.html")
    assert outcome.status == 0, outcome.terminal
    page = (case.folder / "report.html").read_text()
    assert all(name in page for name in ("entropy_layers.pdf", "scaling_plot.pdf"))
