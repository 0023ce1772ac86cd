DEFAULT += plan.wanted("ablation", "results/ablation.pdf")
DOWNLOADS += inputs.downloads("ablation")


rule removal:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        probe="results/probes/{model}/{corpus}.h5",
    output:
        output="results/removals/{model}/{corpus}.h5",
    log:
        "results/logs/removal/{model}/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **loading(5, list),
    params:
        **call(
            "geomkit.studies.removal.run:remove_tokens",
            **OF_MODEL,
            removal={
                key: config["ablation"][key]
                for key in ("texts", "targets", "layers", "fractions")
            },
            methods=plan.selectors,
            seed=config["seed"],
        ),
    message:
        "Removing tokens from contexts of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule ablation:
    input:
        removals="results/removals/{model}/{corpus}.h5",
        probe="results/probes/{model}/{corpus}.h5",
    output:
        output="results/ablation/{model}/{corpus}.parquet",
        summary="results/ablation/{model}/{corpus}.csv",
    log:
        "results/logs/ablation/{model}/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb // 2),
    params:
        **call(
            "geomkit.studies.removal.analyse:measure_removals",
            **ABOUT_MODEL,
            seed=config["seed"],
        ),
    message:
        "Analysing removals from contexts of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule ablation_table:
    input:
        tables=expand(
            "results/ablation/{model}/{corpus}.parquet", **plan.chosen("ablation")
        ),
        summaries=expand(
            "results/ablation/{model}/{corpus}.csv", **plan.chosen("ablation")
        ),
    output:
        output="results/ablation.parquet",
        absent="results/ablation_absent.csv",
        summary="results/ablation_summary.csv",
    log:
        "results/logs/ablation_table.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.tables.tidy:merge_stage",
        ),
    message:
        "Joining the tables of ablation"
    script:
        "../scripts/run.py"


rule ablation_figure:
    input:
        summary="results/ablation_summary.csv",
        sinks=[
            "results/sinks_summary.csv",
            relative(RESOURCES / "findings/sinks_summary.csv"),
        ],
        needle=relative(RESOURCES / "findings/needle/needle.csv"),
    output:
        output=report(
            "results/ablation.pdf",
            caption="../report/ablation.rst",
            category="Tokens",
        ),
    log:
        "results/logs/ablation_figure.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.removal.figure:draw_ablation",
        ),
    message:
        "Drawing what removing tokens does"
    script:
        "../scripts/run.py"
