"""Measure metrics of texts from a stream of states straight into a table; no states are stored."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from geomkit.core.state import PLAIN, State
from geomkit.measures.accumulation import text_spectra
from geomkit.measures.entropy import measured_and_absent, undefined
from geomkit.measures.norms import NORMS, plain
from geomkit.measures.spectra import Spectrum
from geomkit.states.extracts import pooled_rows
from geomkit.states.stream import States, scores
from geomkit.states.texts import Texts
from geomkit.tables.tidy import TableWriter

Place = tuple[State, str, int]
"""A state, a normalisation, and how many first tokens of each text."""


@dataclass(frozen=True)
class Wanted:
    """Settings of the measurement: normalisations, lengths in tokens, metrics (None: all) and their parameters.

    The final state is also measured without the final norm's gain and bias where `plain`. pooled: which rows are kept that stand
    for a whole text, of `geomkit.states.extracts.POOLED`.
    """

    modes: Sequence[str]
    lengths: Sequence[int]
    metrics: Sequence[str] | None
    parameters: Mapping[str, float]
    plain: bool = True
    pooled: Sequence[str] = ()


@dataclass
class Seen:
    """Measurements of one stream: spectra of the first n tokens of every text that has as many, and losses.

    They are nats and scored tokens of each text; by kind and state one row for each text, where they were requested; and what is
    missing, with reasons.
    """

    spectra: dict[Place, Spectrum]
    nats: np.ndarray
    scored: np.ndarray
    pooled: dict[str, dict[State, np.ndarray]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def read_stream(states: States, wanted: Wanted) -> Seen:
    """Measure the spectra of all states of a stream; memory holds one batch of rows."""
    texts, facts = states.texts, states.attributes
    final, norm = int(str(facts["depth"])) + 1, str(facts["final norm"])
    parts: dict[Place, list[Spectrum]] = defaultdict(list)
    nats, scored = [], []
    pooled: dict[str, dict[State, list[np.ndarray]]] = {kind: defaultdict(list) for kind in wanted.pooled}
    for batch in states.batches(scored=True):
        tokens = np.asarray(texts.tokens[batch.texts.start : batch.texts.stop])
        for surprisal in np.split(scores(batch), np.cumsum(tokens)[:-1]):
            nats.append(np.nansum(surprisal, dtype=np.float64))
            scored.append(np.isfinite(surprisal).sum())
        rows = dict(batch.rows)
        if wanted.plain and norm in NORMS:
            rows[State(final, PLAIN)] = plain(rows[State(final - 1)], norm, float(str(facts["final norm eps"])))
        for state, own in rows.items():
            for mode, n, spectrum in text_spectra(own, tokens, wanted.modes, wanted.lengths, states.dtype):
                parts[state, mode, n].append(spectrum)
            for kind, of_states in pooled.items():
                of_states[state].append(pooled_rows(kind, own, tokens.tolist()))
    whole = {
        place: replace(blocks[0], eigenvalues=np.concatenate([part.eigenvalues for part in blocks]))
        for place, blocks in parts.items()
    }
    missing = {PLAIN: f"{facts['model']} has no final norm that is known"} if wanted.plain and norm not in NORMS else {}
    joined = {kind: {state: np.concatenate(parts) for state, parts in of.items()} for kind, of in pooled.items()}
    return Seen(whole, np.array(nats), np.array(scored), joined, missing)


def add_run(table: TableWriter, variant: str, seen: Seen, texts: Texts, wanted: Wanted) -> dict[str, str]:
    """Add the rows of one run to a table. Returns what is missing, with reasons."""
    missing = dict(seen.missing)
    for (state, mode, n), spectrum in seen.spectra.items():
        long_enough = [text for text, tokens in enumerate(texts.tokens) if tokens >= n]
        columns = {"text": long_enough, "document": [texts.document[text] for text in long_enough]}
        results, without = measured_and_absent(spectrum, wanted.metrics, wanted.parameters)
        table.add_metrics(spectrum, results, **columns, **state._asdict(), variant=variant, normalise=mode)
        missing |= {f"{name}, {mode}, n = {n}": why for name, why in without.items()}
        where = f"{variant}, {mode}, n = {n}, /{state.path}"
        missing |= {f"{name}, {where}": why for name, why in undefined(spectrum, results).items()}
    return missing


def add_loss(table: TableWriter, variant: str, seen: Seen, texts: Texts) -> None:
    """Add the loss of every text, in nats a token, to a table."""
    columns = {"text": np.arange(len(seen.nats)), "document": list(texts.document)}
    table.add(**columns, variant=variant, metric="loss", value=seen.nats / seen.scored, n=seen.scored)
