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
            "geomkit.lm.final_state:measure_final_state",
            **OF_MODEL,
            family=lambda wildcards: MODELS[wildcards.model].family,
            seed=lambda wildcards: MODELS[wildcards.model].seed,
            twins=plan.twins_of,
            modes=config["entropy"]["normalise"],
            lengths=config["entropy"]["lengths"],
            **MEASURED,
        ),
    message:
        "Measuring the final state of {wildcards.model} and of untrained twins on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule fixed_width:
    input:
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
    log:
        "results/logs/fixed_width.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + 40 * input.size_mb),
    params:
        **call(
            "geomkit.studies.fixed_width:compare_at_fixed_width",
            **RESAMPLED,
        ),
    message:
        "Comparing models of one width with their controls"
    script:
        "../scripts/run.py"


rule own_directions:
    input:
        projections=expand(
            "results/projections/{corpus}.parquet",
            corpus=plan.chosen("entropy")["corpus"],
        ),
    output:
        output="results/scaling/own_directions.csv",
    log:
        "results/logs/own_directions.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.own_directions:measure_own_directions",
            **RESAMPLED,
        ),
    message:
        "Measuring models of one size on fewer of their own directions"
    script:
        "../scripts/run.py"


rule follow:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts=plan.model_texts,
        spectra=spectra_of_family("entropy"),
    output:
        output="results/following/{model}/{corpus}.parquet",
    log:
        "results/logs/follow/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.streamed_of("entropy")),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **LOADING,
    params:
        **call(
            "geomkit.studies.following:follow_model",
            **run_again(["last", "final"]),
            **relatives("entropy"),
            mode=config["scaling"]["primary"]["normalise"],
            parameters=plan.parameters,
        ),
    message:
        "Measuring {wildcards.model} at lengths that follow the width, on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule following:
    input:
        dumps=expand(
            "results/dumps/{model}/{corpus}/trained.h5",
            model=plan.dumped_of("entropy"),
            corpus=plan.chosen("entropy")["corpus"],
        ),
        spectra=expand(
            "results/spectra/{model}/{corpus}.h5",
            model=plan.streamed_of("entropy"),
            corpus=plan.chosen("entropy")["corpus"],
        ),
        tables=expand(
            "results/following/{model}/{corpus}.parquet",
            model=plan.streamed_of("entropy"),
            corpus=plan.chosen("entropy")["corpus"],
        ),
    output:
        output="results/scaling/following.csv",
    log:
        "results/logs/following.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb),
    params:
        **call(
            "geomkit.studies.following:judge_following",
            **plan.members("entropy"),
            mode=config["scaling"]["primary"]["normalise"],
            parameters=plan.parameters,
            **RESAMPLED,
        ),
    message:
        "Judging laws at lengths that follow the width"
    script:
        "../scripts/run.py"
