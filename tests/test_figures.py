"""Figures say what the tables say, and their bytes can be reproduced."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from drawings import check_column
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

from geomkit.core.variants import VARIANTS, WIDTH_NULLS
from geomkit.figures.style import NULLS, PROJECTIONS, QUANTITIES, is_at, name_of, ordered_colours, save
from geomkit.laws.exponents import Verdict
from geomkit.laws.forms import Status
from geomkit.laws.lack_of_fit import Fitness
from geomkit.laws.pairs import Verdict as PairsVerdict
from geomkit.studies.entropy.figure import layers_figure
from geomkit.studies.loss.figure.losses import axes_figures, losses_figure
from geomkit.studies.size_laws.figure.growth import growth_figure
from geomkit.studies.size_laws.figure.nulls import pairs_figures, tables_figure
from geomkit.studies.size_laws.figure.scaling import scaling_figure, title
from geomkit.studies.size_laws.rows import Growth, Models, NullSlope, PairVerdict, Point, SizeDifference, Slope, Standing
from geomkit.tables.fits import LossAxes, LossLaw, LossPlace, LossRegion, MetricLaw, ModelLoss, SizeLaw
from geomkit.tables.rows import required

PRIMARY = {"metrics": ["erank_covariance", "matrix_entropy"], "layer": "last", "length": 64, "normalise": "unit"}
PANELS = (*PRIMARY["metrics"], "loss")
SIZES = (10_000, 100_000, 1_000_000)
LEVEL = {"erank_covariance": 1.0, "matrix_entropy": 30.0, "loss": 500.0}
"""What tells panels apart: values of one metric are nowhere near those of another."""
SOURCE: dict[str, Any] = {"family": "f", "published": False, "corpus": "c"}
PLACE: dict[str, Any] = {"layer": "last", "length": 64, "normalise": "unit", "eps2": None}
NO_PART = {"measurement_low": None, "measurement_high": None}


def points() -> list[Point]:
    variants = ["trained", *(f"{null}-0" if VARIANTS[null].seeds else null for null in NULLS)]
    common: dict[str, Any] = {"family": "f", "corpus": "c", "depth": 2, "seed": 0, "d": 8, "params_total": 1, "eps2": None}
    found = []
    for metric in PANELS:
        of_loss = metric == "loss"
        where = {"layer": None if of_loss else 2, "length": None if of_loss else 64, "normalise": None if of_loss else "unit"}
        for place, variant in enumerate(variants):
            for size in SIZES:
                level = LEVEL[metric] * size**0.1
                value = level * (1 + place / 10)
                values = {"value": value, "low": 0.9 * value, "high": 1.2 * value, "documents": 40}
                values |= {"bound": None if of_loss else 2 * level}
                model = {"model": f"m{size}", "params_nonembedding": size, "variant": variant, "metric": metric}
                found.append(Point(**common, **where, **model, **values, primary=True))
    return found


def fits() -> list[MetricLaw]:
    law: dict[str, Any] = {"form": "power", "status": Status.CONVERGED, "reason": "", "n": 3, "heldout_error": 0.012}
    law |= dict.fromkeys(("residual_sd", "aicc", "objective", "delta")) | {"against": "params_nonembedding"}
    return [
        MetricLaw(**SOURCE, **PLACE, **law, metric=metric, params={"a": LEVEL[metric], "b": 0.1}, interval={"b": (0.05, 0.15)})
        for metric in PANELS
    ]


def tables() -> tuple[list[Slope], list[NullSlope]]:
    """A published table, and a law that was measured here, which the figure of tables leaves out."""
    where = {**SOURCE, **dict.fromkeys(PLACE), "metric": "matrix_entropy_over_ln_width", "against": "params_nonembedding"}
    slope = Slope(
        **where | {"published": True}, **NO_PART, primary=False, verdict=Verdict.UNDECIDED, reason="", slope=0.1, low=0.05,
        high=0.15, freedom=1, combinations=3,
    )  # fmt: skip
    numbers = {"fixed-spectrum": (-0.1, -0.15, -0.05), "stretched": (0.3, 0.2, 0.4)}
    nulls = [
        NullSlope(
            **where | {"published": True},
            **NO_PART,
            null=name,
            slope=0.2,
            **dict(zip(("difference", "low", "high"), ends, strict=True)),
        )
        for name, ends in numbers.items()
    ]
    return [slope, replace(slope, published=False)], [*nulls, *(replace(null, published=False) for null in nulls)]


DIFFERENCE = {"erank_covariance": 0.05, "matrix_entropy": -0.02}
DONORS = {"width 128": 0.0, "width 96": 0.01}
"""By donor, how much steeper the difference is than the verdict's."""


def verdicts() -> list[PairVerdict]:
    """One that is beyond width, and one that is open and has no share."""
    found = []
    for metric, value in DIFFERENCE.items():
        columns: dict[str, Any] = dict.fromkeys(required(PairVerdict)) | SOURCE | PLACE
        columns |= {"metric": metric, "models": Models.ALL, "standing": Standing.EXPLORATORY, "verdict": PairsVerdict.BEYOND}
        columns |= {"cause": "more", "sizes": 7, "pairs": 21, "exponent": 0.1, "share": 0.5, "share_low": 0.4, "share_high": 0.6}
        for term, (of, margin) in {"slope": (value, 0.02), "sag": (-0.1, 0.05), "level": (0.01, 0.05)}.items():
            columns |= {term: of, f"{term}_margin": margin, f"{term}_low": of - 0.03, f"{term}_high": of + 0.03}
            columns |= {f"{term}_low_90": of - 0.02, f"{term}_high_90": of + 0.02}
        found.append(PairVerdict(**columns | {"widest_donor": value + 0.01, "stretched": -0.1}))
    return [found[0], replace(found[1], verdict=PairsVerdict.OPEN, share=None)]


def differences() -> list[SizeDifference]:
    """Exact powers, a little steeper for the second donor and for stretched spectra."""
    steeper = {("projected", donor): more for donor, more in DONORS.items()} | {
        ("stretched", ""): 0.1,
        ("random-projection", ""): -0.1,
    }
    return [
        SizeDifference(
            **SOURCE, **PLACE, metric=metric, null=null, donor=donor, params_nonembedding=size, width=8, seeds=1,
            difference=(value + more) * float(np.log(size / SIZES[-1])), norm_kept=0.9 if null == "projected" else None,
        )
        for metric, value in DIFFERENCE.items() for (null, donor), more in steeper.items() for size in SIZES
    ]  # fmt: skip


def judged() -> tuple[list[PairVerdict], list[SizeDifference]]:
    return verdicts(), differences()


def growth() -> list[Growth]:
    """Every measure at two places and three lengths, and a published one."""
    row = {**SOURCE, **NO_PART, "of": "logarithm", "primary": False, "combinations": 9, "reason": "", "eps2": None}
    row |= {"fixed_spectrum_slope": 0.0, "stretched_slope": -0.001}
    words = {"grows": (0.123, 0.1, 0.2), "falls": (-123.4, -200.0, -50.0), "flat": (-0.02, -0.1, 0.1)}
    found = []
    for place, measure in enumerate(name for name in QUANTITIES if not name.startswith(("loss", "matrix_entropy_over_ln_width"))):
        for (layer, normalise), length in (
            (where, n) for where in (("last", "unit"), ("final", "centre-unit")) for n in (16, 64, None)
        ):
            word = list(words)[place % 3]
            slope = dict(zip(("slope", "low", "high"), words[word], strict=True))
            where = {"measure": measure, "layer": layer, "normalise": normalise, "length": length, "growth": word}
            found.append(Growth(**row, **where, **slope, verdict=Verdict.NOT_JUDGED))
    found[0] = replace(found[0], growth=None, slope=None)
    loss = replace(found[-1], measure="loss", layer=None, normalise=None, length=None)
    published = replace(found[-1], measure="diff_erank", layer="final", length=None, family="opt", published=True)
    published = replace(published, verdict=Verdict.OUTSIDE)
    return [*found, loss, published, replace(published, corpus="e", verdict=Verdict.UNDECIDED)]


def loss_laws() -> tuple[list[LossLaw], list[LossRegion]]:
    x = tuple(float(size) for size in SIZES)
    common = {**SOURCE, "against": "params_nonembedding", "x": x, "y": tuple(1 + 9 * n**-0.2 for n in x), "peers": ()}
    common |= {"status": Status.CONVERGED, "reason": "", "n": 3, "interval": {}}
    common |= dict.fromkeys(("residual_sd", "aicc", "heldout_error", "objective", "delta", "lack_p", "misfit", "misfit_at"))
    common |= {"lack": Fitness.UNTESTED, "lack_reason": "no replicated seeds", "error_left_out": None}
    offset = LossLaw(**common, form="offset_power", params={"E": 1.0, "A": 9.0, "alpha": 0.2})
    power = replace(offset, form="power", params={"a": 5.0, "b": -0.1})
    none = replace(offset, family="no law", params={}, status=Status.FAILED, reason="two sizes")
    where = {**SOURCE, "against": "params_nonembedding", "limit": 1.0}
    grid = [(float(e), float(alpha)) for e in np.linspace(0.5, 1.5, 9) for alpha in np.linspace(0.1, 0.3, 9)]
    regions = [
        LossRegion(**where, E=e, alpha=alpha, statistic=(e - 1) ** 2 / 0.04 + (alpha - 0.2) ** 2 / 0.0016) for e, alpha in grid
    ]
    return [offset, power, none, replace(power, against="training_flops")], regions


AXES = {"params_nonembedding": 1, "params_total": 3, "width": 0.001}
"""How many times the parameters without embeddings each measure of size is."""


def loss_axes() -> list[LossAxes]:
    """Of texts and of the card's windows: on all parameters the law with an offset is not rejected, elsewhere every law is."""
    empty = dict.fromkeys(("residual_sd", "aicc", "heldout_error", "objective", "delta", "misfit", "misfit_at"))
    found = []
    for place, level in ((LossPlace.TEXTS, 1.0), (LossPlace.CARD, 2.0)):
        laws = []
        for (against, scale), form in product(AXES.items(), ("power", "offset_power", "log_linear")):
            holds = (against, form) == ("params_total", "offset_power")
            params = {"E": level, "A": 9.0 * scale, "alpha": 0.2} if form == "offset_power" else {"a": 5.0 + scale, "b": -0.1}
            laws.append(
                SizeLaw(
                    **empty, form=form, status=Status.CONVERGED, reason="", n=3, params=params, against=against,
                    interval={"E": (level - 0.25, level + 0.25), "alpha": (0.1, 0.3)} if holds else {}, lack_reason="",
                    lack=Fitness.NOT_REJECTED if holds else Fitness.REJECTED, lack_p=0.6 if holds else 1e-5,
                    error_left_out={"power": 0.03, "offset_power": 0.01, "log_linear": 0.04}[form],
                )
            )  # fmt: skip
        models = tuple(
            ModelLoss(
                model=f"m{size}", seed=0, params_nonembedding=size, params_total=3 * size, width=size // 1000,
                loss=level + 9 * size**-0.2,
            )
            for size in SIZES
        )  # fmt: skip
        best = {"best_against": "params_total", "best_form": "offset_power", "reason": ""}
        found.append(LossAxes(**SOURCE, place=place, pieces=7, tokens=1234, models=models, laws=tuple(laws), **best))
    return found


FIGURES: dict[str, Callable[[], list[Figure]]] = {
    "scaling": lambda: list(scaling_figure(points(), fits(), *judged(), PRIMARY)),
    "layers": lambda: list(layers_figure([row for row in points() if row.layer is not None], PRIMARY["metrics"], "here")),
    "nulls": lambda: [*pairs_figures(verdicts(), PRIMARY), tables_figure(*tables())],
    "growth": lambda: list(growth_figure(growth())),
    "losses": lambda: [losses_figure(*loss_laws()), *axes_figures(loss_axes())],
}


def test_each_panel_of_the_scaling_figure_shows_its_own_metric_law_bound_and_title():
    figure = next(scaling_figure(points(), fits(), *judged(), PRIMARY))
    assert "f on c: layer last, first 64 tokens, unit" in figure.get_suptitle()
    names = ("effective rank", "matrix entropy", "loss")
    units = ("directions", "nats", "nats a token")
    for axis, metric, name, unit in zip(figure.axes, PANELS, names, units, strict=False):
        assert axis.texts[0].get_text().splitlines()[0] == name
        assert axis.get_ylabel() == unit
        shown = [row for row in points() if row.metric == metric]
        drawn = {tuple(np.round(line.get_ydata(), 6)) for line in axis.lines if len(line.get_ydata()) == len(SIZES)}
        bounds = [[row.bound for row in shown if row.variant == "trained"]] if metric != "loss" else []
        values = [[row.value for row in shown if row.variant == variant] for variant in dict.fromkeys(r.variant for r in shown)]
        expected = values + bounds
        for donor, more in DONORS.items() if metric != "loss" else []:
            null = [LEVEL[metric] * n**0.1 * (n / SIZES[-1]) ** -(DIFFERENCE[metric] + more) for n in SIZES]
            expected.append(null)
            assert donor
        assert drawn == {tuple(np.round(line, 6)) for line in expected}
        law = next(line for line in axis.lines if len(line.get_ydata()) == 50)
        np.testing.assert_allclose(law.get_ydata()[[0, -1]], LEVEL[metric] * np.array([SIZES[0], SIZES[-1]]) ** 0.1)
    titles = [axis.texts[0].get_text() for axis in figure.axes[:3]]
    assert "verdict: beyond width" in titles[0]
    assert "verdict: open" in titles[1]
    assert "verdict" not in titles[2]
    assert ["width accounts for" in title for title in titles] == [True, False, False]


def test_the_widest_donor_is_bold():
    axis = next(scaling_figure(points(), fits(), *judged(), PRIMARY)).axes[0]
    lines = [line for line in axis.lines if line.get_color() == PROJECTIONS["projected"].colour and len(line.get_ydata()) == 3]
    widths = {round(float(line.get_ydata()[0] / (SIZES[0] ** 0.1)), 6): line.get_linewidth() for line in lines}
    own = round((SIZES[0] / SIZES[-1]) ** -0.05, 6)
    assert len(lines) == len(DONORS)
    assert max(widths, key=lambda value: widths[value]) == own


def test_each_panel_over_depth_shows_its_own_metric():
    rows = [replace(row, value=row.value + layer, layer=layer) for row in points() if row.layer for layer in (0, 1, 2, 3)]
    figure = next(layers_figure(rows, PRIMARY["metrics"], "here"))
    for axis, metric, name in zip(figure.axes, PRIMARY["metrics"], ("effective rank", "matrix entropy"), strict=True):
        assert axis.get_title() == name
        solid = [line for line in axis.lines if line.get_linestyle() == "-" and len(line.get_xdata()) == 3]
        assert len(solid) == len(SIZES)
        for line, size in zip(solid, SIZES, strict=True):
            np.testing.assert_allclose(line.get_xdata(), [0, 0.5, 1])
            np.testing.assert_allclose(line.get_ydata(), LEVEL[metric] * size**0.1 + np.arange(3))


def over_depth(**changes: Any) -> tuple[Figure, list[Point]]:
    rows = [
        replace(row, value=row.value + layer, low=row.low + layer, high=row.high + layer, layer=layer, **changes)
        for row in points()
        if row.layer is not None and row.low is not None and row.high is not None
        for layer in (0, 1, 2, 3)
    ]
    return next(layers_figure(rows, PRIMARY["metrics"], "here")), rows


def test_each_line_over_depth_has_its_band_and_the_norm_stands_apart():
    """Trained models and each null that a configuration chooses: means, intervals over documents, and no point without a tick."""
    figure, rows = over_depth()
    for axis, metric in zip(figure.axes, PRIMARY["metrics"], strict=True):
        bands = {
            tuple(map(tuple, np.round(band.get_paths()[0].vertices, 6)))
            for band in axis.collections
            if len(band.get_paths()[0]) > 2
        }
        for variant in ("trained", "shuffled", "untrained-0", "gaussian"):
            for size in SIZES:
                mine = [row for row in rows if (row.metric, row.variant, row.params_nonembedding) == (metric, variant, size)]
                shown = [
                    (row.layer / row.depth, row) for row in sorted(mine, key=lambda row: row.layer) if row.layer <= row.depth
                ]
                corners = {(round(x, 6), round(end, 6)) for x, row in shown for end in (row.low, row.high)}
                assert any(corners <= set(band) for band in bands), (metric, variant, size)
                (norm,) = [row for row in mine if row.layer > row.depth]
                assert any(
                    line.get_xdata()[0] == axis.get_xticks()[-1] and np.isclose(line.get_ydata()[0], norm.value)
                    for line in axis.lines
                    if len(line.get_xdata()) == 1
                )
        figure.draw_without_rendering()
        assert [label.get_text() for label in axis.get_xticklabels()] == ["0", "0.5", "1", "norm"]
        assert axis.get_xlim()[0] <= 0
        assert axis.get_xlim()[1] >= axis.get_xticks()[-1]
        assert axis.get_ylim()[0] <= min(
            row.low for row in rows if row.metric == metric and row.variant in ("trained", "gaussian")
        )
    assert {text.get_text() for text in figure.legends[0].get_texts()} >= {NULLS[null].short for null in ("gaussian", "shuffled")}


def test_an_axis_over_depth_is_logarithmic_where_one_state_would_hide_the_others():
    even, rows = over_depth()
    assert [axis.get_yscale() for axis in even.axes] == ["linear", "linear"]
    crushed = [
        replace(row, value=1.1, low=1.05, high=1.2) if row.layer == 1 and row.metric == "matrix_entropy" else row for row in rows
    ]
    figure = next(layers_figure(crushed, PRIMARY["metrics"], "here"))
    assert [axis.get_yscale() for axis in figure.axes] == ["linear", "log"]


@pytest.mark.parametrize(
    ("number", "said"), [(9, "9 documents, fewer than the 10 that"), (10, "10 documents"), (1, "1 document,")]
)
def test_fewer_than_ten_documents_are_said_to_be_few(number, said):
    assert said in over_depth(documents=number)[0].get_suptitle()
    assert ("fewer than" in over_depth(documents=number)[0].get_suptitle()) == (number < 10)
    few = [replace(row, documents=number) for row in points()]
    title = next(scaling_figure(few, fits(), *judged(), PRIMARY)).get_suptitle()
    assert ("fewer than the 10" in title) == (number < 10)


def test_losses_are_above_and_their_region_below():
    above, below = losses_figure(*loss_laws()).axes
    assert above.get_ylabel() == "loss (nats a token)"
    assert below.get_ylabel() == "offset E (nats a token)"
    curves = [line for line in above.lines if len(line.get_xdata()) == 80]
    assert [line.get_linestyle() for line in curves] == ["-", "--"]
    np.testing.assert_allclose(curves[0].get_ydata()[0], 1 + 9 * SIZES[0] ** -0.2)
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in below.lines] == [(0.2, 1.0)]
    assert not below.get_legend()
    assert "f, c" in [text.get_text() for text in above.get_legend().get_texts()]


def test_title_gives_exponent_interval_held_out_error_difference_share_and_verdict():
    assert title("effective rank", fits()[0], verdicts()[:1]) == [
        "effective rank",
        "exponent 0.100 [0.050, 0.150]",
        "law of the others 1% above the largest",
        "minus projected +0.050 [0.020, 0.080]",
        "width accounts for 50% [40%, 60%]",
        "verdict: beyond width",
    ]


def test_title_says_why_there_is_no_law():
    failed = replace(fits()[0], params={}, status=Status.FAILED, reason="y is flat", interval={}, heldout_error=None)
    assert title("m", failed, []) == ["m", "no law: y is flat"]


@pytest.mark.slow
def test_what_is_not_primary_is_drawn_and_marked_exploratory():
    metric, marked = "participation_ratio", "participation ratio (exploratory)"

    def with_another(found: list, name: str) -> list:
        """Records of one more metric, which says what the effective rank says."""
        return [*found, *(replace(row, metric=name) for row in found if row.metric == "erank_covariance")]

    explored = with_another(verdicts(), metric)
    more = [with_another(points(), metric), with_another(fits(), metric), explored, with_another(differences(), metric)]
    even = next(scaling_figure(*more, PRIMARY, [metric]))
    titles = ["\n".join(text.get_text() for text in axis.texts) for axis in even.axes[:4]]
    assert [text.split("\n")[0] for text in titles] == ["effective rank", "matrix entropy", marked, "loss"]
    assert "verdict" in titles[2]
    check_column(even)
    (key,) = even.findobj(Legend)
    ticks = [label.get_window_extent() for axis in even.axes[:4] for label in axis.get_xticklabels() if label.get_text()]
    assert ticks
    assert min(box.y0 for box in ticks) > key.get_window_extent().y1
    check_column(next(scaling_figure(*(with_another(found, "stable_rank") for found in more), PRIMARY, [metric, "stable_rank"])))
    assert is_at(explored[0], PRIMARY)
    assert not is_at(replace(explored[0], length=16), PRIMARY)


@pytest.mark.parametrize("what", FIGURES)
def test_a_figure_is_a_column_wide_with_text_of_five_points_or_more_inside_it(what):
    for figure in FIGURES[what]():
        check_column(figure)


def test_growth_shows_signs_frames_and_what_has_no_slope():
    figure, published = growth_figure(growth())
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert {".12", "−123", "−.02", "none"} <= set(texts)
    for page, number in ((figure, 0), (published, 1)):
        assert sum(patch.get_facecolor()[3] == 0 for patch in page.axes[0].patches) == number
    assert "opt" in published.axes[0].get_yticklabels()[0].get_text()


def test_each_cell_of_growth_stands_under_its_place_and_length_beside_its_measure():
    measured = [row for row in growth() if not row.published]
    rows = [replace(row, growth="grows", slope=(100 + k) / 100) for k, row in enumerate(measured)]
    axis = next(growth_figure(rows)).axes[0]
    at = {(round(text.get_position()[0], 3), text.get_position()[1]): text.get_text() for text in axis.texts}
    places = {x: text for (x, y), text in at.items() if y == -1.7}
    columns = {}
    for (x, y), length in at.items():
        if y == -0.9:
            columns[places[min(places, key=lambda place: abs(place - x))], length] = x
    assert len(columns) == 2 * 3
    lines = [label.get_text() for label in axis.get_yticklabels()]
    for row in rows:
        place, length = (f"{row.layer}, {row.normalise}", str(row.length or "all")) if row.layer else ("last, unit", "all")
        assert at[columns[place, length], lines.index(name_of(row.measure))] == f"{row.slope:.2f}"


def test_each_published_growth_stands_in_its_line_with_its_interval_and_nulls():
    rows = [row for row in growth() if row.published]
    rows = [
        replace(
            row, growth="grows", slope=1.1 + k, low=1 + k, high=1.2 + k, fixed_spectrum_slope=2.5 + k, stretched_slope=3.5 + k
        )
        for k, row in enumerate(rows)
    ]
    (page,) = growth_figure(rows)
    axis = page.axes[0]
    at = {text.get_position(): text.get_text() for text in axis.texts}
    heads = {text: x for (x, y), text in at.items() if y == -0.9}
    assert list(heads) == ["slope", "95 % interval", *(NULLS[null].short for null in WIDTH_NULLS)]
    for y, row in enumerate(rows):
        assert axis.get_yticklabels()[y].get_text() == f"Diff-eRank: {row.family}, {row.corpus}"
        found = [at[x, y] for x in heads.values()]
        assert found == [f"{row.slope:.2f}", f"{row.low:.2f} to {row.high:.2f}", f"{2.5 + y:.2f}", f"{3.5 + y:.2f}"]


def test_what_seeds_reject_is_pale_and_has_no_mark_of_its_offset():
    laws, regions = loss_laws()
    laws[0] = replace(laws[0], lack=Fitness.REJECTED)
    above, below = losses_figure(laws, regions).axes
    curves = [line for line in above.lines if len(line.get_xdata()) == 80]
    assert [line.get_alpha() for line in curves] == [0.4, 1]
    assert not below.lines


@pytest.mark.parametrize("page", [0, 1])
def test_each_panel_of_the_laws_of_the_loss_shows_its_own_measure_of_size(page):
    found = loss_axes()[page]
    figure = list(axes_figures(loss_axes()))[page]
    other, level = loss_axes()[1 - page], 1.0 + page
    assert f"loss on 7 {found.place}, 1,234 tokens" in figure.get_suptitle()
    assert "of all: with an offset, all parameters" in figure.get_suptitle()
    names = ["parameters without embeddings", "all parameters", "width"]
    for axis, (against, scale), name in zip(figure.axes, AXES.items(), names, strict=True):
        assert axis.get_xlabel() == name
        x = scale * np.array(SIZES)
        solid, hollow = (line for line in axis.lines if len(line.get_xdata()) == 3)
        np.testing.assert_allclose(solid.get_xdata(), x)
        np.testing.assert_allclose(solid.get_ydata(), [model.loss for model in found.models])
        np.testing.assert_allclose(hollow.get_ydata(), [model.loss for model in other.models])
        assert hollow.get_markerfacecolor() == "none"
        power, offset, linear = (line for line in axis.lines if len(line.get_xdata()) == 80)
        np.testing.assert_allclose(power.get_ydata()[[0, -1]], (5 + scale) * x[[0, -1]] ** -0.1)
        np.testing.assert_allclose(offset.get_ydata()[[0, -1]], level + 9 * scale * x[[0, -1]] ** -0.2)
        np.testing.assert_allclose(linear.get_ydata()[[0, -1]], 5 + scale - 0.1 * np.log(x[[0, -1]]))
        holds = against == "params_total"
        assert [line.get_linestyle() for line in (power, offset, linear)] == ["--", "-" if holds else "--", "--"]
        assert offset.get_linewidth() > max(power.get_linewidth(), linear.get_linewidth()), "nearest on sizes left out"
        texts = " ".join(text.get_text() for text in axis.get_legend().get_texts())
        assert ("E = " in texts) == holds
        assert (f"E = {level:.2f} [{level - 0.25:.2f}, {level + 0.25:.2f}], 1 % off" in texts) == holds
        assert texts.count("rejected (p = 1e-05)") == (2 if holds else 3)
        assert f"on 7 {other.place}" in texts


def test_losses_without_a_law_say_why():
    none = [replace(law, status=Status.FAILED, params={}, reason="2 sizes", error_left_out=None) for law in loss_axes()[0].laws]
    found = replace(loss_axes()[0], laws=tuple(none), best_against=None, best_form=None, reason="too few sizes")
    (figure,) = axes_figures([found])
    assert "No law: too few sizes" in figure.get_suptitle()
    for axis in figure.axes:
        assert [text.get_text() for text in axis.get_legend().get_texts()] == [
            "power law, no law: 2 sizes", "with an offset, no law: 2 sizes", "linear in ln, no law: 2 sizes",
        ]  # fmt: skip


def test_a_region_is_the_contour_at_its_limit():
    figure = losses_figure(*loss_laws())
    path = figure.axes[1].collections[0].get_paths()[0].vertices
    statistic = (path[:, 1] - 1) ** 2 / 0.04 + (path[:, 0] - 0.2) ** 2 / 0.0016
    np.testing.assert_allclose(statistic, 1, atol=0.1)


@pytest.mark.slow
def test_a_corpus_of_short_texts_has_a_page_with_its_loss(tmp_path):
    """Where no text is long enough, a panel says so, and the other corpora have theirs."""
    short = [replace(row, corpus="short") for row in points() if row.metric == "loss"]
    pages = list(scaling_figure([*points(), *short], fits(), *judged(), PRIMARY))
    save(pages, tmp_path / "a.pdf")
    assert [page.get_suptitle().split(":")[0] for page in pages] == ["f on c", "f on short"]
    assert [bool(axis.lines) for axis in pages[1].axes[:3]] == [False, False, True]
    assert [text.get_text() for text in pages[1].axes[0].texts] == ["no such text", "effective rank"]


def test_every_null_of_the_rows_is_drawn():
    figure = next(scaling_figure(points(), fits(), *judged(), PRIMARY))
    drawn = {tuple(np.round(line.get_ydata(), 9)) for line in figure.axes[0].lines}
    for place in range(1, 1 + len(NULLS)):
        assert tuple(round(size**0.1 * (1 + place / 10), 9) for size in SIZES) in drawn


def bars(figure: Figure, width: float) -> list[tuple[float, ...]]:
    """Ends of bars of that line width on the first axes."""
    lines = [line for line in figure.axes[0].lines if line.get_linewidth() == width and len(line.get_xdata()) == 2]
    return [tuple(np.round(line.get_xdata(), 6)) for line in lines]


def test_a_block_shows_three_terms_in_margins_with_both_intervals_and_what_width_accounts_for():
    figure = next(pairs_figures(verdicts(), PRIMARY))
    axis = figure.axes[0]
    assert [text.get_text() for text in axis.texts] == [
        "effective rank",
        "beyond width",
        "exponent +0.100, of which width accounts for 50% [40%, 60%]",
        "matrix entropy",
        "open",
        "exponent +0.100, not resolved: no share of it is given",
    ]
    assert bars(figure, 0.9)[:3] == [(1.0, 4.0), (-2.6, -1.4), (-0.4, 0.8)]
    assert bars(figure, 2.8)[:3] == [(1.5, 3.5), (-2.4, -1.6), (-0.2, 0.6)]
    bands = [band.get_paths()[0].get_extents() for band in axis.collections]
    assert [(band.x0, band.x1) for band in bands] == [(-1, 1)] * 6
    assert [tick.get_text() for tick in axis.get_yticklabels()][:5] == [
        "slope +0.050 (margin 0.02)", "sag −0.100 (margin 0.05)", "level +0.010 (margin 0.05)", "widest donor alone",
        "stretched spectrum",
    ]  # fmt: skip
    marks = [float(line.get_xdata()[0]) for line in axis.lines if line.get_marker() == "^"]
    assert marks == pytest.approx([3.0, -5.0, -0.5, -5.0])


def test_what_could_not_be_judged_is_named_with_its_reason():
    none = replace(verdicts()[0], verdict=None, cause="a family of one size", slope=None, widest_donor=None, stretched=None)
    figure = next(pairs_figures([none], PRIMARY))
    assert [text.get_text() for text in figure.axes[0].texts][1:] == ["exploratory", "a family of one size"]
    check_column(figure)


def test_tables_have_differences_from_the_weaker_nulls_and_no_margin():
    figure = tables_figure(*tables())
    assert [text.get_text() for text in figure.axes[0].texts][:2] == [
        "f (published), c",
        "matrix entropy / ln d: exponent +0.100",
    ]
    assert "weaker" in figure.get_suptitle()
    assert bars(figure, 0.9) == [(-0.15, -0.05), (0.2, 0.4)]
    assert not figure.axes[0].collections
    measured = [row for row in tables()[0] if not row.published]
    assert tables_figure(measured, tables()[1]) is None


def test_any_number_of_sizes_have_colours_of_their_own_darker_for_larger_ones():
    luminance = [float(np.dot(colour[:3], (0.2126, 0.7152, 0.0722))) for colour in ordered_colours(range(19)).values()]
    assert len(luminance) == 19
    assert (np.diff(luminance) < 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("what", FIGURES)
def test_bytes_are_reproducible(what, tmp_path):
    for name in ("a.pdf", "b.pdf"):
        save(FIGURES[what](), tmp_path / name)
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()
