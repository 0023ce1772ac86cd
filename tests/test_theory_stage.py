"""The theory's stage on inputs whose truth is known: what each study writes, and what the conclusions make of it."""

import math
from dataclasses import replace
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dumped import spectra_of
from test_figures import check_column
from test_planted import cell, facts_of

from geomkit.core.errors import DataError
from geomkit.core.state import State
from geomkit.measures.bigrams import BigramClasses
from geomkit.measures.ngrams import NgramBudget, ngram_codes, ngram_counts
from geomkit.states.dumps import stored, write_dump
from geomkit.states.texts import Texts
from geomkit.tables.rows import read_csv, write_csv
from geomkit.tables.trainings import LadderLoss, Training
from geomkit.theory import relations as theory
from geomkit.theory.conditional import by_document, condition_model, join_conditional, octaves
from geomkit.theory.figure import check as figures
from geomkit.theory.ngrams import budgets_up_to, exponent_of, measure_ngrams
from geomkit.theory.quanta import learnt_ranks
from geomkit.theory.relations import curve_of, fit_skill_curves, join_curves, parts_of, relate_exponents
from geomkit.theory.rows import (
    BigramLoss,
    Conclusion,
    ConditionalGain,
    DocumentVariance,
    ExponentRelation,
    LearntRank,
    NgramGap,
    SimulatedGraph,
    SkillCurve,
    StepRadius,
    StepRow,
    TableExponent,
)
from geomkit.theory.simulation import ENTROPIES, entropies, simulate_skills
from geomkit.theory.skills import SkillGraph
from geomkit.theory.splits import frequency_table, read_split, write_splits
from geomkit.theory.tests.arithmetic import of_simulation
from geomkit.theory.tests.conclude import conclude
from geomkit.theory.tests.ngrams import of_quanta
from geomkit.theory.tests.steps import of_steps

WIDTHS = (16, 24, 32, 48, 64)
SIZES = dict(zip(WIDTHS, (6_000, 20_000, 60_000, 200_000, 600_000), strict=True))
BUDGETS = (50_000, 100_000, 200_000, 400_000, 800_000, 1_600_000)
ALPHA, BETA = 0.5, 1 / 3
GRID = {"a": [0.5], "skills": [500], "times": [1, 3], "texts": 400, "degree": 2, "replicates": 30}


def law(size: float, data: float) -> float:
    """Losses with beta = alpha / (1 + alpha)."""
    return 2 + 100 * size**-ALPHA + 50 * data**-BETA


def trainings(loss=law, scatter: float = 0.003, widths=WIDTHS, budgets=BUDGETS) -> list[Training]:
    draw = np.random.default_rng(0)
    place: dict[str, Any] = {"layer": "last", "length": 64, "normalise": "unit", "eps2": 0.5}
    place |= {"peak_rate": 0.01, "batch": 8, "metrics": {"erank_covariance": 2.0}}
    found = []
    for width, data in product(widths, budgets):
        value = loss(SIZES[width], data) * math.exp(scatter * draw.standard_normal())
        common = {"width": width, "params_nonembedding": SIZES[width], "seed": 0, "unique_tokens": data, **place}
        for passes, worse in ((4, 0.0), (8, 0.5)):
            losses = {"loss_validation": value + worse, "loss_test": value + worse}
            found.append(Training(**common, **losses, tokens=passes * data, chosen=not worse))
    return found


def ladder() -> list[LadderLoss]:
    rows = {"seed": 0, "losses": {"loss_x": 1.0}}
    return [
        LadderLoss(model=f"m{w}", width=w, params_total=SIZES[w] + 4096 * w, params_nonembedding=SIZES[w], **rows) for w in WIDTHS
    ]


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grid")
    write_csv(folder / "grid.csv", Training, trainings())
    write_csv(folder / "ladder.csv", LadderLoss, ladder())
    return folder


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """Documents of 150 tokens whose frequencies fall as rank^-1.2, in three splits."""
    path = tmp_path_factory.mktemp("documents") / "ngrams.h5"
    draw = np.random.default_rng(1)
    p = np.arange(1, 151) ** -1.2
    splits = {
        split: {"token": [draw.choice(150, 3000, p=p / p.sum()) for _ in range(number)]}
        for split, number in (("train", 20), ("validation", 3), ("test", 4))
    }
    splits["train"]["word"] = [draw.zipf(1.8, 4000).clip(max=5000) for _ in range(10)]
    write_splits(path, splits, {"token": 150, "word": 5001})
    return path


@pytest.fixture
def one_part(monkeypatch):
    """One measure of size and all cells: the primary part alone, for speed."""
    monkeypatch.setattr(theory, "SIZES", theory.SIZES[:1])
    monkeypatch.setattr(theory, "LEAST", theory.LEAST[:1])


# files of splits


def test_a_file_of_splits_gives_documents_back(tmp_path):
    parts = [np.array([3, 1, 2]), np.array([], dtype=np.int64), np.array([0])]
    write_splits(tmp_path / "x.h5", {"train": {"token": parts}}, {"token": 4})
    found, vocabulary = read_split(tmp_path / "x.h5", "train", "token")
    assert vocabulary == 4
    assert [each.tolist() for each in found] == [[3, 1, 2], [], [0]]
    with pytest.raises(DataError, match=r"test/token/offset is not there"):
        read_split(tmp_path / "x.h5", "test", "token")


def test_a_frequency_table_counts_within_documents(tmp_path):
    parts = [np.array([0, 1, 0, 1]), np.array([1, 0])]
    write_splits(tmp_path / "x.h5", {"train": {"token": parts, "word": parts}}, {"token": 2, "word": 2})
    assert sorted(frequency_table(tmp_path / "x.h5", "bigrams").tolist()) == [2, 2]
    assert frequency_table(tmp_path / "x.h5", "trigrams").tolist() == [1, 1]
    assert frequency_table(tmp_path / "x.h5", "words").tolist() == [3, 3]


# simulation


def test_simulated_graphs_agree_with_the_exact_sums(tmp_path):
    simulate_skills(tmp_path / "s.csv", GRID, 0)
    rows = read_csv(tmp_path / "s.csv", SimulatedGraph)
    assert len(rows) == 2 * 2 * 3
    (found,) = of_simulation(rows)
    assert found.status == "agrees"
    assert found.note.startswith(f"{round(4 * found.effect)} of 4 graphs")
    for row in rows:
        assert row.simulated == pytest.approx(row.closed, rel=0.05)
    graph = SkillGraph.power_law(500, 0.5, 1.0, 2)
    size = next(row for row in rows if row.quantity == "size" and row.entropies == "one")
    assert size.closed == pytest.approx(float((graph.probability * graph.number)[50:].sum()))


def test_sums_of_one_graph_are_one_test():
    """Three sums that miss together are one graph that does not hold, and not three."""
    common: dict[str, Any] = {"skills": 9, "times": 1, "entropies": "one", "n": 1, "texts": 1, "degree": 1, "replicates": 2}
    common |= {"closed": 1.0, "simulated": 1.0, "low": 0.0, "high": 2.0}
    sums = product(range(24), ("size", "seen", "gap"))
    rows = [SimulatedGraph(**common, a=float(a), quantity=quantity, inside=a > 0) for a, quantity in sums]
    (found,) = of_simulation(rows)
    assert found.effect == 23 / 24
    assert found.status == "agrees"
    apart = [replace(row, inside=(row.a, row.quantity) not in {(a, "gap") for a in range(4)}) for row in rows]
    assert next(of_simulation(apart)).status == "differs", "Binomial(24, 0.95) has 4 misses or more with 3 %"
    assert next(of_simulation(apart)).effect == 20 / 24


def test_exponents_that_are_a_little_wrong_are_told(tmp_path):
    """The closed forms of a + 0.02 beside the same samples of a = 0.2, 0.5 and 1."""
    grid = GRID | {"a": [0.2, 0.5, 1.0], "texts": 2000}
    simulate_skills(tmp_path / "s.csv", grid, 0)
    rows = read_csv(tmp_path / "s.csv", SimulatedGraph)
    assert next(of_simulation(rows)).status == "agrees"
    wrong = []
    for row in rows:
        graph = SkillGraph.power_law(row.skills, row.a + 0.02, entropies(row.entropies, row.skills), row.degree)
        value = {
            "size": float(graph.conditional_entropy(row.n)),
            "seen": graph.seen(row.texts, row.times),
            "gap": float(graph.gap(row.n, row.texts, row.times, "binomial")),
        }[row.quantity]
        wrong.append(replace(row, closed=value, inside=row.low <= value <= row.high))
    assert next(of_simulation(wrong)).status == "differs"


# the grid


def test_the_grid_has_every_part_and_only_chosen_trainings(grid):
    parts = parts_of(grid / "grid.csv", grid / "ladder.csv")
    assert [(part.size, part.least, part.loss.size) for part in parts] == [
        *(("nonembedding", 0, 30), ("nonembedding", 200_000, 20), ("total", 0, 30), ("total", 200_000, 20)),
        *(("width", 0, 30), ("width", 200_000, 20)),
    ]
    assert sum(part.is_primary for part in parts) == 1
    assert parts[2].n.min() == 6_000 + 4096 * 16
    assert parts[4].n.tolist()[:6] == [16] * 6


@pytest.mark.parametrize("change", [{"widths": WIDTHS[:2]}, {"budgets": BUDGETS[:2]}, {"budgets": BUDGETS[:4]}])
def test_a_grid_that_is_too_small_is_named(grid, tmp_path, change):
    write_csv(tmp_path / "small.csv", Training, trainings(**change))
    with pytest.raises(DataError, match=r"small\.csv: draw 0 .* at least 3"):
        parts_of(tmp_path / "small.csv", grid / "ladder.csv")


def test_a_width_that_the_ladder_has_not_is_named(grid, tmp_path):
    write_csv(tmp_path / "ladder.csv", LadderLoss, ladder()[1:])
    with pytest.raises(DataError, match="width 16 is not in"):
        parts_of(grid / "grid.csv", tmp_path / "ladder.csv")


@pytest.mark.slow
def test_a_law_with_the_theorys_exponents_is_found(grid, tmp_path, one_part):
    relate_exponents(grid / "grid.csv", grid / "ladder.csv", tmp_path / "r.csv", 100, 100, 0)
    rows = read_csv(tmp_path / "r.csv", ExponentRelation)
    assert [row.form for row in rows] == ["chinchilla", "kaplan"]
    (main,) = [row for row in rows if row.primary]
    assert main.form == "chinchilla"
    assert main.theory == pytest.approx(0, abs=0.05)
    assert main.theory_low < main.theory < main.theory_high
    assert main.theory_bootstrap_low < 0 < main.theory_bootstrap_high
    assert main.rival_high < 0, "one exponent for both is ruled out"
    assert main.status in ("theory", "neither")
    assert main.alpha == pytest.approx(ALPHA, abs=0.05)


@pytest.mark.slow
def test_the_exact_curve_describes_losses_that_it_made(grid, documents, tmp_path):
    graph = SkillGraph.of_counts(frequency_table(documents, "trigrams"))
    exact = lambda size, data: 2 + 3 * float(graph.gap(0.02 * size, data, 2.0))  # noqa: E731
    write_csv(tmp_path / "exact.csv", Training, trainings(exact, 0.0))
    part = parts_of(tmp_path / "exact.csv", grid / "ladder.csv")[0]
    row = curve_of(part, graph, "trigrams")
    assert row.primary
    assert row.describes
    assert (row.c, row.tau, row.h) == pytest.approx((0.02, 2.0, 3.0), rel=0.05)
    assert row.left_out < 0.01 < row.kaplan_sd + row.chinchilla_sd
    assert row.sum_status is not None
    other = curve_of(part, graph, "bigrams")
    assert (other.primary, other.sum_status) == (False, None)


@pytest.mark.slow
def test_curves_of_all_tables_are_joined_in_order(grid, documents, tmp_path, one_part):
    for table in ("trigrams", "words"):
        fit_skill_curves(grid / "grid.csv", grid / "ladder.csv", documents, tmp_path / f"{table}.csv", table)
    join_curves([str(tmp_path / "words.csv"), str(tmp_path / "trigrams.csv")], tmp_path / "all.csv")
    rows = read_csv(tmp_path / "all.csv", SkillCurve)
    assert [row.table for row in rows] == ["words", "trigrams"]
    assert sum(row.primary for row in rows) == 1
    assert all(row.left_out is None or row.left_out > 0 for row in rows)


# n-grams


def test_exponents_and_budgets_of_every_table(documents, tmp_path):
    measure_ngrams(documents, tmp_path / "e.csv", tmp_path / "b.csv")
    rows, gaps = read_csv(tmp_path / "e.csv", TableExponent), read_csv(tmp_path / "b.csv", NgramGap)
    assert len(rows) == 4 * 7
    assert [row.table for row in rows if row.primary] == ["trigrams"]
    words = next(row for row in rows if row.table == "words" and row.rule == 1)
    assert words.g == pytest.approx(1.8, abs=0.2)
    assert words.a == pytest.approx(1 / (words.g - 1) - 1)
    first, last = gaps[0], next(row for row in gaps if row.budget == max(each.budget for each in gaps))
    assert first.budget == 0
    train, vocabulary = read_split(documents, "train", "token")
    model = NgramBudget.train(train, vocabulary)
    test = ngram_codes(read_split(documents, "test", "token")[0], 3, vocabulary)
    assert first.measured == pytest.approx(model.losses(test, 0).mean() - model.losses(test, model.types).mean())
    assert last.measured == last.constant == last.by_class == 0
    assert {row.frequencies for row in gaps} == {"training", "validation"}


def test_a_table_of_few_types_is_named_and_few_above_a_count_fail():
    with pytest.raises(DataError, match="words: a frequency table needs at least 100 types"):
        exponent_of("words", np.arange(1, 60), None)
    row = exponent_of("words", np.r_[np.ones(200), np.arange(2, 60)].astype(np.int64), 50)
    assert row.status.startswith("failed: xmin = 50")
    assert row.g is None


def test_budgets_end_with_all_types():
    assert budgets_up_to(100) == [0, 1, 4, 16, 64, 100]
    assert budgets_up_to(64) == [0, 1, 4, 16, 64]


# representations


def test_octaves_cover_every_position_once():
    assert octaves(8) == [(1, 1), (2, 2), (3, 4), (5, 8)]
    for length in (1, 2, 6, 256):
        covered = [position for first, last in octaves(length) for position in range(first, last + 1)]
        assert covered == list(range(1, length + 1))


def test_the_law_of_total_covariance_by_hand():
    rows = np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    found = by_document(rows, np.array([0, 0, 1, 1]), 2.0)
    whole = np.cov(rows.T, bias=True)
    means = np.array([[2.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert found["between"] == pytest.approx(np.trace(np.cov(means.T, bias=True)) / np.trace(whole))
    assert found["ln_det_whole"] == pytest.approx(np.log(np.linalg.det(np.eye(2) + 2 * whole)))
    assert found["residual"] < 1e-15
    assert found["expected"] == pytest.approx(1 / 3)


def dump(path: Path, rows: np.ndarray, documents: list[str]) -> Path:
    texts, n, d = rows.shape
    attributes = {"depth": 1, "params_nonembedding": 100 * d, "params_total": 200 * d}
    with write_dump(path, Texts(documents, [n] * texts, [n] * texts), attributes, {}, "float32", None, [texts]) as writer:
        states = {State(layer): rows.reshape(-1, d).astype(np.float32) for layer in (0, 1, 2)}
        writer.append(np.zeros(texts * n, dtype=np.int32), np.zeros(texts * n, dtype=np.float32), states)
    return path


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """Three widths: rows of a narrow one are the first columns of a wider one."""
    folder = tmp_path_factory.mktemp("dumps")
    draw = np.random.default_rng(0)
    names = [f"d{k // 2}" for k in range(12)]
    scale = np.r_[np.full(4, 8.0), np.full(4, 2.0), np.full(4, 0.5), np.full(4, 0.1)]
    mean = np.repeat(draw.standard_normal((6, 16)), 2, axis=0)[:, None]
    rows = scale * (draw.standard_normal((12, 32, 16)) + mean)
    paths = [dump(folder / f"m{d}/c/trained.h5", rows[..., :d], names) for d in (4, 8, 12, 16)]
    families = {f"m{d}": "f" for d in (4, 8, 12, 16)}
    family, spectra = (families, dict.fromkeys(families)), spectra_of(paths, folder)
    gains, documents = ([folder / f"{kind}/{name}/c.csv" for name in families] for kind in ("gains", "documents"))
    for path, *outputs in zip(paths, gains, documents, strict=True):
        condition_model(partial(stored, path), spectra, *outputs, *family, 32, 0.5, 0)
    join_conditional(spectra, gains, documents, *family, folder / "g.csv", folder / "v.csv")
    return folder


def test_gains_fall_with_position_and_sum_to_ln_det(conditional):
    rows = read_csv(conditional / "g.csv", ConditionalGain)
    mine = [row for row in rows if (row.model, row.layer, row.variant) == ("m4", "last", "trained")]
    assert [row.first for row in mine] == [1, 2, 3, 5, 9, 17]
    assert mine[0].value == pytest.approx(math.log(1 + 4 / (32 * 0.5)))
    assert all(a.value > b.value for a, b in pairwise(mine[1:]))
    documents = read_csv(conditional / "v.csv", DocumentVariance)
    assert max(row.chain_residual for row in documents) < 1e-12
    assert max(row.residual for row in documents) < 1e-12


def test_the_projected_donor_is_the_narrow_model_where_that_is_its_leading_part(conditional):
    """The first columns carry nearly all, so the donor's leading directions are those of the narrow model."""
    documents = read_csv(conditional / "v.csv", DocumentVariance)
    by = {(row.model, row.variant): row for row in documents if row.layer == "last"}
    assert set(by) == {(f"m{d}", "trained") for d in (4, 8, 12, 16)} | {(f"m{d}", "projected") for d in (4, 8, 12)}
    for d in (4, 8, 12):
        trained, null = by[f"m{d}", "trained"], by[f"m{d}", "projected"]
        assert null.donor == "m16"
        assert null.d == trained.d == d
        assert null.between == pytest.approx(trained.between, rel=0.05)
        assert null.ln_det_whole == pytest.approx(trained.ln_det_whole, rel=0.02)


def test_texts_of_one_document_have_no_part_between(tmp_path):
    path = dump(tmp_path / "m/c/trained.h5", np.random.default_rng(0).standard_normal((2, 8, 4)), ["a", "a"])
    outputs, spectra = (tmp_path / "gains/m/c.csv", tmp_path / "documents/m/c.csv"), spectra_of([path], tmp_path)
    with pytest.raises(DataError, match="texts of 8 tokens are of 1 documents"):
        condition_model(partial(stored, path), spectra, *outputs, {"m": "f"}, {"m": None}, 8, 0.5, 0)


# bigrams


def test_classes_of_bigrams_are_octaves_of_rank():
    draw = np.random.default_rng(0)
    parts = [draw.integers(0, 6, 400) for _ in range(3)]
    found = BigramClasses.train(parts, 6)
    codes, counts = ngram_counts(parts, 2, 6)
    order = np.lexsort((codes, -counts))
    before, token = np.divmod(codes[order], 6)
    expected = [1 + int(math.log2(rank)) for rank in range(1, codes.size + 1)]
    assert found.classes(before, token).tolist() == expected
    assert found.edges[:4] == [(0, 0), (1, 1), (2, 3), (4, 7)]
    assert found.edges[-1][1] == codes.size
    assert found.bigram.sum(axis=1) == pytest.approx(1)
    assert found.unigram.sum() == pytest.approx(1)
    assert found.mean_count(1) == counts.max()


def test_a_bigram_that_training_has_not_is_of_class_0():
    found = BigramClasses.train([np.array([0, 1, 2])], 4)
    assert found.classes([0, 1, 3], [1, 1, 3]).tolist()[1:] == [0, 0]
    with pytest.raises(DataError, match="no bigram"):
        BigramClasses.train([np.array([0])], 4)


def losses(slope: float = 1.0) -> list[BigramLoss]:
    """A bigram is learnt up to the rank (N / 10)^slope, and half of those of the class around it."""
    found = []
    for width, size in ((8, 1000), (16, 10_000), (32, 100_000)):
        for k in range(18):
            first, last = 2**k, 2 ** (k + 1) - 1
            edge = (size / 10) ** slope
            known = 1 / (1 + (math.sqrt(first * last) / edge) ** 3)
            row = {"model": f"m{width}", "width": width, "seed": 0, "params_nonembedding": size, "params_total": 2 * size}
            found.append(
                BigramLoss(
                    **row,
                    first_rank=first,
                    last_rank=last,
                    count=2.0**-k,
                    tokens=1000,
                    loss=6 - 3 * known,
                    unigram=6.0,
                    bigram=3.0,
                )
            )
    return found


def test_ranks_up_to_which_bigrams_are_learnt(tmp_path):
    write_csv(tmp_path / "b.csv", BigramLoss, losses())
    learnt_ranks(tmp_path / "b.csv", tmp_path / "q.csv")
    rows = read_csv(tmp_path / "q.csv", LearntRank)
    half = {row.width: row.rank for row in rows if row.share == 0.5}
    assert half == {8: pytest.approx(100, rel=0.1), 16: pytest.approx(1000, rel=0.1), 32: pytest.approx(10_000, rel=0.1)}
    falls = {row.width: row.rank for row in rows if row.share is None}
    assert falls[16] == pytest.approx(math.sqrt(100 * 1000), rel=0.3)
    assert falls[32] / falls[16] == pytest.approx(10, rel=0.1)
    (verdict,) = [row for row in of_quanta(rows) if row.name == "quanta-rank-0.5"]
    assert verdict.status == "theory"
    assert verdict.effect == pytest.approx(1, abs=0.05)


def test_a_rank_that_does_not_move_is_the_rivals_and_one_that_is_not_there_has_a_reason(tmp_path):
    write_csv(tmp_path / "b.csv", BigramLoss, losses(0.0))
    learnt_ranks(tmp_path / "b.csv", tmp_path / "q.csv")
    rows = read_csv(tmp_path / "q.csv", LearntRank)
    assert all(row.rank is None or row.rank < 2 for row in rows if row.share)
    assert all("no less" in row.reason for row in rows if row.share is None)
    write_csv(tmp_path / "none.csv", BigramLoss, [replace(row, tokens=5) for row in losses()])
    with pytest.raises(DataError, match="no class of bigrams has 200 test tokens"):
        learnt_ranks(tmp_path / "none.csv", tmp_path / "q.csv")


# steps and conclusions


def steps() -> list[StepRow]:
    """A ratio of 1 + 10 times the relative step."""
    common: dict[str, Any] = {"documents": 9, "model": "m"}
    found = []
    for name, sign, size in product(("chance 0", "gradient"), ("forward", "backward", "mean"), np.geomspace(1e-6, 1, 7)):
        row = {"relative": float(size), "kl": float(size**2), "quadratic": float(size**2), "ratio": 1 + 10 * float(size)}
        found.append(StepRow(**common, **row, direction=name, sign=sign, low=1.0, high=2.0, start=None, end=None))
    for start, end, ratio in ((4, 5, 1.01), (4, 14, 1.05), (4, 8, 1.3), (4, 100, 2.0), (20, 21, 0.95), (20, 40, 1.05)):
        row = {"relative": 0.1, "kl": 0.1 * ratio, "quadratic": 0.1, "ratio": ratio, "low": ratio, "high": ratio}
        found.append(StepRow(**common, **row, direction="training", sign="forward", start=start, end=end))
    return found


def test_steps_of_training_by_how_far_they_go():
    radii = [StepRadius(direction="gradient", sign="mean", relative=0.01, kl=1e-4, reached=True)]
    found = {row.name: row for row in of_steps(steps(), radii)}
    assert found["small-steps-gradient-mean"].effect == 0.01
    assert {name: found[f"small-steps-training-{name}"].status for name in ("s+1", "s+10", "2s", "end")} == {
        **{"s+1": "within", "s+10": "within", "2s": "partly", "end": "outside"}
    }


@pytest.mark.slow
def test_all_conclusions_are_drawn_from_files(grid, documents, conditional, tmp_path, one_part):
    out = tmp_path
    simulate_skills(out / "simulation.csv", GRID, 0)
    relate_exponents(grid / "grid.csv", grid / "ladder.csv", out / "relations.csv", 20, 20, 0)
    fit_skill_curves(grid / "grid.csv", grid / "ladder.csv", documents, out / "curves.csv", "trigrams")
    measure_ngrams(documents, out / "exponents.csv", out / "budgets.csv")
    write_csv(out / "bigrams.csv", BigramLoss, losses())
    learnt_ranks(out / "bigrams.csv", out / "quanta.csv")
    facts_of(out, *(cell(width) for width in (8, 12, 16)))
    write_csv(out / "steps.csv", StepRow, steps())
    write_csv(
        out / "radii.csv", StepRadius, [StepRadius(direction="gradient", sign="mean", relative=0.01, kl=1e-4, reached=True)]
    )
    names = ("simulation", "relations", "curves", "exponents", "budgets")
    files = {name: out / f"{name}.csv" for name in names}
    files |= {"gains": conditional / "g.csv", "documents": conditional / "v.csv", "quanta": out / "quanta.csv"}
    files |= {"facts": out / "facts.csv", "steps": out / "steps.csv"}
    laws = Path(__file__).parents[1] / "workflow/resources/published/laws.csv"
    conclude(**files, radii=out / "radii.csv", laws=laws, output=out / "conclusions.csv")
    rows = read_csv(out / "conclusions.csv", Conclusion)
    found = {row.name: row for row in rows}
    assert len(found) == len(rows), "names are unique"
    assert found["exponent-relation"].predicted == 0
    assert found["table-alpha"].rival == pytest.approx(0.348, abs=0.01)
    assert found["identity-chain-rule"].status == found["identity-total-covariance"].status == "holds"
    assert found["exponent-relation-sensitivity"].scope.startswith("2 combinations")
    assert all(row.question.endswith("?") for row in rows)
    figures.draw_theory(
        **files, bigrams=out / "bigrams.csv", bins=out / "bins.csv", conclusions=out / "conclusions.csv", output=out / "t.pdf"
    )
    first = (out / "t.pdf").read_bytes()
    figures.draw_theory(
        **files, bigrams=out / "bigrams.csv", bins=out / "bins.csv", conclusions=out / "conclusions.csv", output=out / "t.pdf"
    )
    assert first == (out / "t.pdf").read_bytes()
    kinds = (SimulatedGraph, ExponentRelation, SkillCurve, TableExponent, NgramGap)
    tables = [read_csv(files[name], kind) for name, kind in zip(names, kinds, strict=True)]
    page = figures.laws_figure(*tables)
    check_column(page)
    graphs, relations, _, _, budgets = page.axes
    hold = sum(all(row.inside for row in tables[0] if (row.times, row.entropies) == at) for at in product((1, 3), ENTROPIES))
    assert graphs.get_title(loc="left") == f"skill graphs: {hold} of 4 agree in all sums"
    assert len(relations.get_yticks()) == len(tables[1]) == 2
    measured = next(line for line in budgets.lines if line.get_label() == "measured")
    primary = [row for row in tables[4] if row.primary and row.budget]
    np.testing.assert_allclose(measured.get_ydata(), [row.measured for row in primary])
    check_column(figures.summary_figure(rows))


def test_representations_are_drawn_layer_by_layer(conditional):
    gains, documents = read_csv(conditional / "g.csv", ConditionalGain), read_csv(conditional / "v.csv", DocumentVariance)
    figure = figures.representations_figure(gains, documents)
    check_column(figure)
    for axis, layer in zip(figure.axes, ("last", "final"), strict=False):
        assert f"layer {layer}" in axis.get_title(loc="left")
        solid = [line for line in axis.lines if line.get_linestyle() == "-"]
        mine = [row.value for row in gains if (row.layer, row.d, row.variant) == (layer, 4, "trained")]
        np.testing.assert_allclose(solid[0].get_ydata(), mine)
        assert len([line for line in axis.lines if line.get_linestyle() == "--" and len(line.get_xdata())]) == 3
    below = next(line for line in figure.axes[-1].lines if line.get_label() == "last, trained")
    assert below.get_xdata().tolist() == [400, 800, 1200, 1600]


@pytest.mark.slow
def test_bigrams_facts_and_steps_are_drawn_where_they_belong(tmp_path):
    write_csv(tmp_path / "b.csv", BigramLoss, losses())
    learnt_ranks(tmp_path / "b.csv", tmp_path / "q.csv")
    quanta = figures.quanta_figure(losses(), read_csv(tmp_path / "q.csv", LearntRank))
    wide = next(line for line in quanta.axes[0].lines if line.get_label() == "32")
    np.testing.assert_allclose(wide.get_ydata(), [row.loss for row in losses() if row.width == 32])
    cells = [cell(width) for width in (8, 12, 16)]
    models = facts_of(tmp_path, *cells)
    facts = figures.facts_figure([row for rows in cells for row in rows], models)
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in facts.axes[0].lines if line.get_marker() == "o"]
    assert points == [(row.params_total, row.gap) for row in models]
    assert facts.axes[1].get_title(loc="left") == "gap by data, width of no model"
    assert facts.axes[2].get_ylabel() == "loss / ln 64"
    by_size, by_kl = (figure_axis.lines for figure_axis in figures.steps_figure(steps()).axes)
    for lines, values in ((by_size, "relative"), (by_kl, "kl")):
        real = next(line for line in lines if line.get_label() == "training")
        mine = [row for row in steps() if row.direction == "training"]
        np.testing.assert_allclose(real.get_xdata(), [getattr(row, values) for row in mine])
        np.testing.assert_allclose(real.get_ydata(), [abs(row.ratio - 1) for row in mine])
    for figure in (quanta, facts, figures.steps_figure(steps())):
        check_column(figure)
