"""Planted facts held against the theory, on models whose facts are known."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from test_figures import check_column

from geomkit.core.errors import DataError
from geomkit.tables.rows import read_csv, write_csv
from geomkit.theory.figure.check import facts_figure
from geomkit.theory.gaps import capacity, threshold
from geomkit.theory.planted_facts import held_by, study_facts
from geomkit.theory.rows import FactBin, FactModel
from geomkit.theory.skills import SkillGraph
from geomkit.theory.tests.facts import gap_by_data, of_facts

SCATTER = {8: 1.04, 12: 0.96, 16: 1.04, 24: 0.97, 32: 1.0}


def cell(width: int, exponent: float = 0.5, seed: int = 0, falls: float = 0.01, sharp: float = 50.0) -> list[FactBin]:
    """A model that holds the 2 * width^2 most frequent of 4096 facts, but for a few per cent.

    Its gap falls by the part `falls` in the last doubling.
    """
    n, h, facts = 2 * width**2 * SCATTER[width], math.log(64), 4096
    weight = np.arange(1, facts + 1) ** -(1 + exponent)
    p = weight / weight.sum()
    rank = np.arange(1, facts + 1)
    found = []
    for steps, more in ((4000, 1 / (1 - falls)), (8000, 1.0)):
        loss = h / (1 + (n / rank) ** sharp) * more
        held = loss < h / 2
        edges = np.unique(np.floor(2 ** (np.arange(0, 49) / 4)).astype(int)) - 1
        ends = np.append(edges[edges < facts], facts)
        common = {"cell": f"w{width}-a{exponent:g}-s{seed}-law", "width": width, "params_total": width**2 * 10, "seed": seed}
        common |= {"params_nonembedding": width**2, "exponent": exponent, "samples": None, "steps": steps, "task": "t"}
        common |= {"gap": float(p @ loss), "gap_seen": float(p @ loss), "gap_unseen": 0.0, "seen": facts}
        common |= {"held": int(held.sum()), "overlap": float(held[: held.sum()].mean()) if held.any() else None}
        for first, last in pairwise(ends):
            part = slice(first, last)
            of_bin = {"mass": float(p[part].sum()), "loss": float(loss[part].mean()), "spread": float(loss[part].std())}
            of_bin |= {"bin_held": float(held[part].mean()), "bin_seen": 1.0}
            found.append(FactBin(**common, first_rank=int(first) + 1, last_rank=int(last), **of_bin))
    return found


def facts_of(tmp_path: Path, *cells: list[FactBin]) -> list[FactModel]:
    write_csv(tmp_path / "bins.csv", FactBin, [row for rows in cells for row in rows])
    study_facts(tmp_path / "bins.csv", tmp_path / "facts.csv")
    return read_csv(tmp_path / "facts.csv", FactModel)


def test_the_n_that_leaves_a_gap():
    law = np.array([0.5, 0.3, 0.2])
    assert [held_by(rest, law) for rest in (1.0, 0.5, 0.35, 0.2, 0.0)] == pytest.approx([0, 1, 1.5, 2, 3])


def test_models_that_hold_facts_as_the_theory_says(tmp_path):
    rows = facts_of(tmp_path, *(cell(width) for width in (8, 12, 16, 24)))
    for row in rows:
        assert row.n == pytest.approx(2 * row.width**2 * SCATTER[row.width], rel=0.05)
        assert row.overlap == 1
        assert row.edge < 0.5
        assert row.inside < 0.1
        assert row.kept
        assert row.change == pytest.approx(0.01)
    found = {row.name: row for row in of_facts(rows)}
    assert found["facts-size-a0.5"].status == "supported"
    assert found["facts-size-a0.5"].effect == pytest.approx(1, abs=0.1)
    assert found["facts-most-frequent"].status == "as predicted"
    assert found["facts-edge"].status == "sharp"
    assert found["facts-inside"].status == "mostly beyond"


def test_a_gap_that_still_falls_excludes_a_cell_and_few_widths_leave_no_verdict(tmp_path):
    rows = facts_of(tmp_path, cell(8), cell(12, falls=0.2), cell(16))
    assert [row.kept for row in rows] == [True, False, True]
    (verdict, *_) = of_facts(rows)
    assert verdict.status == "untested"
    assert "w12-a0.5-s0-law" in verdict.note


def test_a_gradual_edge_and_gap_at_held_ranks_contradict(tmp_path):
    """1 - loss / h = 1 / (1 + r / n) falls from 3/4 to 1/4 between n / 3 and 3 n."""
    found = {row.name: row for row in of_facts(facts_of(tmp_path, *(cell(width, sharp=1.0) for width in (8, 12, 16))))}
    assert found["facts-edge"].status == "gradual"
    assert found["facts-edge"].effect == pytest.approx(2 * math.log2(3), rel=0.05)
    assert found["facts-inside"].effect > 0.1
    assert found["facts-beyond"].status == "partial knowledge"


def test_a_cell_with_one_number_of_steps_is_named(tmp_path):
    with pytest.raises(DataError, match=r"w8-a0\.5-s0-law has one number of steps"):
        facts_of(tmp_path, [row for row in cell(8) if row.steps == 8000])


GRAPH = SkillGraph.power_law(4096, 0.5, math.log(64))


def test_the_free_number_of_each_sum_is_found():
    size, texts = np.array([900.0, 2000, 5000, 9000]), np.array([256, 1024, 4096, 16384])
    c, curve = capacity(GRAPH, size, GRAPH.conditional_entropy(0.11 * size))
    assert c == pytest.approx(0.11, rel=1e-6)
    np.testing.assert_allclose(np.exp(curve), GRAPH.conditional_entropy(0.11 * size), rtol=1e-6)
    for times in (1, 5, 16):
        gap = GRAPH.gap(GRAPH.skills, texts, times, "binomial")
        found, curve = threshold(GRAPH, texts, gap * np.array([1.02, 0.98, 1.02, 0.98]))
        assert found == times
        np.testing.assert_allclose(np.exp(curve), gap, rtol=1e-9)
    with pytest.raises(DataError, match="positive"):
        threshold(GRAPH, texts, np.zeros(4))


def data_cell(texts: int, times: int = 3, width: int = 32, falls: float = 0.01, confident: float = 1.0) -> list[FactBin]:
    """A model that knows what its texts show three times, and whose unseen facts cost `confident` times ln 64.

    A tenth of the facts that a bin has not shown often enough are not shown at all.
    """
    ranks, found = GRAPH.unlearnt(texts, times, "binomial"), []
    for row in cell(width, falls=0.0):
        missed = float(ranks[row.first_rank - 1 : row.last_rank].mean())
        found.append(replace(row, loss=math.log(64) * missed, bin_seen=1 - 0.1 * missed))
    gap = math.log(64) * float(GRAPH.probability @ ranks)
    unseen = math.log(64) * sum(row.mass * (1 - row.bin_seen) for row in found if row.steps == 8000)
    whole = gap + (confident - 1) * unseen
    common = {"cell": f"w{width}-a0.5-s0-d{texts}", "samples": texts, "gap_unseen": confident * unseen}
    seen = gap - unseen
    return [replace(row, **common, gap=whole, gap_seen=seen + (falls * whole if row.steps == 4000 else 0.0)) for row in found]


TEXTS = (256, 1024, 4096, 16384)


def test_a_threshold_is_supported_and_confident_errors_are_told_from_it(tmp_path):
    rows = facts_of(tmp_path, *(data_cell(texts) for texts in TEXTS))
    found = {row.name: row for row in of_facts(rows)}
    for name in ("facts-data-a0.5", "facts-data-a0.5-charged"):
        assert found[name].status == "supported"
        assert found[name].note.startswith("tau = 3, ")
        assert found[name].effect == pytest.approx(found[name].predicted, abs=1e-6)
    assert found["facts-unseen"].effect == pytest.approx(1)
    rows = facts_of(tmp_path, *(data_cell(texts, confident=1 + 4 * k) for k, texts in enumerate(TEXTS)))
    found = {row.name: row for row in of_facts(rows)}
    assert found["facts-data-a0.5"].effect > found["facts-data-a0.5-charged"].effect + 0.1
    assert found["facts-data-a0.5-charged"].status == "supported"
    assert found["facts-unseen"].high == pytest.approx(13)


def test_data_that_size_limits_and_training_that_goes_on_are_left_out(tmp_path):
    of_law = [replace(row, cell="w32-a0.5-s0-law", width=32) for row in cell(16)]
    gap = of_law[-1].gap
    same = [replace(row, gap=1.05 * gap, gap_seen=1.05 * gap - row.gap_unseen) for row in data_cell(65536)]
    rows = facts_of(tmp_path, of_law, *(data_cell(texts) for texts in TEXTS[:3]), same, data_cell(16384, falls=0.2))
    assert [row.limited for row in rows] == [False] * 4 + [True, False]
    assert [row.kept for row in rows if row.samples] == [True] * 4 + [False]
    found = {row.name: row for row in of_facts(rows)}
    assert "3 amounts of data" in found["facts-data-a0.5"].note
    assert "limited by size: w32-a0.5-s0-d65536" in found["facts-data-a0.5"].note
    assert "still falls: w32-a0.5-s0-d16384" in found["facts-data-a0.5"].note
    few = gap_by_data(0.5, "gap", [row for row in rows if row.samples and row.samples < 4096], "none excluded")
    assert few.status == "untested"


@pytest.mark.parametrize(("room", "status"), [(1.0, "supported"), (3.0, "contradicted")])
def test_one_capacity_for_both_exponents_and_two(tmp_path, room, status):
    """Parameters of the steeper law's models are `room` times as many, up to a scatter of 5 %."""
    cells = [cell(width, exponent) for exponent in (0.5, 1.0) for width in (8, 12, 16)]
    sizes = {8: 0.95 * room, 12: 1.05 * room, 16: room}
    cells = [
        [replace(row, params_total=round(row.params_total * sizes[row.width])) if row.exponent == 1 else row for row in rows]
        for rows in cells
    ]
    found = {row.name: row for row in of_facts(facts_of(tmp_path, *cells))}["facts-one-c"]
    assert found.status == status
    assert found.effect == pytest.approx(1 / room, rel=0.1)
    assert found.note.startswith("3 pairs of 3 widths")


def test_a_verdict_that_the_reading_of_change_decides_is_undecided(tmp_path):
    """Widths 16 and 24 fall by 9.5 % of the gap before, which is 10.5 % of that after; without them two widths are left."""
    cells = [cell(width, falls=0.095 if width > 12 else 0.01) for width in (8, 12, 16, 24)]
    rows = facts_of(tmp_path, *cells)
    assert [row.kept for row in rows] == [True] * 4
    assert [row.kept_of_last for row in rows] == [True, True, False, False]
    (found, *_) = of_facts(rows)
    assert found.status == "undecided"
    assert "supported, but untested where change is relative to the gap after it" in found.note


def test_the_gap_falls_as_its_own_curve_does(tmp_path):
    rows = facts_of(tmp_path, *(cell(width) for width in (8, 12, 16, 24)))
    found = next(row for row in of_facts(rows) if row.name == "facts-gap-a0.5")
    assert found.status == "covers the curve's slope"
    assert found.effect == pytest.approx(found.predicted, abs=0.05)
    assert found.predicted < -0.5, "steeper than for endlessly many facts"


def test_gaps_by_data_are_drawn_with_the_sum_and_the_floor(tmp_path):
    cells = [cell(32), *(data_cell(texts) for texts in TEXTS)]
    models = facts_of(tmp_path, *cells)
    figure = facts_figure([row for rows in cells for row in rows], models)
    check_column(figure)
    axis = figure.axes[1]
    assert axis.get_title(loc="left") == "gap by data, width 32"
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axis.lines if line.get_marker() == "o"]
    assert points == [(row.samples, row.gap) for row in models if row.samples]
    floor = next(line for line in axis.lines if line.get_linestyle() == ":")
    assert floor.get_ydata()[0] == models[0].gap
    curve = next(line for line in axis.lines if len(line.get_xdata()) == 30)
    np.testing.assert_allclose(curve.get_ydata(), GRAPH.gap(4096, curve.get_xdata(), 3, "binomial"))
