"""What runs again after a change, and what does not."""

import re

from runs import MODELS, listed, upstream


def test_a_change_of_the_library_reruns_the_rules_that_use_it_and_what_follows(case, done):
    path = case.project / "lib/geomkit/lm/capture.py"
    source = path.read_text()
    try:
        path.write_text(source + "\n\nCHANGED = 1\n")
        outcome = listed(case)
    finally:
        path.write_text(source)
    assert outcome.changed == {"dump", "components"}
    assert upstream(outcome) == {"dump": 2, "spectra": 2, "entropy": 2, "width_nulls": 1}


def test_comments_and_docstrings_rerun_nothing_and_a_change_of_a_figure_redraws_it_alone(case, done):
    """Every file of the library has other remarks, and one figure other code."""
    sources = {path: path.read_text() for path in (case.project / "lib/geomkit").rglob("*.py")}
    try:
        for path, source in sources.items():
            remarked = re.sub(r"^( +)(?=return\b)", r'\1"""A remark."""  # and another\n\1', source, flags=re.MULTILINE)
            path.write_text(re.sub(r'"""[A-Z].*?"""', '"""Other words."""', remarked, flags=re.DOTALL))
        assert all(path.read_text() != source for path, source in sources.items() if "return" in source)
        figure = case.project / "lib/geomkit/figures/layers.py"
        figure.write_text(figure.read_text() + "\n\nCHANGED = 1\n")
        outcome = listed(case)
    finally:
        for path, source in sources.items():
            path.write_text(source)
    assert outcome.jobs == {"entropy_layers": 1, "all": 1}


def test_what_is_asked_for_runs_with_what_follows_and_no_more(case, done):
    """Another eps2 for all models, and one more model. The model that `ablation` selects runs again: its texts are measured
    without their sinks, at this eps2, while all states are at hand."""
    settings = {"entropy": {"eps2": 0.25, "models": [*MODELS, "ladder-32-s0"]}}
    assert upstream(listed(case, settings=settings)) == {"dump": 2, "spectra": 2, "entropy": 3, "width_nulls": 1}


def test_a_report_is_written_without_a_network(case, done):
    outcome = case.run("--report", "report.html")
    assert outcome.status == 0, outcome.terminal
    page = (case.folder / "report.html").read_text()
    assert all(name in page for name in ("entropy_layers.pdf", "scaling_plot.pdf"))
