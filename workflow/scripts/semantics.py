"""Distances of documents against judgements."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.store.dumps import Dump
from geomkit.studies.semantics import judge

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    judge(
        states=partial(Dump, Path(snakemake.input.dump)),
        corpus=Path(snakemake.input.corpus),
        background=Path(snakemake.input.background),
        judgements=Path(snakemake.input.judgements[0]),
        output=Path(snakemake.output.table),
        summary=Path(snakemake.output.summary),
        family=snakemake.params.family,
        model_seed=snakemake.params.model_seed,
        halves=snakemake.params.halves,
        resamples=snakemake.params.resamples,
        eps2=snakemake.params.eps2,
        seed=snakemake.params.seed,
    )
