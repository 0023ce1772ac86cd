"""Results of a whole run: tables, resamples, laws and dumps."""

import csv
import json
from itertools import product
from math import isclose, log

import pyarrow.parquet as pq
from runs import (
    DRAWN,
    JOBS,
    LENGTHS,
    LONG,
    METRICS,
    MODELS,
    MODES,
    OF_FAMILY,
    PRIMARY,
    RESAMPLES,
    RUN,
    TEXTS,
    UPSTREAM,
    upstream,
)

from geomkit.measures.entropy import metrics


def test_a_run_has_one_job_for_each_model_and_stage(done):
    assert upstream(done) == UPSTREAM
    assert all(count == JOBS.get(rule, 1) for rule, count in done.jobs.items())
    assert "Traceback" not in done.terminal


def test_the_table_has_every_metric_of_every_cloud_and_nothing_else(table):
    names = ("variant", "layer", "sublayer", "normalise", "metric", "n", "text")
    clouds = [*product(LENGTHS, range(TEXTS)), (TEXTS * LENGTHS[-1], -1)]
    measured = [*product(METRICS, clouds), *product(LONG, (cloud for cloud in clouds if cloud[0] > LENGTHS[0]))]
    for model, (_, depth) in MODELS.items():
        places = [*product([*RUN, *DRAWN], range(depth + 2)), *product(OF_FAMILY, (0, depth, depth + 1))]
        wanted = {(*place, "block", mode, name, *cloud) for place, mode, (name, cloud) in product(places, MODES, measured)}
        rows = [row for row in table if row["model"] == model and row["normalise"] is not None]
        assert {tuple(row[name] for name in names) for row in rows} == wanted
        assert len(rows) == len(wanted)


def test_columns_say_what_was_measured(table):
    assert list(table[0]) == [
        *("model", "family", "seed", "params_nonembedding", "params_total", "depth", "corpus", "variant", "text", "document"),
        *("layer", "sublayer", "rows", "normalise", "metric", "value", "bound", "n", "d", "eps2"),
    ]
    assert {(row["family"], row["seed"], row["corpus"]) for row in table} == {("ladder", 0, "small")}
    assert all((row["document"] is None) == (row["text"] == -1) for row in table)
    for model, (width, depth) in MODELS.items():
        mine = [row for row in table if row["model"] == model]
        blocks = depth * (12 * width**2 + 13 * width) + 2 * width
        assert {row["d"] for row in mine if row["layer"] is not None} == {width}
        assert {row["depth"] for row in mine} == {depth}
        assert {row["params_nonembedding"] for row in mine} == {blocks}
        assert {row["params_total"] for row in mine} == {blocks + 2 * 2048 * width}


def test_every_value_is_within_its_bound(table):
    bounded = [row for row in table if row["bound"] is not None]
    assert {row["metric"] for row in bounded} >= set(PRIMARY)
    assert all(-1e-9 <= row["value"] <= row["bound"] * (1 + 1e-9) for row in bounded)


def test_losses_are_those_of_the_variants_that_a_model_ran_on(table):
    losses = [row for row in table if row["normalise"] is None]
    found = [(row["model"], row["variant"], row["metric"], row["text"]) for row in losses]
    assert sorted(found) == sorted(product(MODELS, RUN, ["loss", "loss_per_byte"], range(-1, TEXTS)))
    scored = LENGTHS[-1] - 1
    assert {(row["text"] == -1, row["n"]) for row in losses} == {(False, scored), (True, TEXTS * scored)}
    for model in MODELS:
        mine = {(row["variant"], row["text"]): row["value"] for row in losses if (row["model"], row["metric"]) == (model, "loss")}
        for variant in RUN:
            assert isclose(mine[variant, -1], sum(mine[variant, text] for text in range(TEXTS)) / TEXTS, rel_tol=1e-12)
        assert isclose(mine["untrained-0", -1], log(2048), rel_tol=0.05)
        assert mine["trained", -1] < mine["untrained-0", -1]


def test_what_is_absent_is_listed_with_its_reason(case, done):
    with (case.folder / "results/entropy_absent.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = [f"{name}, {variant}, {mode}, n = 8" for name, variant, mode in product(LONG, [*RUN, *DRAWN], MODES)]
    nulls = product(LONG, OF_FAMILY, MODELS, MODES)
    listed = [
        *product(MODELS, names),
        *(("nulls", f"{name}, {null} of {model}, {mode}, n = 8") for name, null, model, mode in nulls),
    ]
    assert sorted((row["model"], row["corpus"], row["absent"]) for row in rows) == sorted(
        (model, "small", what) for model, what in listed
    )
    few = ("fewer than 8 eigenvalues between 5 % and 50 % of m = {m}", "m = {m} is fewer than 10 directions")
    assert {row["reason"] for row in rows} == {why.format(m=m) for why, m in product(few, (7, 8))}


def test_two_sizes_give_figures_but_no_law(case, done):
    results = case.folder / "results"
    fits = [fit for fit in json.loads((results / "scaling/fits.json").read_text()) if fit["form"] == "power"]
    assert {(fit["family"], fit["corpus"], fit["metric"]) for fit in fits} == set(
        product(["ladder"], ["small"], ["erank_covariance", "rate_distortion_ratio", "loss"])
    )
    assert all("2 sizes" in fit["reason"] and not fit["params"] for fit in fits)
    for figure in ("entropy_layers.pdf", "scaling_plot.pdf", "nulls_plot.pdf", "losses_plot.pdf", "data_plot.pdf"):
        assert (results / figure).read_bytes().startswith(b"%PDF")


def test_projections_and_texts_have_a_file_for_each_corpus_and_curves_of_points_a_row(case, done):
    results = case.folder / "results"
    assert (results / "texts/ladder/small.h5").is_file()
    assert pq.read_table(results / "projections/small.parquet").num_rows > 0
    for table in ("points", "scaling/null_slopes"):
        with (results / f"{table}.csv").open(newline="") as stream:
            assert next(csv.reader(stream)), table


def test_two_sizes_leave_every_law_untested_with_a_reason(case, done):
    with (case.folder / "results/scaling/verdicts.csv").open(newline="") as stream:
        verdicts = list(csv.DictReader(stream))
    assert verdicts
    assert {row["verdict"] for row in verdicts} <= {"untested", "failed"}
    assert all(row["reason"] for row in verdicts)


def test_the_corpus_is_resampled_for_every_variant_and_diff_erank_has_a_row_for_each_model_and_length(case, done):
    results = case.folder / "results"
    resamples = pq.read_table(results / "resamples/small.parquet").to_pylist()
    places = product(MODELS, [*RUN, *OF_FAMILY, *DRAWN], ("last", "final"), MODES, list(metrics))
    found = [tuple(row[name] for name in ("model", "variant", "layer", "normalise", "metric")) for row in resamples]
    assert sorted(found) == sorted(places)
    assert {len(row["values"]) for row in resamples} == {RESAMPLES}
    with (results / "scaling/diff_erank.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["variant"] == "measured"]
    assert [(row["model"], row["length"]) for row in rows] == [(model, n) for n in ("8", "32", "") for model in MODELS]
    assert all(float(row["low"]) < float(row["value"]) < float(row["high"]) for row in rows)


def test_dumps_of_trained_models_are_kept_and_those_of_nulls_are_not(case, done):
    dumps = case.folder / "results/dumps"
    assert sorted(dumps.rglob("*.*")) == [dumps / model / "small/trained.h5" for model in MODELS]
