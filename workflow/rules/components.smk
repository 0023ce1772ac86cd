rule components:
    input:
        model=model_files,
        texts=model_texts,
    output:
        "results/components/{model}/{corpus}.parquet",
    log:
        "results/logs/components/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/components/{model}/{corpus}.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        **GPU,
        mem_mb=lambda wildcards, input, attempt: attempt * (4000 + 5 * megabytes(input)),
        runtime=lambda wildcards, input, attempt: attempt * (60 + megabytes(input) // 5),
    params:
        code=code("components.py"),
        content=model_content,
        trust_remote_code=lambda wildcards: MODELS[wildcards.model].entry.get(
            "trust_remote_code", False
        ),
        objective=lambda wildcards: MODELS[wildcards.model].objective,
        family=lambda wildcards: MODELS[wildcards.model].family,
        model_seed=lambda wildcards: MODELS[wildcards.model].seed,
        number=config["components"]["texts"],
        heads=config["components"]["heads"],
        gain={"n": config["texts"]["length"], "eps2": config["entropy"]["eps2"]},
        compute=config["compute"],
    message:
        "Taking sublayers out of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/components.py"


rule components_summary:
    input:
        "results/components/{model}/{corpus}.parquet",
    output:
        "results/components/{model}/{corpus}.csv",
    log:
        "results/logs/components_summary/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/components_summary/{model}/{corpus}.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb // 2),
    params:
        code=code("components_summary.py"),
        seed=config["seed"],
    message:
        "Intervals of sublayers, {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/components_summary.py"


rule components_table:
    input:
        tables=expand(
            "results/components/{model}/{corpus}.parquet", **chosen("components")
        ),
        summaries=expand(
            "results/components/{model}/{corpus}.csv", **chosen("components")
        ),
    output:
        table="results/components.parquet",
        absent="results/components_absent.csv",
        summary="results/components_summary.csv",
    log:
        "results/logs/components_table.log",
    benchmark:
        "results/benchmarks/components_table.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("merge.py"),
        record="SublayerEffect",
    message:
        "Joining the tables of components"
    script:
        "../scripts/merge.py"


rule components_figure:
    input:
        "results/components_summary.csv",
    output:
        report(
            "results/components.pdf",
            caption="../report/components.rst",
            category="Layers",
        ),
    log:
        "results/logs/components_figure.log",
    benchmark:
        "results/benchmarks/components_figure.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("components_figure.py"),
    message:
        "Drawing what sublayers do"
    script:
        "../scripts/components_figure.py"
