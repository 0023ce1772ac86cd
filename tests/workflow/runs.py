"""What the runs of these tests are given: six short texts, the two smallest models, and what a run of them has."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from workflow_case import ROOT, Case, Outcome, Run

from geomkit.core.config import stages
from geomkit.core.variants import by_kind, drawn, nulls, runs
from geomkit.measures.entropy import metrics

MODELS = {"ladder-16-s0": (16, 2), "ladder-24-s0": (24, 3)}
"""Width and depth of each."""


SETTINGS: dict[str, Any] = yaml.safe_load((ROOT / ".test/config.yaml").read_text())


STAGES = stages(yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text()))


WITHOUT = {stage: {"models": []} for stage, block in STAGES.items() if "$ref" not in block["properties"]["models"]}
"""Stages that may select no model, without one."""


TEXTS, LENGTHS = SETTINGS["texts"]["count"], tuple(SETTINGS["entropy"]["lengths"])
RESAMPLES = SETTINGS["scaling"]["bootstrap"]


RUN = runs({"nulls": nulls(), "untrained_seeds": 1})
"""Variants that a model runs on."""


DRAWN = drawn({"nulls": nulls()})
"""Nulls of drawn rows."""


OF_FAMILY = [null.name for null in by_kind("family")]
"""Nulls made of a family's spectra."""


MODES = ("unit", "centre-unit")


PRIMARY = ["rate_distortion", "rate_distortion_ratio", "rate_distortion_paper", "erank_covariance"]


RECONSTRUCTIONS = ("reconstruction", "reconstruction_unseen")


BY_COORDINATES = {"lasso", "elastic_net", "orthogonal_matching_pursuit", "ridge"}
"""Methods that see the target's own vector."""


LONG = ("alpha_req", "top_10_share")
"""Metrics that the shortest texts do not have."""


METRICS = [name for name in metrics if name not in LONG]
"""Those that the shortest texts have too."""


UPSTREAM = {"corpus": 1, "texts": 1, "dump": 2, "spectra": 2, "entropy": 2, "width_nulls": 1}
"""Jobs of a whole run up to the merged table."""


JOBS = UPSTREAM | {"project": 2, "tokens": 2}
"""Rules that have another number of jobs in a whole run than one."""


PICTURES = (".pdf", ".html")
"""Endings of what is drawn from the tables; tests of figures hold that equal tables give equal bytes."""


def upstream(outcome: Outcome) -> dict[str, int]:
    """Jobs of a run up to the merged table; what follows the table must run with it."""
    assert outcome.jobs.keys() >= {"entropy_table", "scaling"}
    return {rule: count for rule, count in outcome.jobs.items() if rule in UPSTREAM}


def write_corpus(folder: Path) -> None:
    """45 documents of 60 common words, drawn by chance."""
    folder.mkdir()
    shutil.copy2(ROOT / ".test/small.jsonl", folder)


FAULTS = {
    "corpora/blank.parquet": "DataError: blank: the reader 'text' found no text in there",
    "corpora/bare.parquet": "DataError: bare: no .txt or .md file in there",
    "sources/corpora/wheel": f"SourceError: speeches==1.0, speeches/a.txt: the sha256 is .*, not the pinned {'0' * 64}",
    "texts/ladder/short.h5": "DataError: results/corpora/short.parquet: no text of at least two tokens",
    "dumps/loud/small/trained.h5": "DataError: dump.dtype: float16 cannot hold /hidden/0, whose largest value is .*; use float32",
}


class Killed(NamedTuple):
    """A run of all but pictures in which one job was killed: its outcome, the dumps that the job left, and the run after it."""

    case: Case
    outcome: Outcome
    dumps: list[Path]
    resumed: Run


ALL = ("all", *(f"results/{name}" for name in ("scaling_plot.pdf", "nulls_plot.pdf", "losses_plot.pdf", "data_plot.pdf",
                                               "claims.html", "claims.pdf")))  # fmt: skip
"""Default targets, with those that a family of three sizes has; this one has two."""


def listed(case: Case, *arguments: str, settings: dict[str, Any] | None = None, target: str | None = None) -> Outcome:
    outcome = case.run(*([target] if target else ALL), "--cores", "1", "--dry-run", *arguments, settings=settings)
    assert outcome.status == 0, outcome.terminal
    return outcome
