rule final_state:
    input:
        rest(model_files),
        folder=head(model_files),
        texts=model_texts,
    output:
        output="results/final_state/{model}/{corpus}.parquet",
    log:
        "results/logs/final_state/{model}/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **GPU,
        mem_mb=lambda wildcards, input, attempt: attempt * (4000 + 5 * megabytes(input)),
        runtime=lambda wildcards, input, attempt: attempt * (60 + megabytes(input) // 5),
    params:
        **call(
            "geomkit.lm.final_state:measure_final_state",
            content=model_content,
            trust_remote_code=lambda wildcards: MODELS[wildcards.model].entry.get(
                "trust_remote_code", False
            ),
            objective=lambda wildcards: MODELS[wildcards.model].objective,
            family=lambda wildcards: MODELS[wildcards.model].family,
            seed=lambda wildcards: MODELS[wildcards.model].seed,
            twins=lambda wildcards: twins_of(MODELS[wildcards.model].entry),
            modes=config["entropy"]["normalise"],
            lengths=config["entropy"]["lengths"],
            metrics=METRICS,
            parameters=PARAMETERS,
            compute=config["compute"],
        ),
    message:
        "Measuring the final state of {wildcards.model} and of untrained twins on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule fixed_width:
    input:
        final_states=expand(
            "results/final_state/{model}/{corpus}.parquet",
            model=running("entropy"),
            corpus=chosen("entropy")["corpus"],
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
            resamples=config["scaling"]["bootstrap"],
            seed=config["seed"],
        ),
    message:
        "Comparing models of one width with their controls"
    script:
        "../scripts/run.py"


rule own_directions:
    input:
        projections=expand(
            "results/projections/{corpus}.parquet", corpus=chosen("entropy")["corpus"]
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
            resamples=config["scaling"]["bootstrap"],
            seed=config["seed"],
        ),
    message:
        "Measuring models of one size on fewer of their own directions"
    script:
        "../scripts/run.py"


rule follow:
    input:
        rest(model_files),
        folder=head(model_files),
        texts=model_texts,
        spectra=family_spectra("entropy"),
    output:
        output="results/following/{model}/{corpus}.parquet",
    log:
        "results/logs/follow/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(measured("entropy")),
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
            "geomkit.studies.following:follow_model",
            states="geomkit.lm.rerunning:run_again",
            content=model_content,
            asked=asked_again(["last", "final"]),
            compute=config["compute"],
            families=of_family("entropy", "family"),
            seeds=of_family("entropy", "seed"),
            mode=config["scaling"]["primary"]["normalise"],
            parameters=PARAMETERS,
        ),
    message:
        "Measuring {wildcards.model} at lengths that follow the width, on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule following:
    input:
        dumps=expand(
            "results/dumps/{model}/{corpus}/trained.h5",
            model=kept("entropy"),
            corpus=chosen("entropy")["corpus"],
        ),
        spectra=expand(
            "results/spectra/{model}/{corpus}.h5",
            model=measured("entropy"),
            corpus=chosen("entropy")["corpus"],
        ),
        tables=expand(
            "results/following/{model}/{corpus}.parquet",
            model=measured("entropy"),
            corpus=chosen("entropy")["corpus"],
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
            families=of_models("entropy", "family"),
            seeds=of_models("entropy", "seed"),
            mode=config["scaling"]["primary"]["normalise"],
            parameters=PARAMETERS,
            resamples=config["scaling"]["bootstrap"],
            seed=config["seed"],
        ),
    message:
        "Judging laws at lengths that follow the width"
    script:
        "../scripts/run.py"
