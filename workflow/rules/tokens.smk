DEFAULT += [
    "results/token_regression.pdf",
    *(["results/tokens.html"] if plan.probed()["model"] else []),
]
DOWNLOADS += inputs.downloads("tokens")


rule probe:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        spectra="results/spectra/{model}/{corpus}.h5",
    output:
        output="results/probes/{model}/{corpus}.h5",
    log:
        "results/logs/probe/{model}/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **loading(5),
    params:
        **call(
            "geomkit.models.probe:probe_model",
            **OF_MODEL,
            batch_tokens=config["compute"]["batch_tokens"],
            selection={
                key: value
                for key, value in config["tokens"]["selection"].items()
                if key not in ("models", "methods", "budgets")
            }
            | {"budgets": sorted(config["tokens"]["selection"]["budgets"])},
            methods=plan.selectors,
            seed=config["seed"],
        ),
    message:
        "Probing {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule tokens:
    input:
        spectra="results/spectra/{model}/{corpus}.h5",
    output:
        output="results/tokens/{model}/{corpus}.parquet",
        summary="results/tokens/{model}/{corpus}.csv",
    log:
        "results/logs/tokens/{model}/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb // 5),
    params:
        **call(
            "geomkit.studies.tokens.gains:measure_gains",
            **ABOUT_MODEL,
            seed=config["seed"],
        ),
    message:
        "Analysing the information gain of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule selection:
    input:
        probe="results/probes/{model}/{corpus}.h5",
        spectra="results/spectra/{model}/{corpus}.h5",
    output:
        output="results/selection/{model}/{corpus}.parquet",
        summary="results/selection/{model}/{corpus}.csv",
    log:
        "results/logs/selection/{model}/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb // 2),
    params:
        **call(
            "geomkit.studies.tokens.selection:compare_selections",
            **ABOUT_MODEL,
            seed=config["seed"],
        ),
    message:
        "Comparing selections of tokens, {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule tokens_table:
    input:
        tables=[
            *expand(
                "results/tokens/{model}/{corpus}.parquet", **plan.chosen("tokens")
            ),
            *expand("results/selection/{model}/{corpus}.parquet", **plan.probed()),
        ],
        summaries=[
            *expand("results/tokens/{model}/{corpus}.csv", **plan.chosen("tokens")),
            *expand("results/selection/{model}/{corpus}.csv", **plan.probed()),
        ],
    output:
        output="results/tokens.parquet",
        absent="results/tokens_absent.csv",
        summary="results/tokens_summary.csv",
    log:
        "results/logs/tokens_table.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.tables.tidy:merge_stage",
        ),
    message:
        "Joining the tables of tokens"
    script:
        "../scripts/run.py"


rule token_regression:
    input:
        summary="results/tokens_summary.csv",
    output:
        output=report(
            "results/token_regression.pdf",
            caption="../report/token_regression.rst",
            category="Tokens",
        ),
    log:
        "results/logs/token_regression.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.tokens.figure:draw_tokens",
        ),
    message:
        "Drawing gain, ridge and selection of tokens"
    script:
        "../scripts/run.py"


rule token_texts:
    input:
        probes=expand("results/probes/{model}/{corpus}.h5", **plan.probed()),
        spectra=expand("results/spectra/{model}/{corpus}.h5", **plan.probed()),
    output:
        output="results/token_texts.json",
    log:
        "results/logs/token_texts.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.tokens.texts:collect_texts",
        ),
    message:
        "Collecting texts for the page of tokens"
    script:
        "../scripts/run.py"


rule tokens_page:
    input:
        texts="results/token_texts.json",
        template=relative(ROOT / "workflow/report/tokens.html"),
    output:
        output=report(
            "results/tokens.html",
            caption="../report/tokens_page.rst",
            category="Tokens",
        ),
    log:
        "results/logs/tokens_page.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.tokens.page:draw_page",
        ),
    message:
        "Writing the page of tokens"
    script:
        "../scripts/run.py"
