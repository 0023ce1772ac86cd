"""Pages on tokens: what is drawn where, and rows without intervals."""

from itertools import product

import pytest

from geomkit.figures.tokens import short, tokens_figure
from geomkit.store.records.tokens import TokenScore

FACTS = {
    "family": "f",
    "seed": None,
    "corpus": "c",
    "params_total": 9,
    "depth": 2,
    "sublayer": "block",
    "d": 8,
    "n": 6,
    "eps2": 0.5,
}
LAYERS = {"embedding": 0, "middle": 1, "last": 2, "final": 3}
METHODS = ("lasso", "attention_mean", "random", "a_new_method")


def rows(interval=True):
    """Two sizes; the larger one was probed."""
    low, high = (0.1, 0.3) if interval else (None, None)
    shared = FACTS | {
        "value": 0.2,
        "low": low,
        "high": high,
        "documents": 3 if interval else 1,
        "x": None,
        "k": None,
        "first": None,
    }
    found = []
    for size, variant, name in product((1000, 1_000_000), ("trained", "shuffled"), LAYERS):
        where = shared | {
            "model": f"m{size:.0f}",
            "params_nonembedding": size,
            "variant": variant,
            "name": name,
            "layer": LAYERS[name],
        }
        for outcome, method in product(("surprisal", "next_surprisal"), ("raw", "partial")):
            found.append(where | {"metric": f"gain_{outcome}", "method": method})
        found += [
            where | {"metric": metric, "method": None, "x": x}
            for metric in ("gain_at_position", "gain_at_surprisal")
            for x in (1, 2)
        ]
        if variant == "trained" and name != "embedding":
            found += [
                where | {"metric": f"ridge_{m}", "method": None, "x": x} for m in ("error", "freedom", "gcv") for x in (0.1, 10)
            ]
            found.append(where | {"metric": "ridge_best_error", "method": None})
            if size == 1e6 and name != "final":
                for method, k, first in product(METHODS, (1, 4), (0, 1)):
                    chosen = where | {"method": method, "k": k, "first": first}
                    names = ["divergence", "loss_increase", "reconstruction_unseen"]
                    if method != "lasso":
                        names += ["divergence_win", "removed_divergence_win", "reconstruction_unseen_win", "jaccard"]
                    found += [chosen | {"metric": metric} for metric in names]
    return [TokenScore(**row) for row in found]


@pytest.mark.parametrize("interval", [True, False])
def test_two_pages_for_a_corpus_and_two_for_each_probed_model(interval):
    pages = list(tokens_figure(rows(interval)))
    assert len(pages) == 4
    for page in pages:
        page.canvas.draw()
    titles = [page.get_suptitle() for page in pages]
    assert "information gain" in titles[0]
    assert "ridge regression of the last token" in titles[1]
    assert all("m1000000" in title for title in titles[2:])
    wins = pages[3].axes[0]
    assert [label.get_text() for label in wins.get_yticklabels()] == ["attention mean", "random", "a new method"]
    assert {text.get_text() for text in wins.texts} == {"0.20"}


def test_nothing_at_the_last_block_still_gives_pages():
    pages = list(tokens_figure([row for row in rows() if row.name != "last" and row.k is None]))
    for page in pages:
        page.canvas.draw()
    assert len(pages) == 2


def test_sizes_are_short():
    assert [short(size) for size in (6, 6592, 250_048, 1_586_432, 1.2e10)] == ["6", "6.59 k", "250 k", "1.59 M", "12 B"]
