JUDGEMENTS = config["semantics"]["judgements"]
DEFAULT += plan.wanted("semantics", "results/semantics.pdf")
DOWNLOADS += inputs.downloads(
    "semantics", corpora=[config["semantics"]["background"], JUDGEMENTS]
)
JUDGING = {
    **ABOUT_MODEL,
    "halves": config["semantics"]["halves"],
    "resamples": config["semantics"]["resamples"],
    "eps2": config["entropy"]["eps2"],
    "metrics": plan.metrics_with("central"),
    "seed": config["seed"],
}


rule semantics:
    input:
        rest(inputs.corpus_files, corpus=JUDGEMENTS),
        dumps="results/dumps/{model}/{corpus}/trained.h5",
        corpus="results/corpora/{corpus}.parquet",
        background=f"results/corpora/{config['semantics']['background']}.parquet",
        judgements=head(inputs.corpus_files, corpus=JUDGEMENTS),
    output:
        output="results/semantics/{model}/{corpus}.parquet",
        summary="results/semantics/{model}/{corpus}.csv",
    log:
        "results/logs/semantics/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.dumped),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb // 2),
    params:
        **call(
            "geomkit.studies.semantics.analyse:judge",
            **STORED,
            **JUDGING,
            content=lambda wildcards: inputs.source_content("corpora", JUDGEMENTS),
        ),
    message:
        "Comparing {wildcards.model} with judgements of {wildcards.corpus}"
    script:
        "../scripts/run.py"


use rule semantics as compare with:
    input:
        rest(inputs.corpus_files, corpus=JUDGEMENTS),
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts=plan.model_texts,
        corpus="results/corpora/{corpus}.parquet",
        background=f"results/corpora/{config['semantics']['background']}.parquet",
        judgements=head(inputs.corpus_files, corpus=JUDGEMENTS),
    log:
        "results/logs/compare/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.streamed),
    resources:
        **LOADING,
    params:
        **call(
            "geomkit.studies.semantics.analyse:judge",
            **JUDGING,
            **RUNNING
            | {
                "content": lambda wildcards: [
                    inputs.source_content("corpora", JUDGEMENTS),
                    inputs.model_content(wildcards),
                ]
            },
            dump=CHOSEN_STATES | {"sublayers": True, "mlp_hidden": []},
        ),
    message:
        "Running {wildcards.model} again, and comparing it with judgements of {wildcards.corpus}"


rule semantics_table:
    input:
        tables=expand(
            "results/semantics/{model}/{corpus}.parquet", **plan.chosen("semantics")
        ),
        summaries=expand(
            "results/semantics/{model}/{corpus}.csv", **plan.chosen("semantics")
        ),
    output:
        output="results/semantics.parquet",
        absent="results/semantics_absent.csv",
        summary="results/semantics_summary.csv",
    log:
        "results/logs/semantics_table.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.tables.tidy:merge_stage",
        ),
    message:
        "Joining the tables of semantics"
    script:
        "../scripts/run.py"


rule semantics_figure:
    input:
        summary="results/semantics_summary.csv",
    output:
        output=report(
            "results/semantics.pdf",
            caption="../report/semantics.rst",
            category="Texts",
        ),
    log:
        "results/logs/semantics_figure.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.semantics.figure:draw_semantics",
        ),
    message:
        "Drawing the agreement of distances with judgements"
    script:
        "../scripts/run.py"
