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
        **call(
            "geomkit.studies.spectra:decompose_dumps",
            modes=config["entropy"]["normalise"],
            lengths=config["entropy"]["lengths"],
            drawn=plan.drawn_for,
            left_out=plan.without,
            gain=plan.gain_constants,
            whitened=plan.whitened_layers,
            sinks=plan.sinks_asked,
            seed=config["seed"],
        ),
    message:
        "Decomposing {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


use rule spectra as spectra_part with:
    input:
        dumps=lambda wildcards: expand(
            "results/dumps/{part}/{model}/{corpus}/{variant}.h5",
            model=wildcards.model,
            corpus=wildcards.corpus,
            variant=plan.runs_of(wildcards),
            part=plan.parts,
        ),
    output:
        output=temp("results/spectra/{part}/{model}/{corpus}.h5"),
    log:
        "results/logs/spectra/{part}/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.in_parts(plan.dumped)),
        part=one_of(plan.parts),
    message:
        "Decomposing part {wildcards.part} of the states of {wildcards.model} on {wildcards.corpus}"


rule merge_spectra:
    input:
        dump_path("trained") if config["dump"]["keep"] is True else [],
        parts=expand("results/spectra/{part}/{{model}}/{{corpus}}.h5", part=plan.parts),
    output:
        output="results/spectra/{model}/{corpus}.h5",
    log:
        "results/logs/merge_spectra/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.in_parts(plan.dumped)),
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.store.spectra_parts:merge_spectra",
            modes=config["entropy"]["normalise"],
            lengths=config["entropy"]["lengths"],
            variants=plan.runs_of,
            drawn=plan.drawn_for,
        ),
    message:
        "Merging the spectra of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule measure:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts=plan.model_texts,
    output:
        output="results/spectra/{model}/{corpus}.h5",
    log:
        "results/logs/measure/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.whole(plan.streamed)),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **LOADING,
    params:
        **call(
            "geomkit.lm.measuring:measure_model",
            **OF_MODEL,
            origin=lambda wildcards: settings.origin(MODELS[wildcards.model].entry),
            dump={key: config["dump"][key] for key in ("layers", "sublayers")},
            modes=config["entropy"]["normalise"],
            lengths=config["entropy"]["lengths"],
            variants=plan.runs_of,
            drawn=plan.drawn_for,
            left_out=plan.without,
            gain=plan.gain_constants,
            whitened=plan.whitened_layers,
            sinks=plan.sinks_asked,
            seed=config["seed"],
        ),
    message:
        "Running and decomposing {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule sum_rows:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts=plan.model_texts,
    output:
        output=temp("results/sums/{part}/{model}/{corpus}.h5"),
    log:
        "results/logs/sum_rows/{part}/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.in_parts(plan.streamed)),
        part=one_of(plan.parts),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **LOADING,
    params:
        **call(
            "geomkit.lm.first_pass:sum_rows",
            **OF_MODEL,
            origin=lambda wildcards: settings.origin(MODELS[wildcards.model].entry),
            dump={key: config["dump"][key] for key in ("layers", "sublayers")},
            modes=config["entropy"]["normalise"],
            variants=plan.runs_of,
            whitened=plan.whitened_layers,
            seed=config["seed"],
        ),
    message:
        "Summing the states of {wildcards.model} on part {wildcards.part} of {wildcards.corpus}"
    script:
        "../scripts/run.py"


use rule measure as measure_part with:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts=plan.model_texts,
        # the mean is that of all texts, so every part waits for the sums of all
        sums=(
            expand("results/sums/{part}/{{model}}/{{corpus}}.h5", part=plan.parts)
            if plan.first_summed
            else []
        ),
    output:
        output=temp("results/spectra/{part}/{model}/{corpus}.h5"),
    log:
        "results/logs/measure/{part}/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.in_parts(plan.streamed)),
        part=one_of(plan.parts),
    message:
        "Running and decomposing {wildcards.model} on part {wildcards.part} of {wildcards.corpus}"


rule merge_measured:
    input:
        parts=expand("results/spectra/{part}/{{model}}/{{corpus}}.h5", part=plan.parts),
    output:
        output="results/spectra/{model}/{corpus}.h5",
    log:
        "results/logs/merge_measured/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.in_parts(plan.streamed)),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt
        * (4000 + input.size_mb // len(plan.parts)),
        runtime=lambda wildcards, input, attempt: attempt
        * (30 + input.size_mb // (100 * len(plan.parts))),
    params:
        **call(
            "geomkit.store.partial_spectra:merge_measured",
            modes=config["entropy"]["normalise"],
            lengths=config["entropy"]["lengths"],
            variants=plan.runs_of,
            drawn=plan.drawn_for,
        ),
    message:
        "Merging what was measured of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"
