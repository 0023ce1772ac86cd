rule corpus:
    input:
        rest(inputs.corpus_files),
        source=head(inputs.corpus_files),
    output:
        output="results/corpora/{corpus}.parquet",
    log:
        "results/logs/corpus/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt
        * min(max(1000, 20 * inputs.megabytes(input)), 8000),
    params:
        **call(
            "geomkit.sources.corpora:prepare_corpus",
            content=inputs.corpus_content,
            reader=lambda wildcards: config["corpora"][wildcards.corpus].get(
                "reader", "parquet"
            ),
            column=lambda wildcards: settings.read_column(
                config["corpora"][wildcards.corpus]
            ),
            cleaned=lambda wildcards: config["corpora"][wildcards.corpus].get(
                "clean", False
            ),
        ),
    message:
        "Reading the corpus {wildcards.corpus}"
    script:
        "../scripts/run.py"
