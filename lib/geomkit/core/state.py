"""Names of sets of token vectors: a layer, or what one of its sublayers gives."""

from typing import NamedTuple

PLAIN = "plain"
"""The final state without the gain and bias that the final norm has learnt: tables' sublayer of layer L + 1. No dump holds it."""


class State(NamedTuple):
    """Names one set of token vectors: a layer, and `block` for its output or the sublayer that it was taken after."""

    layer: int
    sublayer: str = "block"

    @property
    def path(self) -> str:
        return f"hidden/{self.layer}" if self.sublayer == "block" else f"sublayer/{self.layer}/{self.sublayer}"

    @classmethod
    def at(cls, path: str) -> "State":
        """The state of that path."""
        kind, layer, *sublayer = path.split("/")
        return cls(int(layer), *sublayer) if kind == "sublayer" else cls(int(layer))


def order(state: State) -> tuple[int, bool, str]:
    """By layer, each block's output after its sublayers."""
    return state.layer, state.sublayer == "block", state.sublayer
