"""Models that choose their own nulls: a null that one lacks is absent with a reason, and takes no other model from a law."""

import json
from functools import partial

import h5py
import numpy as np
import pytest
from streams import STATES, STORAGE, VARIANTS, Case, spectra
from test_config import SHIPPED, changed, run_check
from test_growth import WIDTHS, run

from geomkit.core import variants
from geomkit.core.config import origin
from geomkit.core.errors import ConfigError, RefusalError
from geomkit.states.dumping import dump_states
from geomkit.states.dumps import Dump, stored
from geomkit.states.spectra import Spectra
from geomkit.tables.measurements import Where, beside

ENTROPY = {"nulls": ["gaussian", "shuffled", "untrained"], "untrained_seeds": 3, "eps2": 0.5}
FEW = {"source": "local", "nulls": ["shuffled"]}
TWINS = {"source": "local", "untrained_seeds": 5}
WHERE = Where("last", "unit", 16, "erank_covariance")


def test_an_entry_chooses_its_nulls_and_another_has_all():
    assert variants.own(ENTROPY, {}) == ENTROPY
    assert variants.runs(variants.own(ENTROPY, FEW)) == ["trained", "shuffled"]
    assert variants.drawn(variants.own(ENTROPY, FEW)) == []
    assert variants.runs(variants.own(ENTROPY, TWINS))[-1] == "untrained-4"
    assert set(variants.left_out(ENTROPY, "big", FEW)) == {"gaussian", "untrained"}
    assert variants.left_out(ENTROPY, "big", FEW)["untrained"] == "models.big.nulls leaves it out"
    assert variants.left_out(ENTROPY, "big", TWINS) == {}


def test_dumps_have_the_variants_of_all_entries():
    assert variants.union(ENTROPY, [FEW, {}]) == variants.runs(ENTROPY)
    assert variants.union(ENTROPY, [FEW, TWINS])[-1] == "untrained-4"
    assert variants.union(ENTROPY, [FEW]) == ["trained", "shuffled"]


def test_nothing_is_fetched_again_for_other_nulls():
    assert origin(FEW | TWINS) == {"source": "local"}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"nulls": ["shufled"]}, r"models\.mine\.nulls: unknown null 'shufled'; known: gaussian"),
        ({"nulls": [], "untrained_seeds": 2}, r"models\.mine\.untrained_seeds: untrained is not among models\.mine\.nulls"),
        ({"untrained_seeds": 0}, r"models\.mine\.untrained_seeds: 0 is less than the minimum"),
    ],
)
def test_an_entry_with_other_nulls_is_checked(entry, message):
    mine = {"mine": {"source": "bundled", "path": "ladder/ladder-16-s0"} | entry}
    with pytest.raises(ConfigError, match=message):
        run_check(changed("models", SHIPPED["models"] | mine))


def test_twins_of_an_entry_need_the_null_in_entropy():
    config = changed("entropy.nulls", ["gaussian"])
    config["models"]["ladder"] = config["models"]["ladder"] | {"untrained_seeds": 2}
    with pytest.raises(ConfigError, match=r"models\.ladder\.untrained_seeds: untrained is not among entropy\.nulls"):
        run_check(config)


def test_a_null_that_is_left_out_is_absent_with_its_reason_dumped_or_not(tiny, tmp_path):
    case, own = Case(tiny("llama"), tmp_path), ["trained", "shuffled"]
    dumps = [tmp_path / f"dumps/m/c/{variant}.h5" for variant in VARIANTS]
    dump_states(case.running(modes=None), dumps, STATES | STORAGE, own)
    with pytest.raises(RefusalError, match="m has no variant untrained-0"):
        Dump(dumps[2])
    what = {"modes": ["unit"], "variants": own, "drawn": [], "left_out": {"untrained": "models.m.nulls leaves it out"}}
    for name, states in (("dumped", partial(stored, dumps[:2])), ("running", case.running())):
        path = spectra(states, tmp_path / name / "m/c.h5", **what)
        with Spectra(path) as file:
            assert sorted(file.variants) == ["shuffled", "trained"]
        with h5py.File(path) as file:
            assert json.loads(file.attrs["absent"])["untrained"] == "models.m.nulls leaves it out"


def test_a_null_that_one_model_lacks_takes_no_model_from_the_law():
    trained = np.arange(1.0, 7).reshape(2, 3)
    lacking = np.array([[1.0, 2, 3], [np.nan] * 3])
    found = beside({"trained": {WHERE: trained}, "shuffled": {WHERE: lacking}, "gaussian": {WHERE: 2 * trained}}, WHERE)
    assert set(found) == {"trained", "gaussian"}


def test_twins_that_all_models_have_are_averaged():
    trained = np.ones((2, 3))
    twins = {"untrained-0": {WHERE: 2 * trained}, "untrained-1": {WHERE: np.array([[8.0] * 3, [np.nan] * 3])}}
    np.testing.assert_array_equal(beside({"trained": {WHERE: trained}, **twins}, WHERE)["untrained"], 2 * trained)


def test_a_model_that_has_no_value_itself_leaves_no_null_out():
    """Its law fails for that reason alone."""
    trained = np.array([[1.0], [np.nan]])
    assert set(beside({"trained": {WHERE: trained}, "gaussian": {WHERE: trained}}, WHERE)) == {"trained", "gaussian"}


def test_a_model_without_twins_has_no_diff_erank_and_the_others_have(tmp_path, monkeypatch):
    last = list(WIDTHS)[-1]
    whole = run(tmp_path / "whole")[0]
    monkeypatch.setattr("test_growth.variants_of", lambda model, own: own[:1] if model == last else own)
    rows = run(tmp_path / "without")[0]
    assert {row.model for row in rows} == set(WIDTHS) - {last}
    values = {(row.model, row.length): row.value for row in whole if row.variant == "measured"}
    assert all(row.value == values[row.model, row.length] for row in rows if row.variant == "measured")
