"""Models on several devices, measured while they run: where sums are kept, and the numbers of a model on one device.

Amounts of memory are made up, for there is no GPU; a model is spread over memory and disk, or its states are tensors here and
arrays there.
"""

import itertools
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from streams import Case, contents, spectra

from geomkit.core.config import ModelSpec
from geomkit.core.errors import ConfigError
from geomkit.core.state import State
from geomkit.models import capture, memory, placing, variants
from geomkit.models.load import skeleton
from geomkit.models.memory import Layout, Need, find_homes, layout
from geomkit.models.placing import HOST, Placement, device_map

GB = 10**9
ONE, OTHER = torch.device("cuda", 0), torch.device("cuda", 1)
TOKENS = 1000
MODES = ["unit", "centre-unit"]


def needed(layers: int) -> Need:
    return Need([State(layer) for layer in range(1, layers + 1)], modes=2, d=4096, weights=16 * GB, tokens=TOKENS, logits=GB)


def test_what_does_not_fit_is_named_with_what_would():
    found, where = needed(33), Layout(HOST, [HOST] * 33, HOST, {HOST: 16 * GB})
    assert set(find_homes("m", found, where, {HOST: found.total}).values()) == {HOST}
    with pytest.raises(ConfigError) as error:
        find_homes("m", found, where, {HOST: found.total - 1})
    assert "m: needs 8.9 GB for sums: 33 layers x 2 modes x 4096^2 x 8 B; on cpu weights take 16.0 GB, a batch 0.6 GB" in str(
        error.value
    )
    fits = re.search(r"to fit: (\d+) layers x 2 modes do", str(error.value))
    assert fits
    assert fits[1] == "32"
    find_homes("m", needed(32), where, {HOST: found.total - 1})
    with pytest.raises(ConfigError, match="no layer fits"):
        find_homes("m", found, where, {HOST: 16 * GB})


def across(layers: int) -> Layout:
    """Half of the blocks on each of two GPUs."""
    half = layers // 2
    return Layout(ONE, [ONE] * half + [OTHER] * (layers - half), OTHER, {ONE: 8 * GB, OTHER: 8 * GB})


def bytes_for(found: Need, own: int, sums: int, foreign: int = 0) -> int:
    """What a GPU with half of the weights needs to run so many blocks and keep so many states' sums, some of them foreign."""
    return 8 * GB + found.logits + found.work + (own + foreign) * 4 * found.tokens * found.d + (sums + 1) * found.copies


@pytest.mark.parametrize(
    ("sums", "homes"),
    [
        ((2, 2), [ONE, ONE, OTHER, OTHER]),
        ((1, 3), [ONE, OTHER, OTHER, OTHER]),
        ((0, 3), [OTHER, OTHER, OTHER, HOST]),
        ((1, 0), [ONE, HOST, HOST, HOST]),
    ],
)
def test_sums_are_kept_where_a_state_is_computed_then_by_another_gpu_then_by_the_host(sums, homes):
    found, foreign = needed(4), homes[:2].count(OTHER)
    free = {ONE: bytes_for(found, 2, sums[0]), OTHER: bytes_for(found, 2, sums[1], foreign), HOST: 100 * GB}
    assert list(find_homes("m", found, across(4), free).values()) == homes
    less = {device: bytes_ - 1 for device, bytes_ in free.items()}
    assert list(find_homes("m", found, across(4), less).values()).count(HOST) > homes.count(HOST)


def test_several_devices_without_room_are_all_named():
    found = needed(4)
    free = {ONE: bytes_for(found, 2, 1), OTHER: bytes_for(found, 2, 0), HOST: GB // 4}
    with pytest.raises(ConfigError) as error:
        find_homes("m", found, across(4), free)
    assert "on cuda:0 weights take 8.0 GB, a batch 1.1 GB, and 9.7 GB are free; on cuda:1 weights take" in str(error.value)
    assert "on cpu weights take 0.0 GB" in str(error.value)
    assert "1 layers x 2 modes do" in str(error.value)
    with pytest.raises(ConfigError, match=r"no layer fits: lower compute\.batch_tokens"):
        find_homes("m", found, across(4), free | {ONE: 9 * GB, HOST: 100 * GB})


def test_where_a_model_runs_is_known_before_it_is_loaded(tiny):
    empty = skeleton(ModelSpec(tiny("gpt-neox"), dtype="bfloat16"))
    total, block = (sum(weight.nbytes for weight in part.parameters()) for part in (empty, empty.gpt_neox.layers[0]))
    assert layout(empty, Placement(None), ONE) == Layout(ONE, [ONE] * 2, ONE, {ONE: total})
    limits = {0: 4 * block, 1: 4 * block, "cpu": 0}
    found = layout(empty, Placement(limits), ONE)
    assert (found.before, found.blocks, found.after) == (ONE, [ONE, OTHER], OTHER)
    assert sum(found.weights.values()) == total
    assert all(found.weights[torch.device("cuda", number)] <= limits[number] for number in (0, 1))
    # what lies in the host's memory runs on the GPU
    found = layout(empty, Placement({0: 3 * block, "cpu": GB}), ONE)
    assert (found.blocks, found.after) == ([ONE, ONE], ONE)
    assert set(found.weights) == {ONE, HOST}
    assert sum(found.weights.values()) == total
    assert "disk" not in device_map(empty, limits).values()


def test_sums_are_placed_by_the_memory_of_each_device_before_a_run(tiny, monkeypatch, capsys):
    """Two GPUs, on neither of which the model fits."""
    folder = tiny("gpt-neox")
    total = sum(weight.nbytes for weight in skeleton(ModelSpec(folder)).parameters())
    free = {ONE: total * 2 // 3, OTHER: 10 * total, HOST: GB}
    monkeypatch.setattr(placing, "placement", partial(placing.placement, margin=0))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for module in (placing, memory):
        monkeypatch.setattr(module, "free_memory", free.__getitem__)
    wanted = ("m", ModelSpec(folder), {"layers": "all", "sublayers": True}, ["unit"], 1)
    assert set(memory.check_memory(*wanted).values()) == {ONE, OTHER}
    assert "host" not in capsys.readouterr().out
    free[OTHER] = total * 2 // 3
    assert HOST in set(memory.check_memory(*wanted).values())
    assert "m: no GPU has room for the sums of hidden/3, sublayer/1/attention, sublayer/1/mlp" in capsys.readouterr().out
    free[HOST] = 1000
    with pytest.raises(ConfigError, match=r"m: needs .*; on cuda:0 weights take .*; on cuda:1 .*; on cpu weights take 0\.0 GB"):
        memory.check_memory(*wanted)


def measured(folder: Path, top: Path) -> dict[str, np.ndarray]:
    top.mkdir()
    return contents(spectra(Case(folder, top).running(), top / "m/c.h5", modes=MODES))[0]


@pytest.fixture
def whole(tiny, tmp_path) -> dict[str, np.ndarray]:
    return measured(tiny("gpt-neox"), tmp_path / "whole")


def test_a_model_on_cpu_and_disk_is_measured_as_the_whole_one_bit_for_bit(whole, tiny, tmp_path, spread, monkeypatch):
    monkeypatch.setattr(variants, "load_model", lambda spec: spread("gpt-neox"))
    found = measured(tiny("gpt-neox"), tmp_path / "parted")
    assert found.keys() == whole.keys()
    assert {name.split("/")[-1] for name in found} >= {"gcv", "moment", "without", "surprisal"}
    for name, values in found.items():
        np.testing.assert_array_equal(values, whole[name], err_msg=name)


def test_states_in_several_places_are_measured_as_arrays(whole, tiny, tmp_path, monkeypatch):
    """States are tensors and arrays in turn, as where some sums are kept on a GPU and others in the host's memory."""
    kinds, home = itertools.cycle([*[True, False] * 4, True]), capture.at_home  # a pass has nine states
    kept: list[type] = []

    def at_home(rows):
        kept.append(type(found := rows if next(kinds) else home(rows)))
        return found

    monkeypatch.setattr(capture, "at_home", at_home)
    found = measured(tiny("gpt-neox"), tmp_path / "mixed")
    assert set(kept) == {np.ndarray, torch.Tensor}
    for name, values in found.items():
        largest = np.nanmax(np.abs(whole[name]), initial=0) if values.dtype.kind == "f" else 0
        if values.dtype.kind in "fi":
            np.testing.assert_allclose(values, whole[name], rtol=0, atol=1e-10 * largest, err_msg=name)
