"""fixed_width.csv from tables with planted differences."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from geomkit.core.errors import DataError
from geomkit.studies.published.rows import PublishedValue
from geomkit.studies.same_width.analyse import compare_at_fixed_width
from geomkit.studies.size_laws.rows import DiffErank, FixedWidth, Trend
from geomkit.tables.rows import read_csv, write_csv
from geomkit.tables.tidy import DONOR_COLUMNS, TableWriter

WIDTHS, TEXTS = {16: 3, 32: 3, 64: 1}, 12
DOCUMENTS = [f"d{text // 2}" for text in range(TEXTS)]
RNG = np.random.default_rng(0)
TEXT = {mode: np.exp(RNG.normal(1, 0.2, TEXTS)) for mode in ("unit", "centre-unit")}
SEED = {(width, seed): float(RNG.normal(0, 0.02)) for width, seeds in WIDTHS.items() for seed in range(seeds)}
TWIN = RNG.normal(0, 0.02, 20)
WHERE = {"text": list(range(TEXTS)), "document": DOCUMENTS, "n": 8, "metric": "erank_covariance"}


def sizes(width: int) -> dict[str, int]:
    return {"params_nonembedding": width**2, "params_total": 2 * width**2, "depth": 2}


def planted(width: int, seed: int, mode: str, layer: str) -> np.ndarray:
    """Unit rows lose a fifth by training, centred ones nothing; gain and bias take a tenth."""
    effect = math.log(0.8) if mode == "unit" else 0.0
    gain = math.log(0.9) if layer == "final" else 0.0
    return TEXT[mode] * width**0.5 * math.exp(effect + gain + SEED[width, seed])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    folder, paths = tmp_path_factory.mktemp("fixed"), []
    whole = TableWriter(family="f", corpus="c")
    for width, seed in SEED:
        name = f"f-{width}-s{seed}"
        table = TableWriter(model=name, family="f", seed=seed, corpus="c", **sizes(width))
        for mode in TEXT:
            for layer, state in (("final", {"layer": 3, "sublayer": "block"}), ("plain", {"layer": 3, "sublayer": "plain"})):
                columns = {**WHERE, **state, "d": width, "normalise": mode}
                table.add(**columns, variant="trained", value=planted(width, seed, mode, layer))
                for twin, own in enumerate(TWIN):
                    table.add(**columns, variant=f"untrained-{twin}", value=TEXT[mode] * width**0.5 * math.exp(own))
            common = {**WHERE, "d": width, "normalise": mode, "layer": 2, "sublayer": "block", "model": name, "seed": seed}
            trained = planted(width, seed, mode, "plain")
            whole.add(**common, **sizes(width), variant="trained", value=trained)
            whole.add(**common, **sizes(width), variant="shuffled", value=trained / 1.1 if mode == "unit" else trained)
            corpus = common | {"text": -1, "document": None, "n": 96}
            whole.add(**corpus, **sizes(width), variant="trained", value=float(trained[0]))
            whole.add(**corpus, **sizes(width), variant="shuffled", value=float(trained[0]) / 1.1)
        # the loss goes with the seed's own entropy, and against width
        loss = {"model": name, "seed": seed, **sizes(width), "variant": "trained", "metric": "loss", "text": WHERE["text"]}
        whole.add(**loss, document=DOCUMENTS, n=7, value=np.full(TEXTS, 5 - math.log(width) + SEED[width, seed]))
        (folder / name).mkdir()
        table.write(folder / name / "c.parquet", {})
        paths.append(folder / name / "c.parquet")
    whole.write(folder / "entropy.parquet", {})
    order = TableWriter(
        DONOR_COLUMNS, corpus="c", family="f", donor="f-64-s0", normalise="unit", layer=2, sublayer="block", depth=2
    )
    for width in (16, 32):
        for variant, factor in (("projected", 1 / width), ("projected-shuffled", 1.0)):
            order.add(**WHERE, variant=variant, d=width, value=TEXT["unit"] * factor)
    (folder / "order" / "f-64-s0").mkdir(parents=True)
    order.write(folder / "order" / "f-64-s0" / "c.parquet", {})
    rows = [
        DiffErank(
            family="f", corpus="c", model=f"f-{width}-s{seed}", seed=seed, **sizes(width), layer="final", length=length,
            normalise="centre-unit", eps2=None, variant=variant, value=value + seed, twins=4, sd=0.5,
            low=value - 3, high=value + 3,
        )
        for width, seed in SEED
        for length, value in ((8, -40.0), (None, 20.0))
        for variant in ("measured", "stretched")
    ]  # fmt: skip
    write_csv(folder / "diff_erank.csv", DiffErank, rows)
    published = PublishedValue(
        family="opt", model="125M", params_nonembedding=1, params_total=2, width=768, training_flops=None, quantity="diff_erank",
        unit="1", dataset="wiki", value=83.55, source="x",
    )  # fmt: skip
    write_csv(folder / "published.csv", PublishedValue, [published])
    return folder, paths


def compare(written: tuple[Path, list[Path]], output: Path, paths: list[Path] | None = None) -> list[FixedWidth]:
    folder, own = written
    names = [folder / name for name in ("entropy.parquet", "diff_erank.csv", "published.csv")]
    order = [folder / "order" / "f-64-s0" / "c.parquet"] if paths != [] else []
    compare_at_fixed_width(
        own if paths is None else paths, order, *names, output, output.with_name(f"trends-{output.name}"), 200, 0
    )
    return read_csv(output, FixedWidth)


@pytest.fixture(scope="module")
def rows(written: tuple[Path, list[Path]]) -> list[FixedWidth]:
    return compare(written, written[0] / "fixed_width.csv")


def chosen(rows: list[FixedWidth], **where: object) -> list[FixedWidth]:
    return [row for row in rows if all(getattr(row, name) == value for name, value in where.items())]


def seed_mean(width: int) -> float:
    return float(np.mean([SEED[width, seed] for seed in range(WIDTHS[width])]))


@pytest.mark.parametrize("width", WIDTHS)
def test_what_training_does_is_found_and_lives_in_the_mean_direction(rows, width):
    shift = seed_mean(width) - TWIN.mean()
    for layer, gain in (("final", math.log(0.9)), ("plain", 0.0)):
        where = {"control": "untrained", "width": width, "layer": layer}
        (unit,), (centred,) = (chosen(rows, **where, normalise=mode) for mode in ("unit", "centre-unit"))
        assert unit.value == pytest.approx(math.log(0.8) + gain + shift, abs=1e-9)
        assert centred.value == pytest.approx(gain + shift, abs=1e-9)
        assert (unit.seeds, unit.twins, unit.documents) == (WIDTHS[width], 20, 6)
        (difference,) = chosen(rows, control="mean-direction", width=width, layer=layer)
        assert difference.value == pytest.approx(math.log(0.8), abs=1e-9)
        assert difference.sign == -1
        assert difference.normalise is None
    (bare,) = chosen(rows, control="untrained", width=width, layer="plain", normalise="unit")
    assert bare.sign == -1
    if width < 64:
        (nothing,) = chosen(rows, control="untrained", width=width, layer="plain", normalise="centre-unit")
        assert nothing.sign == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_gain_and_bias_are_told_from_nothing(rows, width):
    for mode in TEXT:
        (row,) = chosen(rows, control="norm", width=width, normalise=mode)
        assert row.value == pytest.approx(math.log(0.9), abs=1e-9)
        assert (row.layer, row.sign, row.twins) == ("final", -1, None)


def test_the_projected_null_of_word_order_is_that_of_the_widest_model_on_each_width(rows):
    found = chosen(rows, control="shuffled-projected")
    assert [row.width for row in found] == [16, 32]
    assert [row.value for row in found] == pytest.approx([-math.log(16), -math.log(32)])


def test_trends_have_the_mean_and_the_slope_of_a_comparison_over_widths(rows, written):
    trends = read_csv(written[0] / "trends-fixed_width.csv", Trend)
    (norm,) = [row for row in trends if (row.control, row.normalise) == ("norm", "unit")]
    assert norm.level == pytest.approx(math.log(0.9), abs=1e-9)
    assert norm.trend == pytest.approx(0, abs=1e-9)
    (seen,) = [row for row in trends if (row.control, row.layer, row.normalise) == ("untrained", "plain", "unit")]
    mine = chosen(rows, control="untrained", layer="plain", normalise="unit")
    assert seen.sizes == len(mine) == len(WIDTHS)
    x, y = np.log([sizes(row.width)["params_nonembedding"] for row in mine]), np.array([row.value for row in mine])
    assert seen.trend == pytest.approx(np.polyfit(x, y, 1)[0])
    assert seen.level == pytest.approx(y.mean())
    half = stats.t.ppf(0.975, len(y) - 1) * y.std(ddof=1) / math.sqrt(len(y))
    assert (seen.level_low, seen.level_high) == pytest.approx((y.mean() - half, y.mean() + half))


@pytest.mark.parametrize("width", WIDTHS)
def test_order_matters_where_it_was_planted(rows, width):
    for length in (8, None):
        (row,) = chosen(rows, control="shuffled", width=width, normalise="unit", length=length)
        assert row.value == pytest.approx(math.log(1.1), abs=1e-9)
        assert row.documents == (6 if length else None)
        assert row.sign == (1 if length or width < 64 else None)
    (nothing,) = chosen(rows, control="shuffled", width=width, normalise="centre-unit", length=8)
    assert nothing.value == pytest.approx(0, abs=1e-9)


def test_the_loss_goes_with_entropy_within_widths(rows):
    """Over widths the two go against each other; seeds of a width go together."""
    (row,) = chosen(rows, control="loss", layer="last", normalise="unit", length=8)
    assert row.value == pytest.approx(1, abs=1e-9)
    assert row.width is None
    assert row.seeds == 7
    assert row.detectable == pytest.approx(math.tanh(2.8015852 / math.sqrt(2)), rel=1e-6)
    assert chosen(rows, control="loss", layer="plain", normalise="unit")


def test_diff_erank_stands_beside_the_published_sign(rows):
    for width in WIDTHS:
        (short,) = chosen(rows, control="diff_erank", width=width, length=8)
        (whole,) = chosen(rows, control="diff_erank", width=width, length=None, published=False)
        shift = np.mean(range(WIDTHS[width]))
        assert (short.value, short.sign) == (pytest.approx(-40 + shift), -1)
        assert (whole.value, whole.sign) == (pytest.approx(20 + shift), 1)
        parts = [3, 3.182446 * 0.5 / 2] + ([4.302653 / math.sqrt(3)] if WIDTHS[width] == 3 else [])
        assert short.high - short.value == pytest.approx(math.hypot(*parts), rel=1e-5)
    (published,) = chosen(rows, published=True)
    assert (published.family, published.corpus, published.width, published.value) == ("opt", "wiki", 768, 83.55)
    assert (published.sign, published.low) == (1, None)


def test_the_same_input_gives_the_same_bytes(written, tmp_path, rows):
    compare(written, tmp_path / "again.csv", written[1][::-1])
    assert (tmp_path / "again.csv").read_bytes() == (written[0] / "fixed_width.csv").read_bytes()


def test_without_tables_of_the_final_state_the_rest_is_there(written, tmp_path):
    rows = compare(written, tmp_path / "x.csv", [])
    assert {row.control for row in rows} == {"shuffled", "loss", "diff_erank"}


def test_what_has_no_logarithm_has_a_reason(written, tmp_path):
    path = tmp_path / "f-16-s0" / "c.parquet"
    path.parent.mkdir()
    table = TableWriter(model="f-16-s0", family="f", seed=0, corpus="c", **sizes(16))
    columns = {**WHERE, "layer": 3, "sublayer": "block", "d": 16, "normalise": "unit"}
    for variant in ("trained", "untrained-0"):
        table.add(**columns, variant=variant, value=-np.ones(TEXTS))
    table.write(path, {})
    (row,) = chosen(compare(written, tmp_path / "x.csv", [path]), control="untrained")
    assert (row.value, row.reason) == (None, "a mean is not positive: it has no logarithm")


def test_seeds_that_read_different_texts_are_refused(written, tmp_path):
    path = tmp_path / "f-16-s9" / "c.parquet"
    path.parent.mkdir()
    table = TableWriter(model="f-16-s9", family="f", seed=9, corpus="c", **sizes(16))
    columns = {**WHERE, "layer": 3, "sublayer": "block", "d": 16, "normalise": "unit"} | {"document": ["z"] * TEXTS}
    table.add(**columns, variant="trained", value=np.ones(TEXTS))
    table.write(path, {})
    with pytest.raises(DataError, match="f-16-s0 and f-16-s9 are of one width, but read different texts"):
        compare(written, tmp_path / "x.csv", [written[1][0], path])
