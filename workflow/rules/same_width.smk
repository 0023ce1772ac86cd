rule final_state:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts=plan.model_texts,
    output:
        output="results/final_state/{model}/{corpus}.parquet",
    log:
        "results/logs/final_state/{model}/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **loading(5, list),
    params:
        **call(
            "geomkit.studies.same_width.final_state:measure_final_state",
            **RUNNING,
            dump=LAST_STATES,
            seed=0,  # twins are seeded by their own numbers
            **ABOUT_MODEL,
            twins=plan.twins_of,
            modes=config["entropy"]["normalise"],
            lengths=config["entropy"]["lengths"],
            **MEASURED,
        ),
    message:
        "Measuring the final state of {wildcards.model} and of untrained twins on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule word_order:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts=plan.model_texts,
        spectra=spectra_of_family("entropy"),
    output:
        output="results/word_order/{model}/{corpus}.parquet",
    log:
        "results/logs/word_order/{model}/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **LOADING,
    params:
        **call(
            "geomkit.studies.same_width.shuffled_donor:project_shuffled",
            **RUNNING,
            **relatives("entropy"),
            dump=LAST_STATES,
            seed=config["seed"],
            modes=config["entropy"]["normalise"],
            lengths=config["entropy"]["lengths"],
            **MEASURED,
        ),
    message:
        "Projecting text and shuffled text of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule fixed_width:
    input:
        word_order=expand(
            "results/word_order/{model}/{corpus}.parquet",
            model=plan.running("entropy"),
            corpus=plan.chosen("entropy")["corpus"],
        ),
        final_states=expand(
            "results/final_state/{model}/{corpus}.parquet",
            model=plan.running("entropy"),
            corpus=plan.chosen("entropy")["corpus"],
        ),
        table="results/entropy.parquet",
        diff_erank="results/scaling/diff_erank.csv",
        published=relative(RESOURCES / "published/diff_erank.csv"),
    output:
        output="results/scaling/fixed_width.csv",
        trends="results/scaling/trends.csv",
    log:
        "results/logs/fixed_width.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + 40 * input.size_mb),
    params:
        **call(
            "geomkit.studies.same_width.analyse:compare_at_fixed_width",
            **RESAMPLED,
        ),
    message:
        "Comparing models of one width with their controls"
    script:
        "../scripts/run.py"
