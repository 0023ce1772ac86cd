"""Fit laws of the loss, ours and published (loss_laws.json), and map which offsets and exponents are compatible with the data
(loss_regions.csv)."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.laws.fit import NoFit, fit, profile
from geomkit.laws.lack_of_fit import Fitness
from geomkit.laws.published_laws import PublishedParameter, compare_published
from geomkit.laws.size_measures import law_on_axis
from geomkit.studies.published.rows import PublishedLaw, PublishedValue
from geomkit.tables.fits import LossLaw, LossRegion, PeerValue
from geomkit.tables.measurements import corpus_losses
from geomkit.tables.rows import read_csv, write_csv, write_json

N, FLOPS = "params_nonembedding", "training_flops"
PEERS = {
    ("power", N): [PublishedParameter("kaplan-parameters", "alpha", "b", -1)],
    ("offset_power", N): [PublishedParameter("chinchilla", "alpha", "alpha")],
    ("offset_power", FLOPS): [PublishedParameter("cerebras-gpt", "E", "E"), PublishedParameter("cerebras-gpt", "alpha", "alpha")],
}
"""For each form and measure of size the laws to put it beside."""
POINTS = 61
"""Points of a region's grid in each direction."""


def fit_loss_laws(table: Path, published: Path, known: Path, fits: Path, regions: Path, held_out: int) -> None:
    """Write loss_laws.json and loss_regions.csv."""
    values = {(row.law, row.parameter): row.value for row in read_csv(known, PublishedLaw) if row.value is not None}
    series = [*measured_losses(table), *published_losses(published)]
    laws: list[LossLaw] = []
    for where, x, loss in series:
        for form in ("power", "offset_power"):
            law = law_on_axis(where["against"], form, *by_size(x, loss), held_out, without_each=False)
            peers = compare_published(law.fit, PEERS.get((form, where["against"]), []), values)
            beside = tuple(PeerValue(**peer) for peer in peers)
            laws.append(LossLaw(**where | law.columns, peers=beside, x=tuple(x), y=tuple(loss)))
    write_json(fits, list[LossLaw], laws)
    held = [(where, x, loss) for where, x, loss in series if not rejected(laws, where)]
    write_csv(regions, LossRegion, [LossRegion(**where, **row) for where, x, loss in held for row in region(x, loss)])


def by_size(x: Sequence[float], loss: Sequence[float]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Sizes, and the losses of the seeds of each."""
    sizes = np.unique(x)
    return sizes, [np.asarray(loss)[np.asarray(x) == size] for size in sizes]


def rejected(laws: Sequence[LossLaw], where: Mapping[str, Any]) -> bool:
    """Whether seeds reject the law with an offset: then no region of its parameters is given."""
    whose = [law for law in laws if all(getattr(law, name) == value for name, value in where.items())]
    return any(law.form == "offset_power" and law.lack == Fitness.REJECTED for law in whose)


Series = tuple[dict[str, Any], list[float], list[float]]
"""Columns that identify the series, sizes, and losses in nats a token."""


def measured_losses(table: Path) -> Iterator[Series]:
    """Laws of the measured losses of each family on each corpus."""
    rows = [row for row in corpus_losses(table) if row["variant"] == "trained"]
    for (family, corpus), group in groupby(rows, key=lambda row: (row["family"], row["corpus"])):
        models = list(group)
        yield (
            {"family": family, "published": False, "corpus": corpus, "against": N},
            [row[N] for row in models],
            [row["value"] for row in models],
        )


def published_losses(path: Path) -> Iterator[Series]:
    """Laws of published losses of each family, also against the compute of training where it is given."""
    for family, group in groupby(read_csv(path, PublishedValue), key=lambda row: row.family):
        models = list(group)
        for against in (N, FLOPS):
            x = [float(size) for row in models if (size := getattr(row, against)) is not None]
            if len(x) == len(models):
                where = {"family": family, "published": True, "corpus": models[0].dataset, "against": against}
                yield where, x, [row.value for row in models]


def region(x: Sequence[float], loss: Sequence[float]) -> Iterator[dict[str, Any]]:
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
        likelihood = profile("offset_power", x, loss, axes)
    except NoFit:
        return
    for place in np.ndindex(likelihood.statistic.shape):
        point = {name: float(values[k]) for (name, values), k in zip(axes.items(), place, strict=True)}
        yield point | {"statistic": float(likelihood.statistic[place]), "limit": likelihood.limit}
