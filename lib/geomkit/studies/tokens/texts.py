"""Collect the content of the page of tokens: texts of each probed model, their gains, and every method's selections."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from geomkit.core.config import layer_name
from geomkit.core.errors import RefusalError
from geomkit.core.state import State
from geomkit.states.probes import Probe
from geomkit.states.spectra import Spectra
from geomkit.studies.tokens.rows import PageLayer, PageTarget, PageText, TokenPage
from geomkit.tables.rows import write_json

TEXTS = 4
"""Of each model and corpus."""
SHOWN = 8
"""Tokens that a method chose, at most."""


def collect_texts(probes: Sequence[Path], spectra: Sequence[Path], output: Path) -> None:
    """Write the first texts of each probed model and corpus as JSON."""
    pairs = zip(map(Path, probes), map(Path, spectra), strict=True)
    note = f"{TEXTS} texts of each model and corpus. KL: from the prediction with all of the past visible, in nats."
    texts = tuple(text for pair in pairs for text in page_texts(*pair))
    write_json(output, TokenPage, TokenPage(title="Tokens and their past", note=note, texts=texts))


def page_texts(probe: Path, spectra: Path) -> Iterator[PageText]:
    """The first texts of one model and corpus; none of a model that was refused."""
    with suppress(RefusalError), Probe(probe) as file, Spectra(spectra) as eigenvalues:
        gains = dict(eigenvalues.gains("trained"))
        surprisal, offset = eigenvalues.tokens("trained")[1], eigenvalues.text_list.offset
        depth = int(str(file.attributes["depth"]))
        shown = max((place for place, k in enumerate(file.budgets) if k <= SHOWN), default=0)
        for text in np.unique(file.text)[:TEXTS]:
            rows = slice(*offset[text : text + 2])
            yield PageText(
                name=f"{probe.parent.name}, {probe.stem}, {eigenvalues.text_list.document[text]}",
                tokens=tuple(file.tokens(text)),
                surprisal=listed(surprisal[rows]),
                layers=tuple(
                    PageLayer(
                        layer=layer,
                        name=layer_name(layer, depth),
                        gain=listed(gains[State(layer)][rows]),
                        targets=tuple(page_targets(file, int(text), layer, shown)),
                    )
                    for layer in file.layers
                ),
            )


def page_targets(file: Probe, text: int, layer: int, shown: int) -> Iterator[PageTarget]:
    """A text's targets: each method's weights of earlier tokens, its selection, and the model's divergence with it."""
    importance = file.importance(layer)
    choices = {choice.method: choice for choice in file.choices() if (choice.layer, choice.first) == (layer, 0)}
    methods = [name for name in choices if name in importance]
    for target in np.flatnonzero(file.text == text):
        place = int(file.position[target])
        yield PageTarget(
            position=place,
            weights={name: listed(importance[name][target, :place]) for name in methods},
            chosen={name: tuple(int(token) for token in choices[name].chosen[target, shown] if token >= 0) for name in methods},
            kl={name: float(choices[name].scores["divergence"][target, shown]) for name in methods},
        )


def listed(values: np.ndarray) -> tuple[float | None, ...]:
    """Values as a list, None for those that are not known."""
    return tuple(float(value) if np.isfinite(value) else None for value in values)
