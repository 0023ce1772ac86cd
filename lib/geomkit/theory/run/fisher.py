"""Compare the KL of a change of weights with the quadratic form of Fisher's information: the small-step assumption.

For next-token distributions p of weights theta, q of theta + delta, and the Jacobian J of the logits, a position has
KL(p || q) = delta^T F delta / 2 + O(|delta|^3), and delta^T F delta = Var_p(J delta): one forward-mode product, no samples and no
labels. F is that of the model's own distribution. Everything is averaged over positions of texts, so it is no KL of sequences.
Source: Kunstner, Balles and Hennig 2019 (arXiv 1905.12558) for Fisher against its empirical namesake.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from safetensors.torch import load_file, save_file
from torch.func import functional_call, jvp, vjp
from torch.nn.functional import cross_entropy
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.logs import progress
from geomkit.core.provenance import replacing
from geomkit.ladder import training as ladder
from geomkit.laws.resampling import Documents

Weights = dict[str, torch.Tensor]
"""A value, or a change, for every parameter by name, in float64."""

NARROW = (torch.float32, torch.float16, torch.bfloat16)
CASTS = (torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16)


class Double(TorchFunctionMode):
    """A context in which torch computes in float64 wherever a narrower float is requested: the softmax of attention, norms and
    rotary positions go through float32 in many architectures, whatever the weights are, and a change of 1e-8 does not survive
    that."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in CASTS:
            return args[0].double()
        wide = {name: torch.float64 if value in NARROW else value for name, value in (kwargs or {}).items() if _plain(value)}
        rest = {name: value for name, value in (kwargs or {}).items() if not _plain(value)}
        return func(*(torch.float64 if _plain(value) and value in NARROW else value for value in args), **wide, **rest)


def _plain(value: object) -> bool:
    return isinstance(value, torch.dtype)


def exact(model: PreTrainedModel) -> PreTrainedModel:
    """Copy a model in float64 and eval mode, with attention written out, which alone has forward-mode derivatives.

    Raises DataError, with the name of the model, for one without gradients: weights that are no floating-point numbers
    (quantised), or that are frozen.
    """
    weights = list(model.parameters())
    if not weights or not all(weight.is_floating_point() for weight in weights):
        raise DataError(f"{name(model)}: its weights are not floating-point numbers, so it has no gradients")
    if not any(weight.requires_grad for weight in weights):
        raise DataError(f"{name(model)}: all of its weights are frozen, so it has no gradients")
    twin = copy.deepcopy(model).double().eval()
    twin.set_attn_implementation("eager")
    return twin


def name(model: PreTrainedModel) -> str:
    """The name of a model in errors."""
    return f"{type(model).__name__} {model.name_or_path}".strip()


def weights_of(model: PreTrainedModel) -> Weights:
    """Every parameter in float64; tied ones once."""
    return {key: value.detach().double() for key, value in model.named_parameters()}


def norm(weights: Mapping[str, torch.Tensor]) -> float:
    """Euclidean length over all parameters."""
    return float(torch.stack([value.double().square().sum() for value in weights.values()]).sum().sqrt())


def scaled(weights: Mapping[str, torch.Tensor], size: float) -> Weights:
    return {key: value * size for key, value in weights.items()}


def shifted(weights: Weights, delta: Mapping[str, torch.Tensor], size: float = 1.0) -> Weights:
    """weights + size * delta."""
    return {key: value + size * delta[key] for key, value in weights.items()}


def logits(model: PreTrainedModel, weights: Weights, ids: torch.Tensor) -> torch.Tensor:
    """Logits in float64 of ids (texts, T) under other weights: (texts, T, vocabulary). No cast to a narrower type inside."""
    with Double():
        return functional_call(model, weights, (), {"input_ids": ids, "use_cache": False}).logits


@contextmanager
def differentiating(model: PreTrainedModel) -> Iterator[None]:
    """Turns torch's errors about a model that it cannot differentiate into one DataError with the model's name."""
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        why = str(error).strip().split("\n")[0][:200]
        raise DataError(f"{name(model)}: torch gives no derivative of its logits ({why})") from None


def tangent(model: PreTrainedModel, weights: Weights, delta: Weights, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and J delta by one forward-mode product: both (texts, T, vocabulary).

    Raises DataError, with the name of the model, if torch cannot differentiate it.
    """
    if weights.keys() != delta.keys():
        raise DataError(f"{name(model)}: a change names other parameters than the model has")
    delta = {key: delta[key] for key in weights}  # jvp takes the order of a mapping for its structure
    with torch.no_grad(), differentiating(model):
        result = jvp(lambda point: logits(model, point, ids), (weights,), (delta,))
        return result[0], result[1]


def variance(values: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """Var_p(change), p the softmax of the logits `values`, over the last axis: (...,). 0 for a change that is constant."""
    probability = values.softmax(-1)
    centred = change - (probability * change).sum(-1, keepdim=True)
    return (probability * centred.square()).sum(-1)


def divergence(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """KL(p || q) in nats of the softmaxes of logits (..., vocabulary): (...,).

    With the change u of the logits, v = u - E_p u, it is ln E_p exp(v) = log1p(E_p(expm1(v) - v)), whose terms are all positive.
    Where |v| is below 1e-3 the term is its series, cut off below 1e-14 of it, so tiny divergences keep their digits; a
    difference of two log-probabilities would lose all below 1e-16. 0 for a change that is constant.
    """
    probability = before.softmax(-1)
    change = after - before
    v = change - (probability * change).sum(-1, keepdim=True)
    series = v.square() / 2 * (1 + v / 3 * (1 + v / 4 * (1 + v / 5)))
    return (probability * torch.where(v.abs() < 1e-3, series, torch.expm1(v) - v)).sum(-1).log1p()


def fisher_product(model: PreTrainedModel, ids: torch.Tensor, delta: Weights) -> Weights:
    """F delta, F averaged over positions of ids (texts, T): J^T p (J delta - E_p J delta). `model` as `exact` gives it."""
    weights = weights_of(model)
    with differentiating(model):
        values, change = tangent(model, weights, delta, ids)
        probability = values.softmax(-1)
        centred = probability * (change - (probability * change).sum(-1, keepdim=True))
        back = vjp(lambda point: logits(model, point, ids), weights)[1]
        return scaled(back(centred)[0], 1 / ids.numel())


@dataclass(frozen=True)
class Steps:
    """Means over positions of each text, in nats, for the changes size * direction: (sizes, texts).

    forward and backward: KL of + and - the change. quadratic: delta^T F delta / 2. relative: |delta| / |theta| (sizes,).
    """

    relative: Array
    forward: Array
    backward: Array
    quadratic: Array


def measure(model: PreTrainedModel, ids: ArrayLike, direction: Weights, sizes: Sequence[float], batch: int = 4) -> Steps:
    """KL of theta +- size * direction, and the quadratic form, on texts ids (texts, T). `model` as `exact` gives it.

    Limits: their ratio tends to 1 as the size tends to 0; each sign errs in O(size), the mean of both in O(size^2).
    Raises DataError, with the name of the model, if its logits have no derivative along the direction.
    """
    weights = weights_of(model)
    parts = torch.as_tensor(np.asarray(ids, dtype=np.int64), device=model.device).split(batch)
    measured: list[torch.Tensor] = []
    with torch.no_grad():
        for part in parts:
            values, change = tangent(model, weights, direction, part)
            half = variance(values, change).mean(-1) / 2
            rows = [
                torch.stack(
                    [
                        *(
                            divergence(values, logits(model, shifted(weights, direction, sign * size), part)).mean(-1)
                            for sign in (1, -1)
                        ),
                        half * size**2,
                    ]
                )
                for size in sizes
            ]
            measured.append(torch.stack(rows))
    forward, backward, quadratic = torch.cat(measured, dim=-1).cpu().numpy().swapaxes(0, 1)
    if not quadratic.any():
        raise DataError(f"{name(model)}: the derivative of its logits is zero, so this direction has no Fisher information")
    return Steps(np.asarray(sizes, dtype=float) * norm(direction) / norm(weights), forward, backward, quadratic)


# directions


def random_direction(model: PreTrainedModel, generator: np.random.Generator) -> Weights:
    """A random direction, even over all parameters, of the length of theta: a size is then |delta| / |theta|."""
    weights = weights_of(model)
    drawn = {key: torch.from_numpy(generator.standard_normal(tuple(value.shape))).to(value) for key, value in weights.items()}
    return scaled(drawn, norm(weights) / norm(drawn))


def gradient_direction(model: PreTrainedModel, ids: ArrayLike, batch: int = 4) -> Weights:
    """Minus the gradient of the loss of texts ids (texts, T), of the length of theta. `model` as `exact` gives it.

    Raises DataError, with the name of the model, if the loss has no gradient.
    """
    weights = {key: value.requires_grad_() for key, value in weights_of(model).items()}
    total = {key: torch.zeros_like(value) for key, value in weights.items()}
    for part in torch.as_tensor(np.asarray(ids, dtype=np.int64), device=model.device).split(batch):
        with torch.enable_grad(), differentiating(model):
            value = cross_entropy(logits(model, weights, part)[:, :-1].flatten(0, 1), part[:, 1:].flatten(), reduction="sum")
            gradients = torch.autograd.grad(value, list(weights.values()), allow_unused=True)
        for key, slope in zip(total, gradients, strict=True):
            total[key] -= 0 if slope is None else slope
    length = norm(total)
    if not length > 0:
        raise DataError(f"{name(model)}: the gradient of its loss is zero")
    return scaled(total, norm(weights_of(model)) / length)


def difference(before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]) -> Weights:
    """after - before, taken in float64."""
    return {key: after[key].double() - value.double() for key, value in before.items()}


# real training


def starts(steps: int, count: int = 8) -> list[int]:
    """Steps s at which real training is examined: `count`, log-spaced, from 4 to half of all steps."""
    return np.unique(np.geomspace(4, steps / 2, count).round().astype(int)).tolist()


def pairs(steps: int, count: int = 8) -> list[tuple[int, int]]:
    """Pairs from s to s + 1, s + 10, 2s and the end, for each of `starts`; a pair that occurs twice is given once."""
    candidates = [(s, end) for s in starts(steps, count) for end in (s + 1, s + 10, 2 * s, steps) if s < end <= steps]
    return list(dict.fromkeys(candidates))


def trajectory(width: int, seed: int, recipe: ladder.Recipe, training: np.ndarray, path: Path, count: int = 8) -> None:
    """Train a model of the ladder and saves its float32 weights at every step that `pairs` names, in one safetensors file whose
    keys are `step/parameter`. The bytes depend on seed, recipe and data alone."""
    model = ladder.build(width, recipe, seed)
    optimizer = ladder.new_optimizer(model, recipe)
    wanted = {step for pair in pairs(recipe.steps, count) for step in pair}
    order = ladder.starts(len(training), recipe.context, seed)
    kept: dict[str, torch.Tensor] = {}
    for step in progress(range(recipe.steps), f"steps-{width}-s{seed}", recipe.steps):
        rows = np.fromiter(islice(order, recipe.batch), dtype=np.int64, count=recipe.batch)
        windows = torch.from_numpy(training[rows[:, None] + np.arange(recipe.context + 1)])
        ladder.advance(model, optimizer, windows, recipe.rate(step, width), recipe.clip)
        if step + 1 in wanted:
            kept |= {f"{step + 1}/{key}": value.detach().clone() for key, value in model.named_parameters()}
    with replacing(path) as temporary:
        save_file(kept, temporary)


def read_trajectory(path: Path) -> dict[int, Weights]:
    """Read weights in float64 by step, as `trajectory` saved them."""
    weights: dict[int, Weights] = {}
    for key, value in load_file(path).items():
        step, _, parameter = key.partition("/")
        weights.setdefault(int(step), {})[parameter] = value.double()
    return dict(sorted(weights.items()))


# what is reported


@dataclass(frozen=True)
class Row:
    """One change of weights. sign: forward, backward, or mean of both. kl, quadratic: nats a position. ratio: kl / quadratic,
    with its interval over documents. start, end: steps of training, absent for other directions."""

    direction: str
    sign: str
    relative: float
    kl: float
    quadratic: float
    ratio: float
    low: float
    high: float
    documents: int
    start: int | None = None
    end: int | None = None


def report(
    direction: str, steps: Steps, documents: Documents, start: int | None = None, end: int | None = None, level: float = 0.95
) -> list[Row]:
    """Make rows of both signs and of their mean. Texts of one document are drawn together; a ratio is one of sums, in each
    resample. With fewer than two documents the interval is NaN."""
    base, number, rows = documents.totals(steps.quadratic.T), documents.counts.shape[1], []
    values = {"forward": steps.forward, "backward": steps.backward, "mean": (steps.forward + steps.backward) / 2}
    for sign, kl in values.items():
        ends = np.full((2, len(kl)), np.nan)
        if number > 1:
            drawn = (documents.counts @ documents.totals(kl.T)) / (documents.counts @ base)
            ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
        quadratic = steps.quadratic
        columns = (steps.relative, kl.mean(1), quadratic.mean(1), kl.sum(1) / quadratic.sum(1), *ends)
        for relative, mean, form, ratio, low, high in np.stack(columns, axis=1).tolist():
            rows.append(Row(direction, sign, relative, mean, form, ratio, low, high, number, start, end))
    return rows


@dataclass(frozen=True)
class Radius:
    """The radius of the quadratic form: |delta| / |theta| and the KL in nats a position; `reached` is False where it is accurate
    at every size that was measured, and the numbers are then those of the largest one: a lower bound."""

    direction: str
    sign: str
    relative: float
    kl: float
    reached: bool


def radius(rows: Sequence[Row], tolerance: float = 0.1) -> Radius:
    """The size at which the ratio of rows of one direction and sign first leaves 1 +- tolerance: between two sizes ln |ratio -
    1|, or ratio if it crosses 1 there, is linear in ln |delta|.

    Raises DataError for rows of several directions or signs, and if the smallest size is outside.
    """
    rows = sorted(rows, key=lambda row: row.relative)
    if len({(row.direction, row.sign) for row in rows}) != 1:
        raise DataError("a radius is that of one direction and sign")
    gaps = [abs(row.ratio - 1) for row in rows]
    outside = next((index for index, gap in enumerate(gaps) if not gap <= tolerance), None)
    what = (rows[0].direction, rows[0].sign)
    if outside is None:
        return Radius(*what, rows[-1].relative, rows[-1].kl, False)
    if outside == 0:
        raise DataError(
            f"{what[0]}, {what[1]}: at the smallest |delta|/|theta|, {rows[0].relative:g}, the ratio is {rows[0].ratio:g}"
        )
    inner, outer = rows[outside - 1], rows[outside]
    if (inner.ratio - 1) * (outer.ratio - 1) > 0:
        low, high = np.log(gaps[outside - 1]), np.log(gaps[outside])
        share = (np.log(tolerance) - low) / (high - low)
    else:  # the error changes its sign in between, where its logarithm has no end
        share = (tolerance + gaps[outside - 1]) / (gaps[outside] + gaps[outside - 1])
    between = [
        np.exp((1 - share) * np.log(a) + share * np.log(b)) for a, b in ((inner.relative, outer.relative), (inner.kl, outer.kl))
    ]
    return Radius(*what, float(between[0]), float(between[1]), True)


def training_rows(
    model: PreTrainedModel, states: Mapping[int, Weights], ids: ArrayLike, documents: Documents, batch: int = 4
) -> list[Row]:
    """Rows for the changes that real training made, between all pairs of steps of `pairs`: model gives the architecture alone."""
    point = exact(model)
    rows = []
    for start, end in progress(pairs(max(states)), "pairs of steps", len(pairs(max(states)))):
        point.load_state_dict(states[start], strict=False)
        steps = measure(point, ids, difference(states[start], states[end]), [1.0], batch)
        rows += report("training", steps, documents, start, end)
    return rows


def as_dicts(rows: Sequence[Row | Radius]) -> list[dict[str, Any]]:
    """Rows as mappings, for a table."""
    return [asdict(row) for row in rows]
