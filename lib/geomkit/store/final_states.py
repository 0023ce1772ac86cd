"""What a table of the final state holds of one model: arrays over texts by layer, normalisation, length and metric."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geomkit.store.measured import Key, codes
from geomkit.store.parquet import read_table
from geomkit.store.states import PLAIN

LAYERS = ("last", "final", PLAIN)
COLUMNS = (
    "family", "seed", "params_nonembedding", "depth", "variant", "layer", "sublayer", "normalise", "n", "metric", "text",
    "document", "d", "value", "eps2",
)  # fmt: skip


@dataclass(frozen=True)
class FinalState:
    """One model on one corpus. values: by key, of the trained model (1, texts) and of its twins (twins, texts), NaN where there
    is no value; documents: of each text, empty where it has none; eps2: of each metric, None where it does not depend on it."""

    model: str
    family: str
    seed: int | None
    params_nonembedding: int
    width: int
    documents: list[str]
    trained: dict[Key, np.ndarray]
    twins: dict[Key, np.ndarray]
    eps2: dict[str, float | None]


def read_final_state(path: Path) -> FinalState | None:
    """The table of the model that its folder names; None if it holds nothing."""
    table = read_table(path, columns=list(COLUMNS)).combine_chunks()
    if not len(table):
        return None
    text, layer, depth, n, d, value = (table[name].to_numpy() for name in ("text", "layer", "depth", "n", "d", "value"))
    (variants, variant), (parts, part), (modes, mode), (names, metric), (documents, document) = (
        codes(table[name]) for name in ("variant", "sublayer", "normalise", "metric", "document")
    )
    place = np.where(parts[part] == PLAIN, LAYERS.index(PLAIN), layer - depth)
    twins = sorted((name for name in variants if name != "trained"), key=lambda name: int(str(name).rpartition("-")[2]))
    row = np.array([0 if name == "trained" else twins.index(name) for name in variants])[variant]
    is_twin, count = (variants != "trained")[variant], int(text.max()) + 1
    cells = np.stack([is_twin, place, mode, n, metric])
    groups, index = np.unique(cells, axis=1, return_inverse=True)
    trained: dict[Key, np.ndarray] = {}
    untrained: dict[Key, np.ndarray] = {}
    order, ends = np.argsort(index.ravel(), kind="stable"), np.cumsum(np.bincount(index.ravel()))[:-1]
    for (twin, p, m, length, k), rows in zip(groups.T, np.split(order, ends), strict=True):
        block = np.full((len(twins) if twin else 1, count), np.nan)
        block[row[rows], text[rows]] = value[rows]
        (untrained if twin else trained)[Key(LAYERS[p], modes[m], int(length), names[k])] = block
    of_text = np.full(count, "", dtype=object)
    of_text[text] = documents[document]
    eps2 = {one["metric"]: one["eps2"] for one in table.group_by(["metric", "eps2"], use_threads=False).aggregate([]).to_pylist()}
    first = table.slice(0, 1).to_pylist()[0]
    return FinalState(
        path.parent.name, first["family"], first["seed"], first["params_nonembedding"], int(d.max()), of_text.tolist(), trained,
        untrained, eps2,
    )  # fmt: skip
