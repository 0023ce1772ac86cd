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
        rest(judgement_files),
        dump="results/dumps/{model}/{corpus}/trained.h5",
        corpus="results/corpora/{corpus}.parquet",
        background=f"results/corpora/{config['semantics']['background']}.parquet",
        judgements=head(judgement_files),
    output:
        output="results/semantics/{model}/{corpus}.parquet",
        summary="results/semantics/{model}/{corpus}.csv",
    log:
        "results/logs/semantics/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(DUMPED),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb // 2),
    params:
        **call(
            "geomkit.studies.semantics:judge",
            states="geomkit.store.held:stored",
            **JUDGING,
            content=lambda wildcards: corpus_content(JUDGED),
        ),
    message:
        "Comparing {wildcards.model} with judgements of {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule compare:
    input:
        rest(judgement_files),
        rest(model_files),
        folder=head(model_files),
        texts=model_texts,
        corpus="results/corpora/{corpus}.parquet",
        background=f"results/corpora/{config['semantics']['background']}.parquet",
        judgements=head(judgement_files),
    output:
        output="results/semantics/{model}/{corpus}.parquet",
        summary="results/semantics/{model}/{corpus}.csv",
    log:
        "results/logs/compare/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(name for name in MODELS if name not in DUMPED),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **GPU,
        mem_mb=lambda wildcards, input, attempt: attempt
        * (4000 + 5 * megabytes([input.folder])),
        runtime=lambda wildcards, input, attempt: attempt
        * (60 + megabytes([input.folder]) // 10),
    params:
        **call(
            "geomkit.studies.semantics:judge",
            states="geomkit.lm.rerunning:run_again",
            **JUDGING,
            content=lambda wildcards: [
                corpus_content(JUDGED),
                model_content(wildcards),
            ],
            asked=asked_again(config["dump"]["layers"], sublayers=True, firsts=True),
            spec=spec_of,
            batch_tokens=config["compute"]["batch_tokens"],
        ),
    message:
        "Running {wildcards.model} again, and comparing it with judgements of {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule semantics_table:
    input:
        tables=expand(
            "results/semantics/{model}/{corpus}.parquet", **chosen("semantics")
        ),
        summaries=expand(
            "results/semantics/{model}/{corpus}.csv", **chosen("semantics")
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
            "geomkit.store.tables:merge_stage",
            record="Likeness",
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
            "geomkit.figures.semantics:draw_semantics",
        ),
    message:
        "Drawing how distances agree with judgements"
    script:
        "../scripts/run.py"
