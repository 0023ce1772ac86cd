DEFAULT += plan.wanted("components", "results/components.pdf")
DOWNLOADS += inputs.downloads("components")


rule components:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts=plan.model_texts,
    output:
        output="results/components/{model}/{corpus}.parquet",
    log:
        "results/logs/components/{model}/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **loading(5, list),
    params:
        **call(
            "geomkit.studies.components.run:measure_components",
            **OF_MODEL,
            **ABOUT_MODEL,
            number=config["components"]["texts"],
            heads=config["components"]["heads"],
            gain={"n": config["texts"]["length"], "eps2": config["entropy"]["eps2"]},
            metrics=plan.metrics_with("central"),
            batch_tokens=config["compute"]["batch_tokens"],
        ),
    message:
        "Ablating sublayers of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule components_summary:
    input:
        table="results/components/{model}/{corpus}.parquet",
    output:
        output="results/components/{model}/{corpus}.csv",
    log:
        "results/logs/components_summary/{model}/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb // 2),
    params:
        **call(
            "geomkit.studies.components.analyse:summarise_components",
            seed=config["seed"],
        ),
    message:
        "Summarising sublayers of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule components_table:
    input:
        tables=expand(
            "results/components/{model}/{corpus}.parquet", **plan.chosen("components")
        ),
        summaries=expand(
            "results/components/{model}/{corpus}.csv", **plan.chosen("components")
        ),
    output:
        output="results/components.parquet",
        absent="results/components_absent.csv",
        summary="results/components_summary.csv",
    log:
        "results/logs/components_table.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.tables.tidy:merge_stage",
        ),
    message:
        "Joining the tables of components"
    script:
        "../scripts/run.py"


rule components_figure:
    input:
        summary="results/components_summary.csv",
    output:
        output=report(
            "results/components.pdf",
            caption="../report/components.rst",
            category="Layers",
        ),
    log:
        "results/logs/components_figure.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.components.figure:draw_components",
        ),
    message:
        "Drawing what sublayers do"
    script:
        "../scripts/run.py"
