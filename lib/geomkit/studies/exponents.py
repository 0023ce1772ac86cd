"""Laws with model size: exponents beside their nulls (slopes.csv), fits of the primary endpoint (fits.json), and whether entropy
tells anything about loss that size does not (entropy_loss.json)."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.errors import DataError
from geomkit.laws.exponents import Levels, exponents, model_levels, text_levels
from geomkit.laws.fit import fit
from geomkit.laws.prediction import Prediction, prediction
from geomkit.laws.statistics import Resamples, draw_resamples, over_seeds
from geomkit.logs import progress
from geomkit.measures.nulls import table_nulls
from geomkit.source import named
from geomkit.store.measured import Key, Measured, Variants, beside, families, read_losses, read_measured, read_resamples
from geomkit.store.provenance import rng
from geomkit.store.tables import endpoint, read_csv, write_csv, write_json

AGAINST = ("params_nonembedding", "params_total", "width")
FORMS = ("power", "offset_power", "log_linear")
LOSS: Key = ("", "", 0, "loss")
"""The loss on the corpus, beside the metrics of clouds."""


def compare_exponents(
    table: Path,
    resampled: Sequence[str],
    published: Path,
    slopes: Path,
    fits: Path,
    entropy_loss: Path,
    primary: Mapping[str, Any],
    exploratory: Sequence[str],
    resamples: int,
    held_out: int,
    seed: int,
) -> None:
    """exploratory: metrics that are fitted, like the primary ones, at the primary endpoint's place."""
    draws = {Path(path).stem: Path(path) for path in resampled}
    rows: list[dict[str, Any]] = []
    predictions: list[dict[str, Any]] = []
    for family, corpus in families(table):
        measured = read_measured(table, family, corpus)
        drawn = read_resamples(draws[corpus], family, [model.name for model in measured.models])
        ladder = Ladder(measured, drawn, resamples, rng(seed, "slopes", family, corpus))
        ladder.add_losses(read_losses(table, family, corpus, measured.models))
        where = {"family": family, "corpus": corpus}
        rows += [where | row for row in compared(ladder, primary)]
        predictions += [where | row for name in primary["metrics"] for row in beside_loss(ladder, name, primary)]
    rows += published_exponents(published)
    combinations = sum("slope" in row for row in rows)
    write_csv(slopes, [row | {"combinations": combinations} for row in rows])
    fitted = dict(primary) | {"metrics": [*primary["metrics"], *exploratory]}
    points = [row for row in endpoint(table, **fitted) if row["variant"] == "trained"]
    write_json(fits, [law for group in by_law(points) for law in laws(group, primary, held_out)])
    write_json(entropy_loss, predictions)


class Ladder:
    """One family on one corpus: its models by size, what was measured on them, and draws of documents and then seeds.

    The same draws serve everything, so what is compared is paired.
    """

    def __init__(self, measured: Measured, drawn: Variants, resamples: int, draws: np.random.Generator):
        self.values, self.drawn = measured.variants, drawn
        n = np.array([model.params_nonembedding for model in measured.models])
        self.groups = [n == one for one in np.unique(n)]
        first = [measured.models[int(np.argmax(group))] for group in self.groups]
        self.sizes = {name: np.array([float(getattr(model, name)) for model in first]) for name in AGAINST}
        self.draws = draw_resamples(measured.documents, [int(group.sum()) for group in self.groups], resamples, draws)

    def add_losses(self, losses: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
        """The corpus's loss from nats and tokens of each text (models, texts), in the same draws of documents."""
        for variant, (nats, tokens) in losses.items():
            self.values[variant][LOSS] = (nats.sum(axis=1) / tokens.sum(axis=1))[:, None]
            self.drawn.setdefault(variant, {})[LOSS] = self.draws.means(nats) / self.draws.means(tokens)

    def split(self, values: np.ndarray) -> list[np.ndarray]:
        """Values (models, ...) as an array (seeds, ...) for each size."""
        return [values[group] for group in self.groups]

    def levels(self, key: Key) -> dict[str, Levels]:
        """Of what a key names, trained and every null."""
        values, drawn = beside(self.values, key), beside(self.drawn, key)
        if key[2]:
            return text_levels({name: self.split(array) for name, array in values.items()}, self.draws)
        return {
            name: model_levels(self.split(array[:, 0]), self.split(drawn[name]) if name in drawn else None, self.draws.seeds)
            for name, array in values.items()
        }


def compared(ladder: Ladder, primary: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of slopes.csv: every metric, length, layer and normalisation against every measure of size."""
    endpoint_key = (primary["layer"], primary["normalise"], primary["length"])
    for key in progress(sorted(ladder.values["trained"]), "exponents"):
        layer, normalise, length, metric = key
        where = {"metric": metric, "length": length or "corpus", "layer": layer, "normalise": normalise}
        where |= {"primary": int(key[:3] == endpoint_key and metric in primary["metrics"])}
        levels = ladder.levels(key)
        results = exponents(ladder.sizes, levels.pop("trained"), levels)
        yield from (where | {"against": name} | result.columns for name, result in results.items())


@named("matrix_entropy_over_ln_width", label="matrix entropy / ln d", unit="ratio")
def published_exponents(path: Path) -> list[dict[str, Any]]:
    """The same for published tables of matrix entropy over ln d."""
    rows = []
    for family, group in groupby(read_csv(path), key=lambda row: row["family"]):
        models = list(group)
        width, ratio = (np.array([row[name] for row in models]) for name in ("width", "value"))
        nulls = {
            name: Levels(np.log(entropy / np.log(width))) for name, entropy in table_nulls(ratio * np.log(width), width).items()
        }
        where = {"family": f"{family} (published)", "corpus": models[0]["dataset"], "metric": models[0]["quantity"], "primary": 0}
        sizes = {name: [row[name] for row in models] for name in AGAINST}
        results = exponents(sizes, Levels(np.log(ratio)), nulls)
        rows += [where | {"against": name} | result.columns for name, result in results.items()]
    return rows


def by_law(points: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Points of one corpus, metric and family together."""
    return [list(group) for _, group in groupby(points, key=lambda row: (row["corpus"], row["metric"], row["family"]))]


def laws(points: Sequence[Mapping[str, Any]], primary: Mapping[str, Any], held_out: int) -> list[dict[str, Any]]:
    """Every form fitted to one measurement against the parameters without embeddings."""
    first = points[0]
    where = {name: first[name] for name in ("family", "corpus", "metric")} | {"against": "params_nonembedding"}
    if first["metric"] != "loss":
        where |= {name: primary[name] for name in ("layer", "length", "normalise")}
    x, y = ([point[name] for point in points] for name in ("params_nonembedding", "value"))
    return [where | fit(form, x, y, held_out=held_out).as_dict() for form in FORMS]


def beside_loss(ladder: Ladder, metric: str, primary: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What a metric at the primary endpoint tells about the loss that size does not, and what its nulls would tell."""
    variants = beside(ladder.values, (primary["layer"], primary["normalise"], primary["length"], metric))
    whole = np.all([np.isfinite(values).all(axis=0) for values in variants.values()], axis=0)
    draws = Resamples(ladder.draws.texts[whole], ladder.draws.seeds)
    log_n, loss = np.log(ladder.sizes["params_nonembedding"]), ladder.split(ladder.values["trained"][LOSS][:, 0])
    drawn_loss = over_seeds(ladder.split(ladder.drawn["trained"][LOSS]), draws.seeds)
    for variant, values in variants.items():
        texts = ladder.split(values[:, whole])
        try:
            found = prediction(log_n, [np.log(one.mean(axis=1)) for one in texts], loss, draws.levels(texts), drawn_loss)
        except DataError as reason:
            yield {"metric": metric, "variant": variant, "status": f"failed: {reason}"}
        else:
            yield {"metric": metric, "variant": variant, "status": "converged", "sizes": len(loss)} | columns_of(found)


def columns_of(found: Prediction) -> dict[str, Any]:
    columns: dict[str, Any] = {"partial_correlation": found.partial.value, "interval": found.partial[1:3]}
    columns |= {"measurement": found.measurement, "error_size": found.error_size, "error_size_and_metric": found.error_both}
    if found.between_seeds is not None:
        columns |= {"between_seeds": found.between_seeds.value, "between_seeds_interval": found.between_seeds[1:3]}
    return columns
