"""n-gram tables against counts by hand, and budgets of trigrams against probabilities written out."""

from collections import Counter

import numpy as np
import pytest

from geomkit.core.errors import DataError
from geomkit.measures.ngrams import NgramBudget, budget_curve, ngram_codes, ngram_counts, word_ids


def documents(number=40, length=60, vocabulary=7, seed=0):
    """Tokens of a chain whose next token depends on the last two."""
    rng = np.random.default_rng(seed)
    law = np.random.default_rng(99).dirichlet(np.full(vocabulary, 0.3), size=(vocabulary, vocabulary))
    found = []
    for _ in range(number):
        ids = [0, 1]
        while len(ids) < length:
            ids.append(int(rng.choice(vocabulary, p=law[ids[-2], ids[-1]])))
        found.append(np.array(ids))
    return found


@pytest.mark.parametrize("order", [1, 2, 3])
def test_counts_are_those_of_a_loop_within_documents(order):
    texts = [*documents(5), np.array([3]), np.array([], dtype=int)]
    written = Counter(tuple(text[k : k + order].tolist()) for text in texts for k in range(len(text) - order + 1))
    codes, counts = ngram_counts(texts, order, 7)
    read = {
        tuple(int(code) // 7 ** (order - 1 - k) % 7 for k in range(order)): int(n) for code, n in zip(codes, counts, strict=True)
    }
    assert read == written


def test_words_are_lower_case_and_whole():
    ids = word_ids(["The Union's state; the state.", "", "Union"])
    assert [each.tolist() for each in ids] == [[1, 3, 0, 1, 0], [], [2]]
    with pytest.raises(DataError, match="no word"):
        word_ids(["...", ""])


def every_trigram(vocabulary=7):
    return np.arange(vocabulary**3)


@pytest.mark.parametrize("budget", [0, 1, 20, None])
def test_probabilities_of_every_context_add_up_to_one(budget):
    model = NgramBudget.train(documents(), 7, weight=4.0)
    probability = np.exp(-model.losses(every_trigram(), model.types if budget is None else budget)).reshape(49, 7)
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-12)


def test_probabilities_add_up_where_every_token_is_held():
    model = NgramBudget.train([np.array([0, 1] * 6), np.array([0, 1, 1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 1])], 2)
    for budget in range(model.types + 1):
        probability = np.exp(-model.losses(every_trigram(2), budget)).reshape(4, 2)
        np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-12)
    assert model.types == 8


def test_a_held_trigram_has_its_discounted_share_and_the_rest_the_bigram():
    texts = documents()
    model = NgramBudget.train(texts, 7, discount=0.75, weight=4.0)
    counts = Counter(tuple(text[k : k + 3].tolist()) for text in texts for k in range(len(text) - 2))
    pairs = Counter(tuple(text[k : k + 2].tolist()) for text in texts for k in range(len(text) - 1))
    single = np.array([sum(int((text == token).sum()) for text in texts) + 1 for token in range(7)])
    before = np.array([sum(pairs[b, c] for c in range(7)) for b in range(7)])
    held = sorted(counts, key=lambda key: (-counts[key], key))[:30]

    def bigram(b, c):
        return (pairs[b, c] + 4 * single[c] / single.sum()) / (before[b] + 4)

    losses = model.losses(every_trigram(), 30).reshape(7, 7, 7)
    for a in range(7):
        for b in range(7):
            mine = [c for c in range(7) if (a, b, c) in held]
            followed = sum(counts[a, b, c] for c in range(7))
            own = {c: (counts[a, b, c] - 0.75) / followed for c in mine}
            for c in range(7):
                rest = (1 - sum(own.values())) / (1 - sum(bigram(b, k) for k in mine)) * bigram(b, c)
                assert np.exp(-losses[a, b, c]) == pytest.approx(own.get(c, rest), rel=1e-10)


def test_budget_curve_ends_at_nothing_and_predicts_what_additive_savings_say():
    model = NgramBudget.train(documents(400), 7, weight=4.0)
    other, test = (ngram_codes(documents(400, seed=seed), 3, 7) for seed in (1, 2))
    budgets = [0, 1, 4, 16, 64, model.types]
    curve = budget_curve(model, other, test, budgets)
    assert curve.measured[-1] == curve.constant[-1] == curve.by_class[-1] == 0
    assert curve.floor == pytest.approx(model.losses(test, model.types).mean())
    saved = (model.losses(other, 0) - model.losses(other, model.types))[np.isin(other, model.codes)]
    assert curve.constant[0] == pytest.approx(saved.mean())
    beyond = model.counts[model.rank > 16].sum() / model.counts.sum()
    assert curve.constant[3] == pytest.approx(saved.mean() * beyond)
    assert curve.unseen == pytest.approx(1 - np.isin(test, model.codes).mean())
    own = budget_curve(model, other, test, budgets, own_frequency=True)
    assert own.by_class[0] == pytest.approx(saved.sum() / other.size)
    assert own.by_class[0] == pytest.approx(own.constant[0])
    assert own.by_class[0] == pytest.approx(curve.measured[0], rel=0.1)


def test_what_cannot_be_counted_is_named():
    with pytest.raises(DataError, match="do not fit"):
        ngram_codes([np.arange(5)], 3, 2**22)
    with pytest.raises(DataError, match="from 0 to 9 in a vocabulary of 9"):
        ngram_codes([np.arange(10)], 2, 9)
    with pytest.raises(DataError, match="no trigram to hold"):
        NgramBudget.train([np.array([1, 2])], 5)
    with pytest.raises(DataError, match="between 0 and 1"):
        NgramBudget.train(documents(), 7, discount=1.0)
    model = NgramBudget.train(documents(), 7)
    with pytest.raises(DataError, match="between 0 and all"):
        model.losses(every_trigram(), model.types + 1)
    with pytest.raises(DataError, match="no trigram of training"):
        budget_curve(NgramBudget.train([np.array([0, 1, 2])], 7), np.array([0]), np.array([0]), [0])
