rule token_predictions:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts=plan.model_texts,
    output:
        output="results/next_token/{model}/{corpus}.parquet",
    log:
        "results/logs/token_predictions/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(name for name in MODELS if name not in plan.imported),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **LOADING,
    params:
        **call(
            "geomkit.studies.next_token.run:measure_tokens",
            **OF_MODEL,
            number=config["next_token"]["texts"],
            eps2=config["tokens"]["eps2"],
            seed=config["seed"],
        ),
    message:
        "Measuring the predictions of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


NEXT = plan.chosen("next_token")


rule next_token:
    input:
        tables=expand("results/next_token/{model}/{corpus}.parquet", **NEXT),
    output:
        output="results/next_token.csv",
    log:
        "results/logs/next_token.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.next_token.analyse:correlate",
            families={name: MODELS[name].family for name in NEXT["model"]},
            seeds={name: MODELS[name].seed for name in NEXT["model"]},
            eps2=config["tokens"]["eps2"],
            seed=config["seed"],
        ),
    message:
        "Correlating information gain with the next token's surprisal"
    script:
        "../scripts/run.py"


rule next_token_figure:
    input:
        rows="results/next_token.csv",
    output:
        output=report(
            "results/next_token.pdf",
            caption="../report/next_token.rst",
            category="Tokens",
        ),
    log:
        "results/logs/next_token_figure.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call("geomkit.studies.next_token.figure:draw_next_token"),
    message:
        "Drawing gain and the next token's surprisal"
    script:
        "../scripts/run.py"
