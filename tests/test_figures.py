"""Figures say what the tables say, and their bytes can be reproduced."""

import numpy as np
import pytest

from geomkit.figures.layers import layers_figure
from geomkit.figures.nulls import nulls_figure
from geomkit.figures.scaling import scaling_figure, title
from geomkit.figures.style import NULLS, save

PRIMARY = {"metrics": ["erank_covariance"], "layer": "last", "length": 64, "normalise": "unit"}
SIZES = (1e4, 1e5, 1e6)


def rows() -> list[dict]:
    variants = ["trained", *(null if null != "untrained" else "untrained-0" for null in NULLS)]
    common = {"family": "f", "corpus": "c", "depth": 2, "layer": 2}
    return [
        common
        | {"model": f"m{size:.0f}", "params_nonembedding": size, "variant": variant, "metric": metric}
        | {"value": size**0.1 * (1 + place / 10), "bound": 2 * size**0.1 if metric != "loss" else None}
        for metric in ("erank_covariance", "loss")
        for place, variant in enumerate(variants)
        for size in SIZES
    ]


def fits() -> list[dict]:
    law = {"form": "power", "family": "f", "corpus": "c", "status": "converged", "heldout_error": 0.012}
    return [
        law | {"metric": metric, "params": {"a": 1.0, "b": 0.1}, "interval": {"b": [0.05, 0.15]}}
        for metric in ("erank_covariance", "loss")
    ]


def slopes() -> list[dict]:
    row = {"family": "f", "corpus": "c", "metric": "erank_covariance", "slope": 0.1, "low": 0.05, "high": 0.15}
    for null in NULLS:
        row |= {f"{null} slope": 0.2, f"{null} difference": -0.1, f"{null} low": -0.15, f"{null} high": -0.05}
    return [row | {"verdict": "beyond width: outside the nulls"}]


def test_title_gives_exponent_interval_held_out_error_differences_and_verdict():
    lines = title("erank_covariance", fits()[:1], slopes())
    assert lines[0] == "erank_covariance"
    assert lines[1] == "f: N^0.100 [0.050, 0.150], largest +1.2 %"
    assert "minus fixed-spectrum: -0.100 [-0.150, -0.050]" in lines
    assert lines[-1] == "beyond width: outside the nulls"


def test_title_says_why_there_is_no_law():
    failed = {"family": "f", "params": {}, "status": "failed: y is flat", "interval": {}, "heldout_error": None}
    assert title("m", [failed], []) == ["m", "f: no law, y is flat"]


def test_every_null_of_the_rows_is_drawn():
    figure = next(scaling_figure(rows(), fits(), slopes(), PRIMARY))
    drawn = {tuple(np.round(line.get_ydata(), 9)) for line in figure.axes[0].lines}
    for place in range(1, 1 + len(NULLS)):
        assert tuple(round(size**0.1 * (1 + place / 10), 9) for size in SIZES) in drawn


def test_nulls_figure_shows_each_exponent_and_counts_the_others():
    figure = nulls_figure(slopes(), 789)
    assert "1 of 789 exponents" in figure.get_suptitle()
    assert {0.1, 0.2} <= {float(line.get_xdata()[0]) for line in figure.axes[0].lines if len(line.get_xdata()) == 1}


@pytest.mark.parametrize("what", ["scaling", "layers", "nulls"])
def test_bytes_are_reproducible(what, tmp_path):
    def pages():
        if what == "scaling":
            return scaling_figure(rows(), fits(), slopes(), PRIMARY)
        return layers_figure(rows(), ["erank_covariance"], "here") if what == "layers" else [nulls_figure(slopes(), 3)]

    for name in ("a.pdf", "b.pdf"):
        save(pages(), tmp_path / name)
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()
