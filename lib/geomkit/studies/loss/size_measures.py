"""Fit laws of the loss on three measures of size (loss_axes.json), and test whether a metric predicts the loss beyond the best of
them (entropy_loss.json)."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.laws.forms import Status
from geomkit.laws.prediction import (
    Prediction,
    forms_without,
    leave_one_out,
    leave_one_out_joint,
    prediction,
)
from geomkit.laws.resampling import Resamples, draw_resamples, over_seeds
from geomkit.laws.size_measures import AxisLaw, best, laws_on_axes
from geomkit.tables.fits import EntropyLoss, LossAxes, LossPlace, ModelLoss, SizeLaw
from geomkit.tables.measurements import (
    PROJECTED,
    RANDOM,
    SHARED,
    Loss,
    MeasuredModel,
    Measurements,
    Where,
    beside,
    families,
    read_measurements,
)
from geomkit.tables.rows import read_csv, write_json
from geomkit.tables.trainings import TEST_WINDOWS, LadderLoss

AXES = ("params_nonembedding", "params_total", "width")
LAYERS = ("last", "final")


def study_loss_axes(
    table: Path,
    projected: Sequence[Path],
    card: Path,
    card_family: str,
    card_length: int,
    axes: Path,
    entropy_loss: Path,
    primary: Mapping[str, Any],
    resamples: int,
    held_out: int,
    seed: int,
) -> None:
    """`projected`: of each corpus the table of projections. `card`: losses of all models of one family, on other windows."""
    nulls = {Path(path).stem: Path(path) for path in projected}
    results: list[LossAxes] = []
    told: list[EntropyLoss] = []
    for family, corpus in families(table):
        measured = read_measurements(table, family, corpus, SHARED)
        losses = measured.known_losses().get("trained")
        ladder = Ladder(measured, losses, resamples, rng(seed, "slopes", family, corpus))
        if losses is not None:
            place = {"place": LossPlace.TEXTS, "pieces": len(measured.documents), "tokens": int(losses.tokens.sum(axis=1).max())}
            models = [model_loss(model.name, model, loss) for model, loss in zip(measured.models, ladder.loss, strict=True)]
            entry, ladder.laws = loss_axes(measured.source | place, models, held_out)
            results.append(entry)
        donors = read_measurements(nulls[corpus], family, corpus, metrics=primary["metrics"], like=measured)
        told += [row for where in endpoints(measured, primary) for row in beside_loss(ladder, where, donors)]
    results += card_axes(card, card_family, card_length, held_out)
    write_json(axes, list[LossAxes], results)
    write_json(entropy_loss, list[EntropyLoss], told)


def model_loss(name: str, model: MeasuredModel | LadderLoss, loss: float) -> ModelLoss:
    return ModelLoss(
        model=name, seed=model.seed, params_nonembedding=model.params_nonembedding, params_total=model.params_total,
        width=model.width, loss=float(loss),
    )  # fmt: skip


def loss_axes(where: Mapping[str, Any], models: Sequence[ModelLoss], held_out: int) -> tuple[LossAxes, list[AxisLaw]]:
    """Fit every law of the models' losses on every measure of size, and names the best; `where` are source and place."""
    groups, loss = by_size(models), np.array([model.loss for model in models])
    laws: list[AxisLaw] = []
    chosen: dict[str, Any]
    try:
        laws = laws_on_axes(measures_of_size(models, groups), [loss[group] for group in groups], held_out=held_out)
        winner = best(laws)
        chosen = {"best_against": winner.axis, "best_form": winner.fit.form, "reason": ""}
    except DataError as error:
        chosen = {"best_against": None, "best_form": None, "reason": str(error)}
    return LossAxes(**where, models=tuple(models), laws=tuple(SizeLaw(**law.columns) for law in laws), **chosen), laws


def card_axes(card: Path, family: str, length: int, held_out: int) -> Iterator[LossAxes]:
    """Laws of the losses on the model card, of every corpus that is on it; windows predict `length` tokens each."""
    rows = sorted(read_csv(card, LadderLoss), key=lambda row: (row.params_nonembedding, row.model))
    place = {"place": LossPlace.CARD, "pieces": TEST_WINDOWS, "tokens": TEST_WINDOWS * length}
    for name in rows[0].losses if rows else []:
        if not name.startswith("loss_per_byte_"):
            source = {"family": family, "published": False, "corpus": name.removeprefix("loss_")}
            yield loss_axes(source | place, [model_loss(row.model, row, row.losses[name]) for row in rows], held_out)[0]


def by_size(models: Sequence[MeasuredModel] | Sequence[ModelLoss]) -> list[np.ndarray]:
    """Models of each number of parameters without embeddings: masks (models,), smallest size first."""
    n = np.array([model.params_nonembedding for model in models])
    return [n == one for one in np.unique(n)]


def measures_of_size(
    models: Sequence[MeasuredModel] | Sequence[ModelLoss], groups: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """Measure of each size, by name."""
    first = [models[int(np.argmax(group))] for group in groups]
    return {name: np.array([float(getattr(model, name)) for model in first]) for name in AXES}


def endpoints(measured: Measurements, primary: Mapping[str, Any]) -> list[Where]:
    """The primary metrics at the primary layer, after the last block and after the final norm."""
    layers = dict.fromkeys((primary["layer"], *LAYERS))
    return [
        Where(layer, primary["normalise"], primary["length"], metric, eps2=measured.eps2.get(metric))
        for layer in layers
        for metric in primary["metrics"]
    ]


class Ladder:
    """One family on one corpus, its models by size, with its losses and draws of documents and then seeds."""

    def __init__(self, measured: Measurements, losses: Loss | None, resamples: int, draws: np.random.Generator):
        self.measured, self.losses, self.groups = measured, losses, by_size(measured.models)
        self.widths = np.array([model.width for model in measured.models])
        numbers = [int(group.sum()) for group in self.groups]
        self.draws = draw_resamples(measured.documents, numbers, resamples, draws)
        self.laws: Sequence[AxisLaw] = []
        """Of the loss at all sizes, where they are known."""
        self._baselines: dict[bytes, Baseline] = {}

    @cached_property
    def known(self) -> Loss:
        if self.losses is None:
            raise DataError("no loss was measured on these texts")
        return self.losses

    @cached_property
    def loss(self) -> np.ndarray:
        """The loss of each model on all texts."""
        return self.known.corpus

    @cached_property
    def drawn_loss(self) -> np.ndarray:
        """The loss of each model in every resample of documents: (models, resamples)."""
        return np.asarray(self.draws.means(self.known.nats) / self.draws.means(self.known.tokens))

    def baseline(self, kept: np.ndarray) -> "Baseline":
        """The best law of the loss at some sizes. Raises DataError if there is none."""
        key = kept.tobytes()
        if key not in self._baselines:
            axes = {name: x[kept] for name, x in measures_of_size(self.measured.models, self.groups).items()}
            losses = self.split(self.loss, kept)
            laws = self.laws if kept.all() and self.laws else laws_on_axes(axes, losses)
            self._baselines[key] = Baseline(best(laws), axes, losses)
        return self._baselines[key]

    def split(self, values: np.ndarray, kept: np.ndarray) -> list[np.ndarray]:
        """Values (models, ...) as an array (seeds, ...) for each selected size."""
        return [values[group] for group, keep in zip(self.groups, kept, strict=True) if keep]

    def size_wise(self, models: np.ndarray) -> np.ndarray:
        """Select the sizes in a mask of models, with all of their seeds."""
        return np.array([bool(models[group].all()) for group in self.groups])

    def resamples(self, kept: np.ndarray, texts: np.ndarray) -> Resamples:
        """The resamples of documents and seeds, the same draws for any selection of sizes and texts."""
        return Resamples(self.draws.texts[texts], [one for one, keep in zip(self.draws.seeds, kept, strict=True) if keep])


class Baseline:
    """The law of the loss, of all forms and measures of size, that best predicts sizes left out; and its predictions."""

    def __init__(self, law: AxisLaw, axes: Mapping[str, np.ndarray], losses: Sequence[np.ndarray]):
        self.axis, self.form, self.without = law.axis, law.fit.form, law.without
        self.loss = np.exp([np.log(seeds).mean() for seeds in losses])
        self.sizes = np.arange(self.loss.size)
        self.left_out = forms_without(self.form, axes[self.axis], self.loss, self.sizes)

    def error(self, *predictors: np.ndarray) -> float:
        """Error on sizes left out, in nats: of the law, and with predictors (sizes,) that explain a part of its residual."""
        return leave_one_out(np.reshape(predictors, (-1, self.loss.size)), self.loss, self.sizes, self.without)

    def joint(self, log_metric: np.ndarray) -> float:
        return leave_one_out_joint(log_metric, self.loss, self.sizes, self.left_out)


def beside_loss(ladder: Ladder, where: Where, donors: Measurements) -> Iterator[EntropyLoss]:
    """Gain in the loss's prediction from a metric and from each of its nulls; those of donors at the sizes that have one."""
    columns = ladder.measured.source | where.columns
    variants = beside(ladder.measured.variants, where)
    if "trained" not in variants:
        reason = f"no {where.metric} of the first {where.length} tokens, {where.normalise}, at layer {where.layer}"
        yield EntropyLoss(**columns, variant="trained", status=Status.FAILED, reason=reason)
        return
    everywhere = np.ones(len(ladder.groups), dtype=bool)
    for name in variants:
        yield told(ladder, columns, name, variants, everywhere)
    for name, (values, models) in donor_nulls(donors, where, ladder.widths).items():
        yield told(ladder, columns, name, {"trained": variants["trained"], name: values}, ladder.size_wise(models))


def donor_nulls(donors: Measurements, where: Where, widths: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Nulls of a family's widest models, averaged over these: values (models, texts), and which models are narrower."""
    own = donors.widths.get(where.layer, np.zeros(1, int))
    by_variant = {}
    for variant in (PROJECTED, RANDOM):
        nulls = donors.projections(variant, where, widths.tolist())
        if widest := [nulls[row] for row in np.flatnonzero(own == own.max()).tolist() if row in nulls]:
            by_variant[variant] = (np.mean(widest, axis=0), widths < own.max())
    return by_variant


def told(
    ladder: Ladder, where: Mapping[str, Any], name: str, variants: Mapping[str, np.ndarray], kept: np.ndarray
) -> EntropyLoss:
    """Compare one variant with the best law, and with ln N, at some sizes, on the texts that all variants have there."""
    models = np.any([group for group, keep in zip(ladder.groups, kept, strict=True) if keep], axis=0) if kept.any() else kept
    whole = np.all([np.isfinite(values[models]).all(axis=0) for values in variants.values()], axis=0) if kept.any() else None
    if whole is None or not whole.any():
        reason = "no size is narrower than the donor" if whole is None else "no text is long enough"
        return EntropyLoss(**where, variant=name, status=Status.FAILED, reason=reason)
    texts = {one: ladder.split(variants[one][:, whole], kept) for one in (name, "trained")}
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = {one: [np.log(seeds.mean(axis=1)) for seeds in values] for one, values in texts.items()}
    columns: dict[str, Any] = {"sizes": int(kept.sum())}
    try:
        columns |= weaker_columns(ladder, kept, logs[name], ladder.resamples(kept, whole), texts[name])
    except DataError as error:
        columns["weaker_reason"] = str(error)
    try:
        columns |= law_columns(ladder.baseline(kept), *(np.array([seeds.mean() for seeds in one]) for one in logs.values()))
    except DataError as error:
        return EntropyLoss(**where, variant=name, status=Status.FAILED, reason=str(error), **columns)
    return EntropyLoss(**where, variant=name, status=Status.CONVERGED, reason="", **columns)


def law_columns(law: Baseline, metric: np.ndarray, trained: np.ndarray | None = None) -> dict[str, Any]:
    """Columns about the law, of ln of a metric, and of the metric that was measured in its place, both (sizes,)."""
    trained = metric if trained is None else trained
    return {
        "law_against": law.axis, "law_form": law.form, "error_law": law.error(), "error_law_and_metric": law.error(metric),
        "error_joint": law.joint(metric), "error_law_and_trained": law.error(trained), "error_joint_trained": law.joint(trained),
    }  # fmt: skip


def weaker_columns(
    ladder: Ladder, kept: np.ndarray, values: Sequence[np.ndarray], draws: Resamples, texts: Sequence[np.ndarray]
) -> dict[str, Any]:
    """Columns of the weaker baseline, ln N alone."""
    sizes = measures_of_size(ladder.measured.models, ladder.groups)["params_nonembedding"][kept]
    drawn_loss = over_seeds(ladder.split(ladder.drawn_loss, kept), draws.seeds)
    weaker = prediction(np.log(sizes), values, ladder.split(ladder.loss, kept), draws.levels(texts), drawn_loss)
    return columns_of(weaker)


def columns_of(predicted: Prediction) -> dict[str, Any]:
    columns: dict[str, Any] = {"partial_correlation": predicted.partial.value, "interval": predicted.partial[1:3]}
    columns |= {"measurement": predicted.measurement}
    columns |= {"weaker_error_size": predicted.error_size, "weaker_error_size_and_metric": predicted.error_both}
    if predicted.between_seeds is not None:
        columns |= {"between_seeds": predicted.between_seeds.value, "between_seeds_interval": predicted.between_seeds[1:3]}
    return columns
