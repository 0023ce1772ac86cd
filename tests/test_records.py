"""Records come back as they went, from CSV and JSON, and what is of another type is refused by file and column."""

import inspect
from collections.abc import Mapping
from dataclasses import is_dataclass, replace
from enum import StrEnum
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geomkit.core.declarations import every
from geomkit.core.errors import DataError
from geomkit.laws.exponents import Verdict
from geomkit.laws.forms import Status
from geomkit.studies.published.rows import PublishedLaw, PublishedValue
from geomkit.studies.size_laws.rows import NullSlope, Slope, by_slope
from geomkit.tables.absence import Absent
from geomkit.tables.fits import LossRegion, MetricLaw
from geomkit.tables.rows import columns, defined, open_columns, read_csv, read_json, write_csv, write_json
from geomkit.tables.trainings import CurvePoint, LadderLoss, SweptTraining, Training

RESOURCES = Path(__file__).parents[1] / "workflow/resources"
ROWS = ("absence", "endpoints", "experiments", "findings", "fits", "trainings")
MODULES = [
    import_module(name)
    for name in (*every("geomkit.studies.*.rows"), "geomkit.theory.rows", *(f"geomkit.tables.{one}" for one in ROWS))
]
RECORDS = [
    kind for module in MODULES for _, kind in inspect.getmembers(module, is_dataclass) if kind.__module__ == module.__name__
]
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9)
INTEGERS = st.integers(-(10**18), 10**18)
NAMES = st.text("abcdefg_", min_size=1, max_size=6).map("column_".__add__)


@cache
def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a declared type. An optional text is not empty: in CSV it could not be told from None."""
    if get_origin(kind) in (Union, type(int | None)):
        inner = [one for one in get_args(kind) if one is not type(None)]
        return st.none() | (values(inner[0]).filter(bool) if inner == [str] else values(inner[0]))
    if is_dataclass(kind):
        return st.builds(kind, **{name: values(of) for name, of in columns(kind).items()})
    if get_origin(kind) is tuple:
        of = get_args(kind)
        return st.lists(values(of[0]), max_size=2).map(tuple) if of[1:] == (...,) else st.tuples(*map(values, of))
    if get_origin(kind) is Mapping:
        return st.dictionaries(NAMES, values(get_args(kind)[1]), max_size=2)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return st.sampled_from(list(kind))
    return {str: TEXTS, int: INTEGERS, float: FLOATS, bool: st.booleans()}[kind]


def in_csv(kind: type) -> bool:
    scalars = (str, int, float, bool)
    inner = [get_args(of)[0] if get_args(of)[1:] == (type(None),) else of for of in columns(kind).values()]
    nested = [of for of in inner if of not in scalars and not (isinstance(of, type) and issubclass(of, StrEnum))]
    return not nested or (len(nested) == 1 and open_columns(kind) is not None and nested[0] == Mapping[str, float])


@pytest.mark.parametrize("kind", RECORDS)
def test_every_record_comes_back_from_json(kind, tmp_path):
    @settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(st.lists(values(kind), max_size=2))
    def check(rows):
        write_json(tmp_path / "x.json", list[kind], rows)
        assert read_json(tmp_path / "x.json", list[kind]) == rows

    check()


@pytest.mark.parametrize("kind", [kind for kind in RECORDS if in_csv(kind) and len(columns(kind)) > 1])
def test_every_flat_record_comes_back_from_csv(kind, tmp_path):
    own = open_columns(kind)

    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(st.lists(values(kind), max_size=2))
    def check(rows):
        if own:
            names = list(getattr(rows[0], own)) if rows else []
            rows = [replace(row, **{own: {name: float(place) for name in names}}) for place, row in enumerate(rows)]
        write_csv(tmp_path / "x.csv", kind, rows)
        found = read_csv(tmp_path / "x.csv", kind)
        assert found == rows
        assert [[type(value) for value in vars(row).values()] for row in found] == [
            [type(value) for value in vars(row).values()] for row in rows
        ]

    check()


def test_most_records_are_rows_of_csv():
    rows = {kind.__name__ for kind in RECORDS if in_csv(kind)}
    assert {"Slope", "NullSlope", "Growth", "DiffErank", "Point", "LossRegion", "Training", "TokenScore", "Absent"} <= rows
    assert not {"MetricLaw", "LossLaw", "DataLaws", "TokenPage"} & rows


ABSENT = "model,corpus,absent,reason\n"
REGION = "family,published,corpus,against,E,alpha,statistic,limit\n"
CURVE = "width,layers,heads,params_nonembedding,params_total,seed,tokens,loss_validation\n"


def test_a_name_that_looks_like_a_number_stays_text_and_digits_are_kept(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(ABSENT + "125,1862,1e5,007\n")
    assert read_csv(path, Absent) == [Absent(model="125", corpus="1862", absent="1e5", reason="007")]
    row = LossRegion(family="1", published=True, corpus="", against="N", E=0.1 + 0.2, alpha=1e-300, statistic=-0.0, limit=1 / 3)
    write_csv(path, LossRegion, [row])
    assert path.read_text() == REGION + "1,1,,N,0.30000000000000004,1e-300,-0.0,0.3333333333333333\n"


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (Absent, "model,corpus,absent\na,b,c\n", "x.csv: no column 'reason'; a Absent has model, corpus, absent, reason"),
        (Absent, "model,corpus,absent,reason,why\na,b,c,d,e\n", "x.csv: unknown column 'why'; a Absent has model, corpus"),
        (Absent, "model,corpus,absent,reason,model\na,b,c,d,e\n", "x.csv: column 'model' stands there more than once"),
        (Absent, "", "x.csv: no column 'model'"),
        (Absent, ABSENT + "a,b,c\n", "x.csv: line 2 has 3 cells for 4 columns"),
        (LossRegion, REGION + "f,2,c,N,1,1,1,1\n", r"line 2, column 'published': '2' is not true or false \(in CSV 1 or 0\)"),
        (LossRegion, REGION + "f,0,c,N,1,1,1,1\nf,0,c,N,,1,1,1\n", "line 3, column 'E': '' is not a finite number"),
        (LossRegion, REGION + "f,0,c,N,1,nan,1,1\n", "column 'alpha': 'nan' is not a finite number"),
        (LossRegion, REGION + "f,0,c,N,1,1,inf,1\n", "column 'statistic': 'inf' is not a finite number"),
        (LossRegion, REGION + "f,0,c,N,1,1,1,1_0\n", "column 'limit': '1_0' is not a finite number"),
        (CurvePoint, CURVE + "16,2,1.0,1,1,1,1,1\n", "column 'heads': '1.0' is not an integer"),
        (CurvePoint, CURVE + "16,2,1,1,1,,1,1\n", "column 'seed': '' is not an integer"),
    ],
)
def test_what_is_of_another_type_is_refused_by_file_line_and_column(tmp_path, kind, text, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_csv(tmp_path / "x.csv", kind)


def law(**changes: Any) -> MetricLaw:
    where = {"family": "f", "published": False, "corpus": "c", "layer": "last", "length": 64, "normalise": "unit", "eps2": 0.5}
    numbers = dict.fromkeys(("residual_sd", "aicc", "heldout_error", "objective", "delta"), 0.25)
    fitted = {
        "form": "power",
        "status": Status.CONVERGED,
        "reason": "",
        "n": 7,
        "params": {"b": 1.0},
        "interval": {"b": (0.5, None)},
    }
    return MetricLaw(**{**where, **numbers, **fitted, "metric": "m", "against": "N", **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 7.5}, r"x.json: 0: 'n': 7.5 is not an integer"),
        ({"n": True}, r"'n': True is not an integer"),
        ({"family": None}, r"'family': None is not text"),
        ({"published": 1}, r"'published': 1 is not true or false"),
        ({"aicc": float("nan")}, r"'aicc': nan is not a finite number"),
        ({"status": "perfect"}, r"'status': 'perfect' is not one of converged, bound hit, failed"),
        ({"interval": {"b": (0.5,)}}, r"'interval': 'b': \(0.5,\) is not 2 values"),
        ({"params": {"b": "1"}}, r"'params': 'b': '1' is not a finite number"),
    ],
)
def test_json_refuses_to_write_what_is_of_another_type_and_leaves_nothing(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        write_json(tmp_path / "x.json", list[MetricLaw], [law(**changes)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"n": 7', '"n": "7"', "x.json: 0: 'n': '7' is not an integer"),
        ('"eps2"', '"eps"', "x.json: 0: no key 'eps2'; a MetricLaw has"),
        ('"n": 7,', '"n": 7, "m": 1,', "x.json: 0: unknown key 'm'; a MetricLaw has"),
        ("[\n {", "{", "x.json: not JSON"),
    ],
)
def test_json_that_is_of_another_type_is_refused(tmp_path, old, new, message):
    write_json(tmp_path / "x.json", list[MetricLaw], [law()])
    text = (tmp_path / "x.json").read_text()
    assert old in text
    (tmp_path / "x.json").write_text(text.replace(old, new))
    with pytest.raises(DataError, match=message):
        read_json(tmp_path / "x.json", list[MetricLaw])


def test_a_row_of_another_kind_or_type_is_not_written(tmp_path):
    with pytest.raises(DataError, match="column 'reason': None is not text"):
        write_csv(tmp_path / "x.csv", Absent, [Absent(model="m", corpus="c", absent="a", reason=None)])
    with pytest.raises(DataError, match="is not MetricLaw"):
        write_json(tmp_path / "x.json", list[MetricLaw], [Absent(model="m", corpus="c", absent="a", reason="r")])
    assert not list(tmp_path.iterdir())


def test_metrics_are_columns_of_their_own_and_the_same_in_every_row(tmp_path):
    row = LadderLoss(model="m", width=1, seed=0, params_total=2, params_nonembedding=1, losses={"loss_a": 1.0, "loss_b": 2.0})
    write_csv(tmp_path / "x.csv", LadderLoss, [row])
    assert (tmp_path / "x.csv").read_text().splitlines()[0] == "model,width,seed,params_total,params_nonembedding,loss_a,loss_b"
    with pytest.raises(DataError, match="line 3: not the same losses as in line 2"):
        write_csv(tmp_path / "y.csv", LadderLoss, [row, replace(row, losses={"loss_a": 1.0})])


def test_nulls_are_joined_to_their_slope():
    where = {"family": "f", "corpus": "c", "metric": "m", "layer": None, "normalise": None, "eps2": None, "against": "N"}
    numbers = dict.fromkeys(("slope", "low", "high", "measurement_low", "measurement_high"), 1.0)
    slope = Slope(
        **where,
        **numbers,
        published=False,
        length=None,
        primary=True,
        verdict=Verdict.NO_NULL,
        reason="",
        freedom=5,
        combinations=1,
    )
    null = NullSlope(**where, **numbers, published=False, length=None, null="stretched", difference=0.0)
    others = [replace(null, published=True), replace(null, length=64), replace(null, against="width"), replace(null, metric="n")]
    assert by_slope([*others, null])[slope.key] == {"stretched": null}


def test_nan_is_nothing():
    assert (defined(float("nan")), defined(0.5)) == (None, 0.5)


@pytest.mark.parametrize(
    ("path", "kind", "rows"),
    [
        ("ladder/training_grid.csv", Training, 120),
        ("ladder/sweep.csv", SweptTraining, 20),
        ("published/diff_erank.csv", PublishedValue, 20),
        ("published/losses.csv", PublishedValue, 23),
        ("published/matrix_entropy.csv", PublishedValue, 17),
        ("published/laws.csv", PublishedLaw, 17),
    ],
)
def test_what_is_shipped_is_of_its_type(path, kind, rows):
    assert len(read_csv(RESOURCES / path, kind)) == rows


def test_the_shipped_grid_says_at_which_endpoint_it_was_measured():
    grid = read_csv(RESOURCES / "ladder/training_grid.csv", Training)
    assert {(row.layer, row.length, row.normalise, row.eps2) for row in grid} == {("last", 64, "unit", 0.5)}
    assert set(grid[0].metrics) == {"rate_distortion", "rate_distortion_ratio", "rate_distortion_paper", "erank_covariance"}
