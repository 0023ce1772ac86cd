"""Metrics over relative depth, a line for each model: a page for each corpus."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]


def layers_figure(rows: Rows, metrics: Sequence[str], where: str) -> Iterator[Figure]:
    """rows: `geomkit.store.tables.text_means`; untrained twins are averaged.

    Solid lines are trained models, dotted ones untrained twins; darker is larger. A ring is what follows the final norm.
    """
    for corpus in dict.fromkeys(row["corpus"] for row in rows):
        here = [row for row in rows if row["corpus"] == corpus]
        sizes = sorted({(row["params_nonembedding"], row["model"]) for row in here})
        shade = matplotlib.colormaps["viridis_r"]
        colour = {model: shade(0.1 + 0.9 * place / max(1, len(sizes) - 1)) for place, (_, model) in enumerate(sizes)}
        figure = Figure(figsize=(7.2, 2.4 * -(-len(metrics) // 2)))
        axes = figure.subplots(-(-len(metrics) // 2), 2, squeeze=False).flatten()
        for axis, metric in zip(axes, metrics, strict=False):
            for variant, line in (("trained", "-"), ("untrained", ":")):
                for _, model in sizes:
                    mine = sorted(
                        (row["layer"] / row["depth"], row["value"], row["layer"] > row["depth"])
                        for row in here
                        if (row["model"], row["metric"], row["variant"]) == (model, metric, variant)
                    )
                    label = model if variant == "trained" else None
                    axis.plot([x for x, _, _ in mine], [y for _, y, _ in mine], line, lw=1, color=colour[model], label=label)
                    axis.plot(
                        *zip(*[(x, y) for x, y, last in mine if last] or [(None, None)], strict=True),
                        "o",
                        ms=3,
                        mfc="w",
                        color=colour[model],
                    )
            axis.set(title=metric, xlabel="layer / number of blocks")
        for axis in axes[len(metrics) :]:
            axis.axis("off")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize=6)
        figure.suptitle(f"{corpus}: {where}; dotted: untrained; ring: after the final norm", fontsize=8)
        yield figure
