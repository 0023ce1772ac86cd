"""The page of tokens: data that cannot break it."""

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from page_sample import LIBERTY, STRANGE, TEMPLATE, embedded, sample

from geomkit.core.errors import DataError
from geomkit.core.html import filled, script_json
from geomkit.studies.tokens.page import tokens_page


def test_data_come_back_from_the_page_to_six_digits():
    data, found = sample(), embedded(tokens_page(TEMPLATE, sample()))
    assert found["texts"][1]["tokens"] == data["texts"][1]["tokens"]
    assert found["texts"][0]["surprisal"][0] is None
    assert found["texts"][0]["layers"][0]["targets"][0]["kl"]["attention_mean"] is None
    for text, back in zip(data["texts"], found["texts"], strict=True):
        for layer, other in zip(text["layers"], back["layers"], strict=True):
            np.testing.assert_allclose(other["gain"], layer["gain"], rtol=5e-6)
            for target, same in zip(layer["targets"], other["targets"], strict=True):
                assert set(same["chosen"]["lasso"]) == set(target["chosen"]["lasso"])
                np.testing.assert_allclose(same["weights"]["ridge"], target["weights"]["ridge"], rtol=5e-6)


@pytest.mark.parametrize("token", ["</script>", "<!--<script>", "\u2028", "\u2029", "]]>", "\ud83d"])
def test_no_token_ends_the_script_block(token):
    text = script_json([token])
    assert text.isascii()
    assert "<" not in text
    assert json.loads(text) == [token]


def test_nothing_but_what_the_page_draws_is_put_in():
    data = sample() | {"secret": 1}
    assert "secret" not in embedded(tokens_page(TEMPLATE, data))


def test_the_file_names_no_address():
    assert not re.search(r"https?://|@import|url\(|\bsrc=", TEMPLATE)
    assert "default-src 'none'" in TEMPLATE


def without(path: str) -> dict[str, Any]:
    """The sample without one entry, its path given as texts.0.tokens."""
    data = sample()
    *parents, last = path.split(".")
    place: Any = data
    for name in parents:
        place = place[int(name)] if name.isdigit() else place[name]
    del place[last]
    return data


@pytest.mark.parametrize(
    "path",
    ["title", "note", "texts"]
    + [f"texts.0.{name}" for name in ("name", "tokens", "surprisal", "layers")]
    + [f"texts.1.layers.1.{name}" for name in ("layer", "name", "gain", "targets")]
    + [f"texts.0.layers.0.targets.2.{name}" for name in ("position", "weights", "chosen", "kl")],
)
def test_what_is_missing_is_named_with_its_place(path):
    *parents, last = path.split(".")
    place = re.sub(r"\.(\d+)", r"[\1]", ".".join(["data", *parents]))
    with pytest.raises(DataError, match=rf"^{re.escape(place)}: no {last};"):
        tokens_page(TEMPLATE, without(path))


def of_all(target: dict[str, Any], change: Callable[[dict[str, Any]], Any]) -> None:
    """The same change to what a target has by method."""
    for name in ("weights", "chosen", "kl"):
        change(target[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text, layer, target: text.update(tokens=text["tokens"][1:]), r"gain: shape \(100,\); it must be \(99,\)"),
        (lambda text, layer, target: text.update(surprisal=[1.0]), r"texts\[0\]\.surprisal: shape \(1,\)"),
        (lambda text, layer, target: text.update(layers=[]), "layers: none; the page needs 1"),
        (lambda text, layer, target: text.update(name=STRANGE), "texts: name .* is there twice"),
        (lambda text, layer, target: layer.update(layer=4), "layers: layer 4 is there twice"),
        (lambda text, layer, target: layer["gain"].put(3, np.inf), "gain: infinite at 3"),
        (lambda text, layer, target: target.update(position=0), r"position: 0; .* 1\.\.99"),
        (lambda text, layer, target: target.update(position=100), r"position: 100; .* 1\.\.99"),
        (lambda text, layer, target: target.update(position=12), r"lasso: shape \(39,\); it must be \(12,\)"),
        (lambda text, layer, target: layer["targets"].append(target), "targets: position 39 is there twice"),
        (lambda text, layer, target: target["kl"].pop("lasso"), "kl: methods attention_mean, recency, ridge; they must be"),
        (lambda text, layer, target: target["chosen"].update(lasso=[-1, 3]), r"chosen\.lasso: \[-1, 3\]; .* 0\.\.38"),
        (lambda text, layer, target: target["chosen"].update(lasso=[LIBERTY]), r"chosen\.lasso: \[39\]; .* 0\.\.38"),
        (lambda text, layer, target: target["chosen"].update(lasso=[3, 3]), r"chosen\.lasso 3 is there twice"),
        (lambda text, layer, target: of_all(target, lambda by: by.pop("lasso")), r"targets\[1\]\.weights: methods"),
        (lambda text, layer, target: of_all(target, lambda by: by.update(gain=by["lasso"])), "may not be called gain"),
    ],
)
def test_data_that_do_not_fit_together_are_refused(change, message):
    data = sample()
    layer = data["texts"][0]["layers"][0]
    change(data["texts"][0], layer, layer["targets"][1])
    with pytest.raises(DataError, match=message):
        tokens_page(TEMPLATE, data)


@pytest.mark.parametrize("template", ["", "{{ data }}{{ data }}"])
def test_a_template_has_one_place_for_data(template):
    with pytest.raises(DataError, match=f"is there {template.count('data')} times"):
        tokens_page(template, sample())


def test_what_looks_like_a_place_in_a_part_is_left_as_it_is():
    assert filled("a {{ one }} b {{ other }}", one="{{ other }}", other="{{ one }}") == "a {{ other }} b {{ one }}"
