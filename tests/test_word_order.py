"""Word order: shuffled blocks, a run against transformers' own numbers, and laws of planted effects."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from streams import store
from transformers import AutoModelForCausalLM

from geomkit.core.config import ModelSpec
from geomkit.core.errors import DataError, RefusalError
from geomkit.core.provenance import rng
from geomkit.measures.entropy import measure
from geomkit.measures.spectra import normalise, row_spectrum
from geomkit.states.texts import Sample, Texts, read_texts
from geomkit.studies.word_order.analyse import compare_orders, rank_correlations
from geomkit.studies.word_order.claims import FILE, follows_loss, grows_beyond, remains
from geomkit.studies.word_order.figure import draw_word_order, order_and_loss
from geomkit.studies.word_order.rows import ALL, BLOCKS, FACTS, OF_TEXT, OWN, TEXTS, OrderEffect, OrderLaw
from geomkit.studies.word_order.run import Measuring, measure_order
from geomkit.tables.findings import Inputs
from geomkit.tables.rows import read_csv

CPU = ModelSpec(device="cpu")


def sample(*sizes: int) -> Sample:
    ids = [np.arange(size, dtype=np.int32) for size in sizes]
    return Sample(ids, [7], Texts([f"d{k}" for k in range(len(sizes))], list(sizes), list(sizes)))


def test_blocks_of_one_are_tokens_in_random_order_as_they_always_were():
    order, texts = rng(3, "shuffled"), sample(9, 20)
    expected = [order.permutation(ids) for ids in texts.ids]
    found = texts.shuffled(3)
    assert found.prefix == [7]
    for one, other in zip(found.ids, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("block", [2, 4, 16])
def test_the_order_inside_a_block_stays(block):
    (ids,) = sample(67).shuffled(0, block).ids
    assert sorted(ids) == list(range(67))
    (starts,) = np.nonzero(ids % block == 0)
    assert len(starts) == -(-67 // block)
    inside = np.delete(np.diff(ids), starts[1:] - 1)
    assert (inside == 1).all()
    assert (ids != np.arange(67)).any()


def test_a_block_as_long_as_the_text_is_the_text():
    np.testing.assert_array_equal(sample(12).shuffled(0, 12).ids[0], np.arange(12))


def test_ranks_and_losses_are_those_of_transformers(tiny, tmp_path):
    folder = tiny("gpt-neox")
    store(tmp_path / "c.h5", folder)
    measure_order(folder, [folder], tmp_path / "c.h5", tmp_path / "m.parquet", CPU, 64, None, 12, 0)
    rows = pq.read_table(tmp_path / "m.parquet").to_pylist()
    texts = read_texts(tmp_path / "c.h5").sample
    long = [text for text, ids in enumerate(texts.ids) if len(ids) == 12]
    assert len(rows) == len(long) * 6
    assert {row["directions"] for row in rows} == {ALL}  # no relative is narrower
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    for block in (0, 2):
        ids = (texts.first(12).shuffled(0, block) if block else texts).ids[long[1]]
        own = [row for row in rows if row["block"] == block][1]
        taken = []
        handle = model.gpt_neox.layers[-1].register_forward_hook(lambda module, args, out, taken=taken: taken.append(out))
        with torch.no_grad():
            out = model(torch.tensor(ids[None].astype(np.int64)), labels=torch.tensor(ids[None].astype(np.int64)))
        handle.remove()
        assert own["surprisal"] == pytest.approx(float(out.loss), rel=1e-5)
        cloud = (taken[0][0] if isinstance(taken[0], tuple) else taken[0]).reshape(12, -1).numpy()
        spectrum = row_spectrum(normalise(cloud, "centre-unit"), centred=True)
        assert own["value"] == pytest.approx(float(measure(spectrum, ["erank_covariance"])["erank_covariance"].value), rel=1e-4)


def test_one_text_of_each_document_and_none_that_are_short(tiny, tmp_path):
    folder = tiny("llama")
    store(tmp_path / "c.h5", folder)
    measure_order(folder, [folder], tmp_path / "c.h5", tmp_path / "m.parquet", CPU, 64, 2, 12, 0)
    rows = pq.read_table(tmp_path / "m.parquet").to_pylist()
    assert [row["document"] for row in rows if row["block"] == 0] == ["d0", "d2"]
    with pytest.raises(DataError, match=r"c\.h5: texts of 13 tokens"):
        measure_order(folder, [folder], tmp_path / "c.h5", tmp_path / "m.parquet", CPU, 64, 2, 13, 0)
    with pytest.raises(RefusalError, match="masked"):
        measure_order(folder, [folder], tmp_path / "c.h5", tmp_path / "m", ModelSpec(objective="masked"), 64, 2, 12, 0)


def test_a_rotated_cloud_has_the_same_ranks_on_its_own_directions_and_not_on_those_of_text():
    draw = np.random.default_rng(0)
    clouds = draw.standard_normal((10, 30, 8)) * np.array([4, 3, 2, 1, 0.5, 0.4, 0.3, 0.2])
    table = Measuring([f"d{k}" for k in range(10)], [3], "float64")
    losses = np.zeros(10)
    table.add(0, clouds, losses)
    table.add(1, clouds[..., ::-1], losses)
    known = {}
    for row in table.rows:
        known.setdefault((row["block"], row["directions"], row["d"]), []).append(row["value"])
    np.testing.assert_allclose(known[1, ALL, 8], known[0, ALL, 8], rtol=1e-10)
    np.testing.assert_allclose(known[1, OWN, 3], known[0, OWN, 3], rtol=1e-10)
    np.testing.assert_allclose(known[0, OF_TEXT, 3], known[0, OWN, 3], rtol=1e-10)
    assert np.abs(np.log(np.divide(known[1, OF_TEXT, 3], known[0, OF_TEXT, 3]))).max() > 0.05


WIDTHS = (8, 12, 16, 24, 32, 48)


def planted(folder: Path, beyond: float, saved: float = 1.0, steps: bool = False) -> list[Path]:
    """Tables of models whose effect has the slope -.01 with ln N that projections give, less at longer blocks, and -`beyond`."""
    paths = []
    for place, d in enumerate(WIDTHS):
        draw = np.random.default_rng(place)
        size = 12 * d * d
        rows = []

        def effect(width: int, block: int) -> float:
            return (0.05 + 0.01 * np.log(12 * width * width)) / np.sqrt(block) if block else 0.0

        places = [(ALL, d), *((name, v) for v in WIDTHS[:place] for name in (OF_TEXT, OWN) if not steps)]
        scale = (place + 1) / 6 if steps else 1.0  # widths play the part of steps
        for block in (0, *BLOCKS):
            for text in range(24):
                own = beyond * np.log(size) if block else 0.0
                nats = 3 + saved * scale * (0.3 / block if block else 0) + draw.normal(0, 0.002)
                for name, v in places:
                    value = np.exp(3 + scale * effect(v, block) + own + draw.normal(0, 0.002))
                    row = {"block": block, "directions": name, "d": v, "document": f"d{text // 2}"}
                    rows.append(row | {"value": value, "surprisal": nats if name == ALL else None})
        facts = {"depth": 2, "d": d, "params_nonembedding": 100 if steps else size, "params_total": 2 * size, "ids": "same"}
        path = folder / f"m{d}/wikipedia.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=TEXTS.with_metadata({FACTS: json.dumps(facts)})), path)
        paths.append(path)
    return paths


def compared(paths: list[Path], folder: Path, steps: bool = False) -> tuple[list[OrderEffect], list[OrderLaw]]:
    names = [path.parent.name for path in paths]
    known = {name: 10 * (k + 1) if steps else None for k, name in enumerate(names)}
    outputs = folder / "word_order.csv", folder / "word_order_laws.csv"
    compare_orders(paths, *outputs, dict.fromkeys(names, "f"), dict.fromkeys(names, 0), known, 256, 0)
    return read_csv(outputs[0], OrderEffect), read_csv(outputs[1], OrderLaw)


@pytest.mark.parametrize("beyond", [0.0, 0.02, -0.02])
def test_growth_that_projection_makes_is_not_beyond_it(beyond, tmp_path):
    rows, laws = compared(planted(tmp_path, beyond), tmp_path)
    assert len(rows) == len(WIDTHS) * len(BLOCKS)
    known = {(row.kind, row.directions, row.block): row for row in laws}
    for directions in (OF_TEXT, OWN):
        assert known["beyond", directions, 1].value == pytest.approx(-beyond, abs=2e-3)
    assert known["growth", None, 4].value == pytest.approx(-beyond - 0.005, abs=2e-3)


def test_correlations_of_ranks():
    x = np.array([[1.0, 2, 3, 4], [4, 3, 2, 1], [1, 1, 1, 1]])
    found = rank_correlations(x, np.array([2.0, 4, 5, 9])[None])
    np.testing.assert_allclose(found, [1, -1, np.nan])


@pytest.mark.parametrize("saved", [1.0, -1.0])
@pytest.mark.parametrize("steps", [False, True])
def test_an_effect_that_goes_with_the_loss_follows_it(saved, steps, tmp_path):
    paths = planted(tmp_path, 0.0, saved, steps)
    rows, laws = compared(paths, tmp_path, steps)
    first = next(row for row in laws if row.kind == ("steps" if steps else "blocks"))
    assert first.value * saved > 0.9
    assert min(first.low * saved, first.high * saved) > 0
    assert {row.kind for row in laws} == ({"steps"} if steps else {"blocks", "sizes", "growth", "beyond"})
    assert rows[0].nats == pytest.approx(saved * 0.3 * (1 / 6 if steps else 1), abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [False, True])
def test_a_page_is_drawn_with_and_without_a_training(steps, tmp_path):
    compared(planted(tmp_path, 0.0, 1.0, steps), tmp_path, steps)
    draw_word_order(tmp_path / "word_order.csv", tmp_path / "word_order_laws.csv", tmp_path / "word_order.pdf")
    assert (tmp_path / "word_order.pdf").stat().st_size > 1000


def test_slopes_are_judged_together_by_the_protocol(tmp_path):
    _, laws = compared(planted(tmp_path, 0.0), tmp_path)
    row = next(row for row in laws if row.kind == "beyond")
    flat = replace(row, value=0.001, p=0.3, low_90=-0.001, high_90=0.003)
    assert remains([flat] * 5) == "refuted"
    assert remains([flat] * 4 + [replace(flat, high_90=0.006)]) == "open"
    assert remains([flat] * 4 + [replace(flat, value=-0.01, p=0.009)]) == "supported"
    assert remains([flat] * 4 + [replace(flat, value=-0.01, p=0.011, low_90=-0.02)]) == "open"  # Holm
    assert remains([replace(flat, value=-0.01, p=0.001), replace(flat, value=0.01, p=0.001)]) == "open"


@pytest.mark.parametrize(
    ("beyond", "saved", "verdicts"), [(0.0, 1.0, ["refuted", "supported"]), (0.02, -1.0, ["supported", "refuted"])]
)
def test_claims_follow_the_protocol(beyond, saved, verdicts, tmp_path):
    compared(planted(tmp_path, beyond, saved), tmp_path)
    inputs = Inputs([tmp_path / FILE])
    (one,), (two,) = grows_beyond(inputs), follows_loss(inputs)
    assert [one.verdict, two.verdict] == verdicts
    assert one.primary
    assert order_and_loss(inputs) is not None
