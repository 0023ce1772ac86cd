"""Data for the page of tokens: one plain text, and one of odd tokens."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

TEMPLATE = (Path(__file__).parents[1] / "workflow/report/tokens.html").read_text()

SPEECH = """Fellow citizens: the harbour that we open today was paid for by many hands, and it belongs to all of them.
A free people keeps its word, and keeps its ledgers in order; liberty that does not pay its debts is soon in the \
hands of those who do. The commissioners report that eleven vessels were built last year, that the lighthouse is \
finished, and that no lives were lost. I ask the Congress to provide also for the widows of an earlier, less careful time."""
ODD = ["<script>document.title = 'broken'</script>", "\n\n", " ", "\u200b", "\ufffd", "\x07", "", "\u0301", "\u202e", " \ud83d"]
PLAIN, STRANGE = "ladder-128-s0, sotu, 1862-Lincoln-2", "ladder-64-s0, sotu, odd tokens"
LIBERTY = 39
METHODS = ("lasso", "ridge", "attention_mean", "recency")
KL = (0.31, 0.284, np.nan, 2e-5)


def split(text: str) -> list[str]:
    """Tokens as a byte pair encoding would have them: a space before a word, long words in two."""
    return re.findall(r" ?\w{1,8}|\n|[^\w\s]", text)


def a_target(generator: np.random.Generator, position: int) -> dict[str, Any]:
    dense = generator.dirichlet(np.full(position, 0.3))
    sparse = np.where(dense >= np.sort(dense)[-min(8, position)], generator.choice([-1, 1], position) * dense, 0)
    weights = dict(zip(METHODS, (sparse, sparse + generator.normal(0, 0.01, position), dense, np.zeros(position)), strict=True))
    weights["recency"][-8:] = 1
    chosen = {method: np.argsort(-np.abs(weight), kind="stable")[:8] for method, weight in weights.items()}
    return {"position": position, "weights": weights, "chosen": chosen, "kl": dict(zip(METHODS, KL, strict=True))}


def a_text(name: str, tokens: list[str], targets: list[int], seed: int) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    surprisal = generator.gamma(2, 1.5, len(tokens))
    surprisal[0] = np.nan
    layers = [
        {"layer": layer, "name": label, "gain": 3 * generator.beta(2, 3, len(tokens)) + 1 / (1 + np.arange(len(tokens)))}
        | {"targets": [a_target(generator, position) for position in targets]}
        for layer, label in ((2, "middle"), (4, "last"))
    ]
    return {"name": name, "tokens": tokens, "surprisal": surprisal, "layers": layers}


def sample() -> dict[str, Any]:
    tokens = split(SPEECH)
    assert (len(tokens), tokens[LIBERTY]) == (100, " liberty")
    return {
        "title": "Tokens and their context",
        "note": "Two models of the ladder, 128 and 64 wide, on one held-out text of 100 tokens; two layers, three targets.",
        "texts": [
            a_text(PLAIN, tokens, [12, LIBERTY, 98], 0),
            a_text(STRANGE, [*ODD, *tokens[:5]], [len(ODD)], 1),
        ],
    }


def embedded(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    assert found
    return json.loads(found[1])
