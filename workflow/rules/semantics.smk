# how documents are compared, from a dump or a model that runs once more
JUDGING = {
    "family": lambda wildcards: MODELS[wildcards.model].family,
    "model_seed": lambda wildcards: MODELS[wildcards.model].seed,
    "halves": config["semantics"]["halves"],
    "resamples": config["semantics"]["resamples"],
    "eps2": config["entropy"]["eps2"],
    "seed": config["seed"],
}


rule semantics:
    input:
        dump="results/dumps/{model}/{corpus}/trained.h5",
        corpus="results/corpora/{corpus}.parquet",
        background=f"results/corpora/{config['semantics']['background']}.parquet",
        judgements=judgement_files,
    output:
        table="results/semantics/{model}/{corpus}.parquet",
        summary="results/semantics/{model}/{corpus}.csv",
    log:
        "results/logs/semantics/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/semantics/{model}/{corpus}.tsv"
    wildcard_constraints:
        model=one_of(DUMPED),
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb // 2),
    params:
        **JUDGING,
        code=code("semantics.py"),
        judgements=lambda wildcards: corpus_content(JUDGED),
    message:
        "Comparing {wildcards.model} with judgements of {wildcards.corpus}"
    script:
        "../scripts/semantics.py"


rule compare:
    input:
        model=model_files,
        texts=model_texts,
        corpus="results/corpora/{corpus}.parquet",
        background=f"results/corpora/{config['semantics']['background']}.parquet",
        judgements=judgement_files,
    output:
        table="results/semantics/{model}/{corpus}.parquet",
        summary="results/semantics/{model}/{corpus}.csv",
    log:
        "results/logs/compare/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/compare/{model}/{corpus}.tsv"
    wildcard_constraints:
        model=one_of(name for name in MODELS if name not in DUMPED),
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        **GPU,
        mem_mb=lambda wildcards, input, attempt: attempt
        * (4000 + 5 * megabytes(input.model)),
        runtime=lambda wildcards, input, attempt: attempt
        * (60 + megabytes(input.model) // 10),
    params:
        **JUDGING,
        code=code("compare.py"),
        judgements=lambda wildcards: corpus_content(JUDGED),
        content=model_content,
        asked=asked_again(config["dump"]["layers"], sublayers=True, firsts=True),
        compute=config["compute"],
    message:
        "Running {wildcards.model} again, and comparing it with judgements of {wildcards.corpus}"
    script:
        "../scripts/compare.py"


rule semantics_table:
    input:
        tables=expand(
            "results/semantics/{model}/{corpus}.parquet", **chosen("semantics")
        ),
        summaries=expand(
            "results/semantics/{model}/{corpus}.csv", **chosen("semantics")
        ),
    output:
        table="results/semantics.parquet",
        absent="results/semantics_absent.csv",
        summary="results/semantics_summary.csv",
    log:
        "results/logs/semantics_table.log",
    benchmark:
        "results/benchmarks/semantics_table.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("merge.py"),
        record="Likeness",
    message:
        "Joining the tables of semantics"
    script:
        "../scripts/merge.py"


rule semantics_figure:
    input:
        "results/semantics_summary.csv",
    output:
        report(
            "results/semantics.pdf",
            caption="../report/semantics.rst",
            category="Texts",
        ),
    log:
        "results/logs/semantics_figure.log",
    benchmark:
        "results/benchmarks/semantics_figure.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("semantics_figure.py"),
    message:
        "Drawing how distances agree with judgements"
    script:
        "../scripts/semantics_figure.py"
