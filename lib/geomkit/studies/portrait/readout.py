"""Rows, panel and sentence on what the model's own head makes of its states: the logit lens, and the unembedding."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.state import State
from geomkit.core.variants import TRAINED, base
from geomkit.laws.resampling import Documents, simultaneous
from geomkit.measures.entropy import measure
from geomkit.measures.norms import NORMS, plain
from geomkit.measures.readout import share_in_random_subspace, share_inside
from geomkit.states.spectra import Spectra
from geomkit.studies.portrait import charts
from geomkit.studies.portrait.profiles import Profiles
from geomkit.studies.portrait.rows import Facts
from geomkit.studies.portrait.sentences import Estimate, number, place, said

Row = dict[str, Any]
RANDOM = "random subspace"
"""The variant of rows about random subspaces."""
LENS = {
    "logit_lens_divergence": ("KL(final prediction || prediction of the state)", "nats"),
    "logit_lens_loss": ("loss of the prediction", "nats a token"),
    "logit_lens_entropy": ("entropy of the prediction", "nats"),
}
SHARE, RANK = "unembedding_share", "unembedding_erank"
LABELS = {
    **LENS,
    SHARE: ("share of the variance in the leading directions of the unembedding", "ratio"),
    RANK: ("effective rank of the unembedding", "directions"),
}
"""Labels and units of the metrics of these rows."""


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
        low, high = np.nanquantile(shares[1:], [0.025, 0.975])
        yield {**place, "value": float(shares[0]), **ends(low, high), "documents": len(set(drawn.index.tolist()))}
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


def at(own: Profiles, state: State) -> Row:
    """Return the columns of a state."""
    where = {"place": own.place(state), "depth": own.relative(state), "d": own.widths[state]}
    return {"layer": state.layer, "state": state.sublayer, **where}


# On the page


UNIFORM = "uniform"
"""The series of the bound of a uniform guess."""


def readout_panel(rows: charts.Rows, facts: Facts) -> dict[str, Any]:
    """Return the curves of the logit lens and the shares of the unembedding along depth, each with its null."""
    return charts.panel(caption(rows["readout"], facts), list(readout_charts(rows["readout"], facts)), {})


def readout_charts(rows: Sequence[charts.Row], facts: Facts) -> Iterator[charts.Chart]:
    """Yield a chart for each score of the lens, and one for the shares of the unembedding."""
    along = [row for row in rows if row["layer"] is not None]
    positions = charts.axis_of(along)
    compared = facts.kind == "comparison"
    inside = {x: label for x, label in charts.RELATIVE.items() if x <= 1}
    axis = (inside, charts.DEPTH) if compared else (charts.ticks_of(positions), charts.BLOCKS)
    looks = series_of(along, facts)
    for metric in [*LENS, SHARE]:
        found: list[charts.Row] = []
        for row in (row for row in along if row["metric"] == metric and not (compared and row["variant"] == RANDOM)):
            x = charts.relative(row) if compared else positions[row["layer"], row["place"]]
            one = dict(row) | {"view": (), "x": x, "place": charts.state_name(row["layer"], row["place"])}
            found.append(one | {"series": row["model"] if compared else row["variant"]})
            if row["bound"] is not None and row["variant"] == TRAINED and not compared:
                found.append(one | {"series": UNIFORM, "value": row["bound"], "low": None, "high": None})
        names = {row["series"] for row in found}
        if found:
            series = {name: look for name, look in looks.items() if name in names}
            columns = ("x", "place", "value", "low", "high", "n", "documents")
            yield charts.Chart("profile", titled(metric, found, facts), series, columns, found, ("place",), *axis)


def titled(metric: str, rows: Sequence[charts.Row], facts: Facts) -> str:
    """Return the title of a chart."""
    title = charts.title_of(metric, facts)
    if metric == SHARE:
        title = f"share of the variance in the {rows[0]['rank']} leading of {rows[0]['d']} directions of the unembedding"
    return title[0].upper() + title[1:]


def series_of(rows: Sequence[charts.Row], facts: Facts) -> Mapping[str, charts.Series]:
    """Return how models, or variants and nulls, are called and drawn."""
    if facts.kind == "comparison":
        return charts.models_series(facts)
    variants = [name for name in charts.unique(rows, "variant") if name != RANDOM]
    drawn = {name: charts.variant_series(name, facts) for name in variants}
    return drawn | {
        UNIFORM: charts.Series("a uniform guess", charts.GREY, charts.DOTTED),
        RANDOM: charts.Series("a random subspace of this size", charts.GREY, charts.DASHED),
    }


def caption(rows: Sequence[charts.Row], facts: Facts) -> str:
    """Return the caption, with the effective ranks of the unembeddings."""
    words = (
        "Each state is read out as if it came after the last block: through the model's own final norm and head (logit lens). "
        "The prediction of the last block is the model's own. Look where the loss leaves that of a uniform guess, which an "
        "untrained twin does at no depth, and where the divergence from the final prediction falls; that of a twin is small "
        "because all of its predictions are nearly uniform. A state may hold what the head cannot read, so a high loss does not "
        "say that it knows nothing."
    )
    ranks = [row for row in rows if row["metric"] == RANK]
    for row in ranks:
        who = row["model"] if facts.kind == "comparison" else charts.variant_series(row["variant"], facts).label
        words += f" Effective rank of the unembedding, {who}: {number(row['value'])} of {row['d']} directions."
    return words


# In short


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
    where = "at every state" if first == 0 else f"from the state {place(own, states[first])} on"
    yield (
        "Read out through the model's own final norm and head, states predict the next token better than a uniform guess "
        f"{where}. {place(own, middle).capitalize()}, the prediction is {said(half)} nats (KL) from the final one. An untrained "
        "twin never does better than a uniform guess."
    )
