"""Compute the theory of skills behind scaling laws: exact sums over finitely many skills, and the power laws that they tend to.

Text uses skills, skill k with a probability that falls as k^-(1 + a). What a model does not know of a skill stays in its loss
as the skill's conditional entropy: it holds the n most frequent skills, and has learnt those that its D texts show at least tau
times. All is in nats a use of a skill; a text has `degree` uses, drawn with replacement. Sources: Tan, Li and Huang 2024 (arXiv
2402.03471), section 3, for the graph; Michaud et al. 2023 (arXiv 2303.13506) for the exponents a and a / (1 + a).
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import integrate, optimize, special

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError

Sampling = Literal["poisson", "binomial"]

LEAST_TYPES = 100
"""Types that a frequency table needs before it says anything about a law."""


@dataclass(frozen=True)
class SkillGraph:
    """Skills, and the texts that use them, in rows of skills of equal frequency, the most frequent first.

    probability: (rows,) that one use is of a given skill of the row; number: (rows,) of skills in it; entropy: (rows,) nats
    that a use costs where the skill is not held; degree: uses in a text. Raises DataError for arrays that are not so.
    """

    probability: Array
    number: Array
    entropy: Array
    degree: int = 1

    def __post_init__(self) -> None:
        rows = (self.probability, self.number, self.entropy)
        if len({row.shape for row in rows}) > 1 or self.probability.ndim != 1 or not self.probability.size:
            raise DataError(f"skills: probability, number and entropy have shapes {', '.join(str(row.shape) for row in rows)}")
        if not all(np.isfinite(row).all() for row in rows) or (self.probability <= 0).any() or (self.number <= 0).any():
            raise DataError("skills: a probability or a number is not finite and positive")
        if (np.diff(self.probability) > 0).any() or abs(float(self.number @ self.probability) - 1) > 1e-9:
            raise DataError("skills: probabilities fall with the rank and add up to 1")
        if (self.entropy < 0).any() or self.degree < 1:
            raise DataError(f"skills: an entropy is negative, or a text has {self.degree} uses of skills")

    @classmethod
    def power_law(cls, skills: int, a: float, entropy: ArrayLike = 1.0, degree: int = 1) -> "SkillGraph":
        """Skills with p_k proportional to k^-(1 + a), k = 1 .. skills, with one entropy for all or one for each (skills,).

        Raises DataError without a skill, and for a below -1, where frequencies rise.
        """
        if skills < 1 or not a >= -1:
            raise DataError(f"skills: {skills} of them with frequencies that fall as k^-(1 + {a:g})")
        weight = np.arange(1, skills + 1) ** -(1.0 + a)
        return cls(weight / weight.sum(), np.ones(skills), np.broadcast_to(np.asarray(entropy, dtype=float), skills), degree)

    @classmethod
    def of_counts(cls, counts: ArrayLike, entropy: ArrayLike = 1.0, degree: int = 1) -> "SkillGraph":
        """Skills from types counted in text (types,), by relative frequency; types of one count are alike, with their mean
        entropy.

        Raises DataError below 100 types and for counts below 1.
        """
        counts = checked_counts(counts)
        each = np.broadcast_to(np.asarray(entropy, dtype=float), counts.shape)
        values, index, number = np.unique(counts, return_inverse=True, return_counts=True)
        mean = np.bincount(index, each) / number
        return cls((values / counts.sum())[::-1], number[::-1].astype(float), mean[::-1], degree)

    @property
    def skills(self) -> int:
        return round(float(self.number.sum()))

    def beyond(self, terms: Array, n: ArrayLike) -> Array:
        """Sum over skills of rank above n (...) of terms (rows,), exact for whole n and linear between, as where a model knows a
        part of a skill. Raises DataError for n below 0 or above the number of skills."""
        n = np.asarray(n, dtype=float)
        if not ((n >= 0) & (n <= self.skills)).all():
            raise DataError(f"a model holds between 0 and all {self.skills} skills; found {n.min():g} to {n.max():g}")
        tail = np.append(np.cumsum((self.number * terms)[::-1])[::-1], 0.0)
        found: Array = np.interp(n, np.append(0.0, np.cumsum(self.number)), tail)
        return found

    def conditional_entropy(self, n: ArrayLike) -> Array:
        """sum_{k > n} p_k h_k: the entropy of a use given the n (...) most frequent skills. 0 at n = K, the mean entropy at n =
        0."""
        return self.beyond(self.probability * self.entropy, n)

    def unlearnt(self, texts: float, times: float, sampling: Sampling = "poisson") -> Array:
        """Probability (rows,) that a skill is seen fewer than `times` times in so many texts.

        `binomial` is exact for uses drawn with replacement and takes whole texts and times. `poisson`, the limit of rare
        skills, takes any times > 0. exp(-degree texts p) for once under Poisson; 1 without texts. Raises DataError for other
        numbers.
        """
        if texts < 0 or times <= 0 or (sampling == "binomial" and (texts % 1 or times % 1)):
            raise DataError(f"{sampling}: skills seen fewer than {times:g} times in {texts:g} texts")
        uses = texts * self.degree
        if sampling == "poisson":
            return np.asarray(special.gammaincc(times, uses * self.probability))
        if uses < times:
            return np.ones_like(self.probability)
        return np.asarray(special.betaincc(times, uses - times + 1, self.probability))

    def seen(self, texts: float, times: float = 1, sampling: Sampling = "binomial") -> float:
        """Expected number of skills that so many texts show at least `times` times. `skills` for endless texts."""
        return float(self.number @ (1 - self.unlearnt(texts, times, sampling)))

    def gap(self, n: ArrayLike, texts: ArrayLike, times: float, sampling: Sampling = "poisson") -> Array:
        """The gap in the loss that size n and data leave, nats a use: sum_{k > n} p_k h_k + sum_{k <= n} p_k h_k P(seen fewer
        than `times` times).

        n and texts are broadcast. With endless texts it is `conditional_entropy(n)`, without any the mean entropy.
        """
        n, texts = np.broadcast_arrays(np.asarray(n, dtype=float), np.asarray(texts, dtype=float))
        cost, gap = self.probability * self.entropy, np.empty(n.shape)
        for amount in np.unique(texts):
            here, missed = texts == amount, self.unlearnt(float(amount), times, sampling)
            gap[here] = self.beyond(cost * (1 - missed), n[here]) + float(self.number @ (cost * missed))
        return gap

    def crossover(self, texts: float, times: float) -> float:
        """The n at which size and data leave equal gaps: sum_{k > n} p_k h_k = sum_{k <= n} p_k h_k P(Poisson < times).

        A smaller model is limited by its size, a larger one by its texts. All skills for endless texts; without any, the n
        whose skills make up half of the entropy.
        """
        cost = self.probability * self.entropy
        missed = cost * self.unlearnt(texts, times)

        def excess(n: float) -> float:
            return float(self.beyond(cost + missed, n)) - float(self.number @ missed)

        return float(optimize.brentq(excess, 0, self.skills)) if excess(self.skills) < 0 else float(self.skills)


def checked_counts(counts: ArrayLike) -> Array:
    """Counts (types,) as float64. Raises DataError below 100 types, and for counts that are not whole and at least 1."""
    found = np.asarray(counts, dtype=float)
    if found.ndim != 1 or found.size < LEAST_TYPES:
        raise DataError(f"a frequency table needs at least {LEAST_TYPES} types; found {found.size}")
    if not (np.isfinite(found).all() and (found >= 1).all() and (found % 1 == 0).all()):
        raise DataError("a frequency table has counts that are not whole or below 1")
    return found


def data_exponent(a: ArrayLike) -> Array:
    """b = a / (1 + a), the exponent of data that belongs to the exponent a of size."""
    a = np.asarray(a, dtype=float)
    return a / (1 + a)


def size_limit(n: ArrayLike, a: float, entropy: float = 1.0) -> Array:
    """h n^-a / (a zeta(1 + a)): `conditional_entropy` of endlessly many skills, 1 << n. Raises DataError unless a > 0."""
    return entropy * np.asarray(n, dtype=float) ** -a / (a * normaliser(a))


def data_limit(texts: ArrayLike, a: float, times: float, entropy: float = 1.0, degree: int = 1) -> Array:
    """h / (a Z) (m D / Z)^-b Gamma(tau + b) / Gamma(tau), b = a / (1 + a), Z = zeta(1 + a): the gap of a model that knows
    endlessly many skills, at large D. It is `threshold_constant` times the gap were skills learnt exactly where m D p_k >=
    tau."""
    return data_sharp(texts, a, times, entropy, degree) * threshold_constant(a, times)


def data_sharp(texts: ArrayLike, a: float, times: float, entropy: float = 1.0, degree: int = 1) -> Array:
    """h / (a Z) (m D / (Z tau))^-b: the gap at large D, were skills learnt exactly where they are expected tau times."""
    rate = degree * np.asarray(texts, dtype=float) / normaliser(a)
    return entropy / (a * normaliser(a)) * (rate / times) ** -data_exponent(a)


def threshold_constant(a: float, times: float) -> float:
    """Gamma(tau + b) / (Gamma(tau) tau^b): what chance in the sightings does to the gap. 1 for a large threshold and for b =
    0."""
    b = a / (1 + a)
    return math.exp(math.lgamma(times + b) - math.lgamma(times) - b * math.log(times))


def seen_limit(texts: ArrayLike, a: float, times: float = 1, degree: int = 1) -> Array:
    """(m D / Z)^s Gamma(tau - s) / Gamma(tau), s = 1 / (1 + a): `seen` of endlessly many skills, at large D.

    For tau = 1 it is Karlin's Gamma(1 - s) (m D / Z)^s (1967, theorem 1), Heaps' law with exponent s.
    """
    s = 1 / (1 + a)
    rate = degree * np.asarray(texts, dtype=float) / normaliser(a)
    return rate**s * math.exp(math.lgamma(times - s) - math.lgamma(times))


def crossover_limit(texts: ArrayLike, a: float, times: float, degree: int = 1) -> Array:
    """x (m D / Z)^(1 / (1 + a)), the crossover of endlessly many skills, at large D, where x solves
    x^-a / a = int_{x^-(1 + a)}^inf v^(b - 1) P(Poisson(v) < tau) dv / (1 + a): a model should grow as D^(1 / (1 + a)), slower
    than D.
    """
    b = a / (1 + a)

    def excess(log_x: float) -> float:
        least = math.exp(-(1 + a) * log_x)
        unlearnt = integrate.quad(lambda u: math.exp(b * u) * special.gammaincc(times, math.exp(u)), math.log(least), 12)[0]
        return math.exp(-a * log_x) / a - unlearnt / (1 + a)

    x = math.exp(optimize.brentq(excess, -8 / (1 + a), (8 + 1 / b) / (1 + a)))
    return x * (degree * np.asarray(texts, dtype=float) / normaliser(a)) ** (1 / (1 + a))


def normaliser(a: float) -> float:
    """zeta(1 + a). Raises DataError unless a > 0: without that, no law exists for endlessly many skills."""
    if not a > 0:
        raise DataError(f"a = {a:g}: for endlessly many skills frequencies must fall faster than 1 / k, so a > 0")
    return float(special.zeta(1 + a))
