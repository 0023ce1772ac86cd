"""Compute Diff-eRank of every model (diff_erank.csv), and which measures grow with size, fall or stay flat (growth.csv)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.provenance import rng
from geomkit.core.variants import WIDTH_NULLS, base
from geomkit.laws.exponents import Levels, exponents
from geomkit.laws.resampling import Documents, over_seeds, percentile_interval, seed_counts
from geomkit.measures.entropy import diff_erank, measure
from geomkit.measures.nulls import table_nulls_of_rank, width_nulls
from geomkit.measures.spectra import Spectrum
from geomkit.states.families import Member, incomparable, opened_families, spectra_at
from geomkit.studies.published.rows import PublishedValue
from geomkit.studies.size_laws.rows import DiffErank, Growth, NullSlope, Slope, by_slope
from geomkit.tables.measurements import Where, read_resamples
from geomkit.tables.rows import read_csv, write_csv

LAYER, MODE = PLACE = ("final", "centre-unit")
"""Place at which Diff-eRank is measured."""
NOWHERE = (None, None)
"""Place of values that have none: the loss, and published tables."""
N = "params_nonembedding"
MEASURED = "measured"
TWINS = "untrained"
"""Variant that Diff-eRank subtracts."""
UNJUDGED = "exploratory: no margin was fixed for it"
BOTH = (
    "family", "published", "corpus", "layer", "length", "rows", "normalise", "eps2", "primary", "slope", "low", "high",
    "measurement_low", "measurement_high", "verdict", "reason",
)  # fmt: skip
"""Fields that rows of slopes.csv and growth.csv share."""


def compare_growth(
    spectra: Sequence[Path],
    resampled: Sequence[Path],
    slopes: Path,
    null_slopes: Path,
    published: Path,
    differences: Path,
    growth: Path,
    families: Mapping[str, str],
    seeds: Mapping[str, int | None],
    lengths: Sequence[int],
    primary: Mapping[str, Any],
    resamples: int,
    seed: int,
) -> None:
    """Write both tables."""
    of_models: list[DiffErank] = []
    rows = [*of_metrics(slopes, null_slopes, primary), *of_published(published)]
    for path in map(Path, resampled):
        corpus = path.stem
        files = [file for file in spectra if Path(file).stem == corpus]
        with opened_families(files, families, seeds) as groups:
            for family, group in groups.items():
                members = [member for member in group if twins_of(member)]
                for n in [*lengths, None]:
                    if (clouds := centred_clouds(members, n)) is None:
                        continue
                    where = {"family": family, "corpus": corpus, "length": n}
                    values = diff_eranks(members, clouds)
                    drawn = drawn_texts(clouds, resamples, seed, corpus) if n else drawn_corpus(members, path)
                    of_models += model_rows(members, values, drawn, where)
                    rows.append(size_row(members, values, drawn, rng(seed, "growth", family, corpus), where))
    write_csv(differences, DiffErank, of_models)
    combinations = sum(row.slope is not None for row in rows)
    write_csv(growth, Growth, [replace(row, growth=direction(row), combinations=combinations) for row in rows])


@dataclass(frozen=True)
class Clouds:
    """The input of Diff-eRank for a family: for each member the spectra of its texts, by variant, and the texts' documents."""

    variants: dict[str, list[Spectrum]]
    documents: list[list[str]]


def centred_clouds(members: Sequence[Member], n: int | None) -> Clouds | None:
    """Clouds at one length, or (n None) of the corpus as one text; None without untrained twins or such a state.

    Where members have different numbers of twins, those that all have count. Texts of equal rows, which have no entropy, are left
    out, of every member if all read the same texts.
    """
    if not members:
        return None
    twins = [variant for variant in twins_of(members[0]) if all(variant in twins_of(member) for member in members)]
    spectra = {variant: spectra_at(members, variant, MODE, n, LAYER) for variant in ("trained", *twins)}
    batches = {variant: batch for variant, batch in spectra.items() if batch is not None}
    if not twins or len(batches) < len(spectra):
        return None
    values = {variant: [np.atleast_2d(one.eigenvalues) for one in batch] for variant, batch in batches.items()}
    whole = [np.all([rows.any(axis=1) for rows in of_member], axis=0) for of_member in zip(*values.values(), strict=True)]
    if not incomparable(members):
        whole = [np.all(whole, axis=0)] * len(members)
    texts = [member.file.text_list for member in members]
    documents = [[name for name, tokens in zip(each.document, each.tokens, strict=True) if tokens >= (n or 0)] for each in texts]
    return Clouds(
        {
            variant: [replace(one, eigenvalues=rows[keep]) for one, rows, keep in zip(batch, values[variant], whole, strict=True)]
            for variant, batch in batches.items()
        },
        [list(np.array(names)[keep]) if n else [""] for names, keep in zip(documents, whole, strict=True)],
    )


def twins_of(member: Member) -> list[str]:
    """A member's untrained twins, of which its entry of the catalogue may want none: then it has no Diff-eRank."""
    return [variant for variant in member.file.variants if base(variant) == TWINS]


def entropies(variants: Mapping[str, Sequence[Spectrum]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Matrix entropies of each member: of its texts (texts,), and of its untrained twins (twins, texts)."""
    for trained, *twins in zip(*variants.values(), strict=True):
        first, *others = (np.asarray(measure(one, ["matrix_entropy"])["matrix_entropy"].value) for one in (trained, *twins))
        yield first, np.array(others)


def diff_eranks(members: Sequence[Member], clouds: Clouds) -> dict[str, np.ndarray]:
    """Diff-eRank (members, twins), and its value under both nulls for width, applied to trained models and twins alike."""
    by_variant = {MEASURED: clouds.variants}
    if not incomparable(members):
        sizes = [member.facts[N] for member in members]
        nulls = {variant: width_nulls(batch, sizes) for variant, batch in clouds.variants.items()}
        for name in nulls["trained"][0]:
            by_variant[name] = {variant: [null[name] for null in of_variant] for variant, of_variant in nulls.items()}
    return {name: np.array([diff_erank(*pair) for pair in entropies(variants)]) for name, variants in by_variant.items()}


def drawn_texts(clouds: Clouds, resamples: int, seed: int, corpus: str) -> np.ndarray:
    """Diff-eRank, the mean over twins, in resamples of documents: (members, resamples)."""
    resampled = []
    for names, (trained, twins) in zip(clouds.documents, entropies(clouds.variants), strict=True):
        draws = Documents.draw(names, resamples, rng(seed, "growth", corpus)).draws
        weights = draws / draws.sum(axis=0)
        resampled.append((np.exp(twins @ weights) - np.exp(trained @ weights)).mean(axis=0))
    return np.array(resampled)


def drawn_corpus(members: Sequence[Member], path: Path) -> np.ndarray | None:
    """Diff-eRank of the corpus in its resamples; None if its matrix entropy was not resampled."""
    drawn = read_resamples(path, members[0].family, {member.name: member.facts["depth"] for member in members})
    where = Where(LAYER, MODE, None, "matrix_entropy")
    ranks = {name: np.exp(arrays[where]) for name, arrays in drawn.items() if where in arrays}
    twins = [rank for name, rank in ranks.items() if base(name) == TWINS]
    return np.mean(twins, axis=0) - ranks["trained"] if twins and "trained" in ranks else None


def model_rows(
    members: Sequence[Member], values: Mapping[str, np.ndarray], drawn: np.ndarray | None, where: Mapping[str, Any]
) -> Iterator[DiffErank]:
    """Rows of every member: the mean over twins, their standard deviation, and an interval over documents."""
    for place, member in enumerate(members):
        sizes: Mapping[str, Any] = member.facts
        for name, of_members in values.items():
            own = of_members[place]
            low, high = percentile_interval(drawn[place]) if drawn is not None and name == MEASURED else (None, None)
            yield DiffErank(
                **where, layer=LAYER, normalise=MODE, eps2=None, model=member.name, seed=member.seed, **sizes,
                variant=name, value=own.mean(), twins=own.size, sd=own.std(ddof=1) if own.size > 1 else None, low=low, high=high,
            )  # fmt: skip


def size_row(
    members: Sequence[Member],
    values: Mapping[str, np.ndarray],
    drawn: np.ndarray | None,
    draws: np.random.Generator,
    where: Mapping[str, Any],
) -> Growth:
    """The slope of Diff-eRank itself on ln N, since it may be negative; seeds of a size are averaged."""
    n = np.array([member.facts[N] for member in members])
    groups = [n == one for one in np.unique(n)]
    levels = {name: Levels(np.array([of[group].mean() for group in groups])) for name, of in values.items()}
    if drawn is not None:
        counts = [seed_counts(int(group.sum()), drawn.shape[1], draws).T for group in groups]
        levels[MEASURED] = replace(levels[MEASURED], drawn=over_seeds([drawn[group] for group in groups], counts))
    return diff_erank_row({N: np.unique(n)}, levels, {**where, "published": False})


def diff_erank_row(sizes: Mapping[str, np.ndarray], levels: dict[str, Levels], where: Mapping[str, Any]) -> Growth:
    """The slope of Diff-eRank, as a record without its direction and the number of combinations."""
    nulls = {name: level for name, level in levels.items() if name != MEASURED}
    result = exponents(sizes, levels[MEASURED], nulls)[N]
    value, low, high, _ = result.estimate or (None, None, None, None)
    parts = result.measurement or (None, None)
    fixed, stretched = (result.nulls[name].exponent if name in result.nulls else None for name in WIDTH_NULLS)
    verdict, reason = result.judged if where["published"] else result.unjudged(UNJUDGED)
    return Growth(
        **where, layer=LAYER, normalise=MODE, eps2=None, measure="diff_erank", of="value", primary=False, slope=value, low=low,
        high=high, measurement_low=parts[0], measurement_high=parts[1], fixed_spectrum_slope=fixed, stretched_slope=stretched,
        verdict=verdict, reason=reason, growth=None, combinations=0,
    )  # fmt: skip


def of_published(path: Path) -> Iterator[Growth]:
    """The published Diff-eRank of a family on each data set, with nulls for the widths that the table gives."""
    for (family, dataset), group in groupby(read_csv(path, PublishedValue), key=lambda row: (row.family, row.dataset)):
        models = list(group)
        size, width, rank = (np.array([float(getattr(row, name)) for row in models]) for name in (N, "width", "value"))
        levels = {MEASURED: Levels(rank)} | {name: Levels(null) for name, null in table_nulls_of_rank(rank, width).items()}
        where = {"family": family, "published": True, "corpus": dataset, "length": None}
        yield diff_erank_row({N: size}, levels, where)


def of_metrics(slopes: Path, null_slopes: Path, primary: Mapping[str, Any]) -> Iterator[Growth]:
    """Growth of all metrics, from slopes.csv: at the primary place, where Diff-eRank is measured, and where there is no place."""
    places = {(primary["layer"], primary["normalise"]), PLACE, NOWHERE}
    nulls = by_slope(read_csv(null_slopes, NullSlope))
    for row in read_csv(slopes, Slope):
        if row.against == N and (row.layer, row.normalise) in places:
            yield of_metric(row, nulls.get(row.key, {}))


def of_metric(row: Slope, nulls: Mapping[str, NullSlope]) -> Growth:
    """An exponent, as a record without its direction and the number of combinations."""
    fixed, stretched = (nulls[name].slope if name in nulls else None for name in WIDTH_NULLS)
    return Growth(
        **{name: getattr(row, name) for name in BOTH}, measure=row.metric, of="logarithm", fixed_spectrum_slope=fixed,
        stretched_slope=stretched, growth=None, combinations=0,
    )  # fmt: skip


def direction(row: Growth) -> str | None:
    """Whether the interval over sizes shows growth, a fall, or neither."""
    if row.low is None or row.high is None:
        return None
    return "grows" if row.low > 0 else "falls" if row.high < 0 else "flat"
