"""Compare selections of tokens at equal budgets, by the model's predictions and by reconstruction of the target."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.config import layer_name
from geomkit.core.logs import progress
from geomkit.core.provenance import rng
from geomkit.core.state import State
from geomkit.laws.resampling import Documents
from geomkit.measures.controls import FOLDS, document_folds, strangers, wins
from geomkit.measures.reconstruction import Reconstruction, Whitening, coordinate_splits, raw_r2
from geomkit.measures.selection import TOLERANCE, Context, chooses_by, jaccard, method_of, selectors
from geomkit.measures.spectra import normalise
from geomkit.states.probes import Choice, Probe
from geomkit.states.refusals import refused_table
from geomkit.states.spectra import Spectra, gain_constants
from geomkit.studies.tokens.rows import TokenScore
from geomkit.tables.rows import defined, write_csv
from geomkit.tables.tidy import TOKEN_COLUMNS, TableWriter, columns_of

SPLITS = 10
RESAMPLES = 1000
HIGHER = {
    "divergence": False,
    "removed_divergence": False,
    "reconstruction": True,
    "reconstruction_unseen": True,
    "raw_r2": True,
}
"""Whether a higher score is better."""


@dataclass(frozen=True)
class Scored:
    """One method's choices at one layer, those of each draw where it chooses at random, and its scores by name, each (targets,
    budgets), averaged over draws."""

    layer: int
    first: int
    method: str
    chosen: list[np.ndarray]
    scores: dict[str, np.ndarray]


def compare_selections(
    probe: Path,
    spectra: Path,
    output: Path,
    summary: Path,
    family: str,
    model_seed: int | None,
    seed: int,
) -> None:
    """Write every target's scores, and the summary with intervals over documents."""
    model = probe.parent.name
    with refused_table(output, TOKEN_COLUMNS, summary, TokenScore), Probe(probe) as file, Spectra(spectra) as measured:
        gain = gain_constants(file.attributes)
        common = {**columns_of(probe, file.attributes, family, model_seed), "eps2": gain["eps2"]}
        table, absent = TableWriter(TOKEN_COLUMNS, **common, variant="trained", sublayer="block"), dict(file.absent)
        documents = Documents.draw(file.document, RESAMPLES, rng(seed, "selection", probe.stem))
        rows: list[dict[str, Any]] = []
        for layer in file.layers:
            choices = [choice for choice in file.choices() if choice.layer == layer]
            scored = averaged(reconstructed(file, measured, layer, choices, gain, seed, f"{model} layer {layer}"))
            width = file.width(layer)
            where = {
                "variant": "trained",
                "layer": layer,
                "sublayer": "block",
                "name": layer_name(layer, common["depth"]) or None,
                "d": width,
            }
            rows += [where | row for one in scored for row in compared(one, scored, file.budgets, documents)]
            rows += [where | row for first in (0, 1) for row in gaps(file, layer, first, absent)]
            for one in scored:
                add_scores(table, file, one, width)
        table.write(output, absent)
        write_csv(summary, TokenScore, [TokenScore(**common | row) for row in rows])


def reconstructed(
    file: Probe, measured: Spectra, layer: int, choices: Sequence[Choice], gain: Mapping[str, float], seed: int, name: str
) -> list[Scored]:
    """All reconstruction scores of the selections at one layer."""
    width, budgets = file.width(layer), len(file.budgets)
    splits = coordinate_splits(width, SPLITS, rng(seed, "splits", width))
    whitenings = fold_whitenings(measured, layer)
    fold, others = document_folds(measured.text_list.document), strangers(file.document)
    values = {id(choice): np.full((4, len(file.text), budgets), np.nan) for choice in choices}
    for text in progress(np.unique(file.text).tolist(), name):
        rows, whitening = normalise(file.rows(layer, text), "unit"), whitenings[fold[text]]
        gram, whole = rows @ rows.T, Reconstruction(whitening.apply(rows), splits)
        for target in np.flatnonzero(file.text == text).tolist():
            sets = [(choice, k, row[row >= 0].astype(int)) for choice in choices for k, row in enumerate(choice.chosen[target])]
            sets = [each for each in sets if len(each[2])]
            positions = [places for _, _, places in sets]
            place, foreign = int(file.position[target]), whitening.apply(target_row(file, layer, others[target]))
            own, control = whole.r2(place, positions, foreign).T
            for (choice, k, _), *found in zip(
                sets, own - control, own - control, own, raw_r2(gram, place, positions), strict=True
            ):
                values[id(choice)][:, target, k] = found
            for choice in choices:
                if chooses_by(method_of(choice.method)) == "gram":
                    penalty = gain["n"] * gain["eps2"] / splits.shape[1]
                    values[id(choice)][1, target] = unseen(whole, choice, place, file.budgets, penalty, foreign)
    return [
        Scored(
            layer,
            choice.first,
            choice.method,
            [choice.chosen],
            {
                "divergence": choice.scores["divergence"],
                "loss_increase": choice.scores["loss"] - file.loss[:, None],
                "removed_divergence": choice.scores["removed_divergence"],
                "reconstruction": values[id(choice)][0],
                "reconstruction_unseen": values[id(choice)][1],
                "held_out_r2": values[id(choice)][2],
                "raw_r2": values[id(choice)][3],
            },
        )
        for choice in choices
    ]


def unseen(
    whole: Reconstruction, choice: Choice, target: int, budgets: Sequence[int], penalty: float, foreign: np.ndarray
) -> np.ndarray:
    """The reconstruction of one target (budgets,), its tokens chosen anew on each split's coordinates of the fit.

    The penalty is that of unit rows, and is scaled to the rows' lengths there.
    """
    scores = []
    for split, gram in enumerate(whole.fitted):
        scale = float(np.trace(gram)) / len(gram)
        context = Context(gram, target, choice.first, penalty * scale, np.sqrt(np.diag(gram)), {}, np.random.default_rng(0))
        sets = selectors[choice.method](context, budgets)
        assert not isinstance(sets, str)
        scores.append(whole.only(split).r2(target, sets, foreign) @ [1, -1])
    return np.asarray(np.mean(scores, axis=0))


def target_row(file: Probe, layer: int, target: int) -> np.ndarray:
    """A target's unit row (d,)."""
    return normalise(file.rows(layer, int(file.text[target])), "unit")[file.position[target]]


def fold_whitenings(measured: Spectra, layer: int) -> list[Whitening]:
    """For each fold, the whitening estimated on the other documents."""
    sums, totals = measured.folds("trained", State(layer))
    moments, tokens = np.stack([own.total for own in sums]), np.array([own.n for own in sums])
    whitenings = []
    for part in range(FOLDS):
        others = np.arange(FOLDS) != part
        whitenings.append(
            Whitening.of_unit_rows(moments[others].sum(axis=0), totals[others].sum(axis=0), int(tokens[others].sum()))
        )
    return whitenings


def averaged(scored: Sequence[Scored]) -> list[Scored]:
    """Join the draws of `random` into one method, each score their mean."""
    groups: dict[tuple[int, str], list[Scored]] = defaultdict(list)
    for one in scored:
        groups[one.first, method_of(one.method)].append(one)
    return [
        Scored(
            draws[0].layer,
            first,
            method,
            [chosen for draw in draws for chosen in draw.chosen],
            {name: np.mean([draw.scores[name] for draw in draws], axis=0) for name in draws[0].scores},
        )
        for (first, method), draws in groups.items()
    ]


def compared(one: Scored, scored: Sequence[Scored], budgets: Sequence[int], documents: Documents) -> Iterator[dict[str, Any]]:
    """Rows of the summary: a method's scores, and where Lasso is among the methods, Lasso's minus them, how often it wins, and
    how much the selected sets overlap."""
    lasso = next((other for other in scored if (other.first, other.method) == (one.first, "lasso")), None)
    for place, k in enumerate(budgets):
        columns = {name: values[:, place] for name, values in one.scores.items()}
        if lasso is not None and one is not lasso:
            for name, higher_is_better in HIGHER.items():
                difference = lasso.scores[name][:, place] - columns[name]
                columns[f"{name}_lasso_minus"] = difference
                columns[f"{name}_win"] = wins(difference, higher_is_better)
            columns["jaccard"] = np.mean([overlaps(lasso.chosen[0][:, place], chosen[:, place]) for chosen in one.chosen], axis=0)
        for name, values in columns.items():
            number = int(np.isfinite(values).sum())
            if number:
                value, low, high, count = documents.mean(values)
                interval = {"value": defined(value), "low": defined(low), "high": defined(high), "documents": count}
                yield {"metric": name, "first": one.first, "method": one.method, "k": k, "n": number} | interval


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Jaccard overlap (targets,) of the sets that two methods selected (targets, positions), padded with -1."""
    return np.array([jaccard(a[a >= 0], b[b >= 0]) for a, b in zip(first, second, strict=True)])


def gaps(file: Probe, layer: int, first: int, absent: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The largest KKT gap of each budget's Lassos; those above tolerance are flagged."""
    largest = file.gaps(layer, first)
    if largest is None:
        return
    for k, column in zip(file.budgets, largest.T, strict=True):
        if bad := int((column > TOLERANCE).sum()):
            absent[f"lasso of {k} tokens at layer {layer}, candidates from {first}"] = (
                f"{bad} solutions have a KKT gap above {TOLERANCE}"
            )
        yield {
            "metric": "lasso_gap",
            "method": "lasso",
            "first": first,
            "k": k,
            "value": float(np.nanmax(column)),
            "n": len(column),
        }


def add_scores(table: TableWriter, file: Probe, one: Scored, width: int) -> None:
    """Every target's scores."""
    for name, values in one.scores.items():
        for k, column in zip(file.budgets, values.T, strict=True):
            table.add(
                layer=one.layer, normalise="unit", metric=name, text=file.text, document=list(file.document), d=width,
                position=file.position, method=one.method, k=k, first=one.first, value=column,
            )  # fmt: skip
