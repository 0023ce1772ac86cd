"""Laws of the loss on losses that are known, and on published ones."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from geomkit.core.provenance import rng
from geomkit.figures.style import called
from geomkit.laws.forms import Status
from geomkit.laws.lack_of_fit import Fitness
from geomkit.studies.loss.laws import fit_loss_laws
from geomkit.tables.fits import LossLaw, LossRegion
from geomkit.tables.rows import read_csv, read_json
from geomkit.tables.tidy import TableWriter, merge

PUBLISHED = Path(__file__).parents[1] / "workflow/resources/published"
SIZES = np.geomspace(1e4, 1e6, 7)


def losses(folder: Path) -> Path:
    """A table of a family whose losses are 2 + 20 N^-0.2, nearly, and of one with two sizes."""
    noise = np.exp(0.002 * rng(0, "losses").standard_normal(7))
    for family, size in [*product(["f"], SIZES), *product(["two"], SIZES[:2])]:
        writer = TableWriter(
            model=f"{family}-{size:.0f}",
            family=family,
            seed=0,
            params_nonembedding=int(size),
            params_total=1,
            corpus="c",
            depth=1,
        )
        loss = (2 + 20 * size**-0.2) * noise[list(SIZES).index(size)]
        for variant, value in (("trained", loss), ("shuffled", 9.0)):
            writer.add(variant=variant, text=-1, metric="loss", value=value, n=10)
        writer.write(folder / f"{family}-{size:.0f}" / "c.parquet", {})
    merge(sorted(folder.glob("*/c.parquet")), folder / "all.parquet")
    return folder / "all.parquet"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("losses")
    files = [folder / name for name in ("laws.json", "regions.csv")]
    fit_loss_laws(losses(folder), PUBLISHED / "losses.csv", PUBLISHED / "laws.csv", *files, 1)
    laws = {(called(row), row.against, row.form): row for row in read_json(files[0], list[LossLaw])}
    return laws, read_csv(files[1], LossRegion)


def test_our_losses_and_the_published_ones_have_both_laws(outputs):
    law = outputs[0]["f", "params_nonembedding", "offset_power"]
    assert (law.params["E"], law.params["alpha"]) == pytest.approx((2, 0.2), rel=0.1)
    assert law.n == 7
    published = {family for family, _, _ in outputs[0] if "published" in family}
    assert published == {f"{name} (published)" for name in ("cerebras-gpt", "pythia", "pythia-deduped")}
    assert {(family, against) for family, against, _ in outputs[0] if against == "training_flops"} == {
        ("cerebras-gpt (published)", "training_flops")
    }


def test_two_sizes_have_no_law_and_no_region(outputs):
    assert outputs[0]["two", "params_nonembedding", "power"].reason == "2 sizes, and power needs at least 3"
    assert outputs[0]["two", "params_nonembedding", "power"].peers == ()
    assert outputs[0]["two", "params_nonembedding", "power"].status == Status.FAILED
    assert "two" not in {row.family for row in outputs[1]}


def test_the_law_of_cerebras_is_found_again_and_pythia_needs_an_offset(outputs):
    compute = outputs[0]["cerebras-gpt (published)", "training_flops", "offset_power"]
    assert [(peer.parameter, peer.value, peer.inside) for peer in compute.peers] == [
        ("E", 0.5066, True),
        ("alpha", 0.0737, True),
    ]
    offset, power = (outputs[0]["pythia (published)", "params_nonembedding", form] for form in ("offset_power", "power"))
    assert offset.interval["E"][0] > 1
    assert offset.aicc < power.aicc - 20
    assert [(peer.law, peer.value, peer.inside) for peer in power.peers] == [("kaplan-parameters", -0.076, True)]


@pytest.mark.slow
def test_a_family_with_seeds_that_reject_the_offset_has_neither_its_interval_nor_a_region(tmp_path):
    """Its losses are a law of another measure of size; a peer is neither inside nor outside of no interval."""
    total = 3 + 900 * (SIZES + 4e5) ** -0.4
    for (k, size), seed in product(enumerate(SIZES), range(3)):
        name = f"m{k}-s{seed}"
        writer = TableWriter(
            model=name, family="f", seed=seed, params_nonembedding=int(size), params_total=1, corpus="c", depth=1
        )
        writer.add(variant="trained", text=-1, metric="loss", value=total[k] * (1 + 1e-4 * seed), n=10)
        writer.write(tmp_path / name / "c.parquet", {})
    merge(sorted(tmp_path.glob("*/c.parquet")), tmp_path / "all.parquet")
    files = [tmp_path / name for name in ("laws.json", "regions.csv")]
    fit_loss_laws(tmp_path / "all.parquet", PUBLISHED / "losses.csv", PUBLISHED / "laws.csv", *files, 1)
    (law,) = [row for row in read_json(files[0], list[LossLaw]) if (row.family, row.form) == ("f", "offset_power")]
    assert (law.lack, law.interval, [peer.inside for peer in law.peers]) == (Fitness.REJECTED, {}, [None])
    assert law.params
    assert {row.family for row in read_csv(files[1], LossRegion)} == {"cerebras-gpt", "pythia", "pythia-deduped"}


def test_a_region_holds_the_fit_and_not_its_own_edges(outputs):
    for family in ("f", "pythia (published)"):
        law = outputs[0][family, "params_nonembedding", "offset_power"]
        rows = [row for row in outputs[1] if (called(row), row.against) == (family, "params_nonembedding")]
        assert len(rows) == 61**2
        assert {row.statistic >= 0 for row in rows} == {True}
        near = min(rows, key=lambda row: abs(row.E - law.params["E"]) / 0.1 + abs(row.alpha - law.params["alpha"]) / 0.01)
        assert near.statistic < near.limit
        corner = max(rows, key=lambda row: (row.E, row.alpha))
        assert corner.statistic > corner.limit
