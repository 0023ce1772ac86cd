"""Laws of the loss, ours and published: fits beside the laws that others found (loss_laws.json), and which offsets and exponents
go together (loss_regions.csv)."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geomkit.errors import DataError
from geomkit.laws.prediction import leave_one_size_out
from geomkit.laws.scaling import Fit, NoFit, bootstrap, fit, profile
from geomkit.laws.statistics import partial_correlation_interval, percentile_interval
from geomkit.logs import logged
from geomkit.store.provenance import rng
from geomkit.store.tables import corpus_losses, read_csv, write_csv, write_json

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

N, FLOPS = "params_nonembedding", "training_flops"
PEERS = {
    ("power", N): [("kaplan-parameters", "alpha", "b", -1)],
    ("offset_power", N): [("chinchilla", "alpha", "alpha", 1)],
    ("offset_power", FLOPS): [("cerebras-gpt", "E", "E", 1), ("cerebras-gpt", "alpha", "alpha", 1)],
    ("chinchilla", "data"): [("chinchilla", "alpha", "alpha", 1), ("chinchilla", "beta", "beta", 1)],
}
"""For each form and measure of size the laws to put it beside: law, its parameter, ours, and the sign between them."""
POINTS = 61
"""Points of a region's grid in each direction."""


def main(
    table: Path,
    published: Path,
    known: Path,
    grid: Path | None,
    fits: Path,
    regions: Path,
    held_out: int,
    resamples: int,
    seed: int,
) -> None:
    values = {(row["law"], row["parameter"]): row["value"] for row in read_csv(known)}
    series = [*measured_losses(table), *published_losses(published)]
    rows: list[dict[str, Any]] = []
    for where, x, loss in series:
        for form in ("power", "offset_power"):
            law = fit(form, x, loss, held_out=held_out)
            rows.append(where | law.as_dict() | {"peers": peers(law, where["against"], values), "x": x, "y": loss})
    if grid is not None:
        law, intervals = fitted_grid(grid, held_out, resamples, rng(seed, "grid"))
        rows.append(
            {"family": "ladder", "corpus": "grid over data", "against": "data", **law.as_dict(), "bootstrap": intervals}
            | {"peers": peers(law, "data", values), "metrics": beside_loss(grid)}
        )
    write_json(fits, rows)
    write_csv(regions, [where | row for where, x, loss in series for row in region(x, loss)])


Series = tuple[dict[str, Any], list[float], list[float]]
"""What it is, sizes, and losses in nats a token."""


def measured_losses(table: Path) -> Iterator[Series]:
    """Losses of each family on each corpus."""
    rows = [row for row in corpus_losses(table) if row["variant"] == "trained"]
    for (family, corpus), group in groupby(rows, key=lambda row: (row["family"], row["corpus"])):
        models = list(group)
        yield {"family": family, "corpus": corpus, "against": N}, [row[N] for row in models], [row["value"] for row in models]


def published_losses(path: Path) -> Iterator[Series]:
    """Published losses of each family, against the compute of training as well where it is given."""
    for family, group in groupby(read_csv(path), key=lambda row: row["family"]):
        models = list(group)
        for against in (N, FLOPS):
            x = [row[against] for row in models]
            if None not in x:
                where = {"family": f"{family} (published)", "corpus": models[0]["dataset"], "against": against}
                yield where, x, [row["value"] for row in models]


def peers(law: Fit, against: str, known: Mapping[tuple[str, str], float]) -> list[dict[str, Any]]:
    """Laws that others found, with whether our interval holds their parameter."""
    found = []
    for name, parameter, ours, sign in PEERS.get((law.form, against), []) if not law.failed else []:
        low, high = law.interval[ours]
        value = sign * known[name, parameter]
        found.append({"law": name, "parameter": ours, "value": value, "inside": bool(low <= value <= high)})
    return found


def fitted_grid(
    path: Path, held_out: int, resamples: int, draws: np.random.Generator
) -> tuple[Fit, dict[str, tuple[float, float]]]:
    """L(N, D) over model size and unique tokens, each budget seen as often as was best for it, and intervals of its refits."""
    rows = [row for row in read_csv(path) if row["chosen"] == 1]
    x, loss = np.array([[row[N] for row in rows], [row["unique_tokens"] for row in rows]]), [row["loss_test"] for row in rows]
    law = fit("chinchilla", x, loss, held_out=held_out)
    if law.failed:
        return law, {}
    refits = bootstrap("chinchilla", x, loss, resamples, draws)
    return law, {name: percentile_interval(values) for name, values in refits.params.items()}


def beside_loss(path: Path) -> dict[str, dict[str, Any]]:
    """For each metric of the grid's cells: its correlation with the loss where ln N and ln D are held fixed, seeds averaged, and
    the error of predicting a size that was left out, from ln N and ln D alone and with the metric."""
    rows = [row for row in read_csv(path) if row["chosen"] == 1]
    names = list(rows[0])
    found: dict[str, dict[str, Any]] = {}
    for name in names[names.index("loss_test") + 1 : names.index("chosen")]:
        cells = sorted({(row[N], row["unique_tokens"]) for row in rows})
        mine = [[row for row in rows if (row[N], row["unique_tokens"]) == cell] for cell in cells]
        value, loss = (np.array([np.mean([row[key] for row in group]) for group in mine]) for key in (name, "loss_test"))
        size, data = np.log(np.array(cells)).T
        try:
            partial = partial_correlation_interval(np.log(value), loss, [size, data])
            found[name] = {"partial_correlation": partial.value, "interval": [partial.low, partial.high], "cells": len(cells)} | {
                "error_size_and_data": leave_one_size_out([size, data], loss, size),
                "error_with_metric": leave_one_size_out([size, data, np.log(value)], loss, size),
            }
        except DataError as reason:
            found[name] = {"status": f"failed: {reason}"}
    return found


def region(x: Sequence[float], loss: Sequence[float]) -> Iterator[dict[str, float]]:
    """Profile likelihood of the offset law over E and alpha: inside the joint 95 % region the statistic is below the limit.

    The grid goes half beyond both intervals; nothing where these losses determine no such law.
    """
    law = fit("offset_power", x, loss)
    if law.failed:
        return
    tops = {"E": min(loss), "alpha": 3 * law.params["alpha"]}
    axes = {}
    for name, top in tops.items():
        low, high = law.interval[name]
        high = min(high, top)
        axes[name] = np.linspace(max(0.0, low - (high - low) / 2), min(top, high + (high - low) / 2), POINTS)
    try:
        found = profile("offset_power", x, loss, axes)
    except NoFit:
        return
    for place in np.ndindex(found.statistic.shape):
        point = {name: float(values[k]) for (name, values), k in zip(axes.items(), place, strict=True)}
        yield point | {"statistic": float(found.statistic[place]), "limit": found.limit}


with logged(snakemake.log[0]):
    main(
        Path(snakemake.input.table),
        Path(snakemake.input.published),
        Path(snakemake.input.laws),
        Path(snakemake.input.grid[0]) if snakemake.input.grid else None,
        Path(snakemake.output.fits),
        Path(snakemake.output.regions),
        snakemake.params.held_out,
        snakemake.params.resamples,
        snakemake.params.seed,
    )
