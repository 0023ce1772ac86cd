"""Memory that measuring a running model takes, known before it runs: weights, a batch, a d x d sum for each state and mode."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from geomkit.config import resolve_layers
from geomkit.errors import ConfigError
from geomkit.lm.models import load_config
from geomkit.lm.placing import GB, free_memory
from geomkit.measures.controls import FOLDS
from geomkit.store.decomposition import keeps_documents
from geomkit.store.dumps import State


@dataclass(frozen=True)
class Need:
    """What measuring takes. layers: states of blocks and sublayers; own: those of which sums of a document are kept besides, in
    each of the modes; d: width; weights, batch: in bytes; folded: states of which each fold of documents has a sum."""

    layers: int
    own: int
    modes: int
    d: int
    weights: int
    batch: int
    folded: int = 0

    @property
    def each(self) -> int:
        """Bytes of one sum, of d x d numbers in float64."""
        return self.d**2 * 8

    @property
    def sums(self) -> int:
        return ((self.layers + self.own) * self.modes + FOLDS * self.folded) * self.each

    @property
    def total(self) -> int:
        """The sums, two copies of one for its eigenvalues, the weights and a batch."""
        return self.sums + 2 * self.each + self.weights + self.batch


def need(
    config: Any,
    parameters: int,
    layers: Any,
    sublayers: bool,
    modes: Sequence[str],
    dtype: str,
    batch_tokens: int,
    whitened: Any = None,
) -> Need:
    """What a model of this configuration takes: `parameters` weights of type `dtype`, a batch of all states in float32 and of one
    in float64, as rows and in every normalisation, and the sums."""
    text = config.get_text_config()
    depth, d = text.num_hidden_layers, text.hidden_size
    states = asked_states(depth, layers, sublayers)
    own = sum(keeps_documents(state, depth, d) for state in states)
    batch = batch_tokens * d * (4 * len(states) + 8 * (1 + len(modes)))
    folded = len({state.layer for state in states} & set(resolve_layers(whitened, depth))) if whitened is not None else 0
    return Need(len(states), own, len(modes), d, parameters * getattr(torch, dtype).itemsize, batch, folded)


def asked_states(depth: int, layers: Any, sublayers: bool) -> list[State]:
    """The states that a configuration asks for of a model of so many blocks that shows its sublayers."""
    states = [State(layer) for layer in resolve_layers(layers, depth)]
    if sublayers:
        states += [State(state.layer, part) for state in states for part in ("attention", "mlp") if 1 <= state.layer <= depth]
    return states


def count_parameters(folder: Path, trust_remote_code: bool) -> int:
    """The model's parameters, tied ones once, counted without memory for them."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(load_config(folder, trust_remote_code), trust_remote_code=trust_remote_code)
    return sum(weight.numel() for weight in model.parameters())


def check_memory(
    name: str,
    folder: Path,
    dump: Mapping[str, Any],
    modes: Sequence[str],
    compute: Mapping[str, Any],
    device: torch.device,
    trust_remote_code: bool,
    whitened: Any = None,
) -> None:
    """Raises ConfigError that says what a model needs, and what would fit, where memory does not suffice to measure it."""
    parameters = count_parameters(folder, trust_remote_code)
    found = need(
        *(load_config(folder, trust_remote_code), parameters, dump["layers"], dump["sublayers"], modes),
        *(compute["dtype"], compute["batch_tokens"], whitened),
    )
    check_need(name, found, free_memory(device))


def check_rows(
    name: str, folder: Path, tokens: int, widths: Sequence[int], compute: Mapping[str, Any], device: torch.device, trust: bool
) -> None:
    """Raises ConfigError where memory does not suffice to keep the rows (tokens, width) of a state of each width in float32, and,
    for what is done with one of them, its clouds in float64 and three times the sums of each fold of documents."""
    rows, widest = sum(4 * tokens * width for width in widths), max(widths)
    work = 12 * tokens * widest + 3 * FOLDS * 8 * widest**2
    weights = count_parameters(folder, trust) * getattr(torch, compute["dtype"]).itemsize
    # the weights are on the device, and gone when rows are projected; the rows are in the memory of the machine
    needed, free = rows + max(work, weights if device.type == "cpu" else 0), free_memory(torch.device("cpu"))
    if needed > free:
        raise ConfigError(
            f"{name}: running it again needs {needed / GB:.1f} GB: {rows / GB:.1f} GB for rows of {tokens} tokens, weights of "
            f"{weights / GB:.1f} GB before or {work / GB:.1f} GB to compare rows after; {free / GB:.1f} GB are free; "
            "fewer texts (texts.count) would fit"
        )


def check_need(name: str, found: Need, free: int) -> None:
    """Raises ConfigError if there are fewer free bytes than are needed."""
    if found.total <= free:
        return
    left = ((free - found.weights - found.batch) // found.each - 2 - FOLDS * found.folded) // found.modes - found.own
    sums = f"{found.layers} layers x {found.modes} modes x {found.d}^2 x 8 B"
    sums += f" and {found.own} x {found.modes} of a document" if found.own else ""
    sums += f" and {found.folded} x {FOLDS} of folds" if found.folded else ""
    way = (
        f"drop layers (dump.layers) or modes (entropy.normalise) to fit: {left} layers x {found.modes} modes do"
        if left > 0
        else "no layer fits: lower compute.batch_tokens, or use another machine or compute.dtype"
    )
    raise ConfigError(
        f"{name}: needs {found.sums / GB:.1f} GB for sums: {sums}; "
        f"weights take {found.weights / GB:.1f} GB, a batch {found.batch / GB:.1f} GB, and {free / GB:.1f} GB are free; {way}"
    )
