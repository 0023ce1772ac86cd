"""Donors that run again against donors that were dumped: one table of projections."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from geomkit.errors import ConfigError
from geomkit.lm import memory, projecting
from geomkit.lm.cutting import tokenizer_sha256
from geomkit.lm.dumping import dump_model
from geomkit.lm.measuring import measure_model
from geomkit.lm.models import load_tokenizer
from geomkit.store.texts import Sample, Texts, write_texts
from geomkit.studies.projections import write_projections

LADDER = Path(__file__).parents[1] / "workflow/resources/ladder"
NAMES = ["ladder-16-s0", "ladder-24-s0"]
TEXTS = Texts(["a", "a", "b", "c", "c", "d"], [12, 9, 30, 30, 30, 30], [40] * 6)
COMPUTE = {"device": "cpu", "dtype": "float32", "batch_tokens": 70}
FAMILIES, SEEDS = dict.fromkeys(NAMES, "ladder"), dict.fromkeys(NAMES, 0)
DUMP = {"layers": "all", "sublayers": False}
SETTINGS = {
    "modes": ["unit", "centre-unit"],
    "lengths": [8, 30],
    "metrics": ["erank_covariance", "rate_distortion"],
    "parameters": {"eps2": 0.5},
    "draws": 2,
    "seed": 3,
    "bracket": {"modes": ["unit"], "lengths": [30]},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts, a dump of each model, and its spectra, measured while it runs."""
    folder = tmp_path_factory.mktemp("projecting")
    draw = np.random.default_rng(0)
    ids = [draw.integers(3, 300, n).astype(np.int32) for n in TEXTS.tokens]
    facts = {
        "model": "m",
        "tokenizer sha256": tokenizer_sha256(load_tokenizer(LADDER / NAMES[0])),
        "corpus sha256": "c",
        "seed": 3,
    }
    write_texts(folder / "c.h5", Sample(ids, [], TEXTS), np.arange(300), facts)
    common = {"compute": COMPUTE, "seed": 3, "origin": {}, "trust_remote_code": False}
    for name in NAMES:
        dumps = [str(folder / f"dumps/{name}/c/trained.h5")]
        dump_model(LADDER / name, folder / "c.h5", dumps, DUMP | {"dtype": "float32", "compression": None}, **common)
        what = {"modes": ["unit"], "lengths": [8], "variants": ["trained"], "drawn": [], "gain": None}
        measure_model(LADDER / name, folder / "c.h5", folder / f"spectra/{name}/c.h5", DUMP, **what, **common)
    return folder


def project(run: Path, name: str) -> Path:
    spectra = [run / f"spectra/{each}/c.h5" for each in NAMES]
    output = run / f"projections/{name}/c.parquet"
    projecting.project_model(
        LADDER / name, run / "c.h5", spectra, output, FAMILIES, SEEDS, **SETTINGS, compute=COMPUTE, trust_remote_code=False
    )
    return output


@pytest.mark.parametrize("running", [NAMES, NAMES[1:], NAMES[:1]])
def test_a_donor_that_runs_again_gives_the_table_of_its_dump(run, running, tmp_path):
    def table(names, output):
        dumps = [run / f"dumps/{name}/c/trained.h5" for name in NAMES if name not in names]
        made = {"spectra": [run / f"spectra/{name}/c.h5" for name in names], "tables": [project(run, name) for name in names]}
        write_projections(dumps, FAMILIES, SEEDS, output, **SETTINGS, **made)
        found = pq.read_table(output)
        return found.drop(["value", "bound"]).to_pylist(), found["value"].to_numpy(), json.loads(found.schema.metadata[b"absent"])

    expected, found = (table(names, tmp_path / f"{number}/c.parquet") for number, names in enumerate(([], running)))
    assert {row["variant"] for row in found[0]} == {"projected", "random-projection", "common-dimension", "trained"}
    assert found[0] == expected[0]
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-10)
    assert found[2] == expected[2]


def test_too_little_memory_for_a_donors_rows_is_found_before_it_runs(run, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 1000)
    monkeypatch.setattr(projecting, "load_model", lambda *_: pytest.fail("the model was loaded"))
    with pytest.raises(
        ConfigError, match=rf"ladder-24-s0: projecting it needs 0\.0 GB: 0\.0 GB for rows of {sum(TEXTS.tokens)} tokens"
    ):
        project(run, "ladder-24-s0")
