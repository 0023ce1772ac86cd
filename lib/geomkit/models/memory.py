"""Plan the memory for measuring a running model, and the device for the sums of each state, before it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedModel

from geomkit.core.config import ModelSpec, hidden_layers, resolve_layers
from geomkit.core.errors import ConfigError
from geomkit.core.state import MLP_HIDDEN, State
from geomkit.measures.controls import FOLDS
from geomkit.models.load import blocks, find_device, load_config, setting, skeleton
from geomkit.models.mlp import down_projection
from geomkit.models.placing import (
    GB,
    HOST,
    MARGIN,
    Homes,
    Placement,
    device_map,
    devices,
    free_memory,
    gpu,
    lies_on,
    place,
    runs_on,
    weight_bytes,
)
from geomkit.states.stream import keeps_documents


@dataclass(frozen=True)
class Need:
    """Sizes that determine the memory for a measurement.

    states: of blocks and sublayers; own: those of which sums of a document are kept besides, in each of the modes; folded: those
    of which each fold of documents has a sum; d: width; weights, logits: in bytes; tokens: in a batch. hidden: hidden states of
    MLPs, with their widths.
    """

    states: Sequence[State]
    modes: int
    d: int
    weights: int
    tokens: int
    own: frozenset[State] = frozenset()
    folded: frozenset[State] = frozenset()
    logits: int = 0
    hidden: Mapping[State, int] = field(default_factory=dict)

    @property
    def every(self) -> Sequence[State]:
        """All states, those of MLPs at the end."""
        return [*self.states, *self.hidden]

    def width(self, state: State) -> int:
        """Return the width of a state."""
        return self.hidden.get(state, self.d)

    def each(self, state: State) -> int:
        """Return the bytes of one sum of a state: of its width squared numbers in float64."""
        return self.width(state) ** 2 * 8

    def sums_of(self, state: State) -> int:
        """Return the bytes of the sums of one state."""
        return ((1 + (state in self.own)) * self.modes + FOLDS * (state in self.folded)) * self.each(state)

    @property
    def sums(self) -> int:
        return sum(map(self.sums_of, self.every))

    def rows(self, state: State) -> int:
        """Return the bytes of a batch of one state in float32."""
        return 4 * self.tokens * self.width(state)

    @property
    def work(self) -> int:
        """Bytes of a batch of the widest state in float64, as rows and in every normalisation."""
        return 2 * max(map(self.rows, self.every)) * (1 + self.modes)

    @property
    def copies(self) -> int:
        """Bytes of two copies of the largest sum, for its eigenvalues."""
        return 2 * max(map(self.each, self.every))

    @property
    def batch(self) -> int:
        """Bytes of a batch, all states in float32 and one of them in float64."""
        return sum(map(self.rows, self.every)) + self.work

    @property
    def total(self) -> int:
        """Bytes of the sums, two copies of one for its eigenvalues, the weights and a batch."""
        return self.sums + self.copies + self.weights + self.batch


@dataclass(frozen=True)
class Layout:
    """Devices that a model runs on, and bytes of weights on each.

    before: the device of the first block's input; blocks: those of the blocks' outputs; after: that of the final state.
    """

    before: torch.device
    blocks: Sequence[torch.device]
    after: torch.device
    weights: Mapping[torch.device, int]

    def of(self, state: State) -> torch.device:
        """Return the device on which a state is computed."""
        return [self.before, *self.blocks, self.after][state.layer]


NONE: Mapping[State, int] = {}
NOTHING: Mapping[str, Any] = {}


def need(
    config: Any,
    parameters: int,
    layers: Any,
    sublayers: bool,
    modes: Sequence[str],
    dtype: str,
    batch_tokens: int,
    whitened: Any = None,
    hidden: Mapping[State, int] = NONE,
) -> Need:
    """Compute what a model of this configuration needs, of `parameters` weights of type `dtype`.

    hidden: hidden states of MLPs, with their widths.
    """
    depth, d = setting(config, "num_hidden_layers"), setting(config, "hidden_size")
    states = requested_states(depth, layers, sublayers)
    every = {**dict.fromkeys(states, d), **hidden}
    own = frozenset(state for state, width in every.items() if keeps_documents(state, depth, width))
    of_folds = resolve_layers(whitened, depth) if whitened is not None else []
    folded = frozenset(state for state in states if state.layer in of_folds and state.sublayer == "block")
    logits = min(MARGIN, 2 * 4 * batch_tokens * setting(config, "vocab_size", 0))
    weights = parameters * getattr(torch, dtype).itemsize
    return Need(states, len(modes), d, weights, batch_tokens, own, folded, logits, hidden)


def requested_states(depth: int, layers: Any, sublayers: bool) -> list[State]:
    """List the states that a configuration requests, for a model with so many blocks and with sublayers."""
    states = [State(layer) for layer in resolve_layers(layers, depth)]
    if sublayers:
        states += [State(state.layer, part) for state in states for part in ("attention", "mlp") if 1 <= state.layer <= depth]
    return states


def layout(model: PreTrainedModel, placed: Placement, device: torch.device) -> Layout:
    """Plan where a model will run that lies on no device yet, and has the type of the run."""
    places: Mapping[str, Any] = {"": device} if placed.limits is None else device_map(model, placed.limits)
    names = {module: name for name, module in model.named_modules()}
    outputs = [runs_on(places, names[block]) for block in blocks(model)]
    weights: dict[torch.device, int] = {}
    for name, weight in model.named_parameters():
        if (where := lies_on(places, name)) != "disk":
            holder = gpu(where) or HOST
            weights[holder] = weights.get(holder, 0) + weight.nbytes
    tables = names.get(model.get_input_embeddings(), "")
    return Layout(runs_on(places, tables), outputs, outputs[-1], weights)


def hidden_widths(model: PreTrainedModel, layers: Sequence[int]) -> dict[State, int]:
    """Return the MLP hidden states of some blocks with their widths; blocks that have none are left out."""
    found = {layer: down_projection(blocks(model)[layer - 1], setting(model.config, "hidden_size")) for layer in layers}
    return {State(layer, MLP_HIDDEN): one.takes for layer, one in found.items() if not isinstance(one, str)}


class Planned(NamedTuple):
    """Parameters of a model, tied ones once, where it will run, and the widths of requested hidden states of its MLPs."""

    parameters: int
    layout: Layout
    hidden: Mapping[State, int]


def planned(spec: ModelSpec, dump: Mapping[str, Any] = NOTHING) -> Planned:
    """Plan a model's run without memory for its weights; dump: settings whose `mlp_hidden` counts.

    Raises ConfigError where nothing holds them, and for a layer that is no block.
    """
    device = find_device(spec.device)
    placed = place(spec.folder.name, weight_bytes(spec.folder, getattr(torch, spec.dtype)), device)
    model = skeleton(spec)
    hidden = hidden_widths(model, hidden_layers(dump, setting(model.config, "num_hidden_layers")))
    return Planned(sum(weight.numel() for weight in model.parameters()), layout(model, placed, devices(device)[0]), hidden)


def check_memory(
    name: str, spec: ModelSpec, dump: Mapping[str, Any], modes: Sequence[str], batch_tokens: int, whitened: Any = None
) -> Homes:
    """Return where the sums of each state are kept while a model is measured.

    Raises ConfigError that says what a model needs, and what would fit, where memory does not suffice.
    """
    device = find_device(spec.device)
    parameters, where, hidden = planned(spec, dump)
    how = (modes, spec.dtype, batch_tokens, whitened, hidden)
    needed = need(load_config(spec), parameters, dump["layers"], dump["sublayers"], *how)
    homes = find_homes(name, needed, where, {each: free_memory(each) for each in devices(device)})
    if device.type != "cpu" and (away := [state.path for state in needed.every if homes[state] == HOST]):
        print(f"{name}: no GPU has room for the sums of {', '.join(away)}; the host keeps them, and adds to them")
    return homes


@dataclass(frozen=True)
class Room:
    """Bytes of a device: free before the model is loaded, those of its weights and a batch, and those left for sums."""

    device: torch.device
    free: int
    weights: int
    batch: int
    sums: int

    def __str__(self) -> str:
        parts = f"weights take {self.weights / GB:.1f} GB, a batch {self.batch / GB:.1f} GB"
        return f"on {self.device} {parts}, and {self.free / GB:.1f} GB are free"


def room(needed: Need, where: Layout, device: torch.device, free: int) -> Room:
    """Compute what is left beside weights, a batch, and two copies of a sum for its eigenvalues; and, on a GPU, beside logits."""
    batch = needed.work + sum(needed.rows(state) for state in needed.every if where.of(state) == device)
    batch += needed.logits if device.type == "cuda" else 0
    weights = where.weights.get(device, 0)
    return Room(device, free, weights, batch, free - weights - batch - needed.copies)


def find_homes(name: str, needed: Need, where: Layout, free: Mapping[torch.device, int]) -> Homes:
    """Choose the device for the sums of each state: its own, where there is room; else the GPU with most room, and the host last.

    free: bytes of each device that may be used, before the model is loaded. Raises ConfigError, naming the devices and what would
    fit, where they have no room for a batch of their own states, or all together none for the sums.
    """
    rooms = [room(needed, where, device, bytes_) for device, bytes_ in free.items()]
    left, homes = {each.device: each.sums for each in rooms}, dict[State, torch.device]()
    runs = {where.of(state) for state in needed.every}
    if any(left[device] + needed.work + needed.copies < 0 for device in runs):
        raise too_little(name, needed, rooms, 0)
    for state in needed.every:
        own = where.of(state)
        for device in sorted(left, key=lambda device: (device != own, device.type == "cpu", -left[device])):
            taken = needed.sums_of(state) + needed.rows(state) * (device != own)
            if taken <= left[device]:
                left[device] -= taken
                homes[state] = device
                break
        else:
            raise too_little(name, needed, rooms, sum(max(0, each.sums) for each in rooms))
    return homes


def too_little(name: str, needed: Need, rooms: Sequence[Room], free: int) -> ConfigError:
    """Build an error that says what is needed, where, and how many layers would fit into so many bytes for sums."""
    of_mlps = sum(map(needed.sums_of, needed.hidden))
    fit, documents = (free - of_mlps) // (8 * needed.d**2), needed.own - needed.hidden.keys()
    layers = (fit - FOLDS * len(needed.folded)) // needed.modes - len(documents)
    way = (
        f"drop layers (dump.layers) or modes (entropy.normalise) to fit: {layers} layers x {needed.modes} modes do"
        if layers > 0
        else f"no layer fits: {'drop dump.mlp_hidden, ' if of_mlps else ''}lower compute.batch_tokens, or use another machine or "
        "compute.dtype"
    )
    sums = f"{len(needed.states)} layers x {needed.modes} modes x {needed.d}^2 x 8 B"
    sums += f" and {len(documents)} x {needed.modes} of a document" if documents else ""
    sums += f" and {len(needed.folded)} x {FOLDS} of folds" if needed.folded else ""
    for state, width in needed.hidden.items():
        number = (1 + (state in needed.own)) * needed.modes
        sums += f" and {number} x {width}^2 x 8 B, {needed.sums_of(state) / GB:.1f} GB, of /{state.path}"
    return ConfigError(f"{name}: needs {needed.sums / GB:.1f} GB for sums: {sums}; {'; '.join(map(str, rooms))}; {way}")


def check_rows(name: str, spec: ModelSpec, tokens: int, dump: Mapping[str, Any]) -> None:
    """Check that the host's memory can keep the rows (tokens, width) of all requested states; raise ConfigError otherwise.

    They are in float32, and for what is done with one of them, six times its rows in float64 and three times the sums of each
    fold of documents.
    """
    config, plan = load_config(spec), planned(spec, dump)
    states = requested_states(setting(config, "num_hidden_layers"), dump["layers"], dump["sublayers"])
    widths = [*[setting(config, "hidden_size")] * len(states), *plan.hidden.values()]
    rows, widest = sum(4 * tokens * width for width in widths), max(widths)
    work = 6 * 8 * tokens * widest + 3 * FOLDS * 8 * widest**2
    # what the host holds of the weights is gone when rows are projected
    weights = plan.layout.weights.get(HOST, 0)
    needed, free = rows + max(work, weights), free_memory(HOST)
    if needed > free:
        raise ConfigError(
            f"{name}: running it again needs {needed / GB:.1f} GB: {rows / GB:.1f} GB for rows of {tokens} tokens, weights of "
            f"{weights / GB:.1f} GB before or {work / GB:.1f} GB to compare rows after; {free / GB:.1f} GB are free; "
            "fewer texts (texts.count) would fit"
        )
