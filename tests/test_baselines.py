"""Baselines against closed forms, and the stream of a budget."""

import numpy as np
import pytest

from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.ladder.training import stream, train_tokenizer
from geomkit.measures.baselines import bigram_loss, gzip_loss, unigram_loss
from geomkit.sources.corpora import Document


def test_unigram_is_the_entropy_of_the_smoothed_frequencies():
    training = np.array([0, 0, 0, 1])
    p = np.array([4, 2, 1, 1]) / 8
    assert unigram_loss(training, np.array([0, 1, 3]), 4) == pytest.approx(-np.log(p[[0, 1, 3]]).mean())
    assert unigram_loss(np.array([], dtype=int), np.array([0, 2]), 7) == pytest.approx(np.log(7))


def test_bigram_learns_an_order_that_the_unigram_cannot_see():
    cycle = np.tile([0, 1, 2], 2000)
    assert bigram_loss(cycle, cycle, cycle[:300], 3) < 0.002
    assert unigram_loss(cycle, cycle[:300], 3) == pytest.approx(np.log(3), abs=1e-3)


def test_bigram_falls_back_to_the_unigram_where_order_says_nothing():
    draw = rng(0, "tokens")
    training, validation, test = (draw.choice(8, p=np.arange(1, 9) / 36, size=4000) for _ in range(3))
    assert bigram_loss(training, validation, test, 8) == pytest.approx(unigram_loss(training, test, 8), abs=0.02)


def test_bigram_by_hand():
    training = np.array([0, 1, 0, 1, 0])
    unigram = np.array([4, 3]) / 7
    losses = [-np.log((2 + k * unigram[1]) / (2 + k)) for k in 2.0 ** np.arange(15)]
    assert bigram_loss(training, np.array([0, 1]), np.array([0, 1]), 2) == pytest.approx(min(losses))


def test_gzip_knows_what_it_has_just_read():
    text = bytes(rng(0, "bytes").integers(0, 256, 4000, dtype=np.uint8))
    assert gzip_loss(text, text) < 0.05 * gzip_loss(b"", text)
    assert gzip_loss(b"", text) == pytest.approx(8 * np.log(2), rel=0.01)


def test_budgets_are_nested_and_follow_the_seed():
    documents = [Document(str(number), f"text {number} " * 20) for number in range(30)]
    tokenizer = train_tokenizer((document.text for document in documents), 300)
    small, large = stream(documents, tokenizer, 100, seed=0), stream(documents, tokenizer, 500, seed=0)
    assert len(small) == 100
    assert (large[:100] == small).all()
    assert (stream(documents, tokenizer, 100, seed=1) != small).any()
    whole = stream(documents, tokenizer)
    assert sorted(stream(documents, tokenizer, len(whole))) == sorted(whole)
    with pytest.raises(DataError, match="fewer than a budget"):
        stream(documents, tokenizer, len(whole) + 1)
