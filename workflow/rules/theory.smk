FACTS = relative(RESOURCES / "theory/facts.csv")
STEPS = relative(RESOURCES / "theory/small_steps.csv")
RADII = relative(RESOURCES / "theory/step_radii.csv")
NGRAM_TABLES = ["trigrams", "bigrams", "tokens", "words"]
SHIPPED_LADDER = sorted(path.name for path in (RESOURCES / "ladder").glob("ladder-*"))


rule theory_ngram_ids:
    input:
        corpus=f"results/corpora/{config['ladder']['corpus']}.parquet",
        tokenizer=with_folder(RESOURCES / "ladder/tokenizer"),
    output:
        "results/theory/ngrams.h5",
    log:
        "results/logs/theory/ngram_ids.log",
    benchmark:
        "results/benchmarks/theory/ngram_ids.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("theory_ngram_ids.py"),
    message:
        "Encoding the ladder's training, validation and test text"
    script:
        "../scripts/theory_ngram_ids.py"


rule theory_simulation:
    output:
        "results/theory/simulation.csv",
    log:
        "results/logs/theory/simulation.log",
    benchmark:
        "results/benchmarks/theory/simulation.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("theory_simulation.py"),
        grid=config["theory"]["simulation"],
        seed=config["seed"],
    message:
        "Sampling graphs of texts and skills"
    script:
        "../scripts/theory_simulation.py"


rule theory_relations:
    input:
        grid=relative(RESOURCES / "ladder/training_grid.csv"),
        ladder=relative(RESOURCES / "ladder/losses.csv"),
    output:
        "results/theory/relations.csv",
    log:
        "results/logs/theory/relations.log",
    benchmark:
        "results/benchmarks/theory/relations.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("theory_relations.py"),
        resamples=config["theory"]["resamples"]["primary"],
        sensitivity=config["theory"]["resamples"]["sensitivity"],
        seed=config["seed"],
    message:
        "Relating the exponents of size and data"
    script:
        "../scripts/theory_relations.py"


rule theory_ngrams:
    input:
        "results/theory/ngrams.h5",
    output:
        exponents="results/theory/exponents.csv",
        budgets="results/theory/budgets.csv",
    log:
        "results/logs/theory/ngrams.log",
    benchmark:
        "results/benchmarks/theory/ngrams.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("theory_ngrams.py"),
    message:
        "Measuring frequency tables and budgets of trigrams"
    script:
        "../scripts/theory_ngrams.py"


rule theory_curve:
    input:
        grid=relative(RESOURCES / "ladder/training_grid.csv"),
        ladder=relative(RESOURCES / "ladder/losses.csv"),
        documents="results/theory/ngrams.h5",
    output:
        "results/theory/curves/{table}.csv",
    log:
        "results/logs/theory/curve/{table}.log",
    benchmark:
        "results/benchmarks/theory/curve/{table}.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("theory_curve.py"),
    message:
        "Fitting the theory's curve of {wildcards.table}"
    script:
        "../scripts/theory_curve.py"


rule theory_curves:
    input:
        tables=expand("results/theory/curves/{table}.csv", table=NGRAM_TABLES),
    output:
        "results/theory/curves.csv",
    log:
        "results/logs/theory/curves.log",
    benchmark:
        "results/benchmarks/theory/curves.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("theory_curves.py"),
    message:
        "Joining the theory's curves"
    script:
        "../scripts/theory_curves.py"


rule condition:
    input:
        model=model_files,
        texts=model_texts,
        spectra=family_spectra("theory"),
    output:
        gains="results/theory/conditional/{model}/{corpus}.csv",
        documents="results/theory/documents/{model}/{corpus}.csv",
    log:
        "results/logs/theory/condition/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/theory/condition/{model}/{corpus}.tsv"
    wildcard_constraints:
        model=one_of(measured("theory")),
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
        code=code("condition.py"),
        content=model_content,
        asked=asked_again(["last", "final"]),
        compute=config["compute"],
        families=of_family("theory", "family"),
        seeds=of_family("theory", "seed"),
        length=config["texts"]["length"],
        eps2=config["theory"]["eps2"],
        seed=config["seed"],
    message:
        "Measuring the conditional entropy of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/condition.py"


rule theory_conditional:
    input:
        dumps=expand(
            "results/dumps/{model}/{corpus}/trained.h5",
            model=kept("theory"),
            corpus=chosen("theory")["corpus"],
        ),
        spectra=expand(
            "results/spectra/{model}/{corpus}.h5",
            model=measured("theory"),
            corpus=chosen("theory")["corpus"],
        ),
        gains=expand(
            "results/theory/conditional/{model}/{corpus}.csv",
            model=measured("theory"),
            corpus=chosen("theory")["corpus"],
        ),
        documents=expand(
            "results/theory/documents/{model}/{corpus}.csv",
            model=measured("theory"),
            corpus=chosen("theory")["corpus"],
        ),
    output:
        gains="results/theory/conditional.csv",
        documents="results/theory/documents.csv",
    log:
        "results/logs/theory/conditional.log",
    benchmark:
        "results/benchmarks/theory/conditional.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb),
    params:
        code=code("theory_conditional.py"),
        families=of_models("theory", "family"),
        seeds=of_models("theory", "seed"),
        length=config["texts"]["length"],
        eps2=config["theory"]["eps2"],
        seed=config["seed"],
    message:
        "Measuring the conditional entropy of representations"
    script:
        "../scripts/theory_conditional.py"


rule theory_bigrams:
    input:
        models=[
            path
            for name in SHIPPED_LADDER
            for path in map(relative, files_below(RESOURCES / "ladder" / name))
        ],
        corpus=f"results/corpora/{config['ladder']['corpus']}.parquet",
        documents="results/theory/ngrams.h5",
        tokenizer=with_folder(RESOURCES / "ladder/tokenizer"),
    output:
        "results/theory/bigrams.csv",
    log:
        "results/logs/theory/bigrams.log",
    benchmark:
        "results/benchmarks/theory/bigrams.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        **GPU,
        mem_mb=4000,
    params:
        code=code("theory_bigrams.py"),
        seeds=[int(name.rpartition("-s")[2]) for name in SHIPPED_LADDER],
        windows=config["theory"]["windows"],
        device=config["compute"]["device"],
    message:
        "Measuring the shipped ladder's loss of each class of bigrams"
    script:
        "../scripts/theory_bigrams.py"


rule theory_quanta:
    input:
        "results/theory/bigrams.csv",
    output:
        "results/theory/quanta.csv",
    log:
        "results/logs/theory/quanta.log",
    benchmark:
        "results/benchmarks/theory/quanta.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("theory_quanta.py"),
    message:
        "Finding the ranks up to which bigrams are learnt"
    script:
        "../scripts/theory_quanta.py"


rule theory_facts:
    input:
        FACTS,
    output:
        "results/theory/facts.csv",
    log:
        "results/logs/theory/facts.log",
    benchmark:
        "results/benchmarks/theory/facts.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("theory_facts.py"),
    message:
        "Holding planted facts against the theory"
    script:
        "../scripts/theory_facts.py"


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
        "results/theory/conclusions.csv",
    log:
        "results/logs/theory/conclusions.log",
    benchmark:
        "results/benchmarks/theory/conclusions.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("theory_conclusions.py"),
    message:
        "Drawing conclusions about the theory"
    script:
        "../scripts/theory_conclusions.py"


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
        report(
            "results/theory_check.pdf",
            caption="../report/theory_check.rst",
            category="Theory",
        ),
    log:
        "results/logs/theory/plot.log",
    benchmark:
        "results/benchmarks/theory/plot.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("theory_plot.py"),
    message:
        "Drawing the theory beside what was measured"
    script:
        "../scripts/theory_plot.py"


rule planted_facts_cell:
    output:
        "results/theory/training/facts/w{width}-a{exponent}-s{seed}-{data}.csv",
    log:
        "results/logs/theory/facts/w{width}-a{exponent}-s{seed}-{data}.log",
    benchmark:
        "results/benchmarks/theory/facts/w{width}-a{exponent}-s{seed}-{data}.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code("planted_facts_cell.py"),
        recipe=config["theory"]["facts"]["recipe"],
    message:
        "Training width {wildcards.width} on planted facts, a = {wildcards.exponent}, {wildcards.data}"
    script:
        "../scripts/planted_facts_cell.py"


rule planted_facts:
    input:
        tables=planted_cells(),
    output:
        "results/theory/training/facts.csv",
    log:
        "results/logs/theory/facts_table.log",
    benchmark:
        "results/benchmarks/theory/facts_table.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("planted_facts.py"),
    message:
        "Joining the models of planted facts"
    script:
        "../scripts/planted_facts.py"


rule small_steps:
    input:
        corpus=f"results/corpora/{config['ladder']['corpus']}.parquet",
        tokenizer=with_folder(RESOURCES / "ladder/tokenizer"),
    output:
        rows="results/theory/training/small_steps.csv",
        radii="results/theory/training/step_radii.csv",
        weights="results/theory/training/steps.safetensors",
    log:
        "results/logs/theory/small_steps.log",
    benchmark:
        "results/benchmarks/theory/small_steps.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        **GPU,
        mem_mb=4000,
    params:
        code=code("small_steps.py"),
        steps=config["theory"]["steps"],
        recipe=config["ladder"]["recipe"]
        | {"tokens": config["theory"]["steps"]["tokens"]},
        seed=config["seed"],
        device=config["compute"]["device"],
    message:
        "Training for small steps, and measuring them"
    script:
        "../scripts/small_steps.py"
