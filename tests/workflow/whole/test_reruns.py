"""What runs again after a change, and what does not."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from runs import ALL, MODELS, listed, upstream
from workflow_case import Case

from geomkit.measures.entropy import metrics


def test_a_change_of_the_library_reruns_the_rules_that_use_it_and_what_follows(case, done):
    path = case.project / "lib/geomkit/models/capture.py"
    source = path.read_text()
    try:
        path.write_text(source + "\n\nCHANGED = 1\n")
        outcome = listed(case)
    finally:
        path.write_text(source)
    assert outcome.changed == {"dump", "components"}
    assert upstream(outcome) == {"dump": 2, "spectra": 2, "entropy": 2, "width_nulls": 1}


NEW = {
    "metric": (
        "measures/entropy.py",
        """
from math import sqrt

LARGEST = 0


def largest(spectrum):
    return spectrum.eigenvalues[..., LARGEST]


@metrics.register("longest_axis", label="longest axis", unit="row lengths")
def longest_axis(spectrum: Spectrum) -> Measurement:
    return Measurement(largest(spectrum) ** 0.5, sqrt(spectrum.n))
""",
    ),
    "null of rows": (
        "measures/nulls.py",
        """
@variant("ones", kind="rows", label="rows of ones", short="ones", marker="P", colour="0.1", line=":")
def ones(n: int, d: int, rng: np.random.Generator) -> Array:
    return np.ones((n, d))
""",
    ),
    "null that runs": (
        "models/variants.py",
        """
@variant("again", kind="model", label="once more", short="again", marker="P", colour="0.1", line=":")
def again(bench: Bench) -> tuple[PreTrainedModel, Sample]:
    return bench.model(), bench.texts
""",
    ),
    "reader": (
        "sources/corpora.py",
        '\n@readers.register("nowhere")\ndef no_documents(path: Path) -> Iterator[Document]:\n    yield from ()\n',
    ),
    "layout": (
        "sources/imported.py",
        '\n@layouts.register("nowhere")\ndef no_layout(folder: Path, layers: Sequence[int] | None) -> Found: ...\n',
    ),
    "source": (
        "core/config.py",
        '\n@places.register("hereabouts")\ndef hereabouts(resources: Path, *, path: str) -> Path:\n    return Path(path)\n',
    ),
}
"""What a configuration may choose, each appended to its file."""


@contextmanager
def appended(case: Case, *kinds: str) -> Iterator[None]:
    codes = {case.project / "lib/geomkit" / file: code for file, code in (NEW[kind] for kind in kinds)}
    sources = {path: path.read_text() for path in codes}
    for path, source in sources.items():
        path.write_text(f"{source}\n{codes[path]}")
    try:
        yield
    finally:
        for path, source in sources.items():
            path.write_text(source)


def test_a_new_metric_is_measured_in_spectra_that_are_there(case, done):
    """The test's configuration has all metrics measured."""
    with appended(case, "metric"):
        outcome = listed(case)
    assert outcome.changed >= {"entropy", "width_nulls", "project", "corpus_resamples"}
    assert upstream(outcome) == {"entropy": 2, "width_nulls": 1}
    assert not outcome.jobs.keys() & {"probe", "selection", "removal", "components", "sinks", "tokens"}


def test_a_touch_of_inputs_and_what_is_declared_and_not_chosen_rerun_nothing(case, done):
    for path in [case.folder / "small.jsonl", *(case.project / "workflow/resources/ladder").rglob("*")]:
        os.utime(path)
    with appended(case, *NEW):
        outcome = listed(case, settings={"entropy": {"metrics": list(metrics)}})
    assert outcome.jobs == {}, outcome.terminal


def test_comments_and_docstrings_rerun_nothing_and_a_change_of_a_figure_redraws_it_and_the_page_of_claims(case, done):
    """Every file of the library has other remarks, and one figure other code. The page of claims shows figures of all studies."""
    sources = {path: path.read_text() for path in (case.project / "lib/geomkit").rglob("*.py")}
    try:
        for path, source in sources.items():
            remarked = re.sub(r"^( +)(?=return\b)", r'\1"""A remark."""  # and another\n\1', source, flags=re.MULTILINE)
            path.write_text(re.sub(r'"""[A-Z].*?"""', '"""Other words."""', remarked, flags=re.DOTALL))
        assert all(path.read_text() != source for path, source in sources.items() if "return" in source)
        figure = case.project / "lib/geomkit/studies/entropy/figure.py"
        figure.write_text(figure.read_text() + "\n\nCHANGED = 1\n")
        outcome = listed(case)
    finally:
        for path, source in sources.items():
            path.write_text(source)
    assert outcome.jobs == {"entropy_layers": 1, "claims_page": 1, "all": 1}


def test_what_is_asked_for_runs_with_what_follows_and_no_more(case, done):
    """Another eps2 for all models, and one more model. The model that `ablation` selects runs again: its texts are measured
    without their sinks, at this eps2, while all states are at hand."""
    settings = {"entropy": {"eps2": 0.25, "models": [*MODELS, "ladder-32-s0"]}}
    assert upstream(listed(case, settings=settings)) == {"dump": 2, "spectra": 2, "entropy": 3, "width_nulls": 1}


OLD = (1.6e9, 1.6e9)


@contextmanager
def replaced(path: Path, other: bytes | Path) -> Iterator[None]:
    """Another content in place of a file's or a link's, of a time before all results. Then all is as it was."""
    kept = path.with_name(".kept")
    path.rename(kept)
    try:
        if isinstance(other, Path):
            path.symlink_to(other)
        else:
            path.write_bytes(other)
            os.utime(path, OLD)
        yield
    finally:
        path.unlink()
        kept.rename(path)


def test_a_corpus_of_an_older_time_is_read_again(case, done):
    content = (case.folder / "small.jsonl").read_bytes()
    with replaced(case.folder / "small.jsonl", content.replace(b"a", b"e", 1)):
        outcome = listed(case)
    assert outcome.changed == {"corpus"}
    assert upstream(outcome) == {"corpus": 1, "texts": 1, "dump": 2, "spectra": 2, "entropy": 2, "width_nulls": 1}
    with replaced(case.folder / "small.jsonl", content):
        assert listed(case).jobs == {}


@pytest.mark.parametrize("how", ["cp -p", "a moved link"])
def test_a_model_of_an_older_time_runs_again_and_no_other(case, done, how, tmp_path):
    ladder = case.project / "workflow/resources/ladder"
    shutil.copytree(ladder / "ladder-16-s1", tmp_path / "older")
    for path in (tmp_path / "older").iterdir():
        os.utime(path, OLD)
    weights = ladder / "ladder-16-s0/model.safetensors"
    other = (tmp_path / "older/model.safetensors").read_bytes()
    with replaced(weights, other) if how == "cp -p" else replaced(weights.parent, tmp_path / "older"):
        outcome = listed(case)
    assert outcome.changed == {"dump", "weights"}
    assert upstream(outcome) == {"dump": 1, "spectra": 1, "entropy": 1, "width_nulls": 1}


def test_a_report_is_written_without_a_network(case, done):
    outcome = case.run(*ALL, "--report", "report.html")
    assert outcome.status == 0, outcome.terminal
    page = (case.folder / "report.html").read_text()
    assert all(name in page for name in ("entropy_layers.pdf", "scaling_plot.pdf"))
