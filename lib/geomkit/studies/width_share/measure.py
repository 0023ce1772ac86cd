"""Measure one model at lengths proportional to the widths of its family, itself and on as many directions as each is wide."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.logs import progress
from geomkit.core.model_folders import check_config
from geomkit.core.provenance import digest
from geomkit.core.state import State
from geomkit.core.variants import TRAINED
from geomkit.laws.pairs import MARGINS
from geomkit.measures.controls import document_folds
from geomkit.measures.entropy import measure
from geomkit.measures.projection import leading_directions, projected
from geomkit.measures.spectra import is_centred, normalise, row_spectrum
from geomkit.states.dumps import Dump
from geomkit.states.extracts import shown_texts
from geomkit.states.stream import Open, States
from geomkit.studies.width_share.rows import RATIOS, tokens_at
from geomkit.tables.measurements import PROJECTED
from geomkit.tables.tidy import DONOR_COLUMNS, TableWriter, columns_of, facts

NARROWEST = 16
"""Directions of a family of one width that are kept at least."""
HIDDEN_SIZE = ("hidden_size", "n_embd", "d_model", "dim")
"""Keys for a model's width in its configuration."""
TEXTS = "texts"
"""Key of a table's digest of the token ids; empty where they are unknown."""


def measure_lengths(
    states: Open,
    relatives: Sequence[Path],
    output: Path,
    family: str,
    model_seed: int | None,
    number: int,
    modes: Sequence[str],
    parameters: Mapping[str, float],
) -> None:
    """Write the metrics of one model, which names the output's folder, at every ratio of tokens to directions.

    relatives: folders or dumps of all models of its family, which say how wide they are. Projected rows have the number of
    directions as `d` and the model as `donor`. In a family of one width the model is projected on numbers of its own directions,
    in so many texts (`number`), each of another document. Directions are those of other documents.
    Raises DataError for a folder whose configuration has no width.
    """
    table = TableWriter(DONOR_COLUMNS, donor=output.parent.name)
    with states()(TRAINED) as own:
        state = State(facts(own.attributes)["depth"])
        width, documents, tokens = own.widths[state], own.texts.document, own.texts.tokens
        widths = {width, *map(width_of, relatives if len(relatives) > 1 else ())}
        alone = len(widths) == 1
        read = shown_texts(documents, number) if alone else range(len(documents))
        longest = max(tokens[text] for text in read)
        if alone:
            widths = {k for k in steps(width) if max(RATIOS) * k <= longest}
        cells = {ratio: found for ratio in RATIOS if (found := tokens_at(ratio, widths, longest))}
        span = max((n for cell in cells.values() for n in cell.values()), default=0)
        chosen = [text for text in read if span <= tokens[text]]
        if cells and len({documents[text] for text in chosen}) > 1:
            table.common |= columns_of(output, own.attributes, family, model_seed) | state._asdict()
            clouds, where = leading_rows(own, state, chosen, span), {"text": chosen, "document": [documents[k] for k in chosen]}
            for mode in progress(modes, output.parent.name, len(modes)):
                add_mode(table, clouds, where | {"normalise": mode}, cells, not alone, own.dtype, parameters)
        table.write(output, {}, **{TEXTS: texts_digest(own)})


def steps(width: int) -> list[int]:
    """Numbers of directions from `NARROWEST` up to a width, two to a factor of two."""
    powers = [NARROWEST << k for k in range(width.bit_length())]
    return sorted(k for power in powers for k in (power, 3 * power // 2) if k <= width)


def leading_rows(own: States, state: State, chosen: Sequence[int], span: int) -> np.ndarray:
    """Read the first rows of texts: (texts, span, d)."""
    rows = own.gather([state], chosen)[state]
    starts = np.cumsum([0, *(own.texts.tokens[text] for text in chosen)])[:-1]
    return np.asarray(rows[starts[:, None] + np.arange(span)])


def add_mode(
    table: TableWriter,
    clouds: Array,
    where: Mapping[str, Any],
    cells: Mapping[float, Mapping[int, int]],
    itself: bool,
    dtype: str,
    parameters: Mapping[str, float],
) -> None:
    """Add one normalisation: a model at its own length, and its leading directions at each length of as many directions.

    itself: whether it is measured in full; then only narrower widths are projected on. Directions that other documents do not
    have are left out.
    """
    mode, width, fold = where["normalise"], clouds.shape[-1], document_folds(where["document"])
    directions = leading_directions(clouds, mode, fold, dtype)
    for k, n in ((k, n) for cell in cells.values() for k, n in cell.items()):
        rows = clouds[:, :n]
        if itself and k == width:
            found, variant = row_spectrum(normalise(rows, mode, dtype=dtype), centred=is_centred(mode)), TRAINED
        elif k <= min(directions.rank.min(), width):
            found, variant = projected(rows, mode, fold, [k], directions, dtype)[k].spectrum, PROJECTED
        else:
            continue
        table.add_metrics(found, measure(found, list(MARGINS), **parameters), variant=variant, **where)


def texts_digest(own: States) -> str:
    """Digest the token ids of all texts, by which models know that they read the same; empty where ids are unknown."""
    ids = [own.ids(text).tolist() for text in range(len(own.texts.document))]
    return "" if any(min(one) < 0 for one in ids) else digest(*ids)


def width_of(path: Path) -> int:
    """Read how wide a model's last block is: from a dump of its states, or from its configuration in a folder."""
    if path.is_file():
        with Dump(path) as dump:
            return dump.widths[State(facts(dump.attributes)["depth"])]
    settings = check_config(path)
    inner = settings.get("text_config")
    own = inner if isinstance(inner, dict) else settings
    found = next((own[key] for key in HIDDEN_SIZE if type(own.get(key)) is int), None)
    if found is None:
        raise DataError(f"{path}/config.json: none of {', '.join(HIDDEN_SIZE)} says how wide the model is")
    return int(found)
