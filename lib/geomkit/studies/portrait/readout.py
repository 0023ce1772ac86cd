"""Rows and sentence on what the model's own head makes of its states: the logit lens, and the unembedding."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.config import CAUSAL
from geomkit.core.variants import TRAINED, base
from geomkit.laws.resampling import Documents, simultaneous
from geomkit.measures.entropy import measure
from geomkit.measures.norms import NORMS, plain
from geomkit.measures.readout import share_in_random_subspace, share_inside
from geomkit.states.spectra import Spectra
from geomkit.studies.portrait.profiles import Profiles, at
from geomkit.studies.portrait.readout_panel import RANDOM, RANK, SHARE
from geomkit.studies.portrait.sentences import Estimate, place, said

Row = dict[str, Any]


def readout_rows(file: Spectra, own: Profiles, documents: Documents, variants: Sequence[str]) -> Iterator[Row]:
    """Yield scores of the logit lens, the effective rank of the unembedding, and what its leading directions have of states."""
    for variant in variants:
        yield from lens_rows(file, own, documents, variant)
        yield from unembedding_rows(file, own, documents, variant)


def lens_rows(file: Spectra, own: Profiles, documents: Documents, variant: str) -> Iterator[Row]:
    """Yield the mean over tokens of each score of the lens at every block; bounds are those of a uniform guess."""
    found, matrix = file.lens(variant), file.unembedding(variant)
    if found is None or matrix is None:
        return
    tokens, scores = found
    drawn = by_token(file, documents, tokens)
    uniform = float(np.log(matrix[0].n))
    for state, lens in scores.items():
        for name, values in lens._asdict().items():
            mean, low, high, count = drawn.mean(values)
            yield {
                "section": "readout",
                "variant": variant,
                **at(own, state),
                "metric": f"logit_lens_{name}",
                "n": len(tokens),
                "value": mean,
                **ends(low, high),
                "bound": None if name == "divergence" else uniform,
                "documents": count,
            }


def unembedding_rows(file: Spectra, own: Profiles, documents: Documents, variant: str) -> Iterator[Row]:
    """Yield the effective rank of the unembedding, and the share of each block's variance in its leading directions."""
    if (found := file.unembedding(variant)) is None:
        return
    spectrum, directions = found
    common = {"section": "readout", "variant": variant}
    result = measure(spectrum, ["erank_covariance"])["erank_covariance"]
    yield {**common, "metric": RANK, "d": spectrum.d, "value": float(result.value), "bound": float(spectrum.d)}
    if directions is None:
        return
    tokens = file.sampled_tokens(variant)
    drawn = by_token(file, documents, tokens)
    whole = np.vstack([np.ones(drawn.counts.shape[1]), drawn.counts])
    for state in own.blocks:
        rows = normed(file, file.sample(variant, state))
        shares = share_inside(rows, directions, drawn.index, whole)
        if not np.isfinite(shares[0]):
            continue
        k = directions.shape[1]
        place = {**common, **at(own, state), "metric": SHARE, "rank": k, "n": len(tokens)}
        count = len(set(drawn.index.tolist()))
        low, high = np.nanquantile(shares[1:], [0.025, 0.975]) if count > 1 else (np.nan, np.nan)
        yield {**place, "value": float(shares[0]), **ends(low, high), "documents": count}
        if variant == TRAINED:
            eigenvalues = np.linalg.eigvalsh(np.cov(rows.T, ddof=0))
            mean, low, high = share_in_random_subspace(eigenvalues / eigenvalues.sum(), k)
            yield {**place, "variant": RANDOM, "value": mean, **ends(low, high)}


def normed(file: Spectra, rows: Array) -> Array:
    """Return rows (n, d) as the head multiplies them: after the final norm without gain and bias, where there is one."""
    kind = str(file.attributes.get("final norm", "none"))
    own = np.asarray(rows, dtype=np.float64)
    return plain(own, kind, float(str(file.attributes["final norm eps"]))) if kind in NORMS else own


def by_token(file: Spectra, documents: Documents, tokens: Array) -> Documents:
    """Return the same resamples of documents, for single tokens of a corpus."""
    texts = np.searchsorted(file.text_list.offset, tokens, "right") - 1
    return Documents(documents.index[texts], documents.counts)


def ends(low: float, high: float) -> Row:
    """Return the ends of an interval, if they are known."""
    return {"low": float(low), "high": float(high)} if np.isfinite([low, high]).all() else {}


def readout_sentence(file: Spectra, own: Profiles, documents: Documents, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """From which block on a state, read out by the head, predicts better than a uniform guess, and how far it is from the end."""
    found = file.lens(TRAINED)
    losses = [row for row in rows if row.get("metric") == "logit_lens_loss"]
    curve = [row for row in losses if row["variant"] == TRAINED]
    twin = [row for row in losses if base(row["variant"]) == "untrained"]
    if found is None or not curve or not twin:
        return
    tokens, scores = found
    states, drawn = list(scores), by_token(file, documents, tokens)
    band = simultaneous(drawn, np.stack([scores[state].loss for state in states], axis=1) - curve[0]["bound"])
    better = [band.band_high[number] < 0 for number in range(len(states))]
    first = next((number for number in range(len(states)) if all(better[number:])), None)
    if first is None or any(row.get("high") is not None and row["high"] < row["bound"] for row in twin):
        return
    middle = states[len(states) // 2]
    half = Estimate(*drawn.mean(scores[middle].divergence)[:3])
    what = "the next token" if file.objective == CAUSAL else "masked tokens"
    where = "at every state" if first == 0 else f"from the state {place(own, states[first])} on"
    yield (
        f"Read out through the model's own final norm and head, states predict {what} better than a uniform guess "
        f"{where}. {place(own, middle).capitalize()}, the prediction is {said(half)} nats (KL) from the final one. No state "
        "of an untrained twin does reliably better than a uniform guess."
    )
