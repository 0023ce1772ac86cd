"""Controls against leakage: cross-fitting over documents, and targets from other documents as a null."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geomkit.core.errors import DataError

ROUNDING = 1e-9
"""Scores no further apart are those of one choice: two methods that choose the same tokens draw."""
FOLDS = 5
"""Parts of the documents; what is applied to each is estimated on the others."""


def document_folds(documents: Sequence[str], folds: int = FOLDS) -> NDArray[np.int64]:
    """Assign each text's document to a fold (texts,): documents are dealt out in turn, and no document is in two folds.

    With fewer documents than folds, each is a fold. Raises DataError for one document, which leaves no other to fit on.
    """
    if len(set(documents)) < 2:
        raise DataError("folds of documents take at least 2 documents, found 1")
    numbers = {name: number for number, name in enumerate(dict.fromkeys(documents))}
    return np.array([numbers[name] for name in documents], dtype=np.int64) % folds


def strangers(documents: Sequence[str]) -> NDArray[np.int64]:
    """For each target (targets,), pick the next one, in circular order, from another document.

    Raises DataError if all are in one.
    """
    names = np.asarray(documents)
    if len(set(names.tolist())) < 2:
        raise DataError("a target from another document takes targets in two documents")
    return np.array(
        [next(k for k in np.roll(np.arange(len(names)), -own) if names[k] != names[own]) for own in range(len(names))]
    )


def wins(difference: NDArray[np.float64], higher_is_better: bool) -> NDArray[np.float64]:
    """Score 1 where the difference favours the first, 0 where it does not, 1/2 for a tie within rounding; NaN stays NaN."""
    sign = 1 if higher_is_better else -1
    told = np.where(np.abs(difference) > ROUNDING, np.sign(sign * difference), 0.0)
    return np.where(np.isnan(difference), np.nan, (told + 1) / 2)
