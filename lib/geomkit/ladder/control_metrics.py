"""Measure the protocol's endpoints on the ladder and on the trainings beside it, text by text, with the projected null of the
ladder's widest model: one table, small enough to ship where the weights are not."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from geomkit.core.logs import progress
from geomkit.core.state import PLAIN, State
from geomkit.core.variants import TRAINED
from geomkit.measures.controls import document_folds
from geomkit.measures.entropy import measure
from geomkit.measures.norms import NORMS, plain
from geomkit.measures.projection import projected
from geomkit.states.stream import OpenByName, States
from geomkit.states.text_metrics import Wanted, add_loss, add_run, read_stream
from geomkit.tables.rows import folders_of
from geomkit.tables.tidy import TableWriter, facts


def measure_controls(
    states: OpenByName,
    models: Sequence[Path],
    output: Path,
    corpus: str,
    family: str,
    length: int,
    normalisation: str,
    metrics: Sequence[str],
    parameters: Mapping[str, float],
) -> None:
    """Write the table. models: files, in folders of their names; the widest is the donor of the projected null."""
    wanted, open_model = Wanted([normalisation], [length], metrics, parameters), states()
    table = TableWriter(family=family, corpus=corpus)
    widths: dict[str, int] = {}
    missing: dict[str, str] = {}
    named = {folder.name: folder for folder in folders_of(models)}
    for name, folder in progress(named.items(), "controls", len(named)):
        with open_model(name, folder)(TRAINED) as own:
            table.common = {**table.common, "model": name, **facts(own.attributes)}
            seen, texts = read_stream(own, wanted), own.texts
        widths[name] = next(iter(seen.spectra.values())).d
        missing |= {f"{name}: {what}": why for what, why in add_run(table, TRAINED, seen, texts, wanted).items()}
        add_loss(table, TRAINED, seen, texts)
    donor = max(widths, key=lambda name: widths[name])
    with open_model(donor, named[donor])(TRAINED) as own:
        table.common = {**table.common, "model": donor, **facts(own.attributes)}
        add_projected(table, own, sorted(set(widths.values())), wanted)
    table.write(output, missing)


def add_projected(table: TableWriter, states: States, widths: Sequence[int], wanted: Wanted) -> None:
    """Add a donor's rows on its leading directions, taken from other documents, for every width."""
    (mode,), (n,) = wanted.modes, wanted.lengths
    long_enough = [text for text, tokens in enumerate(states.texts.tokens) if tokens >= n]
    documents = [states.texts.document[text] for text in long_enough]
    columns = {"text": long_enough, "document": documents}
    start = states.texts.offset[:-1][long_enough]
    for state, rows in rows_of(states).items():
        clouds = rows[start[:, None] + np.arange(n)]
        for result in projected(clouds, mode, document_folds(documents), widths, dtype=states.dtype).values():
            measured = measure(result.spectrum, wanted.metrics, **wanted.parameters)
            where = {**columns, **state._asdict(), "variant": "projected", "normalise": mode}
            table.add_metrics(result.spectrum, measured, **where)


def rows_of(states: States) -> dict[State, np.ndarray]:
    """Rows (tokens, d) of the last block's output, of the final state, and of that without gain and bias."""
    final, norm = int(str(states.attributes["depth"])) + 1, str(states.attributes["final norm"])
    rows = dict(states.gather([State(final - 1), State(final)]))
    if norm in NORMS:
        rows[State(final, PLAIN)] = plain(rows[State(final - 1)], norm, float(str(states.attributes["final norm eps"])))
    return rows
