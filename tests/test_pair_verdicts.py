"""The pair model of families whose truth is planted: what may confirm, what is only printed, and what is refused."""

from dataclasses import fields, replace

import numpy as np
import pytest

from geomkit.ladder.training import SHAPES
from geomkit.laws.pairs import CONFIRMATION, MARGINS, PairDesign, Verdict
from geomkit.laws.power import MOST, Precision
from geomkit.laws.resampling import Documents
from geomkit.laws.verdicts import Kind
from geomkit.studies.size_laws.pairs import Endpoints, groups_of, pair_verdicts, residuals
from geomkit.studies.size_laws.rows import LawVerdict, Models, PairVerdict, Standing, WidthResidual
from geomkit.studies.size_laws.verdicts import judge_laws
from geomkit.tables.measurements import MeasuredModel, Where
from geomkit.tables.pairs import Pairs
from geomkit.tables.rows import read_csv
from geomkit.tables.tidy import DONOR_COLUMNS, TableWriter, merge_stage

OLD = {16: 3, 24: 3, 32: 3, 48: 3, 64: 3, 96: 2, 128: 1}
SEEDS = {(width, seed) for width, number in OLD.items() for seed in range(number)}
SEEDS |= {(width, 0) for width in CONFIRMATION.widths} | {
    (width, seed) for width, new in CONFIRMATION.seeds.items() for seed in new
}
MODELS = [MeasuredModel(f"w{w}-s{s}", s, 12 * w**2 * SHAPES[w][0], 1, SHAPES[w][0], w) for w, s in sorted(SEEDS)]
PRIMARY = {"layer": "last", "length": 256, "normalise": "unit", "metrics": list(MARGINS)}
PLACES = [Where("last", "unit", 256, metric) for metric in MARGINS]
DOCUMENTS = [f"d{k}" for k in range(40)]
LOG_SIZE = np.log([model.params_nonembedding for model in MODELS])
CENTRED = LOG_SIZE - LOG_SIZE.mean()


def family(residual, seed=0, exponent=0.25, level=0.0):
    """Values (models, texts), and every donor's: its own residual is in all nulls that it makes."""
    draw = np.random.default_rng(seed)
    texts = 0.1 * draw.standard_normal(len(DOCUMENTS)) + 0.003 * draw.standard_normal((len(MODELS), len(DOCUMENTS)))
    measured = np.exp(exponent * LOG_SIZE[:, None] + level + residual[:, None] + texts)
    width = np.array([model.width for model in MODELS])
    nulls = np.exp(exponent * LOG_SIZE + residual[:, None])[:, :, None] * np.exp(texts)
    nulls[width[:, None] < width] = np.nan
    return measured, dict(enumerate(nulls))


def pairs_of(residual, rows, seed=0, **truth):
    draws = Documents.draw(DOCUMENTS, 50, np.random.default_rng(seed)).draws
    return Pairs.of(MODELS, rows, *family(residual, seed, **truth), {}, draws)


def endpoints(residual, corpora=("sotu", "wikipedia", "chitchat"), **truth):
    groups = groups_of("ladder", MODELS)
    fits = [
        {(m, where): pairs_of(residual, rows, seed, **truth) for m, rows in groups.items() for where in PLACES}
        for seed, _ in enumerate(corpora)
    ]
    return [Endpoints("ladder", corpus, of) for corpus, of in zip(corpora, fits, strict=True)]


def scattered(size: float, seed: int = 3) -> np.ndarray:
    """A residual for each width, the same for its seeds."""
    own = {width: size * np.random.default_rng([seed, width]).standard_normal() for width in SHAPES}
    return np.array([own[model.width] for model in MODELS])


@pytest.fixture(scope="module")
def beyond():
    return list(pair_verdicts(endpoints(0.03 * CENTRED + scattered(0.003)), PRIMARY, []))


def test_only_new_widths_on_the_average_of_both_corpora_confirm(beyond):
    deciding = [row for row in beyond if row.standing is Standing.CONFIRMATORY]
    assert [(row.models, row.corpus, row.metric) for row in deciding] == [
        (Models.NEW, "wikipedia + chitchat", metric) for metric in MARGINS
    ]
    assert {row.sizes for row in deciding} == {12}
    assert {row.pairs for row in deciding} == {66}
    assert all(row.p is not None for row in deciding)
    assert all(row.p is None for row in beyond if row not in deciding)


def test_a_planted_slope_is_beyond_width_and_given_back(beyond):
    for row in beyond:
        assert row.slope == pytest.approx(0.03, abs=0.004)
        assert row.level == pytest.approx(0, abs=0.004)
        if row.standing in (Standing.CONFIRMATORY, Standing.EXPLORATORY):
            assert row.verdict is Verdict.BEYOND
            assert "more than projected" in row.cause


def test_parts_of_the_test_and_pooled_estimates_have_no_verdict(beyond):
    silent = {(row.models, row.corpus) for row in beyond if row.verdict is None}
    corpora = ("sotu", "wikipedia", "chitchat", "wikipedia + chitchat")
    assert silent == {(Models.ALL, corpus) for corpus in corpora} | {(Models.NEW, corpus) for corpus in CONFIRMATION.corpora}
    pooled = [row for row in beyond if row.models is Models.ALL]
    assert {row.sizes for row in pooled} == {19}
    assert {row.standing for row in pooled} == {Standing.POOLED}
    sotu = [row for row in beyond if (row.models, row.corpus) == (Models.NEW, "sotu")]
    assert {row.standing for row in sotu} == {Standing.EXPLORATORY}


def test_confirmatory_p_values_are_adjusted_over_the_two_metrics():
    one = endpoints(scattered(0.02))
    for key in list(one[1].pairs):
        if key[1].metric == "rate_distortion_ratio":
            for of in one[1:]:
                of.pairs[key] = pairs_of(scattered(0.02, 8) + 0.004 * CENTRED, groups_of("ladder", MODELS)[key[0]])
    rows = [row for row in pair_verdicts(one, PRIMARY, []) if row.standing is Standing.CONFIRMATORY]
    plain = []
    for row in rows:
        both = [of.pairs[Models.NEW, Where("last", "unit", 256, row.metric)] for of in one[1:]]
        plain.append(both[0].averaged(both[1]).fitted.p_values(MARGINS[row.metric]).different)
    low, high = sorted(plain)
    assert low < high
    assert sorted(row.p for row in rows) == pytest.approx([min(1, 2 * low), min(1, max(2 * low, high))])


def test_width_alone_suffices():
    rows = [row for row in pair_verdicts(endpoints(scattered(0.001)), PRIMARY, []) if row.standing is Standing.CONFIRMATORY]
    assert {row.verdict for row in rows} == {Verdict.SUFFICES}
    assert all(row.share_low < 1 < row.share_high for row in rows)
    raised = list(pair_verdicts(endpoints(scattered(0.001), level=0.1), PRIMARY, []))
    assert {row.verdict for row in raised if row.standing is Standing.CONFIRMATORY} == {Verdict.ON_AVERAGE}
    assert all("level" in row.cause for row in raised if row.verdict)


def test_what_is_open_says_what_would_decide():
    rows = [row for row in pair_verdicts(endpoints(scattered(0.06)), PRIMARY, []) if row.models is Models.OLD]
    open_rows = [row for row in rows if row.verdict is Verdict.OPEN]
    assert open_rows
    assert all("sizes" in row.needed and row.needed in row.cause for row in open_rows)


def test_a_run_without_one_of_the_new_widths_confirms_nothing():
    some = [model for model in MODELS if model.width != 54]
    assert groups_of("ladder", some) == {Models.ALL: list(range(len(some)))}
    old = [model for model in MODELS if CONFIRMATION.is_old(model.width, model.seed)]
    assert len(old) == 18
    assert groups_of("ladder", old) == {Models.ALL: list(range(18))}
    assert groups_of("pythia", MODELS).keys() == {Models.ALL}
    one = Endpoints("ladder", "wikipedia", {(Models.ALL, PLACES[0]): pairs_of(scattered(0.01), range(10))})
    assert {row.standing for row in pair_verdicts([one], PRIMARY, [])} == {Standing.EXPLORATORY}


def test_a_family_too_small_says_why_instead_of_a_verdict():
    few = [row for row, model in enumerate(MODELS) if model.width in (16, 32, 64)]
    one = Endpoints("mine", "notes", {(Models.ALL, PLACES[0]): pairs_of(scattered(0.01), few)})
    (row,) = pair_verdicts([one], PRIMARY, [])
    assert row.verdict is row.slope is None
    assert "needs 5" in row.cause


def test_texts_without_a_value_are_left_out_everywhere():
    measured, donors = family(scattered(0.01))
    measured[0, 0] = np.nan
    draws = Documents.draw(DOCUMENTS, 50, np.random.default_rng(0)).draws
    rows = list(range(len(MODELS)))
    found = Pairs.of(MODELS, rows, measured, donors, {}, draws)
    expected = Pairs.of(MODELS, rows, measured[:, 1:], {k: v[:, 1:] for k, v in donors.items()}, {}, draws[1:])
    assert found.differences == pytest.approx(expected.differences)


def test_each_seed_of_the_widest_model_stands_for_its_width_among_old_ones():
    residual = scattered(0.001) + np.array([0.05 * (model.width == 128) * (model.seed - 1) for model in MODELS])
    groups = groups_of("ladder", MODELS)
    rows = list(
        residuals(
            {"family": "ladder", "published": False, "corpus": "c"},
            PLACES[0],
            MODELS,
            groups,
            lambda rows: pairs_of(residual, rows),
        )
    )
    own = {row.seed: row.from_line for row in rows if row.models is Models.OLD and row.width == 128 and row.seed is not None}
    assert own == pytest.approx({0: -0.05, 1: 0.0, 2: 0.05}, abs=0.01)
    assert all(row.seed is None for row in rows if row.width not in CONFIRMATION.seeds)
    y = [row.residual for row in rows if row.models is Models.NEW]
    assert len(y) == 12
    assert sum(y) == pytest.approx(0, abs=1e-9)


def test_version_1_stands_beside_with_the_reason_why_they_differ():
    blank = dict.fromkeys(one.name for one in fields(LawVerdict))
    before = LawVerdict(**blank | {"family": "ladder", "corpus": "wikipedia", **PLACES[0].columns, "verdict": Kind.RESCALED})
    rows = list(pair_verdicts(endpoints(0.03 * CENTRED), PRIMARY, [before]))
    (beside,) = [row for row in rows if row.version_1]
    assert (beside.models, beside.corpus, beside.metric) == (Models.OLD, "wikipedia", PLACES[0].metric)
    assert "bracket" in beside.why_versions_differ


COMPONENTS = Precision(sizes=7, seeds=2.0, size=0.02, seed=0.02, documents=0.0005, span=5.5)


def test_the_error_of_a_slope_is_that_of_least_squares_on_even_sizes():
    x = np.linspace(0, 5.5, 7)
    scatter = np.sqrt((0.02**2 + 0.02**2 / 2) / ((x - x.mean()) ** 2).sum())
    assert COMPONENTS.error == pytest.approx(np.hypot(scatter, 0.0005))


def test_the_expected_error_is_the_mean_of_jackknives():
    design = PairDesign.complete(np.linspace(8, 13.5, 7))
    draw, scatter = np.random.default_rng(5), np.hypot(0.02, 0.02 / np.sqrt(2))
    fits = [design.fit((y := scatter * draw.standard_normal(7))[design.target] - y[design.donor]) for _ in range(2000)]
    expected = replace(COMPONENTS, documents=0.0).expected_error
    assert np.sqrt(np.mean([found.slope.error**2 for found in fits])) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("slope", [0.0, 0.04])
def test_so_many_sizes_as_are_planned_decide_in_four_of_five_simulated_families(slope):
    margins, draw = MARGINS["erank_covariance"], np.random.default_rng(4)
    sizes = COMPONENTS.needed(margins.slope).sizes
    assert not replace(COMPONENTS, sizes=sizes - 1).decides(margins.slope)
    design = PairDesign.complete(np.linspace(8, 13.5, sizes))
    decided = []
    for _ in range(400):
        y = slope * design.log_size + np.hypot(0.02, 0.02 / np.sqrt(2)) * draw.standard_normal(sizes)
        found = design.fit(y[design.target] - y[design.donor])
        decided.append(found.verdict(margins) in ((Verdict.BEYOND,) if slope else (Verdict.SUFFICES, Verdict.ON_AVERAGE)))
    assert np.mean(decided) > 0.75
    assert slope or np.mean(decided) < 0.95


def test_what_no_number_of_seeds_removes_is_not_planned_with_seeds():
    assert replace(COMPONENTS, size=0.2).needed(0.02).seeds is None
    assert replace(COMPONENTS, documents=1.0).needed(0.02) == (None, None, None)
    assert replace(COMPONENTS, documents=0.02, size=0.0, seed=0.0).needed(0.02).documents > 1
    assert "no number of sizes, seeds or documents" in str(replace(COMPONENTS, documents=1.0).needed(0.02))
    assert replace(COMPONENTS, size=0.0, seed=0.0, documents=0.0).needed(0.02).sizes == 4 < MOST


def write_tables(folder, corpus, residual, seed):
    """The tables of one corpus, as the workflow writes them: every model itself, and every donor on every narrower width."""
    measured, donors = family(residual, seed)
    shared = {
        "family": "ladder",
        "normalise": "unit",
        "n": 256,
        "eps2": None,
        "text": np.arange(len(DOCUMENTS)),
        "document": DOCUMENTS,
    }
    table, nulls = TableWriter(corpus=corpus), TableWriter(DONOR_COLUMNS, corpus=corpus)
    for row, model in enumerate(MODELS):
        facts = {"params_nonembedding": model.params_nonembedding, "params_total": 1, "depth": model.depth, "seed": model.seed}
        place = shared | {"layer": model.depth, "sublayer": "block", "depth": model.depth}
        for metric in MARGINS:
            table.add(
                **place,
                **{k: v for k, v in facts.items() if k != "depth"},
                variant="trained",
                model=model.name,
                d=model.width,
                metric=metric,
                value=measured[row],
            )
            for width in sorted({one.width for one in MODELS if one.width <= model.width}):
                at = next(k for k, one in enumerate(MODELS) if one.width == width)
                nulls.add(**place, variant="projected", donor=model.name, d=width, metric=metric, value=donors[row][at])
    table.write(folder / f"{corpus}-entropy.parquet", {})
    nulls.write(folder / f"{corpus}.parquet", {})


def test_a_run_with_all_widths_writes_exploratory_confirmatory_and_pooled_rows_of_its_tables(tmp_path):
    corpora = ("sotu", *CONFIRMATION.corpora)
    for seed, corpus in enumerate(corpora):
        write_tables(tmp_path, corpus, 0.03 * CENTRED + scattered(0.003), seed)
    merge_stage(
        [tmp_path / f"{corpus}-entropy.parquet" for corpus in corpora], tmp_path / "entropy.parquet", tmp_path / "absent.csv"
    )
    names = ("pairs", "residuals", "verdicts", "differences")
    files = {name: tmp_path / f"{name}.csv" for name in names}
    judge_laws(
        tmp_path / "entropy.parquet",
        [tmp_path / f"{corpus}.parquet" for corpus in corpora],
        **files,
        primary=PRIMARY,
        resamples=20,
        seed=0,
    )
    rows = read_csv(files["pairs"], PairVerdict)
    deciding = [row for row in rows if row.standing is Standing.CONFIRMATORY]
    assert [(row.corpus, row.sizes, row.pairs, row.verdict) for row in deciding] == [
        ("wikipedia + chitchat", 12, 66, Verdict.BEYOND)
    ] * 2
    assert {row.sizes for row in rows if row.models is Models.OLD} == {7}
    assert {row.sizes for row in rows if row.standing is Standing.POOLED} == {19}
    assert all(row.slope == pytest.approx(0.03, abs=0.004) for row in rows)
    old = [row for row in rows if row.models is Models.OLD and " + " not in row.corpus]
    assert all(row.version_1 for row in old)
    assert not any(row.version_1 for row in rows if row not in old)
    before = read_csv(files["verdicts"], LawVerdict)
    assert {row.sizes for row in before} == {6}, "version 1 judges the old models alone, without the donor's size"
    new = [row for row in read_csv(files["residuals"], WidthResidual) if row.seed is not None]
    assert {(row.width, row.seed) for row in new} == {(96, 0), (96, 1), (96, 2), (128, 0), (128, 1), (128, 2)}
