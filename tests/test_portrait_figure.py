"""Figures of a portrait say what its table says, and their bytes can be reproduced."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from drawings import check_column
from matplotlib.figure import Figure
from portraits import comparison, portrait

from geomkit.studies.portrait import rows
from geomkit.studies.portrait.figure import draw, figures

SMALL: dict[str, Any] = {"blocks": 3, "d": 24, "lengths": (48, 64), "texts": 12}


@pytest.fixture(scope="module")
def small() -> pa.Table:
    return portrait(**SMALL)


def rows_of(table: pa.Table, **where: Any) -> list[dict[str, Any]]:
    return [row for row in table.to_pylist() if all(row[name] == value for name, value in where.items())]


def titles(figure: Figure) -> list[str]:
    return [axis.get_title("left") for axis in figure.axes]


@pytest.mark.parametrize("table", [portrait(**SMALL), portrait(), comparison(**SMALL)], ids=["small", "large", "comparison"])
def test_every_figure_fits_a_column(table):
    for figure in figures(table):
        check_column(figure)


def test_lines_along_depth_are_the_trained_model_s_and_its_nulls(small):
    figure = next(figures(small))
    assert titles(figure) == ["effective rank (directions)", "rate-distortion / its bound", "share of the first direction"]
    assert figure.get_suptitle() == "smollm2 on sotu: first 64 tokens, unit length"
    place = {"section": "depth", "metric": "erank_covariance", "normalise": "unit", "n": 64, "scope": "text"}
    blocks = [row["value"] for row in rows_of(small, **place, variant="trained", sinks="with") if row["layer"] <= 3]
    drawn = [list(line.get_ydata()) for line in figure.axes[0].lines]
    assert blocks in drawn
    (level,) = [row["value"] for row in rows_of(small, **place, variant="gaussian")]
    assert [level] * 4 in drawn
    (band, *_) = figure.axes[0].collections
    ends = [row["low"] for row in rows_of(small, **place, variant="trained", sinks="with")]
    assert band.get_datalim(figure.axes[0].transData).y0 == pytest.approx(min(ends[:4]))


def test_spectra_are_logarithmic_and_have_the_edge(small):
    figure = list(figures(small))[1]
    assert titles(figure)[:3] == ["block 1", "block 2", "block 3, the last"]
    place = {"section": "spectrum", "normalise": "unit", "n": 64, "place": "last"}
    (edge,) = [row["value"] for row in rows_of(small, **place, metric="marchenko_pastur")]
    assert figure.axes[2].get_yscale() == "log"
    drawn = [list(line.get_ydata()) for line in figure.axes[2].lines]
    assert [edge, edge] in drawn
    assert [row["value"] for row in rows_of(small, **place, variant="trained", metric=None)] in drawn


def test_the_dimension_is_drawn_along_depth_and_against_the_scale_beside_gaussian_rows(small):
    along, against = list(figures(small))[5].axes[:2]
    place = {"section": "dimension", "scope": "types", "metric": "gride"}
    for variant in ("trained", "same-covariance"):
        values = [row["value"] for row in rows_of(small, **place, variant=variant, rank=8) if row["layer"] <= 3]
        assert values in [list(line.get_ydata()) for line in along.lines]
        points = [(row["rank"], row["value"]) for row in rows_of(small, **place, variant=variant, layer=2)]
        assert points in [list(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in against.lines]
    assert titles(list(figures(small))[5]) == ["Gride (dimensions), neighbours 4 and 8", "against the scale, block 2"]


def test_the_difference_of_two_models_dimensions_is_drawn():
    table = comparison(**SMALL)
    difference, both = list(figures(table))[3].axes
    place = {"section": "dimension", "scope": "types", "metric": "gride", "rank": 8}
    for axis, where in ((difference, {"variant": None}), (both, {"model": "smollm2-tuned"})):
        values = [row["value"] for row in rows_of(table, **place, **where) if row["layer"] <= 3]
        assert values in [list(line.get_ydata()) for line in axis.lines]


def test_the_model_is_drawn_at_its_width(small):
    figure = list(figures(small))[-1]
    place = {"section": "depth", "metric": "erank_covariance", "normalise": "unit", "n": 64, "scope": "text", "sinks": "with"}
    (here,) = rows_of(small, **place, place="last", variant="trained")
    assert [(24, here["value"])] in [list(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in figure.axes[0].lines]


def test_heat_maps_are_symmetric_and_the_stronger_the_more_alike(small):
    figure = list(figures(small))[2]
    assert titles(figure)[:4] == ["CKA (debiased, linear)", "untrained twin", "shared nearest neighbours", "untrained twin"]
    (image,) = figure.axes[0].images
    shades = image.get_array()[..., 0]  # red, of which blue has none
    assert shades.shape == (6, 6)
    assert (shades == shades.T).all()
    assert (shades.diagonal() == shades.min()).all()
    assert shades[0, 1] < shades[0, 3]


def test_attention_and_readout_stand_beside_their_nulls(small):
    attention, readout = [list(figures(small))[number] for number in (4, 6)]
    assert titles(attention) == [
        "Attention to the first position, mean over heads, first 64\ntokens",
        "Attention to sinks, mean over heads, first 64 tokens",
    ]
    for variant in ("trained", "untrained-0", "uniform attention"):
        values = [row["value"] for row in rows_of(small, section="attention", metric="attention_sinks", variant=variant)]
        assert values in [list(line.get_ydata()) for line in attention.axes[1].lines]
    losses = [row["value"] for row in rows_of(small, section="readout", metric="logit_lens_loss", variant="untrained-0")]
    drawn = [list(line.get_ydata()) for line in readout.axes[1].lines]
    assert losses in drawn
    assert [float(np.log(49152))] * 4 in drawn


def test_a_comparison_draws_differences_and_both_models():
    table = comparison(**SMALL)
    differences, both, similar, _, readout = figures(table)
    assert len(similar.axes) == 2 * 2 + 1
    assert differences.get_suptitle().endswith("smollm2-tuned minus smollm2")
    place = {"metric": "top_1_share", "normalise": "unit", "n": 64, "scope": "text"}
    values = [row["value"] for row in rows_of(table, section="difference", **place) if row["layer"] <= 3]
    assert values in [list(line.get_ydata()) for line in differences.axes[2].lines]
    tuned = [row["value"] for row in rows_of(table, section="depth", model="smollm2-tuned", **place) if row["layer"] <= 3]
    assert tuned in [list(line.get_ydata()) for line in both.axes[2].lines]
    of_lens = {"section": "readout", "metric": "logit_lens_loss"}
    lens = [row["value"] for row in rows_of(table, **of_lens, model="smollm2-tuned")]
    assert lens in [list(line.get_ydata()) for line in readout.axes[1].lines]


def test_what_is_missing_is_not_drawn_and_nothing_at_all_is_said():
    sections = ("depth", "spectrum", "similarity", "norms", "dimension", "attention", "readout", "reference")
    assert len(list(figures(portrait(**SMALL, without=sections[1:2])))) == 7
    (empty,) = figures(portrait(**SMALL, without=sections))
    assert "nothing that a figure shows was measured" in empty.get_suptitle()


def test_the_same_table_gives_the_same_bytes(small, tmp_path: Path):
    rows.write(small, tmp_path / "sotu.parquet")
    for name in ("one.pdf", "two.pdf"):
        draw(tmp_path / "sotu.parquet", tmp_path / name)
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes() != b""
