"""Planted facts: their law, weighted draws, budgets that share a trunk, and rows that add up to the exact gap."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from geomkit.core.errors import ConfigError, DataError
from geomkit.tables.rows import read_csv
from geomkit.theory.rows import FactBin
from geomkit.theory.run import planted_facts as module
from geomkit.theory.run.planted_facts import (
    Cell,
    Recipe,
    bins,
    build,
    cells,
    counts,
    draws,
    losses,
    measure,
    plant,
    summary,
    train,
    train_facts,
)

TINY = Recipe(alphabet=6, values=4, batch=64, budgets=(60, 120), warmup=10)


def test_facts_follow_their_law_and_every_key_is_there_once():
    facts = plant(1.0, 0, TINY)
    assert facts.frequency.sum() == pytest.approx(1)
    np.testing.assert_allclose(facts.frequency[0] / facts.frequency, np.arange(1, 37) ** 2.0)
    assert {tuple(key) for key in facts.keys.tolist()} == {(a, b) for a in range(6) for b in range(6)}
    assert set(facts.answers.tolist()) <= set(range(4))
    np.testing.assert_array_equal(plant(0.5, 0, TINY).keys, facts.keys)
    assert (plant(1.0, 1, TINY).keys != facts.keys).any()


@pytest.mark.parametrize("exponent", [0.0, -1.0, math.nan])
def test_an_exponent_without_a_law_is_refused(exponent):
    with pytest.raises(ConfigError, match="positive"):
        plant(exponent, 0, TINY)


def test_budgets_that_do_not_double_are_refused():
    with pytest.raises(ConfigError, match="double"):
        Recipe(budgets=(100, 300))


def test_weighted_draws_have_the_mean_of_the_law_and_no_fact_without_mass():
    target = plant(1.0, 0, TINY).frequency.copy()
    target[[3, -1]] = 0
    target /= target.sum()
    value = np.random.default_rng(1).random(36)
    batches = draws(target, dataclasses.replace(TINY, batch=500), np.random.default_rng(0))
    drawn = [next(batches) for _ in range(400)]
    ranks = torch.cat([ranks for ranks, _ in drawn]).numpy()
    products = torch.cat([weights for _, weights in drawn]).numpy() * value[ranks]
    assert not np.isin([3, 35], ranks).any()
    assert abs(products.mean() - target @ value) < 4 * products.std() / math.sqrt(len(products))


def test_smaller_data_are_the_first_texts_of_larger_ones():
    facts = plant(0.5, 0, TINY)
    small, large = (counts(Cell(8, 0.5, 0, samples), facts) for samples in (50, 400))
    assert (small.sum(), large.sum()) == (50, 400)
    assert (small <= large).all()
    with pytest.raises(DataError, match="finite"):
        counts(Cell(8, 0.5, 0), facts)


def test_an_untrained_model_knows_no_fact():
    facts = plant(0.5, 0, TINY)
    before = torch.get_rng_state()
    loss = losses(build(Cell(8, 0.5, 0), TINY), facts, TINY)
    assert torch.equal(before, torch.get_rng_state())
    assert loss.mean() == pytest.approx(math.log(4), abs=0.3)


def test_a_width_without_heads_is_refused():
    with pytest.raises(ConfigError, match="multiple of 4"):
        build(Cell(10, 0.5, 0), TINY)


@pytest.mark.slow
def test_training_learns_and_a_budget_does_not_depend_on_those_after_it():
    cell, facts = Cell(16, 0.5, 0), plant(0.5, 0, TINY)
    (first, early), (second, late) = train(cell, facts, TINY)
    ((alone, same),) = train(cell, facts, dataclasses.replace(TINY, budgets=(60,)))
    assert (first, second, alone) == (60, 120, 60)
    np.testing.assert_array_equal(early, same)
    assert facts.frequency @ late < facts.frequency @ early < 0.8 * math.log(4)


def test_unseen_facts_are_not_trained_on():
    cell = Cell(16, 0.5, 0, 12)
    facts = plant(0.5, 0, TINY)
    *_, (_, loss) = train(cell, facts, TINY)
    seen = counts(cell, facts) > 0
    assert loss[seen].max() < 1 < math.log(4) < loss[~seen].mean()


def test_rows_add_up_to_the_exact_gap():
    facts = plant(1.0, 0, TINY)
    loss = np.random.default_rng(0).random(36) * 3
    for samples in (None, 20):
        rows = summary(Cell(8, 1.0, 0, samples), facts, 5, loss, TINY)
        assert sum(row.mass for row in rows) == pytest.approx(1)
        assert rows[0].gap == pytest.approx(facts.frequency @ loss)
        assert rows[0].gap_seen + rows[0].gap_unseen == pytest.approx(rows[0].gap)
        size = [row.last_rank - row.first_rank + 1 for row in rows]
        assert np.dot(size, [row.loss for row in rows]) == pytest.approx(loss.sum())
        assert np.dot(size, [row.bin_held for row in rows]) == pytest.approx(rows[0].held)
        assert np.dot(size, [row.bin_seen for row in rows]) == pytest.approx(rows[0].seen)


@pytest.mark.parametrize(("reverse", "overlap"), [(False, 1.0), (True, 0.0)])
def test_overlap_is_one_for_the_most_frequent_and_none_for_the_rarest(reverse, overlap):
    loss = np.where(np.arange(36) < 10, 0.0, math.log(4))
    (row, *_) = summary(Cell(8, 1.0, 0), plant(1.0, 0, TINY), 5, loss[::-1] if reverse else loss, TINY)
    assert (row.held, row.overlap) == (10, overlap)


@pytest.mark.parametrize("facts", [1, 36, 16384])
def test_bins_cover_every_rank_once(facts):
    edges = bins(facts)
    assert (edges[0], edges[-1]) == (0, facts)
    assert (np.diff(edges) > 0).all()


def test_cells_are_told_apart():
    found = cells()
    assert len({cell.name for cell in found}) == len(found) == 30


QUICK = dataclasses.replace(TINY, budgets=(2, 4))


def train_quickly(path, exponent):
    train_facts(path, width=8, exponent=exponent, seed=0, data="d12", recipe=dataclasses.asdict(QUICK))


def test_a_cell_that_is_there_is_kept_and_another_recipe_trains_it_again(tmp_path):
    cell, path = Cell(8, 0.5, 0, 12), tmp_path / "cell.csv"
    train_quickly(path, 0.5)
    before = path.read_bytes()
    assert {row.steps for row in read_csv(path, FactBin)} == {2, 4}
    assert not measure(cell, QUICK, path)
    assert measure(cell, dataclasses.replace(QUICK, tail=0.5), path)
    assert measure(cell, QUICK, path)
    assert path.read_bytes() == before


def test_a_training_that_is_killed_leaves_no_file_and_as_many_threads_as_before(tmp_path, monkeypatch):
    threads = []

    def killed(*_):
        threads.append(torch.get_num_threads())
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "losses", killed)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyboardInterrupt):
            train_quickly(tmp_path / "cell.csv", 1.0)
        assert (threads, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)
    assert not list(tmp_path.iterdir())
