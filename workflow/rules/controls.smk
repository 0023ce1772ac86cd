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
            "geomkit.studies.final_state:measure_final_state",
            **RUNNING,
            dump=LAST_STATES,
            seed=0,  # what is drawn here is named by the twins' own numbers
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


FOLLOWING = {
    **relatives("entropy"),
    "mode": config["scaling"]["primary"]["normalise"],
    "parameters": plan.parameters,
}


rule follow:
    input:
        dumps="results/dumps/{model}/{corpus}/trained.h5",
        spectra=spectra_of_family("entropy"),
    output:
        output="results/following/{model}/{corpus}.parquet",
    log:
        "results/logs/follow/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.dumped_of("entropy")),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb),
        runtime=lambda wildcards, input, attempt: attempt * (30 + input.size_mb // 20),
    params:
        **call("geomkit.studies.following:follow_model", **STORED, **FOLLOWING),
    message:
        "Measuring {wildcards.model} at lengths that follow the width, on {wildcards.corpus}"
    script:
        "../scripts/run.py"


use rule follow as follow_running with:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts=plan.model_texts,
        spectra=spectra_of_family("entropy"),
    wildcard_constraints:
        model=one_of(plan.streamed_of("entropy")),
    resources:
        **LOADING,
    params:
        **call(
            "geomkit.studies.following:follow_model",
            **RUNNING,
            **FOLLOWING,
            dump=LAST_STATES,
            seed=config["seed"],
        ),


rule following:
    input:
        spectra=expand("results/spectra/{model}/{corpus}.h5", **plan.chosen("entropy")),
        tables=expand(
            "results/following/{model}/{corpus}.parquet", **plan.chosen("entropy")
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
            **RESAMPLED,
        ),
    message:
        "Judging laws at lengths that follow the width"
    script:
        "../scripts/run.py"
