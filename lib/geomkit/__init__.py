"""Measure the geometry of language models' hidden states, each quantity beside its null.

What a notebook needs is here, and is imported when it is first used: `normalise`, `spectrum`, `measure`, `similarity`,
`information_gain`, `intrinsic_dimension`, `most_effective_rank`, `lasso_paths`, `fit`; of models `portrait`, `compare`,
`GeometryCallback` and `join_lm_eval`.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geomkit.laws.fit import fit as fit
    from geomkit.measures.entropy import measure as measure
    from geomkit.measures.gain import information_gain as information_gain
    from geomkit.measures.intrinsic_dimension import intrinsic_dimension as intrinsic_dimension
    from geomkit.measures.one_token import most_effective_rank as most_effective_rank
    from geomkit.measures.selection import lasso_paths as lasso_paths
    from geomkit.measures.similarity import similarity as similarity
    from geomkit.measures.spectra import normalise as normalise
    from geomkit.measures.spectra import spectrum as spectrum
    from geomkit.models.callback import GeometryCallback as GeometryCallback
    from geomkit.studies.portrait.run import compare as compare
    from geomkit.studies.portrait.run import portrait as portrait
    from geomkit.studies.scores.join import join_lm_eval as join_lm_eval

HOMES = {
    "normalise": "measures.spectra",
    "spectrum": "measures.spectra",
    "measure": "measures.entropy",
    "similarity": "measures.similarity",
    "information_gain": "measures.gain",
    "intrinsic_dimension": "measures.intrinsic_dimension",
    "most_effective_rank": "measures.one_token",
    "lasso_paths": "measures.selection",
    "fit": "laws.fit",
    "portrait": "studies.portrait.run",
    "compare": "studies.portrait.run",
    "GeometryCallback": "models.callback",
    "join_lm_eval": "studies.scores.join",
}
"""The module of each name."""

__all__ = list(HOMES)

if log := getattr(vars(sys.modules["__main__"]).get("snakemake"), "log", None):  # a job, which has yet to import the rest
    from geomkit.core.errors import catch_all

    catch_all(log[0])


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'geomkit' has no attribute {name!r}; it has {', '.join(HOMES)}")
    return getattr(import_module(f"geomkit.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *HOMES])
