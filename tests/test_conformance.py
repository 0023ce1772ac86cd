"""A few of the architectures that `make conformance` tries, and the page about all of them."""

import re
from pathlib import Path

import pytest
from conformance.checking import DIFFERENT, EQUAL, MISSING, REFUSED, check, page, read
from conformance.tiny import NAMES
from transformers import __version__

from geomkit.core.config import CAUSAL, MASKED

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
RESULT = read(ROOT / "tests/conformance/result.csv")
PAGE = (ROOT / "docs/architectures.md").read_text()
RECORDED = re.findall(r"of transformers ([\d.]+),", PAGE)[0]
recorded = pytest.mark.skipif(__version__ != RECORDED, reason="the result was recorded with another version of transformers")
SHIFTED = "its own hidden_states begin with the state after the first block, not with the embedding"

TRIED = {
    (CAUSAL, "llama4_text"): (EQUAL, ""),  # its base_model_prefix names nothing
    (CAUSAL, "gemma3"): (EQUAL, ""),  # a wrapper
    (CAUSAL, "minicpm3"): (EQUAL, ""),  # a scale before its output matrix
    (CAUSAL, "roberta"): (EQUAL, ""),  # layers between its final state and its output matrix
    (CAUSAL, "mamba2"): (EQUAL, SHIFTED),
    (CAUSAL, "gemma3n_text"): (REFUSED, "block 1 is given a tensor of shape (4, 1, 3, 32) "),
    (CAUSAL, "deepseek_v4"): (REFUSED, "block 1 is given a tensor of shape (1, 3, 4, 32) "),
    (CAUSAL, "xlnet"): (REFUSED, "block 1 is given a tensor of shape (3, 1, 32) "),
    (CAUSAL, "dory"): (REFUSED, "block 1 runs 2 times in one pass"),
    (CAUSAL, "reformer"): (REFUSED, "its blocks return 32 numbers for each token, and its final state has 64"),
    (CAUSAL, "xlm"): (REFUSED, "what block 1 returns is not the hidden state that the model itself returns"),
    (CAUSAL, "cpmant"): (REFUSED, "predictions of earlier tokens change with a text's last token"),
    (MASKED, "convbert"): (EQUAL, "one length at a time"),
    (MASKED, "mobilebert"): (EQUAL, "one length at a time"),
    (MASKED, "yoso"): (EQUAL, "one length at a time"),
    (MASKED, "longformer"): (EQUAL, ""),  # pads texts to a multiple of its window itself
    (MASKED, "big_bird"): (REFUSED, "a short text puts BigBirdSelfAttention into it for good"),
}


@pytest.mark.parametrize(("objective", "name"), TRIED)
def test_an_architecture_is_measured_as_transformers_measures_it_or_is_refused(objective, name, tmp_path):
    found, (outcome, note) = check(objective, name, tmp_path / "model"), TRIED[objective, name]
    assert (found.outcome, found.note[: len(note)]) == (outcome, note)
    assert __version__ != RECORDED or found in RESULT


@recorded
def test_the_recorded_conformance_is_of_every_architecture_and_no_number_differs():
    assert [(each.objective, each.model_type) for each in RESULT] == [(kind, name) for kind in NAMES for name in NAMES[kind]]
    assert {each.outcome for each in RESULT} <= {EQUAL, REFUSED, MISSING}
    assert sum(each.outcome == EQUAL for each in RESULT) > 200
    assert not [each for each in RESULT if each.outcome in (REFUSED, MISSING) and not each.note]


def test_the_page_on_architectures_is_that_of_the_recorded_result():
    assert page(RESULT, RECORDED) == PAGE


def test_the_page_says_how_many_numbers_differ():
    one = RESULT[0].__class__("a", "A", CAUSAL, DIFFERENT, "hidden state 1 by 3.0%")
    assert f"| {DIFFERENT} | 1 | 0 |" in page([*RESULT, one], RECORDED)
