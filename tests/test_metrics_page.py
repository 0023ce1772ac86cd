"""The page of metrics: current, from declarations alone, for any registry that is declared where measures are."""

import re
from pathlib import Path

import pytest

from geomkit.core import metrics_page
from geomkit.core.declarations import LIBRARY, described, every
from geomkit.core.errors import ConfigError

PAGE = Path(__file__).parents[1] / "docs/metrics.md"
PLANTED = '''"""Measures of planted things: a test.

Null: planted rows (`planted`).
"""
from geomkit.core.registry import Registry

planted = Registry("planted measure", by_name=True)
hidden = Registry("something without a label")


@planted.register("leaves", label="number of leaves", unit="leaves", also=("foliage", "leafage"), use="In spring.",
                  null="A bare tree.")
def leaves(tree, *, height: float = 1.0):
    """Number of leaves of a tree, n_1 + n_2. Source: nobody 2025.

    tree (branches,): it has some. Bound: all. Limits: 0 in winter, 1 for a clover. Raises DataError for a stone.
    """


@planted.register("roots", label="number of roots", also="rootage")
def roots(tree):
    """Number of roots."""


@hidden.register("bark")
def bark(tree):
    """Barks."""
'''


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == metrics_page.page(), "run: make docs"


def test_every_metric_of_a_spectrum_is_on_the_page_with_its_label_names_and_use():
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    for name, one in described("geomkit.measures.entropy", "metrics.register").items():
        assert f"**`{name}`**, {one.facts['label']} ({one.facts['unit']})" in text
        for other in one.facts.get("also", ()):
            assert other in text
        assert one.facts.get("use", "") in text
    for wanted in ("RankMe", "Diff-eRank", "valley_depth", "mean_cosine", "*Use:*", "Null:"):
        assert wanted in text


@pytest.fixture
def planted(tmp_path):
    """A library with one more module of measures."""
    for module in every("geomkit.measures.*"):
        path = tmp_path / "geomkit/measures" / f"{module.rpartition('.')[2]}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((LIBRARY / "geomkit/measures" / path.name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "geomkit/measures/trees.py").write_text(PLANTED, encoding="utf-8")
    return tmp_path


def test_a_registry_that_is_new_appears_by_itself(planted):
    before, after = metrics_page.page().split("\n"), metrics_page.page(planted).split("\n")
    new = " ".join(line for line in after if line not in before)
    assert "## Measures of planted things" in new
    assert "Null: planted rows (`planted`)." in new
    assert (
        "**`leaves`**, number of leaves (leaves), also foliage, leafage. Number of leaves of a tree, n_1 + n_2. Bound: all. "
        "Limits: 0 in winter, 1 for a clover. *Null:* A bare tree. *Use:* In spring." in new
    )
    assert "**`roots`**, number of roots, also rootage. Number of roots." in new
    assert "bark" not in new
    assert "nobody" not in new
    assert "stone" not in new
    assert [line for line in before if line not in after] == []


def test_a_declaration_that_is_not_literal_is_an_error(planted):
    path = planted / "geomkit/measures/trees.py"
    path.write_text(re.sub(r'use="In spring."', "use=str(1)", PLANTED), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"trees\.py, line \d+: a declaration takes one name and keywords, all literals"):
        metrics_page.page(planted)


def test_what_a_declaration_says_for_readers_reruns_nothing():
    from geomkit.core.declarations import Source

    one, other = (Source(PLANTED.replace("In spring.", words)) for words in ("In spring.", "In autumn."))
    assert [part.code for part in one.parts] == [part.code for part in other.parts]
