"""Distances between documents, and their agreement with human similarity judgements.

A document is the matrix of its token vectors (n_i, d). A distance between documents is a symmetric matrix (D, D); what is
compared with judgements are its pairs i < j in the order of `numpy.triu_indices`, P = D (D - 1) / 2 of them, as similarities
(minus the distance). Pairs share documents, so documents are resampled and never pairs. A new distance is one function here with
`@distances.register(name)`: it takes a Documents and returns a matrix (D, D).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.registry import Registry

ROUNDING = 1e-9
"""Part of the terms of a squared distance up to which a negative value is taken for rounding."""


@dataclass(frozen=True, eq=False)
class Documents:
    """Token vectors of each of D >= 2 documents, (n_i, d).

    Raises DataError for fewer than two documents, for shapes that do not fit, no tokens, and values that are not finite.
    """

    tokens: Sequence[Array]
    factors: list[Array] = field(init=False, repr=False)
    """Of each document F (at most d rows) with F^T F the covariance (over n) of its tokens."""

    def __post_init__(self) -> None:
        rows = [np.asarray(each, dtype=np.float64) for each in self.tokens]
        if len(rows) < 2:
            raise DataError(f"distances take at least two documents, found {len(rows)}")
        for number, each in enumerate(rows):
            if each.ndim != 2 or not each.size or each.shape[1] != rows[0].shape[-1] or not np.isfinite(each).all():
                raise DataError(f"document {number}: not a matrix of finite token vectors of one width, shape {each.shape}")
        object.__setattr__(self, "tokens", rows)
        object.__setattr__(self, "factors", [_factor(each) for each in rows])

    @cached_property
    def means(self) -> Array:
        """Mean token vector of each document (D, d)."""
        return np.stack([each.mean(axis=0) for each in self.tokens])

    @cached_property
    def last(self) -> Array:
        """Last token vector of each document (D, d), which in a causal model depends on all others."""
        return np.stack([each[-1] for each in self.tokens])

    @cached_property
    def crossed(self) -> tuple[Array, Array]:
        """tr (C_i^1/2 C_j C_i^1/2)^1/2 and tr C_i C_j for all pairs of documents with covariances C_i, both (D, D).

        With covariances F_i^T F_i these are the nuclear norm of F_i F_j^T and its squared Frobenius norm: no square root of a
        matrix is taken, and no d x d matrix is made of short documents.
        """
        fidelity, product = np.zeros((2, len(self.factors), len(self.factors)))
        for i, factor in enumerate(self.factors):
            squares = np.square(np.linalg.svd(factor, compute_uv=False))
            fidelity[i, i], product[i, i] = squares.sum(), np.square(squares).sum()
        for i, j in combinations(range(len(self.factors)), 2):
            singular = np.linalg.svd(self.factors[i] @ self.factors[j].T, compute_uv=False)
            fidelity[i, j] = fidelity[j, i] = singular.sum()
            product[i, j] = product[j, i] = singular @ singular
        return fidelity, product

    def equal_sizes(self, rng: np.random.Generator) -> "Documents":
        """Draw as many tokens of each document as the shortest has, without replacement: a covariance depends on its n."""
        least = min(map(len, self.tokens))
        return Documents([rows[np.sort(rng.permutation(len(rows))[:least])] for rows in self.tokens])


def _factor(rows: Array) -> Array:
    centred = (rows - rows.mean(axis=0)) / np.sqrt(len(rows))
    factor: Array = centred if len(rows) <= rows.shape[1] else np.asarray(np.linalg.qr(centred, mode="r"))
    return factor


distances: Registry[Callable[[Documents], Array]] = Registry("distance between documents")


def cosine_distance(rows: ArrayLike) -> Array:
    """Compute the cosine distance, 1 - cos, between rows (D, d): (D, D), 0 on the diagonal.

    Limits: 0 for parallel rows, 1 at right angles, 2 for opposite ones. Raises DataError for a zero row, which has no direction.
    """
    rows = np.asarray(rows, dtype=np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise DataError(f"document {int(np.argmin(lengths))}: a zero vector has no cosine")
    units = rows / lengths
    return _squares(units) / 2  # |u - v|^2 = 2 - 2 cos, without the loss of digits near 0


def _squares(rows: Array) -> Array:
    """Compute squared Euclidean distances of rows (D, d): (D, D)."""
    return np.stack([np.square(rows - row).sum(axis=1) for row in rows])


@distances.register("mean_cosine")
def mean_cosine(documents: Documents) -> Array:
    """Cosine distance of the mean token vectors."""
    return cosine_distance(documents.means)


@distances.register("mean_centred_cosine")
def mean_centred_cosine(documents: Documents) -> Array:
    """Cosine distance of the mean token vectors less their mean over documents, which removes what all documents share."""
    return cosine_distance(documents.means - documents.means.mean(axis=0))


@distances.register("last_cosine")
def last_cosine(documents: Documents) -> Array:
    """Cosine distance of the last token vectors."""
    return cosine_distance(documents.last)


@distances.register("last_centred_cosine")
def last_centred_cosine(documents: Documents) -> Array:
    """Cosine distance of the last token vectors less their mean over documents."""
    return cosine_distance(documents.last - documents.last.mean(axis=0))


@distances.register("bures_wasserstein")
def bures_wasserstein(documents: Documents) -> Array:
    """Wasserstein-2 distance of Gaussians with the documents' means and covariances (over n), in units of the vectors.

    d^2 = |m_1 - m_2|^2 + tr C_1 + tr C_2 - 2 tr (C_1^1/2 C_2 C_1^1/2)^1/2.
    Limits: Euclidean distance of the means for equal covariances, |C_1^1/2 - C_2^1/2| in Frobenius' norm for covariances that
    commute and equal means. A metric on (mean, covariance). Equal documents come out within about 1e-8 of their spread.
    Source: Dowson, Landau 1982; Gelbrich 1990.
    """
    return _root(_squares(documents.means), documents.crossed[0])


@distances.register("bures")
def bures(documents: Documents) -> Array:
    """Bures distance: `bures_wasserstein` of the covariances alone, as if all means were 0. Source: Bhatia, Jain, Lim 2019."""
    return _root(np.zeros(()), documents.crossed[0])


@distances.register("frobenius")
def frobenius(documents: Documents) -> Array:
    """Frobenius distance |C_1 - C_2| of the documents' covariances (over n), in squared units of the vectors."""
    return _root(np.zeros(()), documents.crossed[1])


def _root(means: Array, inner: Array) -> Array:
    """Compute sqrt(means + a_ii + a_jj - 2 a_ij), a (D, D). Raises DataError for a square that is negative beyond rounding."""
    own = np.diagonal(inner)[:, None] + np.diagonal(inner)
    squares = means + own - 2 * inner
    if (squares < -ROUNDING * own).any():
        raise DataError(f"a squared distance of documents is negative: {squares.min():.3g}")
    root = np.sqrt(np.where(squares > 0, squares, 0.0))
    np.fill_diagonal(root, 0.0)
    return root


def pairs(matrix: ArrayLike) -> Array:
    """Extract the values of the pairs i < j, (..., P), of matrices (..., D, D), whose other entries are ignored.

    Judgements are given as the upper triangle. Raises DataError for a matrix that is not square, and for pairs that are not
    finite.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2] or matrix.shape[-1] < 2:
        raise DataError(f"pairs of documents are taken from a square matrix, found shape {matrix.shape}")
    first, second = np.triu_indices(matrix.shape[-1], 1)
    values: Array = matrix[..., first, second]
    if not np.isfinite(values).all():
        raise DataError(f"{np.count_nonzero(~np.isfinite(values))} of {values.size} pairs of documents have no finite value")
    return values


# baselines


def tfidf(texts: Sequence[str], background: Sequence[str]) -> Array:
    """Compute TF-IDF vectors of unit length (D, words) by scikit-learn.

    Words are those of texts and background, document frequencies those of the background alone, smoothed, so that a word that is
    not in there has the highest weight.

    Source: Salton, Buckley 1988; scikit-learn's TfidfTransformer for the formula.
    """
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

    words = CountVectorizer().fit([*texts, *background])
    weights = TfidfTransformer().fit(words.transform(background))
    vectors: Array = weights.transform(words.transform(texts)).toarray()
    return vectors


def random_projection(ids: Sequence[ArrayLike], width: int, rng: np.random.Generator) -> Array:
    """Average random vectors of the token ids over each document (D, width): a model that knows only which tokens are equal.

    Distances are those of the documents' token frequencies as `width` grows (Johnson, Lindenstrauss).
    """
    counted = [np.unique(np.asarray(each), return_counts=True) for each in ids]
    vocabulary = np.unique(np.concatenate([names for names, _ in counted]))
    table = rng.standard_normal((len(vocabulary), width)) / np.sqrt(width)
    return np.stack([counts @ table[np.searchsorted(vocabulary, names)] / counts.sum() for names, counts in counted])


def length_distance(lengths: ArrayLike) -> Array:
    """Compute |ln n_i - ln n_j| of the documents' lengths (D,): (D, D). Raises DataError for a length that is not positive."""
    lengths = np.asarray(lengths, dtype=np.float64)
    if not (lengths > 0).all():
        raise DataError("documents without tokens have no length to compare")
    logarithm = np.log(lengths)
    return np.abs(logarithm[:, None] - logarithm)


# agreement with judgements


class Agreement(NamedTuple):
    """A value and the percentile interval of its resamples over documents."""

    value: float
    low: float
    high: float


class Choice(NamedTuple):
    """Score of a measure chosen on half of the documents, on the rest, and its difference from a baseline's on the same pairs.

    score, baseline, difference: means over the halves, with intervals. chosen: (measures,), how often each was chosen, a share.
    least: the smallest difference that so many documents can show.
    """

    score: Agreement
    baseline: Agreement
    difference: Agreement
    chosen: Array
    least: float


@dataclass(frozen=True, eq=False)
class Judged:
    """Similarities of the pairs of D documents by each of M measures (M, P), and human judgements of them (P,).

    kind: `pearson`, or `spearman`, for which ranks are those of all pairs: a resample or a half weighs them anew, and does not
    rank them again. Raises DataError for shapes that do not fit, values that are not finite, and an unknown kind.
    """

    similarities: Array
    judgements: Array
    kind: str = "pearson"

    def __post_init__(self) -> None:
        rows = np.atleast_2d(np.asarray(self.similarities, dtype=np.float64))
        judged = np.asarray(self.judgements, dtype=np.float64)
        if self.kind not in ("pearson", "spearman"):
            raise DataError(f"agreement is pearson or spearman, found {self.kind!r}")
        documents = round((1 + np.sqrt(1 + 8 * judged.size)) / 2)
        if judged.ndim != 1 or rows.ndim != 2 or rows.shape[1] != judged.size or documents * (documents - 1) != 2 * judged.size:
            raise DataError(f"similarities {rows.shape} and judgements {judged.shape} are not of the same pairs of documents")
        if not (np.isfinite(rows).all() and np.isfinite(judged).all()):
            raise DataError("agreement takes similarities and judgements that are finite")
        if self.kind == "spearman":
            rows, judged = stats.rankdata(rows, axis=1), stats.rankdata(judged)
        rows, judged = rows - rows.mean(axis=1, keepdims=True), judged - judged.mean()
        spread = rows.std(axis=1, keepdims=True)
        object.__setattr__(self, "similarities", rows / np.where(spread > 0, spread, 1.0))
        object.__setattr__(self, "judgements", judged / (judged.std() or 1.0))

    @property
    def documents(self) -> int:
        return round((1 + np.sqrt(1 + 8 * self.judgements.size)) / 2)

    @cached_property
    def columns(self) -> Array:
        """Columns whose weighted sums give all correlations (P, 2 + 3 M).

        They are the judgement, its square, and for each measure its similarity, that squared, and that times the judgement.
        """
        own, judged = self.similarities.T, self.judgements[:, None]
        return np.hstack([judged, judged**2, own, own**2, own * judged])

    def correlations(self, counts: ArrayLike | None = None) -> Array:
        """Correlate each measure with the judgements (..., M), documents weighted by how often they are drawn (..., D).

        A pair of documents i < j counts as often as both are drawn together; a document and its own copy are no pair. NaN where
        fewer than three pairs are left, or one side does not vary.
        """
        weights = self.weights(np.ones(self.documents) if counts is None else np.asarray(counts, dtype=np.float64))
        size = len(self.similarities)
        with np.errstate(invalid="ignore", divide="ignore"):
            sums = weights @ self.columns / weights.sum(axis=-1)[..., None]
            judged, judged2, own, own2, product = np.split(sums, [1, 2, 2 + size, 2 + 2 * size], axis=-1)
            squares = (judged2 - judged**2) * (own2 - own**2)
            r = (product - judged * own) / np.sqrt(np.where(squares > 1e-18, squares, np.nan))
        return np.where(np.count_nonzero(weights, axis=-1)[..., None] >= 3, r, np.nan)

    def weights(self, counts: Array) -> Array:
        """Count how often each pair of different documents is drawn (..., P), from how often each document is (..., D)."""
        if counts.shape[-1] != self.documents:
            raise DataError(f"{self.documents} documents are judged, but {counts.shape[-1]} are drawn from")
        first, second = np.triu_indices(self.documents, 1)
        return counts[..., first] * counts[..., second]

    def agreement(self, resamples: int, rng: np.random.Generator, level: float = 0.95) -> list[Agreement]:
        """Compute each measure's correlation with its interval; the same documents are drawn for all measures."""
        values, drawn = self.correlations(), self.correlations(draw(self.documents, resamples, rng))
        return [interval(value, column, level) for value, column in zip(values.tolist(), drawn.T, strict=True)]

    def halves(self, counts: Array, measures: NDArray[np.int64], baseline: int, splits: Array) -> tuple[Array, Array, Array]:
        """Choose a measure on one half of the documents and score it on the other, for each split (splits, D) in {0, 1}.

        Documents are drawn `counts` (D,) times.

        The measure, among `measures`, of highest correlation in the half where the split is 1 is scored in the other.
        Returns index of the chosen into `measures`, its score, and the baseline's, each (splits,); NaN scores and index -1 where
        a half has too few documents.
        """
        chosen_on = self.correlations(counts * splits)[:, measures]
        scored_on = self.correlations(counts * (1 - splits))
        usable = np.isfinite(chosen_on).any(axis=1)
        chosen = np.where(np.isfinite(chosen_on), chosen_on, -np.inf).argmax(axis=1)
        score = np.where(usable, np.take_along_axis(scored_on, measures[chosen][:, None], axis=1)[:, 0], np.nan)
        return np.where(usable, chosen, -1), score, np.where(usable, scored_on[:, baseline], np.nan)

    def choice(
        self,
        measures: Sequence[int],
        baseline: int,
        rng: np.random.Generator,
        halves: int = 100,
        resamples: int = 1000,
        level: float = 0.95,
        power: float = 0.8,
    ) -> Choice:
        """Choose one of `measures` on a random half of the documents and score it on the rest, against `baseline`.

        Intervals draw documents with replacement and repeat the choice, over as many random halves. A drawn document is on one
        side of a half with all of its copies, so what a choice is scored on has never been seen by it.
        Raises DataError for no measures, and fewer than six documents, which have no halves with three pairs each.
        """
        if self.documents < 6 or not len(measures):
            raise DataError(f"a choice takes a measure and six documents, found {len(measures)} and {self.documents}")
        among = np.asarray(measures, dtype=np.int64)
        once = np.ones(self.documents)
        chosen, score, against = self.halves(once, among, baseline, split(once, halves, rng))
        drawn = np.full((resamples, 2), np.nan)
        for row, counts in enumerate(draw(self.documents, resamples, rng)):
            _, scores, others = self.halves(counts, among, baseline, split(counts, halves, rng))
            if np.isfinite(known := scores + others).any():
                drawn[row] = [np.mean(each[np.isfinite(known)]) for each in (scores, others)]
        differences = drawn[:, 0] - drawn[:, 1]
        values = float(np.nanmean(score)), float(np.nanmean(against))
        return Choice(
            interval(values[0], drawn[:, 0], level),
            interval(values[1], drawn[:, 1], level),
            interval(float(np.nanmean(score - against)), differences, level),
            np.bincount(chosen[chosen >= 0], minlength=len(among)) / halves,
            smallest_difference(differences, level, power),
        )


def draw(documents: int, resamples: int, rng: np.random.Generator) -> Array:
    """Draw documents with replacement: how often each is in each resample (resamples, documents)."""
    return rng.multinomial(documents, np.full(documents, 1 / documents), size=resamples).astype(np.float64)


def split(counts: Array, halves: int, rng: np.random.Generator) -> Array:
    """Split the documents that were drawn (counts > 0) into random halves (halves, D), 1 for the first half.

    The first half has the odd document. Documents that were not drawn are in the second half, where they count for nothing.

    Documents that were not drawn are in the second half, where they count for nothing.
    """
    drawn = np.flatnonzero(counts > 0)
    sides = np.zeros((halves, counts.size))
    sides[:, drawn] = rng.permuted(np.tile(np.arange(drawn.size) < (drawn.size + 1) // 2, (halves, 1)), axis=1)
    return sides


def interval(value: float, drawn: ArrayLike, level: float = 0.95) -> Agreement:
    """Add the percentile interval of a value's resamples (resamples,), those without a value (NaN) left out."""
    low, high = np.nanquantile(np.asarray(drawn, dtype=np.float64), [(1 - level) / 2, (1 + level) / 2])
    return Agreement(float(value), float(low), float(high))


def smallest_difference(drawn: ArrayLike, level: float = 0.95, power: float = 0.8) -> float:
    """Compute the smallest true difference that a two-sided test at `level` detects with probability `power`.

    It is (z_level + z_power) standard errors, the standard error being that of the resampled differences (resamples,), NaN left
    out. Source: Cohen 1988, chapter 2.
    """
    error = float(np.nanstd(np.asarray(drawn, dtype=np.float64), ddof=1))
    return float(stats.norm.ppf((1 + level) / 2) + stats.norm.ppf(power)) * error
