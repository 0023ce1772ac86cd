"""Every name that a configuration may use, read from the source: no module is imported for it, nor numpy."""

from collections.abc import Mapping
from typing import Any

from geomkit.core.config import STATES
from geomkit.core.declarations import declared
from geomkit.core.variants import VARIANTS, nulls


def declared_by_kind() -> dict[str, Mapping[str, Any]]:
    """By kind, the declarations by name."""
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
