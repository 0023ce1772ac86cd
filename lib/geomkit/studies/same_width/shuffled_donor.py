"""Measure a family's widest models on fewer of their directions, text beside shuffled text: the null for how word order's effect
grows with width.

Both are projected on the leading directions of text, at the last block. Variants of the table: `projected`, as in results of
projections, and `projected-shuffled`. The column `donor` names the model.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.variants import TRAINED
from geomkit.measures.controls import document_folds
from geomkit.measures.entropy import measure
from geomkit.measures.projection import Projected, leading_directions, projected
from geomkit.states.donors import family_of, incomparable
from geomkit.states.stream import Open
from geomkit.tables.measurements import LAST, PROJECTED, PROJECTED_SHUFFLED
from geomkit.tables.tidy import DONOR_COLUMNS, TableWriter

SHUFFLED = "shuffled"


def project_shuffled(
    states: Open,
    spectra: Iterable[Path],
    output: Path,
    families: Mapping[str, str],
    seeds: Mapping[str, int | None],
    modes: Sequence[str],
    lengths: Sequence[int],
    metrics: Sequence[str] | None,
    parameters: Mapping[str, float],
) -> None:
    """Write the table of one model, which names the output's folder; it is empty where the model is not its family's widest.

    spectra: of all models of its family, which say how wide they are.
    """
    name, table = output.parent.name, TableWriter(DONOR_COLUMNS, corpus=output.stem)
    model, members = family_of(name, spectra, families, seeds)
    widths = sorted({member.width(LAST) for member in members})
    if model is not None and len(widths) > 1 and model.width(LAST) == widths[-1] and incomparable(members) is None:
        open_variant = states()
        states_of: list[Array] = []
        for variant in (TRAINED, SHUFFLED):
            with open_variant(variant) as opened:
                model = model.of(opened, [LAST])
                states_of.append(np.array(model.rows(LAST)))
        where: dict[str, Any] = {"family": model.family, "donor": name, "depth": model.facts["depth"]}
        where |= model.state(LAST)._asdict()
        for n in lengths:
            texts = [text for text, tokens in enumerate(model.texts.tokens) if tokens >= n]
            documents = [model.texts.document[text] for text in texts]
            start = model.texts.offset[:-1][texts]
            text, shuffled = (rows[start[:, None] + np.arange(n)] for rows in states_of)
            for mode in modes if len(set(documents)) > 1 else ():
                if mode != "raw":
                    made = measured(text, shuffled, documents, mode, model.dtype, widths[:-1], metrics, parameters)
                    for variant, k, columns in made:
                        table.add(**where, **columns, variant=variant, d=k, normalise=mode, n=n, text=texts, document=documents)
    table.write(output, {})


def measured(
    text: Array,
    shuffled: Array,
    documents: Sequence[str],
    mode: str,
    dtype: str,
    widths: Sequence[int],
    metrics: Sequence[str] | None,
    parameters: Mapping[str, float],
) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Metrics of text and of shuffled text (texts, n, d) on each number of the directions of text, as columns of rows."""
    fold = document_folds(documents)
    directions = leading_directions(text, mode, fold, dtype)
    known = [k for k in widths if k <= directions.rank.min()]
    for variant, rows in ((PROJECTED, text), (PROJECTED_SHUFFLED, shuffled)):
        results: dict[int, Projected] = projected(rows, mode, fold, known, directions, dtype) if known else {}
        for k, result in results.items():
            for metric, one in measure(result.spectrum, metrics, **parameters).items():
                eps2 = one.parameters.get("eps2")
                yield variant, k, {"metric": metric, "value": np.asarray(one.value, dtype=float), "eps2": eps2}
