rule sinks:
    input:
        spectra="results/spectra/{model}/{corpus}.h5",
    output:
        output="results/sinks/{model}/{corpus}.parquet",
        summary="results/sinks/{model}/{corpus}.csv",
    log:
        "results/logs/sinks/{model}/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb // 2),
    params:
        **call(
            "geomkit.studies.sinks.analyse:measure_without_sinks",
            **ABOUT_MODEL,
            seed=config["seed"],
        ),
    message:
        "Measuring {wildcards.model} without attention sinks on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule sinks_table:
    input:
        tables=expand(
            "results/sinks/{model}/{corpus}.parquet", **plan.chosen("ablation")
        ),
        summaries=expand(
            "results/sinks/{model}/{corpus}.csv", **plan.chosen("ablation")
        ),
    output:
        output="results/sinks.parquet",
        absent="results/sinks_absent.csv",
        summary="results/sinks_summary.csv",
    log:
        "results/logs/sinks_table.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.tables.tidy:merge_stage",
        ),
    message:
        "Joining the tables of sinks"
    script:
        "../scripts/run.py"
