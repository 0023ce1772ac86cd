"""Laws with model size: exponents beside their nulls (slopes.csv), fits of the primary endpoint (fits.json), and whether entropy
tells anything about loss that size does not (entropy_loss.json)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geomkit.errors import DataError
from geomkit.laws.exponents import Exponent, exponents, leave_one_size_out
from geomkit.laws.scaling import fit
from geomkit.laws.statistics import draw_resamples, partial_correlation_interval
from geomkit.logs import logged, progress
from geomkit.measures.nulls import table_nulls
from geomkit.store.measured import Measured, families, read_measured
from geomkit.store.provenance import replacing, rng
from geomkit.store.tables import endpoint, read_csv, write_csv

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

AGAINST = ("params_nonembedding", "params_total", "width")
FORMS = ("power", "offset_power", "log_linear")


def main(
    table: Path,
    published: Path,
    slopes: Path,
    fits: Path,
    entropy_loss: Path,
    primary: Mapping[str, Any],
    resamples: int,
    held_out: int,
    seed: int,
) -> None:
    rows: list[dict[str, Any]] = []
    for family, corpus in families(table):
        rows += compared(family, corpus, read_measured(table, family, corpus), primary, resamples, seed)
    write_csv(slopes, rows + published_exponents(published))
    points = [row for row in endpoint(table, **primary) if row["variant"] == "trained"]
    write_json(fits, [law for group in by_law(points) for law in laws(group, primary, held_out)])
    write_json(entropy_loss, beside_loss(points))


def compared(
    family: str, corpus: str, measured: Measured, primary: Mapping[str, Any], resamples: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Rows of slopes.csv: every metric, length, layer and normalisation against every measure of size."""
    n = np.array([model.params_nonembedding for model in measured.models])
    groups = [n == one for one in np.unique(n)]
    sizes = {name: [float(getattr(measured.models[int(np.argmax(group))], name)) for group in groups] for name in AGAINST}
    seeds = [int(group.sum()) for group in groups]
    draws = draw_resamples(measured.documents, seeds, resamples, rng(seed, "slopes", family, corpus))
    endpoint_key = (primary["layer"], primary["normalise"], primary["length"])
    for key, values in progress(sorted(measured.variants["trained"].items()), f"{family} on {corpus}"):
        layer, normalise, length, metric = key
        where = {"family": family, "corpus": corpus, "metric": metric, "length": length or "corpus", "layer": layer}
        where |= {"normalise": normalise, "primary": int(key[:3] == endpoint_key and metric in primary["metrics"])}
        split = {name: [array[group] for group in groups] for name, array in measured.nulls(key).items()}
        results = exponents(sizes, [values[group] for group in groups], split, draws if length else None)
        yield from (where | {"against": name} | flat(result) for name, result in results.items())


def flat(result: Exponent) -> dict[str, Any]:
    """The columns of one exponent."""
    columns: dict[str, Any] = {"verdict": result.verdict}
    if result.estimate is None:
        return columns
    columns |= {"slope": result.estimate.value, "low": result.estimate.low, "high": result.estimate.high}
    columns["freedom"] = result.estimate.freedom
    columns["measurement_low"], columns["measurement_high"] = result.measurement or (None, None)
    for name, null in result.nulls.items():
        columns |= {f"{name} slope": null.exponent, f"{name} difference": null.difference.value}
        columns |= {f"{name} low": null.difference.low, f"{name} high": null.difference.high}
        columns[f"{name} measurement_low"], columns[f"{name} measurement_high"] = null.measurement or (None, None)
    return columns


def published_exponents(path: Path) -> list[dict[str, Any]]:
    """The same for published tables of matrix entropy over ln d."""
    rows = []
    for family, group in groupby(read_csv(path), key=lambda row: row["family"]):
        models = list(group)
        width, ratio = (np.array([row[name] for row in models]) for name in ("width", "value"))
        nulls = {name: entropy / np.log(width) for name, entropy in table_nulls(ratio * np.log(width), width).items()}
        where = {"family": f"{family} (published)", "corpus": models[0]["dataset"], "metric": models[0]["quantity"], "primary": 0}
        sizes = {name: [row[name] for row in models] for name in AGAINST}
        results = exponents(sizes, one_by_one(ratio), {name: one_by_one(null) for name, null in nulls.items()}, None)
        rows += [where | {"against": name} | flat(result) for name, result in results.items()]
    return rows


def one_by_one(values: np.ndarray) -> list[np.ndarray]:
    """Each value as that of one seed on one text."""
    return [np.array([[value]]) for value in values]


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


def beside_loss(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each primary metric: its correlation with loss once ln N is held fixed, and what it adds to ln N in predicting the
    loss of a size that was left out."""
    results = []
    for group in by_law(points):
        first = group[0]
        if first["metric"] == "loss":
            continue
        losses = {row["model"]: row["value"] for row in points if (row["corpus"], row["metric"]) == (first["corpus"], "loss")}
        n, values = (np.array([row[name] for row in group], dtype=float) for name in ("params_nonembedding", "value"))
        size = np.unique(n)  # seeds of one size are not independent of each other: their mean is one observation
        value = np.array([np.exp(np.log(values[n == one]).mean()) for one in size])
        loss = np.array([np.mean([losses[row["model"]] for row in group if row["params_nonembedding"] == one]) for one in size])
        result: dict[str, Any] = {name: first[name] for name in ("family", "corpus", "metric")} | {"sizes": len(size)}
        try:
            partial = partial_correlation_interval(np.log(value), loss, np.log(size))
            result |= {"partial_correlation": partial.value, "low": partial.low, "high": partial.high}
            result["error_size"] = leave_one_size_out(np.log(size), loss, size)
            result["error_size_and_entropy"] = leave_one_size_out([np.log(size), np.log(value)], loss, size)
            result["status"] = "converged"
        except DataError as reason:
            result["status"] = f"failed: {reason}"
        results.append(result)
    return results


def write_json(path: Path, value: object) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")


with logged(snakemake.log[0]):
    main(
        Path(snakemake.input.table),
        Path(snakemake.input.published),
        Path(snakemake.output.slopes),
        Path(snakemake.output.fits),
        Path(snakemake.output.entropy_loss),
        snakemake.params.primary,
        snakemake.params.bootstrap,
        snakemake.params.held_out,
        snakemake.params.seed,
    )
