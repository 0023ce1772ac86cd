"""Compare the ranks of MLP hidden states of several widths with those of a wider MLP on as many directions."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.logs import progress
from geomkit.core.provenance import rng
from geomkit.core.state import MLP_HIDDEN, State
from geomkit.core.variants import base
from geomkit.laws.differences import PureError, pure_error
from geomkit.laws.pairs import LEAST_WIDTHS, PairDesign
from geomkit.laws.resampling import Documents, percentile_interval
from geomkit.laws.statistics import slope, slope_weights
from geomkit.measures.entropy import measure
from geomkit.measures.spectra import Spectrum, is_centred, is_unit, redrawn
from geomkit.states.families import Member, opened_families
from geomkit.studies.mlp_width.rows import (
    BEYOND_PROJECTED,
    BEYOND_UNTRAINED,
    HARD,
    MEASURES,
    PROJECTED,
    SHAPE,
    SOFT,
    TRAINED,
    UNTRAINED,
    MlpLaw,
    MlpRank,
)
from geomkit.tables.absence import Absent
from geomkit.tables.rows import write_csv

Levels = Mapping[str, Array]
"""ln of each measure: the measurement, then every resample of documents (1 + resamples,)."""


def study_mlp_width(
    spectra: Sequence[Path],
    points: Path,
    laws: Path,
    absent: Path,
    families: Mapping[str, str],
    seeds: Mapping[str, int | None],
    modes: Sequence[str],
    resamples: int,
    seed: int,
) -> None:
    """Write ranks of every model, slopes on the MLP's width, and what was not measured, with reasons.

    spectra: of all models and corpora, which must have the MLP hidden states of the last block (`dump.mlp_hidden`). Modes that
    scale rows to one length are left out: rows on fewer directions would have to be scaled again, and spectra have no rows.
    """
    rows: list[MlpRank] = []
    found: list[MlpLaw] = []
    missing: list[Absent] = []
    for corpus, paths in groupby(sorted(map(Path, spectra), key=lambda path: path.stem), key=lambda path: path.stem):
        with ExitStack() as stack:
            groups = stack.enter_context(opened_families(list(paths), families, seeds))
            members = [member for group in groups.values() for member in group]
            for mode in modes:
                clouds, reasons = measured(members, mode, corpus, resamples, seed)
                missing += [Absent(model=name, corpus=corpus, absent=what, reason=why) for name, what, why in reasons]
                rows += [row for cloud in clouds for row in ranks_of(cloud, donor_of(cloud, clouds), corpus, mode)]
                found += [law for group in comparable(clouds) for law in laws_of(group, clouds, corpus, mode)]
    write_csv(points, MlpRank, rows)
    write_csv(laws, MlpLaw, found)
    write_csv(absent, Absent, missing)


@dataclass(frozen=True)
class Cloud:
    """A model's MLP hidden states at its last block.

    spectrum: of the corpus and its resamples (1 + resamples, m); twins: of the corpus, of each untrained twin.
    """

    member: Member
    spectrum: Spectrum
    twins: Sequence[Spectrum]

    @property
    def mlp(self) -> int:
        return self.spectrum.d

    @cached_property
    def width(self) -> int:
        """Width of the states that the block hands on."""
        return self.member.file.widths[State(self.depth)]

    @property
    def depth(self) -> int:
        return self.member.facts["depth"]

    @cached_property
    def levels(self) -> Levels:
        return levels_of(self.spectrum)

    @cached_property
    def untrained(self) -> Levels | None:
        """Levels of the twins, their mean, without resamples; None without twins."""
        own = [levels_of(twin) for twin in self.twins]
        return {name: np.mean([one[name] for one in own], axis=0) for name in MEASURES} if own else None

    def on_directions(self, count: int) -> Levels:
        """Levels of these states on their leading directions: without unit scaling, of as many leading eigenvalues.

        The directions are those of the same tokens, of which there are many times as many as directions.
        """
        return levels_of(Spectrum(self.spectrum.eigenvalues[:, :count], self.spectrum.n, count))


def levels_of(spectrum: Spectrum) -> Levels:
    """ln of soft rank, of hard rank, and of their ratio."""
    logs = {name: np.log(np.atleast_1d(one.value)) for name, one in measure(spectrum, [SOFT, HARD]).items()}
    return logs | {SHAPE: logs[SOFT] - logs[HARD]}


def measured(
    members: Sequence[Member], mode: str, corpus: str, resamples: int, seed: int
) -> tuple[list[Cloud], list[tuple[str, str, str]]]:
    """Return the clouds of all models that have them, in one mode, and (model, what, reason) of others.

    Models that read the same texts get the same draws of documents.
    """
    if is_unit(mode):
        why = "rows on fewer directions would have to be scaled again, and spectra have no rows"
        return [], [(member.name, f"mlp_width, {mode}", why) for member in members]
    clouds: list[Cloud] = []
    missing: list[tuple[str, str, str]] = []
    for member in progress(members, f"{corpus}, {mode}", len(members)):
        state, file = State(member.facts["depth"], MLP_HIDDEN), member.file
        whole = file.at(TRAINED, mode, None, state)
        if whole is None:
            why = file.absent.get(state.path, "dump.mlp_hidden does not name the last block")
            missing.append((member.name, f"/{state.path}", why))
            continue
        drawn = Documents.draw(member.document_names, resamples, rng(seed, "corpus", corpus)).draws.T
        if f"{TRAINED}/documents/{mode}/{state.path}" in file.file:
            again = redrawn(file.documents(TRAINED, mode, state), drawn, centred=is_centred(mode))
            values = np.concatenate([whole.eigenvalues[None], again.eigenvalues])
        else:
            missing.append((member.name, f"intervals of /{state.path}", "covariances of documents are kept of narrower states"))
            values = np.repeat(whole.eigenvalues[None], 1 + resamples, axis=0)
        names = [name for name in file.variants if base(name) == UNTRAINED]
        twins = [one for name in names if (one := file.at(name, mode, None, state)) is not None]
        clouds.append(Cloud(member, Spectrum(values, whole.n, whole.d), twins))
    return clouds, missing


def donor_of(cloud: Cloud, clouds: Sequence[Cloud]) -> Cloud | None:
    """Return the widest MLP of a model's family, if it is wider."""
    widest = max((one for one in clouds if one.member.family == cloud.member.family), key=lambda one: one.mlp)
    return widest if widest.mlp > cloud.mlp else None


def ranks_of(cloud: Cloud, donor: Cloud | None, corpus: str, mode: str) -> Iterator[MlpRank]:
    """Yield a model's ranks and those of its nulls."""
    variants: dict[str, tuple[Levels | None, str | None]] = {TRAINED: (cloud.levels, None), UNTRAINED: (cloud.untrained, None)}
    if donor is not None:
        variants[PROJECTED] = donor.on_directions(cloud.mlp), donor.member.name
    for variant, (levels, name) in variants.items():
        for metric in (SOFT, HARD) if levels is not None else ():
            level, *drawn = levels[metric]  # type: ignore[index]
            low, high = (None if end is None else float(np.exp(end)) for end in ends_of(level, np.array(drawn)))
            yield MlpRank(
                family=cloud.member.family, corpus=corpus, model=cloud.member.name, seed=cloud.member.seed, width=cloud.width,
                depth=cloud.depth, mlp=cloud.mlp, variant=variant, donor=name, normalise=mode, metric=metric,
                value=float(np.exp(level)),
                low=low, high=high, directions=cloud.spectrum.m, tokens=cloud.spectrum.n,
                documents=len(cloud.member.document_names),
            )  # fmt: skip


def ends_of(value: float, drawn: Array) -> tuple[float | None, float | None]:
    """Return the interval of a value over documents: its resamples' percentiles, moved by as much as their mean is off the value.

    Documents drawn again have fewer directions than the corpus, so that all resamples lie below it. None without any that differ.
    """
    if not drawn.size or not np.ptp(drawn):
        return None, None
    return percentile_interval(drawn - drawn.mean() + value)


def comparable(clouds: Sequence[Cloud]) -> Iterator[list[list[Cloud]]]:
    """Yield groups of clouds by MLP width, ascending: each family, then models of one width and depth of any family."""

    def by_mlp(group: Sequence[Cloud]) -> list[list[Cloud]]:
        ordered = sorted(group, key=lambda one: one.mlp)
        return [list(same) for _, same in groupby(ordered, key=lambda one: one.mlp)]

    families = [[one for one in clouds if one.member.family == name] for name in dict.fromkeys(c.member.family for c in clouds)]
    yield from (group for family in families if len(group := by_mlp(family)) >= LEAST_WIDTHS)
    shapes = sorted({(one.width, one.depth) for one in clouds})
    alike = [[one for one in clouds if (one.width, one.depth) == shape] for shape in shapes]
    yield from (group for same in alike if len(group := by_mlp(same)) > 1)


def laws_of(group: Sequence[Sequence[Cloud]], clouds: Sequence[Cloud], corpus: str, mode: str) -> Iterator[MlpLaw]:
    """Yield the slopes of every measure in one group, of the models and of their nulls. Raises DataError for different texts.

    clouds: of all models, whose seeds say how much models of one shape differ.
    """
    every = [cloud for same in group for cloud in same]
    texts = {(tuple(one.member.file.text_list.document), tuple(one.member.file.text_list.tokens)) for one in every}
    if len(texts) > 1:
        raise DataError(f"{corpus}: {every[0].member.name} and {every[-1].member.name} read different texts")
    x, shapes = np.log([float(same[0].mlp) for same in group]), {(one.width, one.depth) for one in every}
    width, depth = next(iter(shapes)) if len(shapes) == 1 else (None, None)
    names = list(dict.fromkeys(one.member.family for one in every))
    common: dict[str, Any] = {
        "family": names[0] if len(names) == 1 else " and ".join(names), "corpus": corpus, "normalise": mode, "width": width,
        "depth": depth, "sizes": len(group), "mlps": " ".join(str(same[0].mlp) for same in group),
    }  # fmt: skip
    documents = len(every[0].member.document_names)
    for metric in MEASURES:
        trained = np.array([np.mean([one.levels[metric] for one in same], axis=0) for same in group])
        donors = [(high, low) for low in range(len(group)) for high in range(low + 1, len(group))]
        onto = {pair: projected(group, pair, metric) for pair in donors}
        widest = np.array([*(onto[len(group) - 1, low] for low in range(len(group) - 1)), trained[-1]])
        seeds = scatter_of_seeds(clouds, metric), np.array([len(same) for same in group])
        yield law(x, trained, documents, *seeds, metric=metric, of=TRAINED, **common)
        yield law(x, widest, documents, metric=metric, of=PROJECTED, **common)
        if len(group) >= LEAST_WIDTHS:
            yield pair_law(x, trained, onto, documents, metric=metric, of=BEYOND_PROJECTED, **common)
        else:
            yield law(x, trained - widest, documents, *seeds, metric=metric, of=BEYOND_PROJECTED, **common)
        if all(one.untrained is not None for one in every):
            twins = np.array([np.mean([one.untrained[metric] for one in same], axis=0) for same in group])  # type: ignore[index]
            yield law(x, twins, None, metric=metric, of=UNTRAINED, **common)
            yield law(x, trained - twins, documents, *seeds, metric=metric, of=BEYOND_UNTRAINED, **common)


def projected(group: Sequence[Sequence[Cloud]], pair: tuple[int, int], metric: str) -> Array:
    """Levels of the donors of one width on as many directions as a narrower width has, seeds averaged."""
    donor, target = pair
    return np.asarray(np.mean([one.on_directions(group[target][0].mlp)[metric] for one in group[donor]], axis=0))


def scatter_of_seeds(clouds: Sequence[Cloud], metric: str) -> PureError | None:
    """Pool the variance of levels over seeds of all shapes that have several; None where there are none."""
    shapes: dict[tuple[int, int, int], list[float]] = {}
    for one in clouds:
        shapes.setdefault((one.width, one.depth, one.mlp), []).append(float(one.levels[metric][0]))
    return pure_error(list(shapes.values()))


def law(
    x: Array, levels: Array, documents: int | None, seeds: PureError | None = None, counts: Array | None = None, **columns: Any
) -> MlpLaw:
    """Fit a slope to levels (widths, 1 + resamples), means over so many seeds (`counts`) of one variance.

    Its interval is over widths; with two widths over seeds and documents, or documents alone where no shape has several seeds.
    """
    own = levels[:, 0]
    value, drawn = float(slope_weights(x) @ own), slope_weights(x) @ levels[:, 1:]
    low: float | None
    high: float | None
    if len(x) > 2:
        _, low, high, _ = slope(x, own)
    elif seeds is not None and counts is not None:
        error = np.sqrt(seeds.variance * (slope_weights(x) ** 2 / counts).sum() + (np.var(drawn) if drawn.size else 0.0))
        half = float(stats.t.ppf(0.975, seeds.freedom) * error)
        low, high = value - half, value + half
    else:
        low, high = ends_of(value, drawn)
    rest = own - own.mean() - value * (x - x.mean())
    residual = float(np.sqrt(np.mean(rest**2))) if len(x) > 2 else None
    return MlpLaw(**columns, value=value, low=low, high=high, documents=documents, residual=residual)


def pair_law(x: Array, trained: Array, onto: Mapping[tuple[int, int], Array], documents: int, **columns: Any) -> MlpLaw:
    """Fit the pair model to every wider donor (`geomkit.laws.pairs`), with the MLP's width in the place of the model's size."""
    design = PairDesign.complete(x)
    pairs = zip(design.donor.tolist(), design.target.tolist(), strict=True)
    differences = np.array([trained[target] - onto[donor, target] for donor, target in pairs])
    found = design.fit(differences[:, 0], drawn=differences[:, 1:]).slope
    low, high = found.interval()
    return MlpLaw(**columns, value=found.value, low=low, high=high, documents=documents, residual=None)
