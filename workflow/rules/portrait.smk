# One model on one corpus, and two models compared: any of the catalogue, by the target's name alone


DEFAULT += plan.portraits


PAGE = "snakemake --cores 1 results/portraits/{}.html"
# what a portrait measures of a model, and how its table is made
PORTRAIT = {
    "modes": config["portrait"]["normalise"],
    "lengths": config["portrait"]["lengths"],
    "metrics": plan.metrics,
    "eps2": config["entropy"]["eps2"],
    "seed": config["seed"],
}
PORTRAIT_TABLE = {
    "metrics": plan.metrics,
    "parameters": plan.parameters,
    "drawn": "gaussian",
    "seed": config["seed"],
}
REFERENCES = RESOURCES / "findings/portraits/references.csv"


rule portrait_of_states:
    input:
        dumps="results/dumps/{model}/{corpus}/trained.h5",
    output:
        spectra="results/portraits/{model}/{corpus}.h5",
        vocabulary="results/portraits/{model}/{corpus}.words.json",
    log:
        "results/logs/portrait_of_states/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.imported),
        corpus=one_of(config["corpora"]),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb),
    params:
        **call(
            "geomkit.studies.portrait.measure:measure_portrait",
            **STORED,
            **PORTRAIT,
            nulls=[],
        ),
    message:
        "Measuring the portrait of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


use rule portrait_of_states as portrait_spectra with:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts=plan.model_texts,
    log:
        "results/logs/portrait_spectra/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(name for name in MODELS if name not in plan.imported),
        corpus=one_of(config["corpora"]),
    resources:
        **LOADING,
    params:
        **call(
            "geomkit.studies.portrait.measure:measure_portrait",
            **RUNNING,
            **PORTRAIT,
            nulls=plan.portrait_nulls,
        ),


rule portrait_table:
    input:
        **({"references": relative(REFERENCES)} if REFERENCES.exists() else {}),
        spectra="results/portraits/{model}/{corpus}.h5",
        vocabulary="results/portraits/{model}/{corpus}.words.json",
    output:
        output="results/portraits/{model}/{corpus}.parquet",
        csv="results/portraits/{model}/{corpus}.csv",
    log:
        "results/logs/portrait_table/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(MODELS),
        corpus=one_of(config["corpora"]),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb),
    params:
        **call(
            "geomkit.studies.portrait.analyse:write_portrait",
            **PORTRAIT_TABLE,
            command=lambda wildcards: PAGE.format(
                f"{wildcards.model}/{wildcards.corpus}"
            ),
        ),
    message:
        "Evaluating the portrait of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


# two models whose tokenizers differ read the texts of the first one as passages, each in its own tokens


rule passages:
    input:
        lambda wildcards: given_files(inputs.model_files, model=wildcards.first)[1:],
        folder=lambda wildcards: given_files(
            inputs.model_files, model=wildcards.first
        )[0],
        corpus="results/corpora/{corpus}.parquet",
    output:
        output="results/portraits/{first}-vs-{second}/{corpus}.passages.parquet",
    log:
        "results/logs/passages/{first}-vs-{second}/{corpus}.log",
    wildcard_constraints:
        first=one_of(MODELS),
        second=one_of(MODELS),
        corpus=one_of(config["corpora"]),
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.models.cutting:cut_passages",
            content=lambda wildcards: inputs.content_of(MODELS[wildcards.first]),
            spec=lambda wildcards: spec_of(MODELS[wildcards.first]),
            split=lambda wildcards: config["corpora"][wildcards.corpus].get(
                "split", "all"
            ),
            special_tokens=lambda wildcards: config["corpora"][wildcards.corpus].get(
                "special_tokens", "split"
            ),
            texts=config["texts"],
            seed=config["seed"],
        ),
    message:
        "Cutting passages of {wildcards.corpus} for {wildcards.first} and {wildcards.second}"
    script:
        "../scripts/run.py"


rule passage_texts:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        corpus="results/portraits/{pair}/{corpus}.passages.parquet",
    output:
        output="results/portraits/{pair}/{model}/{corpus}.texts.h5",
    log:
        "results/logs/passage_texts/{pair}/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(name for name in MODELS if name not in plan.imported),
        corpus=one_of(config["corpora"]),
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.models.cutting:cut_texts",
            content=inputs.model_content,
            spec=lambda wildcards: spec_of(MODELS[wildcards.model]),
            split="all",
            texts={"count": config["texts"]["count"], "length": 1 << 40},
            seed=config["seed"],
        ),
    message:
        "Reading the passages of {wildcards.pair} in the tokens of {wildcards.model}"
    script:
        "../scripts/run.py"


use rule portrait_spectra as portrait_of_passages with:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts="results/portraits/{pair}/{model}/{corpus}.texts.h5",
    output:
        spectra="results/portraits/{pair}/{model}/{corpus}.h5",
        vocabulary="results/portraits/{pair}/{model}/{corpus}.words.json",
    log:
        "results/logs/portrait_of_passages/{pair}/{model}/{corpus}.log",
    params:
        **call(
            "geomkit.studies.portrait.measure:measure_portrait",
            **RUNNING,
            **PORTRAIT,
            nulls=[],
        ),


rule comparison_table:
    input:
        spectra=lambda wildcards: plan.compared(wildcards, ".h5"),
        vocabularies=lambda wildcards: plan.compared(wildcards, ".words.json"),
    output:
        output="results/portraits/{first}-vs-{second}/{corpus}.parquet",
        csv="results/portraits/{first}-vs-{second}/{corpus}.csv",
    log:
        "results/logs/comparison_table/{first}-vs-{second}/{corpus}.log",
    wildcard_constraints:
        first=one_of(MODELS),
        second=one_of(MODELS),
        corpus=one_of(config["corpora"]),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb),
    params:
        **call(
            "geomkit.studies.portrait.compare:write_comparison",
            **PORTRAIT_TABLE,
            models=lambda wildcards: [wildcards.first, wildcards.second],
            command=lambda wildcards: PAGE.format(
                f"{wildcards.first}-vs-{wildcards.second}/{wildcards.corpus}"
            ),
        ),
    message:
        "Comparing {wildcards.first} with {wildcards.second} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule portrait:
    input:
        # of which the digest of the code knows nothing
        relative(LIBRARY / "geomkit/studies/portrait/page.html"),
        relative(LIBRARY / "geomkit/core/page.js"),
        table="results/portraits/{subject}/{corpus}.parquet",
    output:
        output=report(
            "results/portraits/{subject}/{corpus}.html",
            caption="../report/portrait.rst",
            category="Models",
            labels={"models": "{subject}", "corpus": "{corpus}", "form": "page"},
        ),
    log:
        "results/logs/portrait/{subject}/{corpus}.log",
    wildcard_constraints:
        corpus=one_of(config["corpora"]),
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call("geomkit.studies.portrait.page:write_page"),
    message:
        "Writing the page of {wildcards.subject} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule portrait_figure:
    input:
        table="results/portraits/{subject}/{corpus}.parquet",
    output:
        output=report(
            "results/portraits/{subject}/{corpus}.pdf",
            caption="../report/portrait.rst",
            category="Models",
            labels={"models": "{subject}", "corpus": "{corpus}", "form": "figure"},
        ),
    log:
        "results/logs/portrait_figure/{subject}/{corpus}.log",
    wildcard_constraints:
        corpus=one_of(config["corpora"]),
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call("geomkit.studies.portrait.figure:draw"),
    message:
        "Drawing the portrait of {wildcards.subject} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule references:
    input:
        table="results/entropy.parquet",
        projections=expand(
            "results/projections/{corpus}.parquet",
            corpus=plan.chosen("entropy")["corpus"],
        ),
    output:
        output="results/portraits/references.csv",
    log:
        "results/logs/references.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.portrait.references:collect_references",
            seed=config["seed"],
        ),
    message:
        "Collecting the models that portraits are compared with"
    script:
        "../scripts/run.py"
