"""Names of hidden states: a layer, or one of its sublayers."""

from typing import NamedTuple

TOKENS = "tokens"
"""Rows of a cloud that has one for each token."""
PLAIN = "plain"
"""The final state without the gain and bias that the final norm has learnt: tables' sublayer of layer L + 1. No dump holds it."""

MLP_HIDDEN = "mlp_hidden"
"""The hidden state of a block's MLP, after the activation: of a gated MLP the product act(gate) * up. It has the MLP's width."""


class State(NamedTuple):
    """A hidden state: a layer, and `block` for its output, the sublayer after which it was taken, or `MLP_HIDDEN`."""

    layer: int
    sublayer: str = "block"

    @property
    def path(self) -> str:
        return f"hidden/{self.layer}" if self.sublayer == "block" else f"sublayer/{self.layer}/{self.sublayer}"

    @classmethod
    def at(cls, path: str) -> "State":
        """Parse a state from its path."""
        kind, layer, *sublayer = path.split("/")
        return cls(int(layer), *sublayer) if kind == "sublayer" else cls(int(layer))


def order(state: State) -> tuple[int, bool, str]:
    """Sort key: by layer, each block's output after its sublayers."""
    return state.layer, state.sublayer == "block", state.sublayer
