# settings of spectra, from dumps or while a model runs
MEASURED_ROWS = {
    "modes": config["entropy"]["normalise"],
    "lengths": config["entropy"]["lengths"],
    "variants": plan.runs_of,
    "drawn": plan.drawn_for,
    "left_out": plan.without,
    "gain": plan.gain_constants,
    "whitened": plan.whitened_layers,
    "sinks": plan.sink_settings,
    "kept": {"pooled": plan.pooled},
    "seed": config["seed"],
}


rule spectra:
    input:
        dumps=lambda wildcards: expand(
            "results/dumps/{model}/{corpus}/{variant}.h5",
            model=wildcards.model,
            corpus=wildcards.corpus,
            variant=plan.runs_of(wildcards),
        ),
    output:
        output="results/spectra/{model}/{corpus}.h5",
    log:
        "results/logs/spectra/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.whole(plan.dumped)),
    group:
        MEASURING
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb // 10),
        runtime=lambda wildcards, input, attempt: attempt * (30 + input.size_mb // 500),
    params:
        **call("geomkit.states.decompose:decompose", **STORED, **MEASURED_ROWS),
    message:
        "Decomposing {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


use rule spectra as measure with:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts=plan.model_texts,
    log:
        "results/logs/measure/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.whole(plan.streamed)),
    group:
        None
    resources:
        **LOADING,
    params:
        **call(
            "geomkit.states.decompose:decompose",
            **RUNNING,
            **MEASURED_ROWS,
            dump=CHOSEN_STATES,
        ),
    message:
        "Running and decomposing {wildcards.model} on {wildcards.corpus}"


# Centring takes the mean of all texts: jobs that share them first sum the rows of their parts, and measure when all have done so.


rule sum_rows:
    input:
        dumps=lambda wildcards: expand(
            "results/dumps/{part}/{model}/{corpus}/{variant}.h5",
            part=wildcards.part,
            model=wildcards.model,
            corpus=wildcards.corpus,
            variant=plan.runs_of(wildcards),
        ),
    output:
        output=temp("results/sums/{part}/{model}/{corpus}.h5"),
    log:
        "results/logs/sum_rows/{part}/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.in_parts(plan.dumped)),
        part=one_of(plan.parts),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb // 10),
    params:
        **call(
            "geomkit.states.decompose:sum_rows",
            **STORED,
            variants=plan.runs_of,
            drawn=plan.drawn_for,
            seed=config["seed"],
        ),
    message:
        "Summing the states of {wildcards.model} on part {wildcards.part} of {wildcards.corpus}"
    script:
        "../scripts/run.py"


use rule sum_rows as run_sums with:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts=plan.model_texts,
    log:
        "results/logs/run_sums/{part}/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.in_parts(plan.streamed)),
        part=one_of(plan.parts),
    resources:
        **LOADING,
    params:
        **call(
            "geomkit.states.decompose:sum_rows",
            **RUNNING,
            variants=plan.runs_of,
            drawn=plan.drawn_for,
            modes=config["entropy"]["normalise"],
            whitened=plan.whitened_layers,
            dump=CHOSEN_STATES,
            seed=config["seed"],
        ),
    message:
        "Running {wildcards.model} and summing its states on part {wildcards.part} of {wildcards.corpus}"


SUMS = (
    expand("results/sums/{part}/{{model}}/{{corpus}}.h5", part=plan.parts)
    if plan.first_summed
    else []
)


use rule spectra as spectra_part with:
    input:
        dumps=lambda wildcards: expand(
            "results/dumps/{part}/{model}/{corpus}/{variant}.h5",
            part=wildcards.part,
            model=wildcards.model,
            corpus=wildcards.corpus,
            variant=plan.runs_of(wildcards),
        ),
        sums=SUMS,
    output:
        output=temp("results/spectra/{part}/{model}/{corpus}.h5"),
    log:
        "results/logs/spectra/{part}/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.in_parts(plan.dumped)),
        part=one_of(plan.parts),
    message:
        "Decomposing part {wildcards.part} of {wildcards.corpus} for {wildcards.model}"


use rule measure as measure_part with:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts=plan.model_texts,
        sums=SUMS,
    output:
        output=temp("results/spectra/{part}/{model}/{corpus}.h5"),
    log:
        "results/logs/measure/{part}/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.in_parts(plan.streamed)),
        part=one_of(plan.parts),
    message:
        "Running and decomposing {wildcards.model} on part {wildcards.part} of {wildcards.corpus}"


rule merge_spectra:
    input:
        # if the dump is kept, it is complete before the spectra are
        lambda wildcards: (
            "results/dumps/{model}/{corpus}/trained.h5"
            if config["dump"]["keep"] is True and wildcards.model in plan.dumped
            else []
        ),
        parts=expand("results/spectra/{part}/{{model}}/{{corpus}}.h5", part=plan.parts),
    output:
        output="results/spectra/{model}/{corpus}.h5",
    log:
        "results/logs/merge_spectra/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.in_parts(MODELS)),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt
        * (4000 + input.size_mb // len(plan.parts)),
        runtime=lambda wildcards, input, attempt: attempt
        * (30 + input.size_mb // (100 * len(plan.parts))),
    params:
        **call(
            "geomkit.states.partial_spectra:merge_spectra",
        ),
    message:
        "Merging the spectra of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"
