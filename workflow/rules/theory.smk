from geomkit.core.trainings import fact_cells

FACTS = relative(RESOURCES / "findings/theory/training/facts.csv")
STEPS = relative(RESOURCES / "findings/theory/training/small_steps.csv")
RADII = relative(RESOURCES / "findings/theory/training/step_radii.csv")
NGRAM_TABLES = ["trigrams", "bigrams", "tokens", "words"]
TOKENIZER = ancient(relative(RESOURCES / "ladder/tokenizer"))
TOKENIZER_FILES = list(map(relative, files_below(RESOURCES / "ladder/tokenizer")))


rule theory_ngram_ids:
    input:
        TOKENIZER_FILES,
        corpus=f"results/corpora/{config['ladder']['corpus']}.parquet",
        tokenizer=TOKENIZER,
    output:
        output="results/theory/ngrams.h5",
    log:
        "results/logs/theory/ngram_ids.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.theory.run.ngram_ids:encode_splits",
        ),
    message:
        "Encoding the ladder's training, validation and test text"
    script:
        "../scripts/run.py"


rule theory_simulation:
    output:
        output="results/theory/simulation.csv",
    log:
        "results/logs/theory/simulation.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.theory.simulation:simulate_skills",
            grid=config["theory"]["simulation"],
            seed=config["seed"],
        ),
    message:
        "Sampling graphs of texts and skills"
    script:
        "../scripts/run.py"


rule theory_relations:
    input:
        grid=relative(RESOURCES / "ladder/training_grid.csv"),
        ladder=relative(RESOURCES / "ladder/losses.csv"),
    output:
        output="results/theory/relations.csv",
    log:
        "results/logs/theory/relations.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.theory.relations:relate_exponents",
            resamples=config["theory"]["resamples"]["primary"],
            sensitivity=config["theory"]["resamples"]["sensitivity"],
            seed=config["seed"],
        ),
    message:
        "Relating the exponents of size and data"
    script:
        "../scripts/run.py"


rule theory_ngrams:
    input:
        documents="results/theory/ngrams.h5",
    output:
        exponents="results/theory/exponents.csv",
        budgets="results/theory/budgets.csv",
    log:
        "results/logs/theory/ngrams.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.theory.ngrams:measure_ngrams",
        ),
    message:
        "Measuring frequency tables and budgets of trigrams"
    script:
        "../scripts/run.py"


rule theory_curve:
    input:
        grid=relative(RESOURCES / "ladder/training_grid.csv"),
        ladder=relative(RESOURCES / "ladder/losses.csv"),
        documents="results/theory/ngrams.h5",
    output:
        output="results/theory/curves/{table}.csv",
    log:
        "results/logs/theory/curve/{table}.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.theory.relations:fit_skill_curves",
        ),
    message:
        "Fitting the theory's curve of {wildcards.table}"
    script:
        "../scripts/run.py"


rule theory_curves:
    input:
        tables=expand("results/theory/curves/{table}.csv", table=NGRAM_TABLES),
    output:
        output="results/theory/curves.csv",
    log:
        "results/logs/theory/curves.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.theory.relations:join_curves",
        ),
    message:
        "Joining the theory's curves"
    script:
        "../scripts/run.py"


CONDITIONING = {
    **relatives("theory"),
    "length": config["texts"]["length"],
    "eps2": config["theory"]["eps2"],
    "seed": config["seed"],
}


rule condition:
    input:
        dumps="results/dumps/{model}/{corpus}/trained.h5",
        spectra=spectra_of_family("theory"),
    output:
        gains="results/theory/conditional/{model}/{corpus}.csv",
        documents="results/theory/documents/{model}/{corpus}.csv",
    log:
        "results/logs/theory/condition/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.dumped_of("theory")),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb),
    params:
        **call("geomkit.theory.conditional:condition_model", **STORED, **CONDITIONING),
    message:
        "Measuring the conditional entropy of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


use rule condition as condition_running with:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts=plan.model_texts,
        spectra=spectra_of_family("theory"),
    wildcard_constraints:
        model=one_of(plan.streamed_of("theory")),
    resources:
        **LOADING,
    params:
        **call(
            "geomkit.theory.conditional:condition_model",
            **RUNNING,
            **CONDITIONING,
            dump=LAST_STATES,
        ),


rule theory_conditional:
    input:
        spectra=expand("results/spectra/{model}/{corpus}.h5", **plan.chosen("theory")),
        made_gains=expand(
            "results/theory/conditional/{model}/{corpus}.csv", **plan.chosen("theory")
        ),
        made_documents=expand(
            "results/theory/documents/{model}/{corpus}.csv", **plan.chosen("theory")
        ),
    output:
        gains="results/theory/conditional.csv",
        documents="results/theory/documents.csv",
    log:
        "results/logs/theory/conditional.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.theory.conditional:join_conditional",
            **plan.members("theory"),
        ),
    message:
        "Joining the conditional entropies of representations"
    script:
        "../scripts/run.py"


rule theory_bigrams:
    input:
        TOKENIZER_FILES,
        models=[
            path
            for model in SHIPPED_LADDER
            for path in map(relative, files_below(model.folder))
        ],
        corpus=f"results/corpora/{config['ladder']['corpus']}.parquet",
        documents="results/theory/ngrams.h5",
        tokenizer=TOKENIZER,
    output:
        output="results/theory/bigrams.csv",
    log:
        "results/logs/theory/bigrams.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **GPU,
        mem_mb=4000,
    params:
        **call(
            "geomkit.theory.run.bigrams:measure_bigrams",
            seeds=[model.seed for model in SHIPPED_LADDER],
            number=config["theory"]["windows"],
            device=config["compute"]["device"],
        ),
    message:
        "Measuring the shipped ladder's loss of each class of bigrams"
    script:
        "../scripts/run.py"


rule theory_quanta:
    input:
        bigrams="results/theory/bigrams.csv",
    output:
        output="results/theory/quanta.csv",
    log:
        "results/logs/theory/quanta.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.theory.quanta:learnt_ranks",
        ),
    message:
        "Finding the ranks up to which bigrams are learnt"
    script:
        "../scripts/run.py"


rule theory_facts:
    input:
        table=FACTS,
    output:
        output="results/theory/facts.csv",
    log:
        "results/logs/theory/facts.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.theory.planted_facts:study_facts",
        ),
    message:
        "Comparing planted facts with the theory"
    script:
        "../scripts/run.py"


rule theory_conclusions:
    input:
        simulation="results/theory/simulation.csv",
        relations="results/theory/relations.csv",
        curves="results/theory/curves.csv",
        exponents="results/theory/exponents.csv",
        budgets="results/theory/budgets.csv",
        gains="results/theory/conditional.csv",
        documents="results/theory/documents.csv",
        quanta="results/theory/quanta.csv",
        facts="results/theory/facts.csv",
        steps=STEPS,
        radii=RADII,
        laws=relative(RESOURCES / "published/laws.csv"),
    output:
        output="results/theory/conclusions.csv",
    log:
        "results/logs/theory/conclusions.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.theory.tests.conclude:conclude",
        ),
    message:
        "Drawing conclusions about the theory"
    script:
        "../scripts/run.py"


rule theory_plot:
    input:
        simulation="results/theory/simulation.csv",
        relations="results/theory/relations.csv",
        curves="results/theory/curves.csv",
        exponents="results/theory/exponents.csv",
        budgets="results/theory/budgets.csv",
        gains="results/theory/conditional.csv",
        documents="results/theory/documents.csv",
        bigrams="results/theory/bigrams.csv",
        quanta="results/theory/quanta.csv",
        bins=FACTS,
        facts="results/theory/facts.csv",
        steps=STEPS,
        conclusions="results/theory/conclusions.csv",
    output:
        output=report(
            "results/theory_check.pdf",
            caption="../report/theory_check.rst",
            category="Theory",
        ),
    log:
        "results/logs/theory/plot.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.theory.figure.check:draw_theory",
        ),
    message:
        "Drawing the theory beside measurements"
    script:
        "../scripts/run.py"


rule planted_facts_cell:
    output:
        output="results/theory/training/facts/w{width}-a{exponent}-s{seed}-{data}.csv",
    log:
        "results/logs/theory/facts/w{width}-a{exponent}-s{seed}-{data}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        **call(
            "geomkit.theory.run.planted_facts:train_facts",
            recipe=config["theory"]["facts"]["recipe"],
        ),
    message:
        "Training width {wildcards.width} on planted facts, a = {wildcards.exponent}, {wildcards.data}"
    script:
        "../scripts/run.py"


rule planted_facts:
    input:
        tables=expand(
            "results/theory/training/facts/{cell}.csv",
            cell=fact_cells(config["theory"]["facts"]),
        ),
    output:
        output="results/theory/training/facts.csv",
    log:
        "results/logs/theory/facts_table.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.theory.planted_facts:join_facts",
        ),
    message:
        "Joining the models of planted facts"
    script:
        "../scripts/run.py"


rule small_steps:
    input:
        TOKENIZER_FILES,
        corpus=f"results/corpora/{config['ladder']['corpus']}.parquet",
        tokenizer=TOKENIZER,
    output:
        output="results/theory/training/small_steps.csv",
        radii="results/theory/training/step_radii.csv",
        weights="results/theory/training/steps.safetensors",
    log:
        "results/logs/theory/small_steps.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **GPU,
        mem_mb=4000,
    params:
        **call(
            "geomkit.theory.run.small_steps:measure_small_steps",
            recipe=config["ladder"]["recipe"]
            | {"tokens": config["theory"]["steps"]["tokens"]},
            seed=config["seed"],
            device=config["compute"]["device"],
            width=config["theory"]["steps"]["width"],
            contexts=config["theory"]["steps"]["contexts"],
            length=config["theory"]["steps"]["length"],
            resamples=config["theory"]["steps"]["resamples"],
        ),
    message:
        "Training a model, and measuring small steps of its weights"
    script:
        "../scripts/run.py"
