rule components:
    input:
        rest(model_files),
        folder=head(model_files),
        texts=model_texts,
    output:
        output="results/components/{model}/{corpus}.parquet",
    log:
        "results/logs/components/{model}/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **GPU,
        mem_mb=lambda wildcards, input, attempt: attempt * (4000 + 5 * megabytes(input)),
        runtime=lambda wildcards, input, attempt: attempt * (60 + megabytes(input) // 5),
    params:
        **call(
            "geomkit.lm.components:measure_components",
            content=model_content,
            spec=spec_of,
            family=lambda wildcards: MODELS[wildcards.model].family,
            model_seed=lambda wildcards: MODELS[wildcards.model].seed,
            number=config["components"]["texts"],
            heads=config["components"]["heads"],
            gain={"n": config["texts"]["length"], "eps2": config["entropy"]["eps2"]},
            batch_tokens=config["compute"]["batch_tokens"],
        ),
    message:
        "Taking sublayers out of {wildcards.model} on {wildcards.corpus}"
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
            "geomkit.studies.components:summarise_components",
            seed=config["seed"],
        ),
    message:
        "Intervals of sublayers, {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule components_table:
    input:
        tables=expand(
            "results/components/{model}/{corpus}.parquet", **chosen("components")
        ),
        summaries=expand(
            "results/components/{model}/{corpus}.csv", **chosen("components")
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
            "geomkit.store.tables:merge_stage",
            record="SublayerEffect",
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
            "geomkit.figures.components:draw_components",
        ),
    message:
        "Drawing what sublayers do"
    script:
        "../scripts/run.py"
