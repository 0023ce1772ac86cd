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
        **call(
            "geomkit.studies.proportional_length.analyse:follow_model",
            **STORED,
            **FOLLOWING,
        ),
    message:
        "Measuring {wildcards.model} at lengths proportional to the width, on {wildcards.corpus}"
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
            "geomkit.studies.proportional_length.analyse:follow_model",
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
            "geomkit.studies.proportional_length.analyse:judge_following",
            **plan.members("entropy"),
            mode=config["scaling"]["primary"]["normalise"],
            **RESAMPLED,
        ),
    message:
        "Judging laws at lengths proportional to the width"
    script:
        "../scripts/run.py"
