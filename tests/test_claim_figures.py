"""Figures of claims draw the numbers of the records, within their page, and nothing where there is nothing."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from test_ledger import check_column

import geomkit.ledger.figures  # noqa: F401 registers them
from geomkit.core.shipped import FINDINGS, TRAININGS
from geomkit.figures.claims import BESIDE, Effect, claim_figures, draw_effects, lines
from geomkit.ledger.figures import drawn
from geomkit.tables.findings import Inputs

SHIPPED = Path(__file__).parents[1] / "workflow/resources/findings"
FILES = [path for one in (*FINDINGS, *TRAININGS) if (path := SHIPPED / one.path).is_file()]


def test_effects_stand_on_their_lines_with_interval_null_and_margin():
    effects = [Effect("a", 0.3, 0.2, None), Effect("b", 0.5, 0.4, 0.6, "red"), Effect(None, 0.7, None, None, filled=False)]
    axis = Figure().subplots()
    draw_effects(axis, effects, against=0.5, margin=0.1)
    marks = {
        line.get_xdata()[0]: (line.get_ydata()[0], line.get_markerfacecolor()) for line in axis.lines if line.get_marker() == "o"
    }
    assert marks == {0.3: (0.0, "#0072B2"), 0.5: (1.0, "red"), 0.7: (1 + BESIDE, "white")}
    assert [tuple(line.get_xdata()) for line in axis.lines if line.get_linewidth() == 1.1] == [(0.4, 0.6)], (
        "an open end is no bar"
    )
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b"]
    assert lines(effects) == 2 + BESIDE
    (band,) = axis.patches
    assert (band.get_x(), round(band.get_width(), 9)) == (0.4, 0.2)


@pytest.mark.parametrize("name", sorted(claim_figures))
def test_figures_of_what_ships_fit_a_column_and_are_none_without_records(name):
    assert claim_figures[name](Inputs([])) is None
    figure = claim_figures[name](Inputs(FILES))
    assert figure is not None
    check_column(figure)


def test_the_same_records_give_the_same_bytes_without_a_date_or_a_version():
    path = [SHIPPED / "ablation_summary.csv"]
    (name, first), (_, second) = *drawn(path), *drawn(path)
    assert name == "spread"
    assert first == second
    assert b"Software" not in first
    assert b"tIME" not in first
