"""Compare texts with and without their longest token with what lengths predict, at every state."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.logs import progress
from geomkit.core.provenance import rng
from geomkit.core.state import State
from geomkit.core.variants import TRAINED
from geomkit.laws.resampling import Documents
from geomkit.measures.entropy import measured_and_absent
from geomkit.measures.entropy import metrics as registry
from geomkit.measures.one_token import most_effective_rank, token_share, with_token
from geomkit.measures.sinks import THRESHOLD
from geomkit.measures.spectra import Spectrum, is_centred, modes, normalise, row_spectrum
from geomkit.states.extracts import shown_texts
from geomkit.states.stream import Open, States
from geomkit.studies.one_token.rows import OneToken
from geomkit.tables.rows import defined, write_csv
from geomkit.tables.tidy import columns_of

RESAMPLES = 1000
RANK = "erank_covariance"
TOGETHER = 4
"""Texts whose states are in memory at once."""


class Audited(NamedTuple):
    """One text at one state, length and normalisation: metrics with the token, without it and predicted; and lengths."""

    measured: Mapping[str, float]
    without: Mapping[str, float]
    predicted: Mapping[str, float]
    most: float
    ratio: float
    share: float


Key = tuple[State, int, str]


def audit_one_token(
    states: Open,
    output: Path,
    family: str,
    model_seed: int | None,
    number: int,
    lengths: Sequence[int],
    metrics: Sequence[str],
    parameters: Mapping[str, float],
    seed: int,
) -> None:
    """Write a row for each metric, state, length and normalisation; none if no text has a token of over 10 medians.

    number: of texts, each of another document. Raises RefusalError, with the reason, for a model that is refused.
    """
    with states()(TRAINED) as own:
        chosen = shown_texts(own.texts.document, number)
        audited = list(audited_texts(own, chosen, lengths, metrics, parameters))
        common = columns_of(output, own.attributes, family, model_seed)
        widths, documents = own.widths, [own.texts.document[text] for text in chosen]
    names = [document for document, one in zip(documents, audited, strict=True) if one]
    found = [one for one in audited if one]
    drawn = Documents.draw(names, RESAMPLES, rng(seed, "one token", output.stem)) if found else None
    write_csv(output, OneToken, rows_of(found, drawn, widths, common, parameters) if drawn else [])


def audited_texts(
    own: States, chosen: Sequence[int], lengths: Sequence[int], metrics: Sequence[str], parameters: Mapping[str, float]
) -> Iterator[dict[Key, Audited]]:
    """Audit texts, a few at a time; one without a long token is empty."""
    blocks = [state for state in own.widths if state.sublayer == "block"]
    parts = [chosen[start : start + TOGETHER] for start in range(0, len(chosen), TOGETHER)]
    for part in progress(parts, "one token"):
        rows = own.gather(blocks, part)
        stops = np.cumsum([own.texts.tokens[text] for text in part])
        for start, stop in zip([0, *stops[:-1]], stops, strict=True):
            clouds = {state: rows[state][start:stop].astype(np.float64) for state in blocks}
            yield audited_text(clouds, lengths, metrics, parameters)


def audited_text(
    clouds: Mapping[State, Array], lengths: Sequence[int], metrics: Sequence[str], parameters: Mapping[str, float]
) -> dict[Key, Audited]:
    """Audit one text, whose rows (tokens, d) are given at every state.

    Its token is the one that is longest at some state, in medians of the text. Without one of over 10 medians there is nothing
    to audit, nor at a length that the token lies beyond.
    """
    norms = np.stack([np.linalg.norm(cloud, axis=1) for cloud in clouds.values()])
    median = np.median(norms, axis=1, keepdims=True)
    ratios = np.divide(norms, median, out=np.zeros_like(norms), where=median > 0)
    token = int(ratios.max(axis=0).argmax())
    if ratios[:, token].max() <= THRESHOLD:
        return {}
    return {
        (state, n, mode): audited_cloud(cloud[:n], token, mode, ratios[number, token], metrics, parameters)
        for number, (state, cloud) in enumerate(clouds.items())
        for n in lengths
        if token < n <= len(cloud)
        for mode in modes
    }


def audited_cloud(
    rows: Array, token: int, mode: str, ratio: float, metrics: Sequence[str], parameters: Mapping[str, float]
) -> Audited:
    """Audit rows (n, d) at one state in one normalisation."""
    others = np.delete(rows, token, axis=0)
    whole, rest = (row_spectrum(normalise(cloud, mode), is_centred(mode)) for cloud in (rows, others))
    origin = others.mean(axis=0) if is_centred(mode) else 0.0
    length, lengths = np.linalg.norm(rows[token] - origin), np.linalg.norm(others - origin, axis=1)
    share, most = token_share(float(length), lengths, mode), most_effective_rank(float(length), lengths, mode, rows.shape[1])
    measured, without, predicted = (values_of(one, metrics, parameters) for one in (whole, rest, with_token(rest, share)))
    return Audited(measured, without, predicted, most, ratio, share.expected)


def values_of(own: Spectrum, metrics: Sequence[str], parameters: Mapping[str, float]) -> dict[str, float]:
    """Measure the metrics that the shape allows."""
    return {name: float(one.value) for name, one in measured_and_absent(own, metrics, parameters)[0].items()}


def rows_of(
    audited: Sequence[Mapping[Key, Audited]],
    drawn: Documents,
    widths: Mapping[State, int],
    common: Mapping[str, Any],
    parameters: Mapping[str, float],
) -> Iterator[OneToken]:
    """Average over texts."""
    for key in dict.fromkeys(key for text in audited for key in text):
        mine = [text.get(key) for text in audited]
        state, length, mode = key
        known = [one for one in mine if one]
        where: dict[str, Any] = {"layer": state.layer, "d": widths[state], "length": length, "normalise": mode}
        where |= {name: float(np.mean([getattr(one, name) for one in known])) for name in ("ratio", "share")}
        for metric in known[0].measured:
            columns = np.array([[getattr(one, name).get(metric, np.nan) if one else np.nan for name in KINDS] for one in mine])
            with np.errstate(invalid="ignore", divide="ignore"):
                values = np.log(columns[:, 2] / columns[:, 0])
            values[~np.isfinite(values)] = np.nan
            if not np.isfinite(values).any():
                continue
            value, low, high, documents = drawn.mean(values)
            yield OneToken(
                **common,
                **where,
                metric=metric,
                value=value,
                low=defined(low),
                high=defined(high),
                documents=documents,
                n=int(np.isfinite(values).sum()),
                eps2=parameters["eps2"] if "eps2" in registry.keywords(metric) else None,
                most=float(np.mean([one.most for one in known])) if metric == RANK else None,
                **dict(zip(KINDS, np.nanmean(columns, axis=0).tolist(), strict=True)),
            )


KINDS = ("measured", "without", "predicted")
"""Spectra that are compared."""
