"""Spectra of dumps that a test has written, as studies of a family ask for them."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from geomkit.states.decompose import decompose
from geomkit.states.dumps import stored


def spectra_of(dumps: Iterable[Path], top: Path) -> list[Path]:
    """Files of spectra, named by the corpora that dumps lie in, in folders of their models' names."""
    outputs = []
    for dump in dumps:
        outputs.append(top / "spectra" / dump.parent.parent.name / f"{dump.parent.name}.h5")
        decompose(partial(stored, dump), outputs[-1], ["unit"], [], ["trained"], [], None, 0)
    return outputs
