"""Metrics of a spectrum: entropies and effective ranks, in nats, of eigenvalues lambda_1 >= .. >= lambda_m and the shape (n, d).

p = lambda / sum(lambda) throughout. A new metric is one function here with `@metrics.register(name, label=..., unit=...)`, all
literals: it takes a Spectrum, and parameters of its own, each by keyword and with a default, and returns a Measurement, or else
a sentence that says why a spectrum of that shape has none. Its parameters are set by config.yaml's `entropy.parameters`.
`central=True` also measures and draws it without attention sinks, at sublayers, and with one row for each document;
`phases=True` along training.

Null: Gaussian rows of the same n and d (`gaussian`), the same tokens in random order (`shuffled`), untrained twins
(`untrained`), and for growth with width a wider model's rows on as many leading directions (`projected`).

What is demanded of a metric: it keeps a batch's axes, so that a batch is a loop; it does not change where rows are rotated or
permuted, for it sees nothing but their spectrum; its value lies between 0 and its bound, up to 1e-9, or it has no bound (None).
The bound is meant to be reached, by a flat spectrum for all metrics here that have one, since figures draw it as what rows of
that shape could have: that is for its author to prove, and no code relies on it.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np
from scipy.special import entr

from geomkit.core.arrays import Array, as_numpy, namespace, reals, slack
from geomkit.core.declarations import named
from geomkit.core.errors import ConfigError, DataError
from geomkit.core.registry import Registry
from geomkit.measures.spectra import Spectrum


@dataclass(frozen=True, eq=False)
class Measurement:
    """A metric's value and its bound: the highest value of any rows of the same shape and mean squared length; None if unbounded.

    For a batch of spectra the value, and the bound where it depends on the rows' lengths, are arrays over the batch.
    A value is NaN where it is undefined: 0 / 0 for zero rows, the logarithm of a zero eigenvalue.
    parameters: those that the metric was given, such as eps2.
    """

    value: float | Array
    bound: float | Array | None
    parameters: Mapping[str, float] = field(default_factory=dict)


metrics: Registry[Callable[..., Measurement | str]] = Registry("metric", by_name=True)


def measure(
    spectrum: Spectrum | list[Spectrum], names: Iterable[str] | None = None, **parameters: float
) -> dict[str, Measurement]:
    """Compute the named metrics, or all, of a spectrum.

    Metrics that the shape does not allow are left out, those that are undefined are NaN; `absent` says why.

    Of a list of spectra, such as a masked batch has, values and bounds (texts,) are NaN for texts that have none.
    parameters: of the metrics, each goes to those that name it; eps2 is the squared distortion of the rate-distortion metrics,
    in squared units of the rows.
    Raises ConfigError for an unknown name or parameter and for names that are no list, DataError for what is no spectrum and for
    a value outside 0 .. bound by more than 1e-9.
    """
    if isinstance(spectrum, list):
        order = list(metrics if names is None else names)
        return _together([measure(one, order, **parameters) for one in spectrum], order)
    return measured_and_absent(spectrum, names, parameters)[0]


def absent(spectrum: Spectrum | list[Spectrum], names: Iterable[str] | None = None, **parameters: float) -> dict[str, str]:
    """Explain which metrics, of those named or all, `measure` leaves out or finds undefined.

    Of a list of spectra, the first reason of each.
    """
    if isinstance(spectrum, list):
        return {name: why for one in reversed(spectrum) for name, why in absent(one, names, **parameters).items()}
    measured, missing = measured_and_absent(spectrum, names, parameters)
    return missing | undefined(spectrum, measured)


def undefined(spectrum: Spectrum, measured: Mapping[str, Measurement]) -> dict[str, str]:
    """Explain the NaN values of a spectrum, or of a batch of spectra."""
    zero, reasons = np.asarray(as_numpy(spectrum.trace)) == 0, {}
    for name, result in measured.items():
        nan = np.isnan(as_numpy(reals(result.value, like=spectrum.eigenvalues)))
        if nan.any():
            whose = f"undefined for {int(nan.sum())} of {nan.size} texts" if nan.ndim else "undefined"
            kinds = {"rows that are zero, or equal up to rounding": nan & zero, "a zero eigenvalue": nan & ~zero}
            reasons[name] = f"{whose} ({'; '.join(why for why, mask in kinds.items() if mask.any())})"
    return reasons


def _together(parts: Sequence[Mapping[str, Measurement]], order: Sequence[str]) -> dict[str, Measurement]:
    """Join measurements of several spectra as those of a batch; a metric stays where it has its place in the order."""
    together = {}
    for name in (name for name in order if any(name in part for part in parts)):
        measured = [part[name] for part in parts if name in part]
        like, none = measured[0].value, Measurement(np.nan, np.nan)
        every = [part.get(name, none) for part in parts]
        stack = namespace(like).stack
        value = stack([reals(one.value, like=like) for one in every])
        bounds = [one.bound for one in every if one.bound is not None]
        together[name] = Measurement(
            value, stack([reals(one, like=like) for one in bounds]) if len(bounds) == len(every) else None, measured[0].parameters
        )
    return together


def measured_and_absent(
    spectrum: Spectrum, names: Iterable[str] | None, parameters: Mapping[str, float]
) -> tuple[dict[str, Measurement], dict[str, str]]:
    """Compute metrics once, and return the values of `measure` and the metrics that the shape does not allow, with reasons."""
    if not isinstance(spectrum, Spectrum):
        shape = f" of shape {tuple(spectrum.shape)}" if hasattr(spectrum, "shape") else ""
        raise DataError(
            f"metrics are measured on a spectrum, found a {type(spectrum).__name__}{shape}: "
            "geomkit.measure(geomkit.spectrum(Z, 'unit')), Z one row per token"
        )
    if isinstance(names, str) or not isinstance(names, Iterable | None):
        raise ConfigError(f"names of metrics are a list such as ['erank_covariance'], found {names!r}")
    results = _evaluate(spectrum, names, parameters)
    measured = {name: result for name, result in results.items() if isinstance(result, Measurement)}
    for name, result in measured.items():
        _check_range(name, result, spectrum)
    return measured, {name: result for name, result in results.items() if isinstance(result, str)}


def _evaluate(spectrum: Spectrum, names: Iterable[str] | None, parameters: Mapping[str, float]) -> dict[str, Measurement | str]:
    own = {name: metrics.keywords(name) for name in metrics}
    if unknown := parameters.keys() - set().union(*own.values()):
        raise ConfigError(f"no metric has the parameter {min(unknown)!r}; known: {', '.join(sorted(set().union(*own.values())))}")
    for key, value in parameters.items():
        if not isinstance(value, Real):
            raise ConfigError(f"{key} must be a number, found {value!r}")
    results = {}
    for name in metrics if names is None else names:
        function = metrics[name]
        given = {key: value for key, value in parameters.items() if key in own[name]}
        result = function(spectrum, **given)
        results[name] = result if isinstance(result, str) else replace(result, parameters=given)
    return results


def _check_range(name: str, result: Measurement, spectrum: Spectrum) -> None:
    if result.bound is None:
        return
    error, trace = slack(spectrum.eigenvalues), spectrum.trace
    value, bound = (reals(one, like=spectrum.eigenvalues) for one in (result.value, result.bound))
    inside = (value >= -error) & (value <= bound * (1 + error)) | (trace == 0)
    if not namespace(inside).all(inside):
        value, bound, outside = np.broadcast_arrays(as_numpy(value), as_numpy(bound), np.logical_not(as_numpy(inside)))
        raise DataError(
            f"{name}: {value[outside][0]} is outside 0 .. {bound[outside][0]} for {spectrum.n} rows of {spectrum.d} columns"
        )


def _shares(x: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return x / namespace(x).sum(x, axis=-1, keepdims=True)


def _entropy(x: Array) -> Array:
    """-sum q ln q, q = x / sum(x), over the last axis."""
    return namespace(x).sum(_entr(_shares(x)), axis=-1)


def _entr(q: Array) -> Array:
    """-q ln q, 0 for 0."""
    if isinstance(q, np.ndarray):
        return np.asarray(entr(q))
    xp = namespace(q)
    return -q * xp.log(xp.where(q > 0, q, 1.0 + 0 * q))  # a NaN stays one


def _participation(x: Array) -> Array:
    """(sum x)^2 / sum x^2 over the last axis."""
    xp = namespace(x)
    return 1 / xp.sum(xp.square(_shares(x)), axis=-1)


def _coding_length(spectrum: Spectrum, eps2: float) -> tuple[Array, Array]:
    """Return L and B of `rate_distortion`, both over (n + d)/2."""
    if not eps2 > 0:
        raise DataError(f"eps2 must be positive, found {eps2}")
    snr, xp = spectrum.d / eps2, namespace(spectrum.eigenvalues)
    length = xp.sum(xp.log1p(snr * spectrum.eigenvalues), axis=-1)
    return length, spectrum.m * xp.log1p(snr * spectrum.trace / spectrum.m)


@metrics.register(
    "rate_distortion",
    label="rate-distortion entropy",
    unit="nats",
    also=("coding length", "coding rate"),
    use="To count nats. It grows with n and d by construction, so compare sizes by its ratio to the bound.",
)
def rate_distortion(spectrum: Spectrum, *, eps2: float = 0.5) -> Measurement:
    """Rate-distortion entropy L = (n + d)/2 sum_i ln(1 + d lambda_i / eps2), in nats.

    It is the length of a code for the rows with squared error eps2.

    Bound, by concavity: B = (n + d)/2 m ln(1 + d t / (m eps2)), t the mean squared row length (1 for unit rows).
    Limits: B for a flat spectrum, (n + d)/2 ln(1 + d t / eps2) for rank 1, 0 for zero rows.
    Raises DataError for eps2 that is not positive.
    Source: Ma, Derksen, Hong, Wright 2007 (coding length); Tan, Li, Huang 2024, arXiv 2402.03471.
    """
    half = (spectrum.n + spectrum.d) / 2
    length, highest = _coding_length(spectrum, eps2)
    return Measurement(half * length, half * highest)


@metrics.register(
    "rate_distortion_ratio",
    label="rate-distortion / its bound",
    unit="ratio",
    central=True,
    use="To compare widths and lengths, instead of `rate_distortion_paper`.",
)
def rate_distortion_ratio(spectrum: Spectrum, *, eps2: float = 0.5) -> Measurement:
    """Rate-distortion entropy over its bound, L / B: the share of what n rows of d columns could reach.

    Limits: 1 for a flat spectrum, NaN for zero rows.
    """
    length, highest = _coding_length(spectrum, eps2)
    with np.errstate(invalid="ignore"):
        return Measurement(length / highest, 1.0)


@metrics.register(
    "rate_distortion_paper",
    label="rate-distortion / paper's norm",
    unit="ratio",
    use="To compare with the paper's numbers only: for n < d the normaliser alone makes a law with width.",
)
def rate_distortion_paper(spectrum: Spectrum, *, eps2: float = 0.5) -> Measurement:
    """Rate-distortion entropy as the paper normalises it: L over (n + d)/2 d ln(1 + 1/eps2).

    Unit rows reach this bound only if n >= d; it falls with n / d.

    For unit rows and n >= d it is the same number as `rate_distortion_ratio`. Source: Tan, Li, Huang 2024, arXiv 2402.03471.
    """
    length, highest = _coding_length(spectrum, eps2)
    normaliser = float(spectrum.d * np.log1p(1 / eps2))
    return Measurement(length / normaliser, highest / normaliser)


@metrics.register(
    "matrix_entropy",
    label="matrix entropy",
    unit="nats",
    also=("von Neumann entropy", "Shannon entropy of the spectrum"),
    use="For differences and means. Divided by ln d it falls with width by the normaliser alone.",
)
def matrix_entropy(spectrum: Spectrum) -> Measurement:
    """Matrix entropy H = -sum p ln p, in nats: the von Neumann entropy of the covariance over its trace.

    Limits: 0 for rank 1, ln m for a flat spectrum. Source: Wei et al. 2024, arXiv 2401.17139.
    """
    return Measurement(_entropy(spectrum.eigenvalues), np.log(spectrum.m))


@metrics.register(
    "renyi_2",
    label="Rényi-2 entropy",
    unit="nats",
    also=("collision entropy",),
    use="As `matrix_entropy`, with more weight on leading directions.",
)
def renyi_2(spectrum: Spectrum) -> Measurement:
    """Renyi entropy of order 2, -ln sum p^2, in nats: the logarithm of `participation_ratio`, at most `matrix_entropy`.

    Limits: 0 for rank 1, ln m for a flat spectrum. Source: Renyi 1961; for matrices, Sanchez Giraldo, Rao, Principe 2015.
    """
    return Measurement(namespace(spectrum.eigenvalues).log(_participation(spectrum.eigenvalues)), np.log(spectrum.m))


@metrics.register(
    "erank_covariance",
    label="effective rank",
    unit="directions",
    central=True,
    also=("exponential of matrix entropy", "soft rank (Jha, Reagen)", "RankMe in arXiv 2509.23024"),
    use="The default number of directions. RankMe in other papers is `erank_singular`.",
)
def erank_covariance(spectrum: Spectrum) -> Measurement:
    """Effective rank of the covariance, exp(`matrix_entropy`): the one that Diff-eRank uses.

    Limits: 1 for rank 1, m for a flat spectrum. Source: Wei et al. 2024, arXiv 2401.17139.
    """
    return Measurement(namespace(spectrum.eigenvalues).exp(_entropy(spectrum.eigenvalues)), float(spectrum.m))


@metrics.register(
    "erank_singular",
    label="effective rank, singular",
    unit="directions",
    phases=True,
    also=("effective rank (Roy, Vetterli)", "RankMe"),
    use="Beside RankMe. Small directions count more than in `erank_covariance`, so noise raises it.",
)
def erank_singular(spectrum: Spectrum) -> Measurement:
    """Effective rank of the rows, exp(-sum q ln q), q = s / sum(s), s the singular values of Z: RankMe, without its 1e-7.

    Limits: 1 for rank 1, m for a flat spectrum. At least `erank_covariance`, since q is the flatter.
    Source: Roy, Vetterli 2007; RankMe is Garrido et al. 2023, arXiv 2210.02885.
    """
    xp = namespace(spectrum.eigenvalues)
    return Measurement(xp.exp(_entropy(xp.sqrt(spectrum.eigenvalues))), float(spectrum.m))


@metrics.register(
    "participation_ratio",
    label="participation ratio",
    unit="directions",
    also=("hard rank (Jha, Reagen)", "effective dimension"),
    use="For leading directions; the tail hardly changes it.",
)
def participation_ratio(spectrum: Spectrum) -> Measurement:
    """Participation ratio (sum lambda)^2 / sum lambda^2 = 1 / sum p^2: 1 for rank 1, m for a flat spectrum.

    Source: Gao et al. 2017, bioRxiv 214262.
    """
    return Measurement(_participation(spectrum.eigenvalues), float(spectrum.m))


@metrics.register(
    "stable_rank",
    label="stable rank",
    unit="directions",
    also=("numerical rank", "intrinsic dimension of a matrix"),
    use="To ask about the largest direction; it sees no other.",
)
def stable_rank(spectrum: Spectrum) -> Measurement:
    """Stable rank |Z|_F^2 / |Z|_2^2 = 1 / p_1: 1 for rank 1, m for a flat spectrum. Source: Rudelson, Vershynin 2007."""
    return Measurement(1 / _shares(spectrum.eigenvalues)[..., 0], float(spectrum.m))


def _leading(spectrum: Spectrum, k: int) -> Measurement | str:
    """Share of the trace in the k largest eigenvalues. Its least value, k / m, is a flat spectrum's."""
    if spectrum.m < k:
        return f"m = {spectrum.m} is fewer than {k} directions"
    return Measurement(_shares(spectrum.eigenvalues)[..., :k].sum(axis=-1), None)


@metrics.register(
    "top_1_share",
    label="share of the first direction",
    unit="ratio",
    also=("anisotropy", "explained variance of the first component"),
    use="For a direction that most tokens share. Without centring, that is mostly the mean.",
)
def top_1_share(spectrum: Spectrum) -> Measurement | str:
    """Share of the trace in the largest eigenvalue, 1 / `stable_rank`: 1 for rank 1, 1/m for a flat spectrum."""
    return _leading(spectrum, 1)


@metrics.register("top_5_share", label="share of the first 5 directions", unit="ratio")
def top_5_share(spectrum: Spectrum) -> Measurement | str:
    """Share of the trace in the 5 largest eigenvalues: 1 for a rank of at most 5, 5/m for a flat spectrum."""
    return _leading(spectrum, 5)


@metrics.register("top_10_share", label="share of the first 10 directions", unit="ratio")
def top_10_share(spectrum: Spectrum) -> Measurement | str:
    """Share of the trace in the 10 largest eigenvalues: 1 for a rank of at most 10, 10/m for a flat spectrum."""
    return _leading(spectrum, 10)


def _directions(spectrum: Spectrum, share: float) -> Measurement:
    """Smallest number of leading eigenvalues with at least this share of the trace; NaN for zero rows.

    Bound: ceil(share m), since the k leading ones have a share of k / m or more.
    """
    shares = _shares(spectrum.eigenvalues)
    xp = namespace(shares)
    below = xp.cumulative_sum(shares, axis=-1) < share * (1 - slack(spectrum.eigenvalues))
    count = xp.sum(xp.astype(below, shares.dtype), axis=-1) + 1
    return Measurement(count + 0 * shares[..., 0], float(math.ceil(share * spectrum.m * (1 - 1e-9))))


@metrics.register(
    "directions_90",
    label="directions for 90 % of the variance",
    unit="directions",
    also="number of principal components",
    use="For a number that most readers know. It is an integer, so it hides small differences.",
)
def directions_90(spectrum: Spectrum) -> Measurement:
    """Smallest number of directions with 90 % of the trace: 1 for rank 1, ceil(.9 m) for a flat spectrum."""
    return _directions(spectrum, 0.90)


@metrics.register("directions_95", label="directions for 95 % of the variance", unit="directions")
def directions_95(spectrum: Spectrum) -> Measurement:
    """Smallest number of directions with 95 % of the trace: 1 for rank 1, ceil(.95 m) for a flat spectrum."""
    return _directions(spectrum, 0.95)


@metrics.register(
    "directions_99",
    label="directions for 99 % of the variance",
    unit="directions",
    use="For the tail, which is sensitive to rounding and to short texts.",
)
def directions_99(spectrum: Spectrum) -> Measurement:
    """Smallest number of directions with 99 % of the trace: 1 for rank 1, ceil(.99 m) for a flat spectrum."""
    return _directions(spectrum, 0.99)


def marchenko_pastur_edge(n: int, d: int, trace: Any) -> Any:
    """Upper edge of the eigenvalues of Z^T Z / n for n rows of d independent entries, (t / d)(1 + sqrt(d / n))^2, t the trace.

    Limits: t / d as n grows. Source: Marchenko, Pastur 1967.
    """
    return trace / d * (1 + math.sqrt(d / n)) ** 2


def _beyond_edge(spectrum: Spectrum) -> Any:
    """Whether each eigenvalue is beyond the Marchenko-Pastur edge for this n, d and trace."""
    return spectrum.eigenvalues > marchenko_pastur_edge(spectrum.n, spectrum.d, spectrum.trace[..., None])


@metrics.register(
    "beyond_edge",
    label="directions beyond the Marchenko-Pastur edge",
    unit="directions",
    also=("signal eigenvalues", "spikes"),
    null="The edge is itself that of independent entries.",
    use="With centred rows. Tokens that depend on one another also cross the edge.",
)
def beyond_edge(spectrum: Spectrum) -> Measurement:
    """Number of eigenvalues beyond the Marchenko-Pastur edge: 0 for a flat spectrum, about 0 for independent entries.

    One in few is beyond it by chance, since the largest of them scatters about the edge (Johnstone 2001).
    """
    beyond, shares = _beyond_edge(spectrum), _shares(spectrum.eigenvalues)
    xp = namespace(shares)
    count = xp.sum(xp.astype(beyond, shares.dtype), axis=-1)
    return Measurement(count + 0 * shares[..., 0], None)


@metrics.register(
    "beyond_edge_share",
    label="share beyond the Marchenko-Pastur edge",
    unit="ratio",
    use="As `beyond_edge`, where few large directions should count more.",
)
def beyond_edge_share(spectrum: Spectrum) -> Measurement:
    """Share of the trace in eigenvalues beyond the Marchenko-Pastur edge: 0 for a flat spectrum, 1 for rank 1 and large n, d."""
    shares = _shares(spectrum.eigenvalues)
    xp = namespace(shares)
    return Measurement(xp.sum(xp.where(_beyond_edge(spectrum), shares, 0.0 * shares), axis=-1), None)


@metrics.register(
    "nuclear_norm",
    label="nuclear norm",
    unit="row lengths",
    also=("trace norm", "Schatten-1 norm"),
    use="To compare clouds of one n. It grows with n and with the lengths of rows.",
)
def nuclear_norm(spectrum: Spectrum) -> Measurement:
    """Nuclear norm: the sum of the singular values of Z itself, sum_i sqrt(n lambda_i), in units of Z.

    Bound, by Cauchy and Schwarz: sqrt(n m t), t the mean squared row length. Limits: that for a flat spectrum, sqrt(n t)
    for rank 1, 0 for zero rows.
    """
    xp = namespace(spectrum.eigenvalues)
    value = xp.sum(xp.sqrt(spectrum.n * spectrum.eigenvalues), axis=-1)
    return Measurement(value, xp.sqrt(spectrum.n * spectrum.m * spectrum.trace))


@metrics.register(
    "alpha_req",
    label="decay of the spectrum",
    unit="exponent",
    phases=True,
    also=("alpha-ReQ", "power-law exponent of the eigenspectrum"),
    use="Where the spectrum is a straight line on logarithmic axes: look first. Papers fit other ranges and weights.",
)
def alpha_req(
    spectrum: Spectrum, *, alpha_first: float = 0.05, alpha_last: float = 0.5, alpha_weight: float = 0
) -> Measurement | str:
    """Spectral decay alpha-ReQ: minus the slope of ln lambda_i on ln i by least squares with weights i^-alpha_weight.

    i goes from `alpha_first` to `alpha_last`: a rank where the number is 1 or more, else a share of m, rounded inwards.
    Limits: a for lambda_i = i^-a, 0 for a flat spectrum, NaN where a zero eigenvalue is in that range; no bound.
    Absent with fewer than 8 points (by default m < 16), and where m is below a rank that is asked for.
    Raises DataError for a range that is empty, or does not begin above 0.
    Source: Agrawal et al. 2022 (alpha-ReQ). Its authors' code, and that of arXiv 2509.23024, fits as Stringer et al. 2019 do, on
    fixed ranks with weights 1/i: alpha_first=12, alpha_last=100, alpha_weight=1 are those of the latter.
    """
    if alpha_first <= 0 or ((alpha_first < 1) == (alpha_last < 1) and alpha_first >= alpha_last):
        raise DataError(f"alpha_first and alpha_last must be a range above 0, found {alpha_first:g} and {alpha_last:g}")
    share_first, share_last = (end * spectrum.m if end < 1 else end for end in (alpha_first, alpha_last))
    first, last = max(1, math.ceil(share_first - 1e-9)), math.floor(share_last + 1e-9)
    if last > spectrum.m:
        return f"ranks up to {last} of m = {spectrum.m}"
    if last - first + 1 < 8:
        ends = (f"{100 * end:g} %" if end < 1 else f"rank {end:g}" for end in (alpha_first, alpha_last))
        return f"fewer than 8 eigenvalues between {' and '.join(ends)} of m = {spectrum.m}"
    rank = np.arange(first, last + 1)
    x, weight = np.log(rank), rank ** -float(alpha_weight)
    x -= np.average(x, weights=weight)
    values = spectrum.eigenvalues[..., first - 1 : last]
    xp = namespace(values)
    slopes = -xp.log(xp.where(values > 0, values, np.nan)) @ reals(weight * x, like=values)
    return Measurement(slopes / float((weight * x) @ x), None)


@named(
    "diff_erank",
    label="Diff-eRank",
    unit="directions",
    null="It is itself a difference from untrained twins.",
    use="To compare texts of one length. Published values use one twin, in training mode.",
)
def diff_erank(trained: Array, untrained: Array) -> Array:
    """Diff-eRank, exp(mean H untrained) - exp(mean H trained): how far training lowered the effective rank.

    H: `matrix_entropy` of each text, shape (..., texts), of `centre-unit` rows after the final norm. A leading axis of
    untrained twins gives one value for each. Limits: 0 for equal entropies, negative where training raised them.
    Source: Wei et al. 2024, arXiv 2401.17139.
    """
    xp = namespace(trained)
    return xp.exp(xp.mean(untrained, axis=-1)) - xp.exp(xp.mean(trained, axis=-1))
