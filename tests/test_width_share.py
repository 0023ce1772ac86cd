"""Lengths that follow the width: what isotropic rows show, what is planted beside them, and what one spectrum predicts."""

from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.core.state import State
from geomkit.laws.pairs import MARGINS
from geomkit.states.dumps import stored, write_dump
from geomkit.states.texts import Texts
from geomkit.studies.width_share.analyse import share_widths
from geomkit.studies.width_share.claims import one_spectrum, width_accounts
from geomkit.studies.width_share.curve import CONSTANT, CURVE, FINE, POWER, STRETCHED, Cell, drawn, learn
from geomkit.studies.width_share.figure import draw_width_share, pages
from geomkit.studies.width_share.measure import measure_lengths, steps, width_of
from geomkit.studies.width_share.rows import (
    DIRECTIONS,
    PARAMETERS,
    WidthExponent,
    WidthPoint,
    WidthPrediction,
    tokens_at,
)
from geomkit.tables.findings import OPEN, REFUTED, SUPPORTED, Inputs
from geomkit.tables.rows import read_csv, write_csv

WIDTHS = (8, 12, 16, 24, 32)
TOKENS, TEXTS = 64, 12
DOCUMENTS = [f"d{text // 2}" for text in range(TEXTS)]
RANK = "erank_covariance"


def dump(folder: Path, name: str, rows: np.ndarray, ids: np.ndarray | None = None) -> Path:
    """Rows (texts * tokens, d) of a model's last block."""
    path, width, tokens = folder / name / "corpus" / "trained.h5", rows.shape[1], len(rows) // TEXTS
    attributes = {"depth": 1, "params_nonembedding": width**2, "params_total": width**2, "final norm": "none"}
    texts = Texts(DOCUMENTS, [tokens] * TEXTS, [tokens] * TEXTS)
    with write_dump(path, texts, attributes, {}, "float32", None, [TEXTS]) as writer:
        ids = np.arange(len(rows)) if ids is None else ids
        writer.append(ids, np.zeros(len(rows), np.float32), {State(1): rows.astype(np.float32)})
    return path


def table(folder: Path, path: Path, relatives: list[Path]) -> Path:
    output = folder / "measured" / path.parents[1].name / "corpus.parquet"
    measure_lengths(partial(stored, path), relatives, output, "family", None, 6, ["unit"], {"eps2": 0.5})
    return output


def shared(folder: Path, tables: list[Path]):
    """Exponents, points and predictions."""
    files = [folder / f"{name}.csv" for name in ("exponents", "points", "predictions")]
    share_widths(tables, *files, ["unit"], {"eps2": 0.5}, 20, 0)
    records = (WidthExponent, WidthPoint, WidthPrediction)
    return tuple(read_csv(file, record) for file, record in zip(files, records, strict=True))


def family(folder: Path, decay: float = 0.0, tokens: int = TOKENS) -> list[Path]:
    """Gaussian rows; with a decay, narrower models' coordinates shrink the faster the narrower they are."""
    paths = []
    for width in WIDTHS:
        shape = np.arange(1, width + 1) ** -(decay * np.log(max(WIDTHS) / width))
        paths.append(dump(folder, f"m-{width}", rng(0, width).standard_normal((TEXTS * tokens, width)) * shape))
    return [table(folder, path, paths) for path in paths]


@pytest.mark.slow
def test_width_accounts_for_all_that_isotropic_rows_show(tmp_path):
    exponents, points, predictions = shared(tmp_path, family(tmp_path))
    ranks = {row.ratio: row for row in exponents if row.metric == RANK}
    assert list(ranks) == [0.125, 0.25, 0.5, 1.0, 2.0]
    assert ranks[0.125].widths == "12 16 24 32", "at a width of 8 it is one token"
    assert ranks[0.125].slope is None
    assert "the pair model needs 5" in ranks[0.125].reason
    for row in [ranks[ratio] for ratio in (0.25, 0.5, 1.0, 2.0)]:
        assert (row.against, row.sizes, row.texts, row.documents) == (PARAMETERS, 5, TEXTS, 6)
        assert row.exponent == pytest.approx(0.5, abs=0.03), "N is the square of the width"
        assert row.slope == pytest.approx(0, abs=0.03)
        assert row.slope_low < 0 < row.slope_high
        assert row.projected == pytest.approx(row.exponent - row.slope, abs=1e-12)
        assert row.share == pytest.approx(row.projected / row.exponent, abs=1e-12)
    assert all(row.share is None for row in exponents if row.metric != RANK), "no exponent, no share"
    assert {row.width for row in points if row.held_out} == {16, 24, 32}
    (rank,) = (row for row in predictions if row.metric == RANK)
    assert rank.error_curve < 0.05 < rank.error_stretched < rank.error_constant
    assert (rank.learnt, rank.held_out, rank.cells) == ("8 12", "16 24 32", 15)


@pytest.mark.slow
def test_what_narrower_models_lack_is_a_slope_at_every_ratio(tmp_path):
    exponents, *_ = shared(tmp_path, family(tmp_path, decay=1.0))
    assert all(row.slope > 0.05 for row in exponents if row.metric == RANK and row.ratio > 0.125)


@pytest.mark.slow
def test_widths_for_which_texts_are_too_short_are_left_out(tmp_path):
    exponents, *_ = shared(tmp_path, family(tmp_path, tokens=40))
    widths = {row.ratio: row.widths for row in exponents if row.metric == RANK}
    assert (widths[1.0], widths[2.0]) == ("8 12 16 24 32", "8 12 16")


@pytest.mark.slow
def test_models_of_one_width_are_measured_on_their_own_directions(tmp_path):
    rows = rng(0, "own").standard_normal((TEXTS * 128, 96)) * np.arange(1, 97) ** -0.5
    path = dump(tmp_path, "m", rows)
    exponents, points, predictions = shared(tmp_path, [table(tmp_path, path, [path])])
    assert {row.against for row in exponents} == {DIRECTIONS}
    assert {row.widths for row in exponents} == {"16 24 32 48 64"}, "twice 96 is longer than a text"
    assert {(row.texts, row.documents) for row in exponents} == {(6, 6)}, "one text of each document"
    assert all(row.exponent_low < row.exponent < row.exponent_high and row.share is None for row in exponents)
    rank = {row.metric: row for row in predictions}[RANK]
    assert rank.value < 0, "directions of one power law, cut, are what the curve describes"
    assert all(row.projected is None for row in points)


def test_models_of_one_family_must_have_read_the_same_tokens(tmp_path):
    draw = rng(0, "tokens")
    rows = [draw.standard_normal((TEXTS * TOKENS, width)) for width in (8, 16)]
    paths = [dump(tmp_path, f"m-{own.shape[1]}", own, np.arange(len(own)) + number) for number, own in enumerate(rows)]
    with pytest.raises(DataError, match="family, corpus: its models read different texts"):
        shared(tmp_path, [table(tmp_path, path, paths) for path in paths])


def test_tokens_follow_widths():
    assert tokens_at(0.125, [128, 20, 8, 20], 100) == {20: 2, 128: 16}
    assert tokens_at(2, [16, 64], 100) == {16: 32}
    assert steps(100) == [16, 24, 32, 48, 64, 96]


def test_the_width_of_a_folder_is_what_its_configuration_says(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "n_embd": 48}')
    assert width_of(tmp_path) == 48
    (tmp_path / "config.json").write_text('{"model_type": "x", "text_config": {"hidden_size": 32}}')
    assert width_of(tmp_path) == 32
    (tmp_path / "config.json").write_text('{"model_type": "x"}')
    with pytest.raises(DataError, match=r"config\.json: none of hidden_size, n_embd, d_model, dim says how wide"):
        width_of(tmp_path)


# what one spectrum predicts

CELLS = [Cell(ratio, width, int(ratio * width)) for ratio in (0.5, 1.0) for width in (16, 24, 32, 48)]
TRAINING = np.array([cell.width < 30 for cell in CELLS])


def planted(decay: float) -> dict[str, np.ndarray]:
    """ln of each metric of rows of one decay, with a level of its own at each ratio: (cells, 1)."""
    number = int(np.argmin(np.abs(FINE - decay)))
    levels = {name: np.array([[drawn(cell.tokens, cell.width, "unit", 0.5)[name][number]] for cell in CELLS]) for name in MARGINS}
    return {name: values + np.array([[cell.ratio] for cell in CELLS]) for name, values in levels.items()}


@pytest.mark.parametrize("decay", [0.0, 0.8, 1.5])
def test_a_planted_spectrum_is_learnt_and_wider_models_are_predicted(decay):
    levels = planted(decay)
    learnt = learn(CELLS, levels, TRAINING, "unit", 0.5)
    assert learnt.decay[0] == pytest.approx(decay, abs=0.011)
    for name, values in levels.items():
        np.testing.assert_allclose(learnt.rules[name][CURVE], values, atol=1e-9)


def test_rivals_and_the_power_law_take_their_level_from_the_training_widths():
    width = np.array([[float(cell.width)] for cell in CELLS])
    ratio = np.array([[cell.ratio] for cell in CELLS])
    levels = {RANK: np.log(3 * ratio * width), "rate_distortion_ratio": np.log(0.5 * ratio * width**-0.2)}
    learnt = learn(CELLS, levels, TRAINING, "unit", 0.5)
    np.testing.assert_allclose(learnt.rules[RANK][STRETCHED], levels[RANK])
    for name, values in levels.items():
        np.testing.assert_allclose(learnt.rules[name][POWER], values)
        for own in (0.5, 1.0):
            here = ratio[:, 0] == own
            np.testing.assert_allclose(learnt.rules[name][CONSTANT][here], values[here & TRAINING].mean())


def test_isotropic_rows_of_many_tokens_have_nearly_all_directions():
    assert np.exp(drawn(2048, 16, "unit", 0.5)[RANK][0]) == pytest.approx(16, rel=0.01)
    assert drawn(2048, 16, "unit", 0.5)["rate_distortion_ratio"][0] == pytest.approx(0, abs=0.01)


# claims


def law(ratio: float, share: float, half: float = 0.05, **columns) -> WidthExponent:
    """A row of exponents with a share of so wide an interval."""
    names = dict.fromkeys(field.name for field in fields(WidthExponent))
    own = {
        "family": "ladder", "published": False, "corpus": "wikipedia", "layer": "last", "normalise": "unit", "metric": RANK,
        "ratio": ratio, "against": PARAMETERS, "sizes": 12, "widths": "16 128", "texts": 100, "documents": 80, "exponent": 0.3,
        "share": share, "share_low": share - half, "share_high": share + half,
    }  # fmt: skip
    return WidthExponent(**names | own | columns)


@pytest.mark.parametrize(
    ("shares", "verdict"),
    [((1.0, 1.05), SUPPORTED), ((1.0, 0.94), OPEN), ((1.0, 0.8), REFUTED)],
    ids=["above", "one that may be below", "one below"],
)
def test_the_lowest_share_decides_and_shares_of_other_rows_do_not(tmp_path, shares, verdict):
    rows = [law(ratio, share) for ratio, share in zip((0.5, 1.0), shares, strict=True)]
    beside = [
        law(2.0, 0.1, metric="rate_distortion_ratio"),
        law(2.0, 0.1, normalise="centre-unit"),
        replace(law(2.0, 1.0), share=None),
    ]
    write_csv(tmp_path / "width_share/exponents.csv", WidthExponent, [*rows, *beside])
    (found,) = width_accounts(Inputs([tmp_path / "width_share/exponents.csv"]))
    assert (found.verdict, found.value, found.primary) == (verdict, min(shares), True)


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [(((-0.9, -0.5), (-1.2, -0.8)), SUPPORTED), (((-0.5, 0.1), (-1.2, -0.8)), OPEN), (((0.0, 0.2), (-1.2, -0.8)), REFUTED)],
    ids=["both metrics", "one not shown", "one is no better"],
)
def test_a_prediction_that_does_not_beat_its_rivals_in_both_metrics_is_killed(tmp_path, ends, verdict):
    rows = [
        WidthPrediction(
            family="ladder", published=False, corpus="wikipedia", layer="last", normalise="unit", eps2=None, metric=metric,
            decay=1.0, learnt="16 24", held_out="32 48", cells=10, documents=80, error_curve=0.1, error_stretched=0.2,
            error_constant=0.9, error_power=0.1, value=(low + high) / 2, low=low, high=high,
        )
        for metric, (low, high) in zip(MARGINS, ends, strict=True)
    ]  # fmt: skip
    write_csv(tmp_path / "width_share/predictions.csv", WidthPrediction, rows)
    (found,) = one_spectrum(Inputs([tmp_path / "width_share/predictions.csv"]))
    assert found.verdict == verdict
    assert found.value == max(row.value for row in rows)


def test_a_figure_has_a_page_for_each_normalisation_and_says_if_there_is_nothing(tmp_path):
    exponents, points, output = (tmp_path / name for name in ("exponents.csv", "points.csv", "width_share.pdf"))
    own = law(0.5, 1.0, projected=0.3, projected_low=0.2, projected_high=0.4, exponent_low=0.2, exponent_high=0.4)
    place = WidthPoint(
        family="ladder", published=False, corpus="wikipedia", layer="last", normalise="unit", eps2=None, metric=RANK, ratio=0.5,
        width=16, tokens=8, measured=4.0, low=3.5, high=4.5, projected=4.1, curve=4.0, stretched=4.0, constant=4.0, power=4.0,
        held_out=False,
    )  # fmt: skip
    modes = ("unit", "centre-unit")
    rank_and_ratio = [replace(place, metric=metric, normalise=mode) for metric in MARGINS for mode in modes]
    drawn_pages = list(pages([replace(own, normalise=mode) for mode in modes], rank_and_ratio))
    assert [len(one.axes) for one in drawn_pages] == [6, 6]
    assert drawn_pages[0].axes[0].get_ylabel() == "exponent with N"
    assert drawn_pages[0].axes[4].get_xlabel() == "width of ladder"
    write_csv(exponents, WidthExponent, [])
    write_csv(points, WidthPoint, [])
    draw_width_share(exponents, points, output)
    assert output.read_bytes().startswith(b"%PDF")
