"""MLP hidden states of several widths: planted spectra give their exponents, and nulls those of nulls."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.core.state import MLP_HIDDEN, State
from geomkit.laws.resampling import Documents, percentile_interval
from geomkit.measures.spectra import CovarianceAccumulator, Spectrum, spectrum
from geomkit.states.spectra import write_spectra
from geomkit.states.texts import Texts
from geomkit.studies.mlp_width.analyse import study_mlp_width
from geomkit.studies.mlp_width.claims import soft_rank_outgrows_hard_rank
from geomkit.studies.mlp_width.figure import draw_mlp_width
from geomkit.studies.mlp_width.rows import (
    BEYOND_PROJECTED,
    BEYOND_UNTRAINED,
    HARD,
    PROJECTED,
    SHAPE,
    SOFT,
    TRAINED,
    UNTRAINED,
    MlpLaw,
    MlpRank,
)
from geomkit.tables.absence import Absent
from geomkit.tables.findings import OPEN, REFUTED, SUPPORTED, Inputs
from geomkit.tables.rows import read_csv, write_csv

NAMES = ["a", "b", "c", "d"]
TEXTS = Texts(NAMES, [30] * 4, [1] * 4)
DEPTH, RESAMPLES = 2, 20


def write(path: Path, d: int, trained: np.ndarray, twins: int = 2, mode: str = "centre", texts: Texts = TEXTS) -> None:
    """Spectra of MLP hidden states whose documents have these covariances (documents, f, f), and twins with a flat one."""
    f = trained.shape[-1]
    facts = {"params_nonembedding": d * f, "params_total": 2 * d * f, "depth": DEPTH}
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_spectra(path, texts, facts, {}) as writer:
        for variant, covariances in {
            TRAINED: trained,
            **{f"{UNTRAINED}-{k}": np.stack([np.eye(f)] * 4) for k in range(twins)},
        }.items():
            for state, own in ((State(DEPTH, MLP_HIDDEN), covariances), (State(DEPTH), np.stack([np.eye(d)] * 4))):
                documents = [CovarianceAccumulator(own.shape[-1], total=30 * one, n=30) for one in own]
                writer.corpus(variant, mode, state, spectrum_of(own.mean(axis=0)))
                for number, document in enumerate(documents):
                    writer.document(variant, mode, state, number, document)


def spectrum_of(covariance: np.ndarray) -> Spectrum:
    return Spectrum(np.linalg.eigvalsh(covariance)[::-1].copy(), 120, len(covariance))


def flat(f: int, k: int) -> np.ndarray:
    """Documents of unlike size whose covariances are flat on the same k of f directions."""
    return np.array([1.0, 2, 3, 4])[:, None, None] * np.diag((np.arange(f) < k).astype(float))


def power(f: int, decay: float) -> np.ndarray:
    return np.array([1.0, 2, 3, 4])[:, None, None] * np.diag(np.arange(1.0, f + 1) ** -decay)


def study(
    folder: Path, clouds: dict[str, tuple[int, np.ndarray]], **options: Any
) -> tuple[list[MlpRank], list[MlpLaw], list[Absent]]:
    """Rows of models, each with the width of its states and its documents' covariances; a family's name is before a dash."""
    paths = []
    for name, (d, covariances) in clouds.items():
        write(folder / f"spectra/{name}/c.h5", d, covariances, **options)
        paths.append(folder / f"spectra/{name}/c.h5")
    outputs = [folder / f"{name}.csv" for name in ("points", "laws", "absent")]
    families = {name: name.partition("-")[0] for name in clouds}
    study_mlp_width(paths, *outputs, families, dict.fromkeys(clouds, 0), [options.get("mode", "centre")], RESAMPLES, 3)
    return read_csv(outputs[0], MlpRank), read_csv(outputs[1], MlpLaw), read_csv(outputs[2], Absent)


def values(laws: list[MlpLaw], **columns: Any) -> dict[tuple[str, str], MlpLaw]:
    return {(row.metric, row.of): row for row in laws if all(getattr(row, key) == one for key, one in columns.items())}


SQUARES = (16, 25, 36, 49, 64)


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """A family whose states are flat on the root of the MLP's width, and one model whose MLP alone is wider."""
    family = {f"f-{f}": (4 * number + 4, flat(f, int(f**0.5))) for number, f in enumerate(SQUARES)}
    return study(tmp_path_factory.mktemp("squares"), family | {"g-81": (4, flat(81, 9))})


def test_a_planted_power_is_found_in_a_family_and_in_its_nulls(squares):
    points, laws, absent = squares
    assert absent == []
    of_family = values(laws, width=None)
    for metric in (SOFT, HARD):
        assert of_family[metric, TRAINED].value == pytest.approx(0.5)
        assert of_family[metric, UNTRAINED].value == pytest.approx(1)
        assert of_family[metric, BEYOND_UNTRAINED].value == pytest.approx(-0.5)
        assert of_family[metric, PROJECTED].value == pytest.approx(0, abs=1e-9), "the widest is flat on 8 of any 16 directions"
        assert of_family[metric, BEYOND_PROJECTED].value == pytest.approx(0.5), "each donor has its own number of directions"
    assert all(row.value == pytest.approx(0, abs=1e-9) for (metric, _), row in of_family.items() if metric == SHAPE)
    row = of_family[SOFT, TRAINED]
    assert (row.family, row.sizes, row.documents, row.mlps, row.depth) == ("f", 5, 4, "16 25 36 49 64", None)
    assert row.residual == pytest.approx(0, abs=1e-9)
    projected = {row.mlp: row for row in points if (row.variant, row.metric) == (PROJECTED, SOFT)}
    assert {mlp: (row.value, row.donor) for mlp, row in projected.items()} == {
        f: (pytest.approx(8), "f-64") for f in SQUARES if f < 64
    }
    own = next(row for row in points if (row.model, row.variant, row.metric) == ("f-25", TRAINED, HARD))
    assert (own.value, own.directions, own.tokens, own.width, own.low) == (pytest.approx(5), 25, 120, 8, None)


def test_a_wider_mlp_alone_is_compared_at_its_width_and_depth(squares):
    alone = values(squares[1], width=4)
    row = alone[SOFT, TRAINED]
    assert (row.family, row.mlps, row.sizes, row.depth) == ("f and g", "16 81", 2, DEPTH)
    assert row.value == pytest.approx(np.log(9 / 4) / np.log(81 / 16))
    assert alone[SOFT, PROJECTED].value == pytest.approx(0, abs=1e-9)
    assert alone[SOFT, BEYOND_PROJECTED].value == pytest.approx(row.value)
    assert alone[SOFT, UNTRAINED].value == pytest.approx(1)
    assert (row.low, row.high) == (None, None), "documents have one covariance, up to its size"


def test_two_widths_have_an_interval_over_the_seeds_of_all_shapes(tmp_path):
    """Three models of one shape: a mean of three differs from one of one by sd sqrt(1/3 + 1), with two degrees of freedom."""
    clouds = {f"f-16s{k}": (4, flat(16, k)) for k in (3, 4, 6)} | {"g-64": (4, flat(64, 12))}
    paths = []
    for name, (d, covariances) in clouds.items():
        write(tmp_path / f"spectra/{name}/c.h5", d, covariances)
        paths.append(tmp_path / f"spectra/{name}/c.h5")
    outputs = [tmp_path / f"{name}.csv" for name in ("points", "laws", "absent")]
    families, seeds = {name: name[0] for name in clouds}, dict(zip(clouds, range(4), strict=True))
    study_mlp_width(paths, *outputs, families, seeds, ["centre"], 5, 3)
    found = values(read_csv(outputs[1], MlpLaw), width=4)
    levels = np.log([3, 4, 6])
    half = stats.t.ppf(0.975, 2) * levels.std(ddof=1) * np.sqrt(4 / 3) / np.log(4)
    for of in (TRAINED, BEYOND_PROJECTED, BEYOND_UNTRAINED):
        row = found[SOFT, of]
        assert (row.low, row.high) == pytest.approx((row.value - half, row.value + half))
    assert found[SOFT, TRAINED].value == pytest.approx((np.log(12) - levels.mean()) / np.log(4))
    assert found[SOFT, PROJECTED].high == pytest.approx(0, abs=1e-12), "a null has no seeds"


def test_width_alone_is_nothing_beyond_a_wider_mlp(tmp_path):
    """Models whose spectra are the leading parts of one power law: soft outgrows hard, and so it does in every donor."""
    widths = (16, 24, 32, 48, 64)
    _, laws, _ = study(tmp_path, {f"f-{f}": (f // 4, power(f, 1.0)) for f in widths})
    found = values(laws, width=None)
    assert found[SOFT, TRAINED].value > found[HARD, TRAINED].value > 0
    assert found[SHAPE, TRAINED].low > 0
    for metric in (SOFT, HARD, SHAPE):
        assert found[metric, TRAINED].value == pytest.approx(found[metric, PROJECTED].value)
        assert found[metric, BEYOND_PROJECTED].value == pytest.approx(0, abs=1e-9)
    assert found[SHAPE, TRAINED].value == pytest.approx(found[SOFT, TRAINED].value - found[HARD, TRAINED].value)


def test_intervals_are_those_of_documents_drawn_again(tmp_path):
    """Against ranks of covariances that are added up by hand, in the draws that all models share."""
    draw = np.random.default_rng(0)
    rows = draw.standard_normal((4, 30, 8)) * np.linspace(1, 3, 8) * np.arange(1, 5)[:, None, None]
    covariances = np.einsum("dni,dnj->dij", rows, rows) / 30
    points, _, _ = study(tmp_path, {"f-8": (4, covariances)})
    counts = Documents.draw(NAMES, RESAMPLES, rng(3, "corpus", "c")).counts
    hard = []
    for count in counts:
        own = np.linalg.eigvalsh(np.tensordot(count, covariances, axes=1))
        hard.append(own.sum() ** 2 / (own**2).sum())
    row = next(row for row in points if (row.variant, row.metric) == (TRAINED, HARD))
    whole = np.linalg.eigvalsh(covariances.mean(axis=0))
    assert row.value == pytest.approx(whole.sum() ** 2 / (whole**2).sum())
    moved = np.log(hard) - np.mean(np.log(hard)) + np.log(row.value)
    assert (row.low, row.high) == pytest.approx(tuple(np.exp(percentile_interval(moved))))
    assert row.low < row.value < row.high


def test_what_cannot_be_measured_is_said(tmp_path):
    clouds = {"f-16": (4, flat(16, 4))}
    points, laws, absent = study(tmp_path / "unit", clouds, mode="unit")
    assert (points, laws) == ([], [])
    assert [(row.model, row.reason) for row in absent] == [
        ("f-16", "rows on fewer directions would have to be scaled again, and spectra have no rows")
    ]
    path = tmp_path / "without/spectra/f-16/c.h5"
    path.parent.mkdir(parents=True)
    facts = {"params_nonembedding": 1, "params_total": 1, "depth": DEPTH}
    with write_spectra(path, TEXTS, facts, {"sublayer/2/mlp_hidden": "it has not one MLP"}) as writer:
        writer.corpus(TRAINED, "centre", State(DEPTH), spectrum(np.eye(4), centred=False))
    outputs = [tmp_path / f"{name}.csv" for name in ("points", "laws", "absent")]
    study_mlp_width([path], *outputs, {"f-16": "f"}, {"f-16": None}, ["centre"], RESAMPLES, 3)
    assert [row.reason for row in read_csv(outputs[2], Absent)] == ["it has not one MLP"]
    draw_mlp_width(*outputs[:2], tmp_path / "empty.pdf", ["centre"])
    assert (tmp_path / "empty.pdf").stat().st_size > 500


def test_models_that_read_different_texts_are_not_compared(tmp_path):
    write(tmp_path / "spectra/f-16/c.h5", 4, flat(16, 4))
    write(tmp_path / "spectra/g-25/c.h5", 4, flat(25, 5), texts=Texts(["a", "b", "c", "e"], [30] * 4, [1] * 4))
    paths = [tmp_path / f"spectra/{name}/c.h5" for name in ("f-16", "g-25")]
    outputs = [tmp_path / f"{name}.csv" for name in ("points", "laws", "absent")]
    with pytest.raises(DataError, match="c: f-16 and g-25 read different texts"):
        study_mlp_width(paths, *outputs, {"f-16": "f", "g-25": "g"}, {"f-16": 0, "g-25": 0}, ["centre"], RESAMPLES, 3)


def test_the_figure_is_drawn(squares, tmp_path):
    points, laws, _ = squares
    for name, record, rows in (("points", MlpRank, points), ("laws", MlpLaw, laws)):
        write_csv(tmp_path / f"{name}.csv", record, rows)
    draw_mlp_width(tmp_path / "points.csv", tmp_path / "laws.csv", tmp_path / "out.pdf", ["centre"])
    once = (tmp_path / "out.pdf").read_bytes()
    draw_mlp_width(tmp_path / "points.csv", tmp_path / "laws.csv", tmp_path / "out.pdf", ["centre"])
    assert (tmp_path / "out.pdf").read_bytes() == once


# the claim


def law(metric: str, of: str, value: float, half: float = 0.1, **columns: Any) -> MlpLaw:
    place: dict[str, Any] = {"family": "f", "corpus": "c", "normalise": "centre", "width": None, "depth": None, "mlps": "16 64"}
    place |= {"sizes": 5, "documents": 40, "residual": None} | columns
    return MlpLaw(metric=metric, of=of, value=value, low=value - half, high=value + half, **place)


@pytest.mark.parametrize(
    ("gap", "beyond", "verdict"),
    [(0.5, 0.3, SUPPORTED), (0.5, 0.0, OPEN), (0.5, -0.3, REFUTED), (0.0, 0.3, OPEN), (-0.5, 0.3, REFUTED)],
)
def test_the_gap_must_be_there_and_be_more_than_width_alone_gives(tmp_path, gap, beyond, verdict):
    rows = [law(SOFT, TRAINED, 0.9), law(HARD, TRAINED, 0.9 - gap), law(SHAPE, TRAINED, gap), law(SHAPE, PROJECTED, gap - beyond),
            law(SHAPE, BEYOND_PROJECTED, beyond), law(SHAPE, UNTRAINED, 0.2)]  # fmt: skip
    rows += [law(SHAPE, TRAINED, 9, normalise="raw")]
    write_csv(tmp_path / "mlp_width/laws.csv", MlpLaw, rows)
    (finding,) = soft_rank_outgrows_hard_rank(Inputs([tmp_path / "mlp_width/laws.csv"]))
    assert finding.verdict is verdict
    assert (finding.value, finding.null, finding.sizes, finding.primary) == (beyond, "projected", 5, False)
    assert "exploratory" in finding.effect
    assert finding.reason.startswith("soft +0.90, hard ")


def test_without_rows_there_is_no_finding(tmp_path):
    assert soft_rank_outgrows_hard_rank(Inputs([])) == []
