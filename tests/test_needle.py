"""The needle experiment's contexts, losses and calls, on a tiny model and on scores that are given."""

import numpy as np
import pytest
import torch

from geomkit.core.config import ModelSpec
from geomkit.core.errors import DataError
from geomkit.measures.needle import CALLS, STATEMENTS, ClassifiedText, Margins, Scores, call, outcome
from geomkit.sources.corpora import Document, write_documents
from geomkit.studies.needle.run import NEEDLE, Context, answer_losses, context, encode, experiment, score_needles, scores
from geomkit.tables.experiments import NeedleText
from geomkit.tables.rows import read_csv

FILLER = "The harbour lay still. A boat came in with its lamp unlit. Nobody on the quay called out to it. The fog had gone."
KNOWN, LOST = Scores(0.2, 8.0, 8.0, 0.2, 0.25), Scores(9.0, 9.0, 9.0, 9.0, float("nan"))
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
    from geomkit.studies.needle import run as needle

    seen = []

    def losses(model, before, contexts, question, answer):
        seen.extend(each.tolist() for each in contexts)
        return np.array([len(each) + each[-1] / 1000 for each in contexts])

    monkeypatch.setattr(needle, "answer_losses", losses)
    given = Context(np.arange(100, 160), np.array([-1] * 20 + [0] * 5 + [1] * 5 + [-1] * 30))
    found = scores(load("llama"), tokenizer, given, np.random.default_rng(0), draws=3)
    size = len(encode(tokenizer, NEEDLE))
    kept = {
        "whole": list(range(100, 160)),
        "none": [*range(100, 120), *range(130, 160)],
        "without_one": [*range(100, 120), *range(125, 160)],
        "one_kept": [*range(100, 125), *range(130, 160)],
    }
    assert all(each in seen for each in kept.values())
    assert found[:4] == tuple(len(each) + 159 / 1000 for each in kept.values())
    random = [each for each in seen if each not in kept.values()]
    assert all(len(each) == 60 - size and set(range(120, 130)) <= set(each) for each in random)
    assert found.random == pytest.approx(60 - size + 0.159, abs=0.05)


def test_a_context_of_one_statement_keeps_all_when_one_is_kept(load, tokenizer):
    given = Context(np.arange(100, 160), np.array([-1] * 20 + [0] * 5 + [-1] * 35))
    found = scores(load("llama"), tokenizer, given, np.random.default_rng(0), draws=0)
    assert found.one_kept == found.whole
    assert found.without_one == found.none != found.whole


def test_calls_are_those_of_the_protocol():
    assert [call(each, Margins()) for each in (KNOWN, AGAIN, LOST)] == ["concentrated", "redundant", "absent"]
    assert call(KNOWN._replace(one_kept=1.5), Margins()) == "undecided"
    assert call(KNOWN._replace(without_one=2.0), Margins()) == "undecided"
    assert call(AGAIN._replace(none=3.0), Margins()) == "undecided"


def test_a_verdict_needs_the_instrument_and_every_kind():
    rows = {"needle": KNOWN, "repeated": AGAIN, "plain": LOST}
    table = [ClassifiedText(kind, row, call(row, Margins())) for kind, row in rows.items() for _ in range(20)]
    found = outcome(table, Margins())
    assert found.told_apart
    assert found.right == dict.fromkeys(CALLS, 1.0)
    assert found.random_shift == pytest.approx(0.05)
    undecided = [text._replace(call="undecided") if place < 2 else text for place, text in enumerate(table)]
    assert outcome(undecided, Margins()).told_apart
    undecided[2] = undecided[2]._replace(call="undecided")
    assert not outcome(undecided, Margins()).told_apart
    mistaken = outcome([table[0]._replace(call="redundant"), *table[1:]], Margins())
    assert mistaken.works
    assert not mistaken.told_apart
    noisy = [ClassifiedText(kind, row._replace(random=0.6) if kind == "needle" else row, name) for kind, row, name in table]
    assert not outcome(noisy, Margins()).works
    with pytest.raises(DataError, match="'plain'"):
        outcome(table[:40], Margins())


def test_an_untrained_model_is_not_said_to_hold_the_fact(load, tokenizer):
    table = [told for _, told in experiment(load("llama"), tokenizer, [FILLER] * 3, 0, texts=2, length=40, draws=2)]
    assert [told.kind for told in table] == list(STATEMENTS) * 2
    assert not outcome(table, Margins()).told_apart
    with pytest.raises(DataError, match="0 of 1 fillers"):
        list(experiment(load("llama"), tokenizer, [FILLER], 0, texts=1, length=2000))
    with pytest.raises(DataError, match="5 tokens of filler are fewer"):
        list(experiment(load("llama"), tokenizer, [FILLER], 0, texts=1, length=5))


def test_scores_are_written_with_what_they_are_called(tiny, tmp_path, monkeypatch):
    from geomkit.studies.needle import run as needle

    write_documents([Document(f"d{number}", FILLER * 6) for number in range(3)], tmp_path / "fillers.parquet")
    monkeypatch.setattr(needle, "DRAWS", 2)
    score_needles(tiny("llama"), tmp_path / "fillers.parquet", tmp_path / "needle.csv", 2, 0, ModelSpec(device="cpu"))
    rows = read_csv(tmp_path / "needle.csv", NeedleText)
    assert [row.kind for row in rows] == list(STATEMENTS) * 2
    assert {row.model for row in rows} == {"llama"}
    for row in rows:
        random = float("nan") if row.random is None else row.random
        found = Scores(row.whole, row.none, row.without_one, row.one_kept, random)
        assert row.call == call(found, Margins())
        assert (row.random is None) == (row.kind != "needle")
