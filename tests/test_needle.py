"""The needle experiment's contexts, losses and calls, on a tiny model and on scores that are given."""

import numpy as np
import pytest
import torch

from geomkit.errors import DataError
from geomkit.lm.needle import (
    NEEDLE,
    STATEMENTS,
    Context,
    Margins,
    Scores,
    answer_losses,
    call,
    context,
    encode,
    experiment,
    scores,
    verdict,
)

FILLER = "The harbour lay still. A boat came in with its lamp unlit. Nobody on the quay called out to it. The fog had gone."
KNOWN, LOST = Scores(0.2, 8.0, 7.5, 0.1, 0.25), Scores(9.0, 9.0, 9.0, 9.1, float("nan"))
AGAIN = Scores(0.1, 8.0, 0.2, 0.3, float("nan"))


@pytest.mark.parametrize("kind", STATEMENTS)
def test_a_context_is_its_filler_with_whole_statements_between_sentences(tokenizer, kind):
    found = context(tokenizer, FILLER, STATEMENTS[kind], 40, np.random.default_rng(0))
    needle, filler = encode(tokenizer, NEEDLE), encode(tokenizer, FILLER)[:40]
    np.testing.assert_array_equal(found.ids[found.statement < 0], filler)
    assert len(found.ids) == 40 + STATEMENTS[kind] * len(needle)
    for number in range(STATEMENTS[kind]):
        rows = np.flatnonzero(found.statement == number)
        np.testing.assert_array_equal(found.ids[rows], needle)
        np.testing.assert_array_equal(np.diff(rows), 1)
        assert tokenizer.decode(found.ids[: rows[0]]).endswith(".")


def test_losses_of_answers_are_those_of_each_text_alone(load, tokenizer):
    model, draw = load("llama"), np.random.default_rng(0)
    contexts = [draw.integers(1, 300, size) for size in (6, 9, 6, 0)]
    found = answer_losses(model, [0], contexts, np.array([7, 8]), np.array([9, 10]))
    for ids, loss in zip(contexts, found, strict=True):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[0, *ids.tolist(), 7, 8, 9, 10]])).logits[0].double().log_softmax(-1)
        assert loss == pytest.approx(-float(logits[-3, 9] + logits[-2, 10]), rel=1e-5)


def test_scores_are_those_of_physically_shorter_inputs(load, tokenizer, monkeypatch):
    from geomkit.lm import needle

    seen = []

    def losses(model, before, contexts, question, answer):
        seen.extend(contexts)
        return np.arange(len(contexts), dtype=float)

    monkeypatch.setattr(needle, "answer_losses", losses)
    given = Context(np.arange(100, 160), np.array([-1] * 20 + [0] * 5 + [1] * 5 + [-1] * 30))
    found = scores(load("llama"), tokenizer, given, np.random.default_rng(0), draws=3)
    whole, none, without_one, only_one, *random = [each.tolist() for each in seen]
    assert whole == list(range(100, 160))
    assert none == [*range(100, 120), *range(130, 160)]
    assert without_one == [*range(100, 120), *range(125, 160)]
    assert only_one == list(range(120, 125))
    size = len(encode(tokenizer, NEEDLE))
    assert all(len(each) == 60 - size and set(range(120, 130)) <= set(each) for each in random)
    assert found == (0, 1, 2, 3, 5)


def test_calls_are_those_of_the_protocol():
    assert [call(each, Margins()) for each in (KNOWN, AGAIN, LOST)] == ["concentrated", "redundant", "absent"]
    assert call(KNOWN._replace(only_one=1.5), Margins()) == "undecided"
    assert call(KNOWN._replace(without_one=2.0), Margins()) == "undecided"
    assert call(AGAIN._replace(none=3.0), Margins()) == "undecided"


def test_a_verdict_needs_the_instrument_and_every_kind():
    rows = {"needle": KNOWN, "repeated": AGAIN, "plain": LOST}
    table = [{"kind": kind, **row._asdict(), "call": call(row, Margins())} for kind, row in rows.items() for _ in range(20)]
    assert verdict(table, Margins())["told_apart"]
    undecided = [dict(row) for row in table]
    for row in undecided[:2]:
        row["call"] = "undecided"
    assert verdict(undecided, Margins())["told_apart"]
    undecided[2]["call"] = "undecided"
    assert not verdict(undecided, Margins())["told_apart"]
    mistaken = [dict(row) for row in table]
    mistaken[0]["call"] = "redundant"
    assert not verdict(mistaken, Margins())["told_apart"]
    noisy = [row | ({"random": 0.6} if row["kind"] == "needle" else {}) for row in table]
    assert not verdict(noisy, Margins())["works"]


def test_an_untrained_model_is_not_said_to_hold_the_fact(load, tokenizer):
    table = list(experiment(load("llama"), tokenizer, [FILLER] * 3, 0, texts=2, length=40, draws=2))
    assert [row["kind"] for row in table] == list(STATEMENTS) * 2
    assert not verdict(table, Margins())["told_apart"]
    with pytest.raises(DataError, match="0 of 1 fillers"):
        list(experiment(load("llama"), tokenizer, [FILLER], 0, texts=1, length=2000))
    with pytest.raises(DataError, match="5 tokens of filler are fewer"):
        list(experiment(load("llama"), tokenizer, [FILLER], 0, texts=1, length=5))
