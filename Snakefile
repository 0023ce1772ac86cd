from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.0")


configfile: str(Path(workflow.basedir) / "config.yaml")


report: "workflow/report/front.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/dump.smk"
include: "workflow/rules/spectra.smk"
include: "workflow/rules/entropy.smk"
include: "workflow/rules/scaling.smk"
include: "workflow/rules/controls.smk"
include: "workflow/rules/tokens.smk"
include: "workflow/rules/ablation.smk"
include: "workflow/rules/components.smk"
include: "workflow/rules/semantics.smk"
include: "workflow/rules/theory.smk"
include: "workflow/rules/trajectory.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/ladder.smk"
include: "workflow/rules/width_depth.smk"


wildcard_constraints:
    model=r"[A-Za-z0-9._-]+",
    corpus=r"[A-Za-z0-9._-]+",
    tokenizer=r"[A-Za-z0-9._-]+",


rule all:
    default_target: True
    input:
        "results/claims.html",
        "results/claims.pdf",
        "results/scaling_plot.pdf",
        "results/nulls_plot.pdf",
        "results/losses_plot.pdf",
        "results/data_plot.pdf",
        "results/entropy_layers.pdf",
        "results/entropy_absent.csv",
        "results/token_regression.pdf",
        "results/tokens.html" if probed()["model"] else [],
        [selected(stage) for stage in ("ablation", "components", "semantics")],


onsuccess:
    if refused := refusals():
        raise WorkflowError(
            "refused, and all else delivered: " + "; ".join(refused)
        )
