"""Tables against plain Python: what is written, what a merge is, and the means that laws are fitted to."""

import itertools
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geomkit.core.errors import DataError
from geomkit.laws.resampling import Documents
from geomkit.measures.entropy import measure
from geomkit.measures.spectra import Spectrum
from geomkit.states.texts import Texts
from geomkit.studies.entropy.analyse import add_loss
from geomkit.studies.entropy.figure_means import collect_points, point
from geomkit.studies.size_laws.rows import Point
from geomkit.tables.measurements import by_cell, corpus_losses, text_means
from geomkit.tables.rows import read_csv
from geomkit.tables.tidy import COLUMNS, TableWriter, check_seeds, merge, read_absent

SIZES = {"small": (100, 180), "large": (900, 1100), "middle": (300, 420)}
"""Parameters of each model, without embeddings and in total."""
DEPTH = {"small": 1, "large": 3, "middle": 2}
METRICS = ("erank", "ratio")


def rows(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()


def value(*labels: object) -> float:
    """A number that differs wherever the labels do."""
    return float(np.random.default_rng([ord(letter) for letter in repr(labels)]).random())


def write(path: Path, model: str, corpus: str, **absent: str) -> Path:
    """A table as entropy.py writes it: each text at two lengths, the corpus, and losses."""
    body, total = SIZES[model]
    table = TableWriter(
        model=model, family="tiny", seed=0, corpus=corpus, params_nonembedding=body, params_total=total, depth=DEPTH[model]
    )
    for variant, layer, mode, metric in itertools.product(
        ("trained", "untrained-0"), range(DEPTH[model] + 2), ("unit", "raw"), METRICS
    ):
        where = {"variant": variant, "layer": layer, "normalise": mode, "metric": metric, "d": 8}
        for n, texts in ((16, [0, 1, 2]), (64, [0, 2])):
            found = np.array([value(model, corpus, *where.values(), n, text) for text in texts])
            if (n, metric) == (16, "erank"):
                found[1] = np.nan
            for sublayer in ("block", "mlp") if 0 < layer <= DEPTH[model] else ("block",):
                table.add(
                    **where,
                    sublayer=sublayer,
                    text=np.array(texts),
                    document=[f"d{text // 2}" for text in texts],
                    n=n,
                    value=found + (sublayer == "mlp"),
                    bound=float(n) if metric == "erank" else None,
                )
        table.add(**where, sublayer="block", text=-1, n=200, value=np.array([value(*where.values())]), bound=1.0)
    for variant in ("trained", "untrained-0"):
        loss = {"variant": variant, "metric": "loss"}
        table.add(
            **loss, text=np.arange(3), document=["d0", "d0", "d1"], n=np.array([63, 63, 15]), value=np.array([1.0, 2.0, 3.0])
        )
        table.add(**loss, text=-1, n=141, value=value("loss", model, corpus, variant))
    table.write(path, absent)
    return path


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("entropy")
    return [
        write(folder / model / f"{corpus}.parquet", model, corpus, **absent)
        for model, corpus, absent in (
            ("small", "sotu", {"n = 256": "short texts", "sublayer": "mamba"}),
            ("large", "sotu", {}),
            ("large", "lee", {"n = 64": "shorter texts"}),
            ("middle", "sotu", {}),
        )
    ]


@pytest.fixture(scope="module")
def merged(parts: list[Path]) -> Path:
    merge(parts, parts[0].parents[1] / "entropy.parquet")
    return parts[0].parents[1] / "entropy.parquet"


# writing


def test_columns_are_the_same_everywhere(parts, merged, tmp_path):
    TableWriter().write(tmp_path / "empty.parquet", {})
    for path in (*parts, merged, tmp_path / "empty.parquet"):
        assert pq.read_schema(path).remove_metadata() == COLUMNS


def test_one_value_is_spread_and_arrays_are_taken_row_by_row(tmp_path):
    table = TableWriter(model="m", seed=3)
    table.add(
        metric="loss", text=np.array([4, 5]), document=["a", "b"], value=np.array([0.5, 1.5]), bound=np.array([1.0, 2.0]), n=7
    )
    table.add(metric="loss", text=-1, value=2.5)
    table.write(tmp_path / "t.parquet", {})
    shared = dict.fromkeys(COLUMNS.names) | {"model": "m", "seed": 3, "metric": "loss"}
    assert rows(tmp_path / "t.parquet") == [
        shared | {"text": 4, "document": "a", "value": 0.5, "bound": 1.0, "n": 7},
        shared | {"text": 5, "document": "b", "value": 1.5, "bound": 2.0, "n": 7},
        shared | {"text": -1, "value": 2.5},
    ]


def test_a_blocks_column_goes_before_the_tables(tmp_path):
    table = TableWriter(model="m", seed=3)
    table.add(seed=5, value=1.0)
    table.write(tmp_path / "t.parquet", {})
    assert [row["seed"] for row in rows(tmp_path / "t.parquet")] == [5]


def test_rows_without_a_value_are_left_out(tmp_path):
    table = TableWriter()
    table.add(text=np.arange(4), document=list("abcd"), value=np.array([1.0, np.nan, 3.0, np.nan]))
    table.add(text=9, value=np.nan)
    table.add(text=10, value=np.array([]))
    table.write(tmp_path / "t.parquet", {})
    assert [(row["text"], row["document"], row["value"]) for row in rows(tmp_path / "t.parquet")] == [
        (0, "a", 1.0),
        (2, "c", 3.0),
    ]


def test_infinity_is_a_value(tmp_path):
    table = TableWriter()
    table.add(value=np.array([np.inf, -np.inf]))
    table.write(tmp_path / "t.parquet", {})
    assert [row["value"] for row in rows(tmp_path / "t.parquet")] == [np.inf, -np.inf]


def test_a_column_that_tables_do_not_have_is_refused():
    with pytest.raises(DataError, match="no column 'metrics'; there are model, family, "):
        TableWriter(model="m").add(metrics="loss", value=1.0)


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="length"):
        TableWriter().add(text=np.arange(3), value=np.array([1.0, 2.0]))


def test_written_twice_it_has_the_same_bytes(parts, merged, tmp_path):
    again = write(tmp_path / "again.parquet", "small", "sotu", **{"n = 256": "short texts", "sublayer": "mamba"})
    assert again.read_bytes() == parts[0].read_bytes()
    merge(parts, tmp_path / "merged.parquet")
    assert (tmp_path / "merged.parquet").read_bytes() == merged.read_bytes()


# merging


def test_a_merge_is_the_tables_one_after_another(parts, merged):
    expected = [row for part in parts for row in rows(part)]
    assert len({row["model"] for row in expected}) == 3
    assert rows(merged) == expected


def test_a_merge_keeps_what_is_absent_with_its_model_and_corpus(merged):
    assert read_absent(merged) == [
        [["small", "sotu", "n = 256"], "short texts"],
        [["small", "sotu", "sublayer"], "mamba"],
        [["large", "lee", "n = 64"], "shorter texts"],
    ]


def test_merging_nothing_and_empty_tables_makes_an_empty_table(tmp_path):
    TableWriter().write(tmp_path / "m" / "c.parquet", {"all": "no text"})
    for paths, absent in (([], []), ([tmp_path / "m" / "c.parquet"], [[["m", "c", "all"], "no text"]])):
        merge(paths, tmp_path / "merged.parquet")
        assert rows(tmp_path / "merged.parquet") == []
        assert read_absent(tmp_path / "merged.parquet") == absent


def test_a_merge_that_fails_leaves_nothing(parts, tmp_path):
    with pytest.raises(FileNotFoundError):
        merge([parts[0], tmp_path / "none.parquet"], tmp_path / "merged.parquet")
    assert not list(tmp_path.iterdir())


# means


def means(path: Path, chosen: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """By brute force: one row for each model, corpus, variant, layer and metric."""
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for row in chosen:
        groups.setdefault(
            (row["corpus"], row["metric"], row["family"], row["params_nonembedding"], row["variant"], row["layer"]), []
        ).append(row)
    measured = {"text", "document", "sublayer", "rows", "normalise", "value", "bound", "n"}
    return [
        {name: group[0][name] for name in COLUMNS.names if name not in measured}
        | {
            "value": statistics.fmean(row["value"] for row in group),
            "bound": statistics.fmean(row["bound"] for row in group) if group[0]["bound"] is not None else None,
        }
        for group in groups.values()
    ]


def same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    def key(row):
        return row["corpus"], row["metric"], row["model"], row["variant"], row["layer"] is None, row["layer"]

    assert expected
    found, expected = sorted(found, key=key), sorted(expected, key=key)
    assert [{**row, "value": 0} for row in found] == [{**row, "value": 0} for row in expected]
    np.testing.assert_allclose([row["value"] for row in found], [row["value"] for row in expected], rtol=1e-12)


@pytest.mark.parametrize("n", [16, 64])
@pytest.mark.parametrize("metrics", [["erank"], ["ratio", "erank"]])
def test_text_means_are_those_of_the_blocks_at_one_length(merged, n, metrics):
    chosen = [
        row
        for row in rows(merged)
        if row["metric"] in metrics and (row["n"], row["normalise"], row["sublayer"]) == (n, "unit", "block") and row["text"] >= 0
    ]
    same(text_means(merged, iter(metrics), n, "unit"), means(merged, chosen))


def test_points_have_their_intervals_over_documents(merged, tmp_path, capsys):
    """With two documents a quarter of all resamples has the one alone, and a quarter the other: these are the ends. Losses weigh
    each text by its tokens: 1.5 in the one, of two texts of 63, and 3 in the other."""
    primary = {"metrics": METRICS, "layer": "last", "length": 16, "normalise": "unit"}
    collect_points(merged, tmp_path / "points.csv", primary, [], 400, 0)
    points = read_csv(tmp_path / "points.csv", Point)
    texts = [
        row for row in rows(merged) if (row["n"], row["normalise"], row["sublayer"]) == (16, "unit", "block") and row["text"] >= 0
    ]
    for one in points:
        if one.metric == "loss":
            assert (one.low, one.high, one.layer) == (1.5, 3.0, None)
            continue
        names = ("model", "corpus", "variant", "layer", "metric")
        mine = [row for row in texts if all(row[name] == getattr(one, name) for name in names) and np.isfinite(row["value"])]
        each = [
            statistics.fmean(row["value"] for row in mine if row["document"] == name)
            for name in {row["document"] for row in mine}
        ]
        np.testing.assert_allclose([one.low, one.high], [min(*each, one.value), max(*each, one.value)])
        assert (one.documents, one.primary) == (len(each), one.layer == one.depth)
    said = capsys.readouterr().out
    assert said.count("2 documents, fewer than the 10 that a comparison needs") == len({one.corpus for one in points})


def test_a_point_of_one_document_has_no_interval(merged):
    (row, *_) = text_means(merged, METRICS, 16, "unit")
    one = Documents.draw(["d", "d"], 50, np.random.default_rng(0)).mean([1.0, 2.0])
    found = point(row, one, 16, "unit", True)
    assert (found.low, found.high, found.documents) == (None, None, 1)


def test_text_means_come_by_corpus_metric_and_size(merged):
    found = text_means(merged, METRICS, 16, "unit")
    keys = [(row["corpus"], row["metric"], row["family"], row["params_nonembedding"]) for row in found]
    assert keys == sorted(keys)
    assert list(dict.fromkeys(row["model"] for row in found if row["corpus"] == "sotu")) == ["small", "middle", "large"]


def test_corpus_losses_are_those_of_whole_corpora(merged):
    found = {(row["model"], row["corpus"], row["variant"]): row["value"] for row in corpus_losses(merged)}
    assert found == {
        (model, corpus, variant): value("loss", model, corpus, variant)
        for model, corpus in (("small", "sotu"), ("large", "sotu"), ("large", "lee"), ("middle", "sotu"))
        for variant in ("trained", "untrained-0")
    }


@pytest.mark.parametrize(("layer", "place"), [("last", 0), ("final", 1)])
def test_means_at_a_layer_are_those_of_each_model_there(merged, layer, place):
    chosen = [row for row in text_means(merged, METRICS, 64, "raw") if row["layer"] == row["depth"] + place]
    assert text_means(merged, METRICS, 64, "raw", layer) == chosen
    assert {row["model"] for row in chosen} == set(SIZES)


@pytest.mark.parametrize(
    ("metrics", "length", "normalise"), [(["nonesuch"], 16, "unit"), (["erank"], 17, "unit"), (["erank"], 16, "centre")]
)
def test_means_that_do_not_exist_are_an_error(merged, metrics, length, normalise):
    with pytest.raises(DataError, match=rf"entropy\.parquet: no row for {metrics[0]}, n = {length}, {normalise}"):
        text_means(merged, metrics, length, normalise)


def losses(texts: Texts, nats: list[float], tokens: list[int], no_bytes: str = "") -> tuple[dict, dict[str, str]]:
    """Values by metric and text, and what is missing."""
    table = TableWriter(model="m", family="m", corpus="c")
    missing = add_loss(table, texts, "trained", (np.array(nats), np.array(tokens)), no_bytes)
    rows = pa.concat_tables(table.blocks).to_pylist()
    return {(row["metric"], row["text"]): row["value"] for row in rows}, missing


def test_a_loss_per_byte_is_nats_over_bytes_and_of_the_corpus_by_the_sums():
    found, missing = losses(Texts(["a", "b"], [4, 4], [6, 12]), [3.0, 9.0], [3, 3])
    assert missing == {}
    assert found == {
        ("loss", 0): 1, ("loss", 1): 3, ("loss", -1): 2,
        ("loss_per_byte", 0): 0.5, ("loss_per_byte", 1): 0.75, ("loss_per_byte", -1): 12 / 18,
    }  # fmt: skip


def test_a_text_of_no_byte_has_no_loss_per_byte_and_the_reason_is_given():
    found, missing = losses(Texts(["a", "b"], [2, 4], [0, 12]), [3.0, 9.0], [1, 3])
    assert missing == {"loss_per_byte, trained": "undefined for 1 of 2 texts (no byte)"}
    assert ("loss_per_byte", 0) not in found
    assert found["loss_per_byte", -1] == 1
    assert found["loss", 0] == 3


def test_without_bytes_there_is_no_loss_per_byte_and_the_reason_is_given():
    found, missing = losses(Texts(["a"], [4], [0]), [3.0], [3], "Odd: no places")
    assert missing == {"loss_per_byte": "Odd: no places"}
    assert found == {("loss", 0): 1, ("loss", -1): 1}


def test_texts_that_are_too_short_are_the_reason_that_is_given(merged):
    with pytest.raises(
        DataError, match=r"n = 512, raw; no text is as long \(they are measured at n = 16, 64\): set a smaller scaling"
    ):
        text_means(merged, METRICS, 512, "raw")
    with pytest.raises(DataError, match=r"n = 16, centre$"):
        text_means(merged, METRICS, 16, "centre")


def test_means_at_a_layer_that_was_not_measured_are_an_error(merged):
    with pytest.raises(DataError, match=r"entropy\.parquet: no row for erank, ratio, n = 16, unit, at layer plain$"):
        text_means(merged, METRICS, 16, "unit", "plain")


# seeds


@pytest.mark.parametrize(
    ("models", "named"),
    [
        ([("a", None, 10), ("b", None, 20), ("c", None, 10)], "f: a and c are both of 10 parameters"),
        ([("a", 0, 10), ("b", None, 10)], "f: a and b are both"),
        ([("a", None, 10), ("b", 0, 10)], "f: a and b are both"),
        ([("a", 0, 10), ("b", 1, 10), ("c", 1, 10)], "f: b and c are both"),
    ],
)
def test_two_models_of_one_size_without_seeds_are_refused_by_name(models, named):
    with pytest.raises(DataError, match=named):
        check_seeds("f", models)


def test_seeds_tell_models_of_one_size_apart_and_one_model_needs_none():
    check_seeds("f", [("a", 0, 10), ("b", 1, 10), ("c", None, 20), ("d", 0, 30), ("e", 1, 30)])


@pytest.mark.parametrize("texts", [None, [4, 7]])
def test_metrics_of_a_spectrum_are_rows_metric_after_metric(texts, tmp_path):
    eigenvalues = np.array([[4.0, 2.0, 1.0, 0.5], [1.0, 1.0, 1.0, 0.0]])
    spectrum = Spectrum(eigenvalues if texts else eigenvalues[0], 8, 4)
    results = measure(spectrum, eps2=0.25)
    where: dict[str, Any] = {"text": texts, "document": ["a", "b"]} if texts else {"text": -1}
    table, one_by_one = TableWriter(model="m"), TableWriter(model="m")
    table.add_metrics(spectrum, results, **where, variant="trained")
    for name, result in results.items():
        shape = {"n": 8, "d": 4, "eps2": 0.25 if "rate" in name else None, "variant": "trained"}
        one_by_one.add(**where, **shape, metric=name, value=np.atleast_1d(result.value), bound=result.bound)
    for writer, path in ((table, "a.parquet"), (one_by_one, "b.parquet")):
        writer.write(tmp_path / path, {})
    assert rows(tmp_path / "a.parquet") == rows(tmp_path / "b.parquet")
    assert len(rows(tmp_path / "a.parquet")) >= len(results)
    assert len(table.blocks) == 1


def test_cells_are_sorted_and_their_rows_in_order():
    draw = np.random.default_rng(0)
    columns = [draw.choice([0, 2, 5, 900], 500), draw.integers(0, 3, 500), np.full(500, 7)]
    found = list(by_cell(*columns))
    cells = list(zip(*(column.tolist() for column in columns), strict=True))
    assert [cell for cell, _ in found] == sorted(set(cells))
    for cell, numbers in found:
        assert numbers.tolist() == [row for row, other in enumerate(cells) if other == cell]
    assert list(by_cell(np.zeros(0, int), np.zeros(0, int))) == []
