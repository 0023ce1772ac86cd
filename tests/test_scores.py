"""Metrics beside scores of lm-evaluation-harness: files as version 0.4 writes them, joined by the names of models."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawings import check_column

import geomkit
from geomkit.core.errors import ConfigError, DataError
from geomkit.laws.rank_correlation import rank_correlation
from geomkit.studies.scores.figure import pages
from geomkit.studies.scores.rows import ModelScore
from geomkit.tables.rows import read_csv

SIZES = ("70m", "160m", "410m", "1b", "1.4b")
RANK = dict(zip(SIZES, (3.0, 5.0, 4.0, 7.0, 9.0), strict=True))
ACCURACY = dict(zip(SIZES, (0.37, 0.44, 0.52, 0.49, 0.61), strict=True))


def write_results(file: Path, model_args: Any, accuracy: float = 0.5, **changed: Any) -> Path:
    """A file of results of one model, with a task, a group of two tasks and a perplexity."""
    results = {
        "arc_easy": {
            "alias": "arc_easy", "acc,none": accuracy, "acc_stderr,none": 0.01,
            "acc_norm,none": 0.4, "acc_norm_stderr,none": "N/A",
        },
        "gsm8k": {"alias": "gsm8k", "exact_match,strict-match": 0.02, "exact_match_stderr,strict-match": 0.004},
        "mmlu": {"acc,none": 0.25, "acc_stderr,none": 0.003, "alias": "mmlu"},
        "mmlu_law": {"alias": " - law", "acc,none": 0.2, "acc_stderr,none": 0.1},
        "wikitext": {"alias": "wikitext", "word_perplexity,none": 60 - 50 * accuracy, "word_perplexity_stderr,none": "N/A"},
    }  # fmt: skip
    tasks = list(results)
    data = {
        "results": results,
        "groups": {"mmlu": results["mmlu"]},
        "group_subtasks": {"mmlu": ["mmlu_law"], "arc_easy": [], "gsm8k": [], "wikitext": []},
        "versions": dict.fromkeys(tasks, 1.0),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {"arc_easy": {"acc": True, "acc_norm": True}, "wikitext": {"word_perplexity": False}},
        "config": {"model": "hf", "model_args": model_args, "model_revision": "main", "limit": None},
        "model_source": "hf",
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(data | changed))
    return file


@pytest.fixture
def harness(tmp_path: Path) -> Path:
    """The folder that the harness fills for five models."""
    for size in SIZES:
        file = tmp_path / f"out/EleutherAI__pythia-{size}/results_2026-01-01T00-00-00.json"
        write_results(file, f"pretrained=EleutherAI/pythia-{size},dtype=float32", ACCURACY[size])
    return tmp_path / "out"


def metrics(*metrics: str) -> list[dict[str, Any]]:
    names = metrics or ("erank_covariance",)
    return [{"model": f"pythia-{size}", "metric": name, "value": RANK[size]} for name in names for size in SIZES]


def test_each_model_has_its_metric_beside_each_of_its_scores(harness):
    joined = geomkit.join_lm_eval(metrics(), harness)
    rows = {(row.model, row.task, row.score_metric): row for row in joined.rows}
    assert len(rows) == len(joined.rows) == 5 * 5
    for size in SIZES:
        row = rows[f"pythia-{size}", "arc_easy", "acc"]
        assert (row.metric, row.value, row.score, row.stderr) == ("erank_covariance", RANK[size], ACCURACY[size], 0.01)
        assert row.higher_is_better is True
    other = rows["pythia-70m", "wikitext", "word_perplexity"]
    assert (other.stderr, other.higher_is_better) == (None, False)
    assert rows["pythia-1b", "gsm8k", "exact_match,strict-match"].stderr == 0.004
    assert joined.left_out == []


def test_a_group_with_a_score_stands_for_its_tasks_and_one_without_does_not(tmp_path):
    file = write_results(tmp_path / "results.json", "pretrained=pythia-70m")
    assert {row.task for row in geomkit.join_lm_eval(metrics(), file).rows} == {"arc_easy", "gsm8k", "mmlu", "wikitext"}
    data = json.loads(file.read_text())
    data["results"]["mmlu"] = {"alias": "mmlu"}
    file.write_text(json.dumps(data))
    assert {row.task for row in geomkit.join_lm_eval(metrics(), file).rows} == {"arc_easy", "gsm8k", "mmlu_law", "wikitext"}


def test_correlations_are_those_of_ranks_over_models_and_are_adjusted_for_their_number(harness):
    joined = geomkit.join_lm_eval(metrics(), harness, tasks=["arc_easy", "wikitext"])
    found = {(row.task, row.score_metric): row for row in joined.correlations}
    expected = rank_correlation(list(RANK.values()), list(ACCURACY.values()))
    row = found["arc_easy", "acc"]
    assert (row.value, row.low, row.high, row.p, row.models) == tuple(expected)
    assert row.p_adjusted == pytest.approx(min(1, 2 * expected.p))
    assert found["wikitext", "word_perplexity"].value == pytest.approx(-expected.value)
    assert row.reason == ""
    alike = found["arc_easy", "acc_norm"]
    assert alike.value is None
    assert "vary" in alike.reason
    assert "Spearman 0.70 [" in repr(joined)
    assert "over 5 models, fewer than 10, which say little" in repr(joined)


def test_fewer_than_four_models_have_rows_and_no_correlation(harness):
    joined = geomkit.join_lm_eval(metrics()[:3], harness, tasks=["arc_easy"])
    assert len(joined.rows) == 3 * 2
    with pytest.raises(DataError, match=r"3 models have metrics and scores \(pythia-70m, .*takes 4 or more"):
        joined.correlations  # noqa: B018
    assert "takes 4 or more" in repr(joined)
    assert "results_2026-01-01T00-00-00.json: EleutherAI/pythia-1b is not in the table" in repr(joined)


def test_models_that_are_measured_and_not_scored_are_listed(harness):
    extra = {"model": "other", "metric": "erank_covariance", "value": 1.0}
    assert geomkit.join_lm_eval([*metrics(), extra], harness).left_out == [f"other: no scores in {harness}"]


@pytest.mark.parametrize(
    ("model_args", "changed", "name"),
    [
        ("pretrained=EleutherAI/pythia-70m", {}, "EleutherAI/pythia-70m"),
        ("dtype=float32, pretrained=EleutherAI/pythia-70m", {}, "EleutherAI__pythia-70m"),
        ("pretrained=EleutherAI/pythia-70m,revision=main", {}, "pythia-70m"),
        ("pretrained=EleutherAI/pythia-70m,revision=step512", {}, "pythia-70m-step512"),
        (
            {"pretrained": "EleutherAI/pythia-70m", "revision": "step512", "parallelize": None},
            {},
            "EleutherAI/pythia-70m@step512",
        ),
        ("pretrained=/data/checkpoints/run-s0-step100/", {}, "run-s0-step100"),
        ("pretrained=EleutherAI/pythia-70m,peft=me/adapter", {}, "adapter"),
        ("", {"model_name": "EleutherAI/pythia-70m"}, "pythia-70m"),
        ("", {"config": {"model_name": "EleutherAI/pythia-70m", "model_revision": "step512"}}, "pythia-70m@step512"),
    ],
)
def test_a_model_is_known_by_its_name_on_the_hub_its_folder_and_its_revision(tmp_path, model_args, changed, name):
    file = write_results(tmp_path / "results.json", model_args, **changed)
    table = [{"model": model, "metric": "erank_covariance", "value": 1.0} for model in (name, "another")]
    assert {row.model for row in geomkit.join_lm_eval(table, file).rows} == {name}


def test_another_revision_is_another_model(tmp_path):
    file = write_results(tmp_path / "results.json", "pretrained=EleutherAI/pythia-70m,revision=step512")
    with pytest.raises(
        DataError, match=rf"{file}: the results are of EleutherAI/pythia-70m@step512 \({file}\); the table has pythia-70m,"
    ):
        geomkit.join_lm_eval(metrics(), file)
    said = {"EleutherAI/pythia-70m@step512": "pythia-70m"}
    assert {row.model for row in geomkit.join_lm_eval(metrics(), file, names=said).rows} == {"pythia-70m"}
    with pytest.raises(DataError, match=r"names\['EleutherAI/pythia-70m@step512'\]: 'small' is not in the table"):
        geomkit.join_lm_eval(metrics(), file, names={"EleutherAI/pythia-70m@step512": "small"})
    with pytest.raises(DataError, match=r"names\['pythia'\]: the results are of EleutherAI/pythia-70m@step512"):
        geomkit.join_lm_eval(metrics(), file, names=said | {"pythia": "pythia-70m"})


def test_scores_that_are_stated_twice_or_were_not_measured_alike_are_refused_with_both_files(harness):
    again = write_results(harness / "again/results_2026-02-01.json", "pretrained=EleutherAI/pythia-70m")
    with pytest.raises(DataError, match=r"results_2026-0.*json: acc of arc_easy of EleutherAI/pythia-70m is in .*json, too"):
        geomkit.join_lm_eval(metrics(), harness)
    write_results(again, "pretrained=someone/pythia-70m")
    with pytest.raises(DataError, match=r"json: .*/pythia-70m would be pythia-70m, as .*/pythia-70m in .*json is"):
        geomkit.join_lm_eval(metrics(), harness)
    write_results(again, "pretrained=someone/else", **{"n-shot": {"arc_easy": 5}})
    table = [*metrics(), {"model": "else", "metric": "erank_covariance", "value": 1.0}]
    with pytest.raises(
        DataError, match=r"arc_easy was not run alike: examples in the prompt: [05] in .*json, and [05] in .*json"
    ):
        geomkit.join_lm_eval(table, harness)
    write_results(again, "pretrained=someone/else", config={"model_args": "pretrained=someone/else", "limit": 10})
    with pytest.raises(DataError, match="was not run alike: limit: "):
        geomkit.join_lm_eval(table, harness)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "no mapping `results` of tasks"),
        (json.dumps({"results": {"arc": 0.5}}), "no mapping `results` of tasks"),
        (json.dumps({"results": {"arc": {"acc": 0.3, "acc_stderr": 0.1}}}), "no score such as `acc,none`"),
        (json.dumps({"results": {"arc": {"acc,none": 0.3}}}), "names no model"),
    ],
)
def test_a_file_that_holds_no_results_is_named(tmp_path, content, message):
    (tmp_path / "results_1.json").write_text(content)
    with pytest.raises(DataError, match=f"results_1.json: {message}"):
        geomkit.join_lm_eval(metrics(), tmp_path)


def test_what_is_not_there_is_named(tmp_path, harness):
    with pytest.raises(DataError, match=r"nowhere\.json: no such file or folder"):
        geomkit.join_lm_eval(metrics(), tmp_path / "nowhere.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no results\*.json"):
        geomkit.join_lm_eval(metrics(), tmp_path / "empty")
    with pytest.raises(DataError, match="no task among hellaswag; there are arc_easy, gsm8k, mmlu, wikitext"):
        geomkit.join_lm_eval(metrics(), harness, tasks=["hellaswag"])


PLACES = [
    {"layer": layer, "depth": 2, "variant": variant, "normalise": normalise, "documents": 9}
    for layer in (1, 2, 3) for variant in ("trained", "shuffled") for normalise in ("unit", None)
]  # fmt: skip


def placed() -> list[dict[str, Any]]:
    return [row | where | {"value": row["value"] + 100 * number} for row in metrics() for number, where in enumerate(PLACES)]


@pytest.mark.parametrize("kind", ["rows", "arrow", "pandas", "csv", "parquet", "list"])
def test_one_place_of_a_table_is_chosen_by_its_columns_whatever_it_is_kept_in(tmp_path, harness, kind):
    table: Any = pa.Table.from_pylist(placed())
    if kind == "pandas":
        table = table.to_pandas()
    elif kind == "csv":
        table = tmp_path / "points.csv"
        pa.Table.from_pylist(placed()).to_pandas().to_csv(table, index=False)
    elif kind == "parquet":
        table = tmp_path / "points.parquet"
        pq.write_table(pa.Table.from_pylist(placed()), table)
    elif kind == "list":
        table = [table.slice(0, 13), table.slice(13)]
    elif kind == "rows":
        table = placed()
    last = PLACES.index({"layer": 2, "depth": 2, "variant": "trained", "normalise": "unit", "documents": 9})
    for layer in ("last", 2):
        joined = geomkit.join_lm_eval(table, harness, layer=layer, normalise="unit", metric=["erank_covariance"])
        assert {row.model: row.value for row in joined.rows} == {f"pythia-{size}": RANK[size] + 100 * last for size in SIZES}


def test_a_table_with_several_values_or_none_says_what_to_choose_by(harness):
    with pytest.raises(
        DataError,
        match=r"table: erank_covariance of pythia-70m has 6 values; choose by layer \(1, 2, 3\), normalise \(unit, None\)$",
    ):
        geomkit.join_lm_eval(placed(), harness)
    with pytest.raises(DataError, match="no value where variant is trained, layer is 7"):
        geomkit.join_lm_eval(placed(), harness, layer=7)
    with pytest.raises(DataError, match="no column 'depht'; there are model, metric, value, layer"):
        geomkit.join_lm_eval(placed(), harness, depht=2)
    with pytest.raises(DataError, match="erank_covariance of pythia-70m: the value 'high' is no number"):
        geomkit.join_lm_eval([metrics()[0] | {"value": "high"}], harness)
    with pytest.raises(DataError, match="no value where"):
        geomkit.join_lm_eval([metrics()[0] | {"value": None}], harness, metric="erank_covariance")


def test_in_portraits_depth_is_relative_and_says_which_block_is_the_last(harness):
    places = [{"section": "depth", "layer": layer, "depth": layer / 2, "n": n} for layer in (0, 1, 2) for n in (16, 64)]
    portraits = [
        pa.Table.from_pylist([row | place | {"value": row["value"] + place["layer"] + place["n"]} for place in places])
        for row in metrics()
    ]
    joined = geomkit.join_lm_eval(portraits, harness, section="depth", depth=1, n=64)
    assert {row.model: row.value for row in joined.rows} == {f"pythia-{size}": RANK[size] + 66 for size in SIZES}
    with pytest.raises(DataError, match="no value where layer is last"):
        geomkit.join_lm_eval(portraits, harness, layer="last")
    with pytest.raises(DataError, match=r"has 6 values; choose by layer \(0, 1, 2\), depth \(0.0, 0.5, 1.0\), n \(16, 64\)$"):
        geomkit.join_lm_eval(portraits, harness)


@pytest.mark.slow
def test_what_is_joined_is_saved_as_a_table_and_a_figure(tmp_path, harness):
    joined = geomkit.join_lm_eval(metrics(), harness)
    assert read_csv(joined.save(tmp_path / "scores.csv"), ModelScore) == joined.rows
    first, again = joined.save(tmp_path / "scores.pdf").read_bytes(), joined.save(tmp_path / "again.pdf").read_bytes()
    assert first == again
    assert first.startswith(b"%PDF")
    with pytest.raises(ConfigError, match=r"scores\.png: metrics beside scores are saved as \.csv or \.pdf"):
        joined.save(tmp_path / "scores.png")


@pytest.mark.slow
def test_every_panel_shows_its_own_models_and_correlation(harness):
    joined = geomkit.join_lm_eval(metrics("erank_covariance", "loss"), harness)
    figures = list(pages(joined))
    assert len(figures) == 2
    for figure in figures:
        check_column(figure)
    axes = [axis for figure in figures for axis in figure.axes if axis.get_visible()]
    for axis, row in zip(axes, joined.correlations, strict=True):
        own = [one for one in joined.rows if (one.metric, one.task, one.score_metric) == (row.metric, row.task, row.score_metric)]
        np.testing.assert_allclose(axis.lines[0].get_xydata(), [(one.value, one.score) for one in own])
        title = axis.get_title(loc="left")
        assert title.startswith(row.task)
        expected = "5 models (few)\nno correlation" if row.value is None else f"ρ = {row.value:.2f} [".replace("-", "−")
        assert expected in title
        assert ("lower is better" in axis.get_ylabel()) == (row.task == "wikitext")


def test_pages_of_fewer_than_four_models_say_so(harness):
    (figure,) = pages(geomkit.join_lm_eval(metrics()[:3], harness, tasks=["arc_easy"]))
    assert all("3 models (few)\nno correlation" in axis.get_title(loc="left") for axis in figure.axes)
