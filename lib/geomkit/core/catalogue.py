"""Look up every name that a configuration may use, without importing numpy or the modules that declare it."""

from collections.abc import Mapping
from typing import Any

from geomkit.core.config import STATES
from geomkit.core.declarations import declared
from geomkit.core.variants import VARIANTS, nulls


def declared_by_kind() -> dict[str, Mapping[str, Any]]:
    """Return all declarations by kind and name."""
    places = declared("geomkit.core.config", "places.register")
    return {
        "metric": declared("geomkit.measures.entropy", "metrics.register"),
        "null": {name: VARIANTS[name] for name in nulls()},
        "normalisation": declared("geomkit.measures.spectra", "modes.register"),
        "selection method": declared("geomkit.measures.selection", "selectors.register"),
        "corpus reader": declared("geomkit.sources.corpora", "readers.register"),
        "layout of states": declared("geomkit.sources.imported", "layouts.register"),
        "model source": places | declared("geomkit.sources.fetch", "model_sources.register"),
        "corpus source": {name: one for name, one in places.items() if name != STATES}
        | declared("geomkit.sources.fetch", "corpus_sources.register"),
    }
