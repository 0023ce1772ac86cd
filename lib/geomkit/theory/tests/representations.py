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
    for corpus, layer in dict.fromkeys((each.corpus, each.layer) for each in documents):
        whole: dict[tuple[str, str, int], list[tuple[float, int]]] = {}
        for gain in gains:
            if (gain.corpus, gain.layer) == (corpus, layer):
                whole.setdefault((gain.variant, gain.model, gain.params_nonembedding), []).append((gain.value, gain.tokens))
        means = [
            (variant, size, sum(value * n for value, n in parts) / sum(n for _, n in parts))
            for (variant, _, size), parts in whole.items()
        ]
        yield from beside_null(
            Test.CONDITIONAL, f"Does the mean gain at `{layer}` grow beyond what width gives?", corpus, layer, means
        )
        shares = [
            (each.variant, each.params_nonembedding, each.between)
            for each in documents
            if (each.corpus, each.layer) == (corpus, layer)
        ]
        question = f"Does documents' share of variance at `{layer}` change beyond width?"
        yield from beside_null(Test.DOCUMENTS, question, corpus, layer, shares)


def beside_null(
    test: Test, question: str, corpus: str, layer: str, values: Sequence[tuple[str, int, float]]
) -> Iterator[Conclusion]:
    """The slope of ln(value / projected null) on ln N, over sizes below the donor's; seeds of a size are averaged.

    values: variant, size and value of each model.
    """
    logs: dict[tuple[str, int], list[float]] = {}
    for variant, size, value in values:
        logs.setdefault((variant, size), []).append(float(np.log(value)))
    level = {key: float(np.mean(of)) for key, of in logs.items()}
    sizes = sorted(size for variant, size in level if variant == "projected")
    models = sum(variant == "trained" for variant, _, _ in values)
    scope, case = f"{models} models on {corpus}, layer {layer}", f"{corpus}-{layer}"
    if len(sizes) < 3:
        yield row(test, scope, question, Status.UNTESTED, case=case, note=f"{len(sizes)} sizes with a null")
        return
    fitted = slope(np.log(sizes), [level["trained", size] - level["projected", size] for size in sizes])
    own = slope(np.log(sizes), [level["trained", size] for size in sizes])
    status = Status.UNDECIDED if fitted.low <= 0 <= fitted.high else Status.BEYOND_WIDTH
    yield row(
        test,
        scope,
        question,
        status,
        fitted,
        case=case,
        predicted=0.0,
        unit="exponent of value / projected null",
        note=f"exploratory; {len(sizes)} sizes; own exponent {own.value:+.3f}",
    )
