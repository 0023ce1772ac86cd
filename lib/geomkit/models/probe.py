"""Compare methods of token selection on a running model: which tokens each selects, and how the model fares with only these."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from transformers import PreTrainedModel

from geomkit.core.config import ModelSpec, resolve_layers
from geomkit.core.errors import DataError
from geomkit.core.logs import progress
from geomkit.core.provenance import rng
from geomkit.core.state import State
from geomkit.core.variants import TRAINED
from geomkit.measures.attention import best_head, rollout, value_weighted
from geomkit.measures.selection import Context, LassoPath, lasso_path, selectors
from geomkit.measures.spectra import normalise
from geomkit.models.capture import Recorder, rows_of_texts
from geomkit.models.intervene import Pass, Score, attending, check, gradient_input, leave_one_out, masked, removed, run
from geomkit.models.load import blocks, load_model, load_tokenizer, prefix
from geomkit.states.probes import SCORES, write_probe
from geomkit.states.refusals import refused_files
from geomkit.states.spectra import Spectra, gain_constants
from geomkit.states.texts import Sample

DRAWS = 3
"""Random choices of each size."""
SHOWN = 8
"""Budget, at most, of the Lasso whose weights are kept; and by which the best head is found."""
Importance = dict[tuple[int, str], np.ndarray]
"""By layer and name (targets, T): a weight for each token before the target, NaN elsewhere."""


class Target(NamedTuple):
    """A token from whose past tokens are selected."""

    text: int
    position: int
    document: str
    shortened: bool
    """Whether the other tokens are also taken out of the input."""


def probe_model(
    folder: Path,
    spectra: Path,
    output: Path,
    selection: Mapping[str, Any],
    methods: Sequence[str],
    spec: ModelSpec,
    batch_tokens: int,
    seed: int,
) -> None:
    """Write what every method selects at targets of the texts whose spectra were measured, the model's scores with it, and rows.

    A model that cannot be probed leaves a refused file.
    """
    with refused_files([output]), Spectra(spectra) as measured:
        measured.check_causal("what the past tells of the next token, and attention to it")
        spec = spec.at(folder)
        tokenizer, model = load_tokenizer(spec), load_model(spec)
        start, budgets, known = prefix(tokenizer), selection["budgets"], measured.text_list
        sample = Sample(np.split(measured.tokens(TRAINED)[0], known.offset[1:-1]), list(start), known)
        targets, absent = draw_targets(sample, selection, seed, spectra)
        layers = resolve_layers(selection["layers"], len(blocks(model)))
        states = [state for state in measured.widths if state.sublayer == "block"]
        if missing := [layer for layer in layers if State(layer) not in states]:
            raise DataError(f"{spectra}: it has no layer {missing[0]}; add it to dump.layers")
        shown = capture_texts(model, sample, targets, states, layers, batch_tokens)
        attending(model)
        length = max(len(sample.ids[target.text]) for target in targets)
        importance, heads = weigh(model, sample, targets, layers, length, output.parent.name)
        for layer in layers:
            if layer in heads:
                effect, texts = importance[layer, "leave_one_out"], [target.text for target in targets]
                importance[layer, "attention_best_head"] = best_head(heads[layer], effect, texts, SHOWN)
        del heads
        what = (layers, importance, budgets, methods, gain_constants(measured.attributes), seed, absent, output.parent.name)
        arrays = shown | choose(model, sample, shown, targets, *what)
        arrays |= {f"importance/{layer}/{name}": values for (layer, name), values in importance.items()}
        for name in ("text", "position", "document"):
            arrays[f"targets/{name}"] = np.array([getattr(target, name) for target in targets])
        for text in {target.text for target in targets}:
            arrays[f"texts/{text}"] = np.array([tokenizer.decode([token]) for token in sample.ids[text]], dtype=object)
        attributes = {**measured.attributes, "seed": seed, "budgets": budgets, "texts": len({target.text for target in targets})}
        write_probe(output, arrays, attributes, absent)


def capture_texts(
    model: PreTrainedModel,
    sample: Sample,
    targets: Sequence[Target],
    states: Sequence[State],
    layers: Sequence[int],
    batch_tokens: int,
) -> dict[str, np.ndarray]:
    """Capture the targets' texts: ids, vectors at `layers`, and lengths of vectors at all states, as arrays by path in the file.

    The model's own way of attention gives them, in the batches in which spectra are measured.
    """
    texts = {target.text for target in targets}
    recorder = Recorder(model, [state.layer for state in states], False)
    arrays: dict[str, np.ndarray] = {}
    for text, rows in rows_of_texts(recorder, sample, texts, batch_tokens):
        arrays[f"ids/{text}"] = sample.ids[text]
        arrays[f"lengths/{text}"] = np.stack([np.linalg.norm(rows[state].astype(np.float64), axis=1) for state in states])
        arrays |= {f"states/{layer}/{text}": rows[State(layer)] for layer in layers}
    return arrays


def draw_targets(sample: Sample, selection: Mapping[str, Any], seed: int, where: Path) -> tuple[list[Target], dict[str, str]]:
    """Draw targets in the first text of as many documents as requested: the last token that has a next one, and others by chance.

    All have more tokens before them than the largest budget. Raises DataError if fewer than two documents have a text that is
    long enough.
    """
    largest, absent, targets = max(selection["budgets"]), {}, []
    first = {document: text for text, document in reversed(list(enumerate(sample.texts.document)))}
    used = 0
    for document, text in sorted(first.items(), key=lambda item: item[1]):
        last = sample.texts.tokens[text] - 2
        if last <= largest:
            absent[f"targets in {document}"] = f"its text of {last + 2} tokens is too short for a budget of {largest}"
            continue
        others = np.arange(largest + 1, last)
        number = min(selection["targets"] - 1, len(others))
        drawn = rng(seed, "targets", document).choice(others, number, replace=False)
        targets += [
            Target(text, int(place), document, used < selection["removed"] and place == last)
            for place in [*sorted(drawn.tolist()), last]
        ]
        used += 1
        if used == selection["texts"]:
            break
    if len({target.document for target in targets}) < 2:
        raise DataError(f"{where}: fewer than two documents have a text that is long enough for a budget of {largest} tokens")
    return targets, absent


def by_text(sample: Sample, targets: Sequence[Target], what: str) -> Iterator[tuple[int, np.ndarray, list[int]]]:
    """Yield (text, its ids, the numbers of its targets)."""
    numbers = defaultdict(list)
    for number, target in enumerate(targets):
        numbers[target.text].append(number)
    for text, mine in progress(list(numbers.items()), what):
        yield text, sample.ids[text], mine


def weigh(
    model, sample: Sample, targets: Sequence[Target], layers: Sequence[int], length: int, name: str
) -> tuple[Importance, dict[int, np.ndarray]]:
    """Compute importances (targets, T) by layer and name, and each head's attention (targets, heads, T) by layer.

    A layer's attention is that of the block that wrote it; the embedding has none.
    """
    blank = np.full((len(targets), length), np.nan, dtype=np.float32)
    importance: Importance = defaultdict(blank.copy)
    heads: dict[int, np.ndarray] = {}
    for number, (_, ids, mine) in enumerate(by_text(sample, targets, f"{name} attention")):
        text = run(model, sample.prefix, ids)
        if number == 0:
            check(model, text)
        flow = rollout(text.attention)
        gradients = gradient_input(model, sample.prefix, ids, [targets[target].position for target in mine])
        for target, gradient in zip(mine, gradients, strict=True):
            place = targets[target].position
            alone = leave_one_out(model, text, place)
            for layer in layers:
                importance[layer, "gradient_input"][target, :place] = gradient[:place]
                importance[layer, "leave_one_out"][target, :place] = alone
                block = min(layer, len(text.attention)) - 1
                if block < 0:
                    continue
                attention = text.attention[block]
                if layer not in heads:
                    heads[layer] = np.full((len(targets), len(attention), length), np.nan, dtype=np.float32)
                heads[layer][target, :, :place] = attention[:, place, :place]
                importance[layer, "attention_mean"][target, :place] = attention[:, place, :place].mean(axis=0)
                weighted = value_weighted(attention[:, place : place + 1], text.value_norms[block])
                importance[layer, "attention_value_norm"][target, :place] = weighted[0, :place]
                importance[layer, "attention_rollout"][target, :place] = flow[block, place, :place]
    return importance, heads


def choose(
    model,
    sample: Sample,
    shown: Mapping[str, np.ndarray],
    targets: Sequence[Target],
    layers: Sequence[int],
    importance: Importance,
    budgets: Sequence[int],
    methods: Sequence[str],
    gain: Mapping[str, float],
    seed: int,
    absent: dict[str, str],
    name: str,
) -> dict[str, np.ndarray]:
    """Run every method at every budget and score the model with its choice: arrays by their path in the file."""
    shape = (len(targets), len(budgets))
    arrays: dict[str, np.ndarray] = defaultdict(lambda: np.full(shape, np.nan))
    reference = {which: np.empty(len(targets)) for which in ("loss", "alone")}
    for number, ids, mine in by_text(sample, targets, f"{name} choices"):
        text = run(model, sample.prefix, ids)
        clouds = {layer: shown[f"states/{layer}/{number}"] for layer in layers}
        grams = {layer: (unit := normalise(rows, "unit")) @ unit.T for layer, rows in clouds.items()}
        sets: list[tuple[str, int, int, np.ndarray]] = []
        for target in mine:
            place = targets[target].position
            for layer in layers:
                for first in (0, 1):
                    context = Context(
                        gram=grams[layer],
                        target=place,
                        first=first,
                        penalty=gain["n"] * gain["eps2"] / clouds[layer].shape[1],
                        norms=np.linalg.norm(clouds[layer].astype(np.float64), axis=1),
                        scores=importance_at(importance, layer, target, place),
                        rng=rng(seed, "random", targets[target].document, place),
                    )
                    where = f"{layer}/{first}"
                    for method, selected in chosen(context, budgets, methods):
                        if isinstance(selected, str):
                            absent[f"{method}, /chosen/{where}"] = selected
                            continue
                        sets += [(f"{where}/{method}", target, k, positions) for k, positions in enumerate(selected)]
                    if "lasso" in methods:
                        path = lasso_path(context.gram, place, first, budgets)
                        arrays[f"lasso/{where}/penalty"][target] = path.penalty
                        arrays[f"lasso/{where}/gap"][target] = path.gap
                        if first == 0:
                            importance[layer, "lasso"][target, :place] = lasso_weights(path, place)
        measure(model, sample.prefix, text, targets, mine, sets, budgets, arrays, reference)
    return dict(arrays) | {f"reference/{which}": values for which, values in reference.items()}


def importance_at(importance: Importance, layer: int, target: int, place: int) -> dict[str, np.ndarray]:
    """Return the importances (T,) of this layer by name."""
    mine = {name: values[target] for (where, name), values in importance.items() if where == layer}
    return {name: values for name, values in mine.items() if np.isfinite(values[:place]).all()}


def lasso_weights(path: LassoPath, place: int) -> np.ndarray:
    """Return weights of the tokens before the target (place,), at the largest budget up to `SHOWN`."""
    weights = np.zeros(place)
    row = max((number for number, k in enumerate(path.budgets) if k <= SHOWN), default=0)
    used = path.indices[row] >= 0
    weights[path.indices[row, used]] = path.weights[row, used]
    return weights


def chosen(context: Context, budgets: Sequence[int], methods: Sequence[str]) -> Iterator[tuple[str, list[np.ndarray] | str]]:
    """Yield (method, positions for each budget, or why there are none); the random one several times."""
    for method in methods:
        names = [f"random-{draw}" for draw in range(DRAWS)] if method == "random" else [method]
        for name in names:
            yield name, selectors[method](context, budgets)


def measure(
    model,
    start: Sequence[int],
    text: Pass,
    targets: Sequence[Target],
    mine: Sequence[int],
    sets: Sequence[tuple[str, int, int, np.ndarray]],
    budgets: Sequence[int],
    arrays: dict[str, np.ndarray],
    reference: Mapping[str, np.ndarray],
) -> None:
    """Fill in the scores of one text's sets, each different one run once, and those of seeing everything and nothing."""
    if not sets:
        raise DataError("tokens.selection: no method can choose at these layers; the embedding has no attention")
    rows = np.array([targets[target].position for _, target, _, _ in sets])
    visible = np.zeros((len(sets), len(text.ids)), dtype=bool)
    for seen, (_, _, _, positions) in zip(visible, sets, strict=True):
        seen[positions] = True
    shortened = np.array([targets[target].shortened for _, target, _, _ in sets])
    hidden = distinct(lambda t, v: masked(model, text, t, v), rows, visible)
    gone = distinct(lambda t, v: removed(model, start, text, t, v), rows[shortened], visible[shortened])
    values = np.full((len(SCORES), len(sets)), np.nan)
    values[:2] = hidden
    values[2:, shortened] = gone
    for (path, target, k, positions), scores in zip(sets, values.T, strict=True):
        for name, value in zip(SCORES, scores, strict=True):
            arrays[f"scores/{path}/{name}"][target, k] = value
        if f"chosen/{path}" not in arrays:
            arrays[f"chosen/{path}"] = np.full((len(targets), len(budgets), max(budgets)), -1, dtype=np.int32)
        arrays[f"chosen/{path}"][target, k, : len(positions)] = positions
    places = np.array([targets[target].position for target in mine])
    everything = masked(model, text, places, np.ones((len(mine), len(text.ids)), dtype=bool))
    nothing = masked(model, text, places, np.zeros((len(mine), len(text.ids)), dtype=bool))
    reference["loss"][mine], reference["alone"][mine] = everything.loss, nothing.divergence


def distinct(score, targets: np.ndarray, visible: np.ndarray) -> Score:
    """Score (target, visible) pairs, equal ones once."""
    if not len(targets):
        return Score(np.empty(0), np.empty(0))
    keys = np.column_stack([targets, np.packbits(visible, axis=1)])
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return Score(*(column[inverse.ravel()] for column in score(targets[first], visible[first])))
