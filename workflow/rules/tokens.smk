rule probe:
    input:
        model=model_files,
        spectra="results/spectra/{model}/{corpus}.h5",
    output:
        "results/probes/{model}/{corpus}.h5",
    log:
        "results/logs/probe/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/probe/{model}/{corpus}.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        **GPU,
        mem_mb=lambda wildcards, input, attempt: attempt
        * (4000 + 5 * megabytes(input.model)),
        runtime=lambda wildcards, input, attempt: attempt
        * (60 + megabytes(input.model) // 5),
    params:
        code=code("probe.py"),
        content=model_content,
        trust_remote_code=lambda wildcards: MODELS[wildcards.model].entry.get(
            "trust_remote_code", False
        ),
        selection={
            key: value
            for key, value in config["tokens"]["selection"].items()
            if key not in ("models", "methods", "budgets")
        }
        | {"budgets": sorted(config["tokens"]["selection"]["budgets"])},
        methods=SELECTORS,
        gain=GAIN,
        compute=config["compute"],
        seed=config["seed"],
    message:
        "Hiding tokens from {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/probe.py"


rule tokens:
    input:
        spectra="results/spectra/{model}/{corpus}.h5",
    output:
        table="results/tokens/{model}/{corpus}.parquet",
        summary="results/tokens/{model}/{corpus}.csv",
    log:
        "results/logs/tokens/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/tokens/{model}/{corpus}.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb // 5),
    params:
        code=code("tokens.py"),
        family=lambda wildcards: MODELS[wildcards.model].family,
        model_seed=lambda wildcards: MODELS[wildcards.model].seed,
        gain=gain_constants,
        seed=config["seed"],
    message:
        "Information gain of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/tokens.py"


rule selection:
    input:
        probe="results/probes/{model}/{corpus}.h5",
        spectra="results/spectra/{model}/{corpus}.h5",
    output:
        table="results/selection/{model}/{corpus}.parquet",
        summary="results/selection/{model}/{corpus}.csv",
    log:
        "results/logs/selection/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/selection/{model}/{corpus}.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb // 2),
    params:
        code=code("selection.py"),
        family=lambda wildcards: MODELS[wildcards.model].family,
        model_seed=lambda wildcards: MODELS[wildcards.model].seed,
        gain=gain_constants,
        seed=config["seed"],
    message:
        "Comparing choices of tokens, {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/selection.py"


rule tokens_table:
    input:
        tables=[
            *expand("results/tokens/{model}/{corpus}.parquet", **chosen("tokens")),
            *expand("results/selection/{model}/{corpus}.parquet", **probed()),
        ],
        summaries=[
            *expand("results/tokens/{model}/{corpus}.csv", **chosen("tokens")),
            *expand("results/selection/{model}/{corpus}.csv", **probed()),
        ],
    output:
        table="results/tokens.parquet",
        absent="results/tokens_absent.csv",
        summary="results/tokens_summary.csv",
    log:
        "results/logs/tokens_table.log",
    benchmark:
        "results/benchmarks/tokens_table.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("merge.py"),
    message:
        "Joining what was found about tokens"
    script:
        "../scripts/merge.py"


rule token_regression:
    input:
        "results/tokens_summary.csv",
    output:
        report(
            "results/token_regression.pdf",
            caption="../report/token_regression.rst",
            category="Tokens",
        ),
    log:
        "results/logs/token_regression.log",
    benchmark:
        "results/benchmarks/token_regression.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("token_regression.py"),
    message:
        "Drawing gain, ridge and selection of tokens"
    script:
        "../scripts/token_regression.py"


rule token_texts:
    input:
        probes=expand("results/probes/{model}/{corpus}.h5", **probed()),
        spectra=expand("results/spectra/{model}/{corpus}.h5", **probed()),
    output:
        "results/token_texts.json",
    log:
        "results/logs/token_texts.log",
    benchmark:
        "results/benchmarks/token_texts.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("token_texts.py"),
    message:
        "Collecting texts for the page of tokens"
    script:
        "../scripts/token_texts.py"


rule tokens_page:
    input:
        texts="results/token_texts.json",
        template=relative(ROOT / "workflow/report/tokens.html"),
    output:
        report(
            "results/tokens.html",
            caption="../report/tokens_page.rst",
            category="Tokens",
        ),
    log:
        "results/logs/tokens_page.log",
    benchmark:
        "results/benchmarks/tokens_page.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("tokens_page.py"),
    message:
        "Writing the page of tokens"
    script:
        "../scripts/tokens_page.py"
