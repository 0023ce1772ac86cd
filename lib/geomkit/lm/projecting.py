"""A model without a dump as a donor: it runs once more, and its rows are projected on as many directions as its family's other
models are wide. The rows of two states are in memory, for a sum for each fold, length and normalisation would take more."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from geomkit.config import CAUSAL, MASKED
from geomkit.lm.capture import Recorder, all_rows
from geomkit.lm.cutting import texts_for
from geomkit.lm.masking import masking
from geomkit.lm.memory import check_rows
from geomkit.lm.models import find_device, load_model, load_tokenizer
from geomkit.store.donors import incomparable, opened_sources
from geomkit.store.projecting import LAYERS, Settings, add_donor, parts
from geomkit.store.tables import DONOR_COLUMNS, TableWriter


def project_model(
    folder: Path,
    texts: Path,
    spectra: Iterable[str | Path],
    output: Path,
    families: Mapping[str, str],
    seeds: Mapping[str, int | None],
    modes: Sequence[str],
    lengths: Sequence[int],
    metrics: Sequence[str] | None,
    parameters: Mapping[str, float],
    draws: int,
    seed: int,
    bracket: Mapping[str, Sequence[Any]] | None,
    compute: Mapping[str, Any],
    trust_remote_code: bool,
    objective: str = CAUSAL,
) -> None:
    """Writes what the table of projections (`geomkit.studies.projections`) holds of one model, which names the output's folder.

    spectra: of all models of its family, which say how wide they are. The table is empty where the family has no projections.
    Raises ConfigError, before the model runs, where memory would not do.
    """
    name = output.parent.name
    settings = Settings(modes, lengths, metrics, parameters, draws, seed, bracket)
    table, absent = TableWriter(DONOR_COLUMNS, corpus=output.stem), dict[str, str]()
    with opened_sources([], families, seeds, spectra) as groups:
        members = next(iter(groups.values()), [])
    model = next((member for member in members if member.name == name), None)
    if model is not None and incomparable(members) is None:
        donors = {layer: found[name] for layer in LAYERS if name in (found := parts(members, layer)[0])}
        if donors:
            states = {model.stored(layer) for layer in donors}
            device = find_device(compute["device"])
            widths, tokens = [model.widths[state] for state in states], int(model.texts.offset[-1])
            check_rows(name, folder, tokens, widths, compute, device, trust_remote_code)
            loaded = load_model(folder, compute["dtype"], device, trust_remote_code, objective)
            masks = masking(load_tokenizer(folder, trust_remote_code)) if objective == MASKED else None
            sample = texts_for(texts, folder, name, trust_remote_code).sample
            recorder = Recorder(loaded, [state.layer for state in states], False)
            rows = all_rows(recorder, sample, compute["batch_tokens"], masks)
            del loaded, recorder
            for layer, part in donors.items():
                absent |= add_donor(table, replace(model, stored_rows=rows.__getitem__), layer, part, settings)
    table.write(output, absent)
