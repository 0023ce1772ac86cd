rule corpus:
    input:
        corpus_files,
    output:
        "results/corpora/{corpus}.parquet",
    log:
        "results/logs/corpus/{corpus}.log",
    benchmark:
        "results/benchmarks/corpus/{corpus}.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt
        * min(max(1000, 20 * megabytes(input)), 8000),
    params:
        code=code("corpus.py"),
        content=corpus_content,
        reader=lambda wildcards: config["corpora"][wildcards.corpus].get(
            "reader", "parquet"
        ),
        column=lambda wildcards: settings.read_column(
            config["corpora"][wildcards.corpus]
        ),
        clean=lambda wildcards: config["corpora"][wildcards.corpus].get("clean", False),
    message:
        "Reading the corpus {wildcards.corpus}"
    script:
        "../scripts/corpus.py"
