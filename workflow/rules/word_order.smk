ORDERED = plan.chosen("word_order")


rule shuffled_blocks:
    input:
        lambda wildcards: all_files(plan.members("word_order", wildcards)["families"]),
        folder=head(inputs.model_files),
        relatives=lambda wildcards: folders(
            plan.members("word_order", wildcards)["families"]
        ),
        texts=plan.model_texts,
    output:
        output="results/shuffled_blocks/{model}/{corpus}.parquet",
    log:
        "results/logs/shuffled_blocks/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(name for name in MODELS if name not in plan.imported),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **LOADING,
    params:
        **call(
            "geomkit.studies.word_order.run:measure_order",
            **OF_MODEL
            | {
                "content": lambda wildcards: [
                    inputs.content_of(MODELS[name])
                    for name in plan.members("word_order", wildcards)["families"]
                ]
            },
            batch_tokens=config["compute"]["batch_tokens"],
            number=lambda wildcards: config["word_order"]["texts"].get(
                MODELS[wildcards.model].family
            ),
            length=config["scaling"]["primary"]["length"],
            seed=config["seed"],
        ),
    message:
        "Measuring {wildcards.model} on {wildcards.corpus}, shuffled in blocks"
    script:
        "../scripts/run.py"


rule order_effects:
    input:
        tables=expand("results/shuffled_blocks/{model}/{corpus}.parquet", **ORDERED),
    output:
        output="results/word_order.csv",
        laws="results/word_order_laws.csv",
    log:
        "results/logs/order_effects.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.word_order.analyse:compare_orders",
            families={name: MODELS[name].family for name in ORDERED["model"]},
            seeds={name: MODELS[name].seed for name in ORDERED["model"]},
            steps={name: MODELS[name].step for name in ORDERED["model"]},
            length=config["scaling"]["primary"]["length"],
            seed=config["seed"],
        ),
    message:
        "Comparing text with shuffled text, and the loss that order saves"
    script:
        "../scripts/run.py"


rule word_order_figure:
    input:
        rows="results/word_order.csv",
        laws="results/word_order_laws.csv",
    output:
        output=report(
            "results/word_order.pdf",
            caption="../report/word_order.rst",
            category="Tokens",
        ),
    log:
        "results/logs/word_order_figure.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call("geomkit.studies.word_order.figure:draw_word_order"),
    message:
        "Drawing what word order does"
    script:
        "../scripts/run.py"
