"""Test the conditional entropy of representations: identities, and laws with size beside the projected null."""

from collections.abc import Iterator, Sequence

import numpy as np

from geomkit.laws.statistics import slope
from geomkit.theory.rows import Conclusion, ConditionalGain, DocumentVariance, Status, Test
from geomkit.theory.tests.table import row

ROUNDING = 1e-12
"""Relative errors of identities below which they hold to rounding."""


def of_representations(gains: Sequence[ConditionalGain], documents: Sequence[DocumentVariance]) -> Iterator[Conclusion]:
    for name, what in (("chain_residual", "the chain rule of gains"), ("residual", "the law of total covariance")):
        worst = max(getattr(each, name) for each in documents)
        yield row(
            Test.IDENTITY,
            f"{len(documents)} models, layers and nulls",
            f"Does {what} hold to rounding?",
            Status.HOLDS if worst < ROUNDING else Status.BROKEN,
            worst,
            case="chain-rule" if name == "chain_residual" else "total-covariance",
            predicted=0.0,
            unit="largest relative error",
        )
    for layer in dict.fromkeys(each.layer for each in documents):
        whole: dict[tuple[str, int], list[tuple[float, int]]] = {}
        for gain in gains:
            if gain.layer == layer:
                whole.setdefault((gain.variant, gain.params_nonembedding), []).append((gain.value, gain.tokens))
        values = {key: sum(value * n for value, n in parts) / sum(n for _, n in parts) for key, parts in whole.items()}
        yield from beside_null(Test.CONDITIONAL, f"Does the mean gain at `{layer}` grow beyond what width gives?", layer, values)
        share = {(each.variant, each.params_nonembedding): each.between for each in documents if each.layer == layer}
        yield from beside_null(
            Test.DOCUMENTS, f"Does documents' share of variance at `{layer}` change beyond width?", layer, share
        )


def beside_null(test: Test, question: str, layer: str, values: dict[tuple[str, int], float]) -> Iterator[Conclusion]:
    """The slope of ln(value / projected null) on ln N, over sizes below the donor's."""
    sizes = sorted(size for variant, size in values if variant == "projected")
    scope = f"{len(sizes) + 1} models, layer {layer}"
    if len(sizes) < 3:
        yield row(test, scope, question, Status.UNTESTED, case=layer, note=f"{len(sizes)} sizes with a null")
        return
    ratio = np.log([values["trained", size] / values["projected", size] for size in sizes])
    fitted, own = slope(np.log(sizes), ratio), slope(np.log(sizes), np.log([values["trained", size] for size in sizes]))
    status = Status.UNDECIDED if fitted.low <= 0 <= fitted.high else Status.BEYOND_WIDTH
    yield row(
        test,
        scope,
        question,
        status,
        fitted,
        case=layer,
        predicted=0.0,
        unit="exponent of value / projected null",
        note=f"exploratory; {len(sizes)} sizes; own exponent {own.value:+.3f}",
    )
