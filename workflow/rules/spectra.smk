rule spectra:
    input:
        dumps=lambda wildcards: expand(
            "results/dumps/{model}/{corpus}/{variant}.h5",
            model=wildcards.model,
            corpus=wildcards.corpus,
            variant=runs_of(wildcards),
        ),
    output:
        output="results/spectra/{model}/{corpus}.h5",
    log:
        "results/logs/spectra/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(WHOLE),
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
            drawn=drawn_for,
            left_out=without,
            gain=gain_constants,
            whitened=whitened_layers,
            sinks=sinks_asked,
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
            variant=runs_of(wildcards),
            part=PARTS,
        ),
    output:
        output=temp("results/spectra/{part}/{model}/{corpus}.h5"),
    log:
        "results/logs/spectra/{part}/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(IN_PARTS),
        part=one_of(PARTS),
    message:
        "Decomposing part {wildcards.part} of the states of {wildcards.model} on {wildcards.corpus}"


rule merge_spectra:
    input:
        dump_path("trained") if config["dump"]["keep"] is True else [],
        parts=expand("results/spectra/{part}/{{model}}/{{corpus}}.h5", part=PARTS),
    output:
        output="results/spectra/{model}/{corpus}.h5",
    log:
        "results/logs/merge_spectra/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(IN_PARTS),
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.store.spectra_parts:merge_spectra",
            modes=config["entropy"]["normalise"],
            lengths=config["entropy"]["lengths"],
            variants=runs_of,
            drawn=drawn_for,
        ),
    message:
        "Merging the spectra of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule measure:
    input:
        rest(model_files),
        folder=head(model_files),
        texts=model_texts,
    output:
        output="results/spectra/{model}/{corpus}.h5",
    log:
        "results/logs/measure/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(MEASURED_WHOLE),
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
            "geomkit.lm.measuring:measure_model",
            content=model_content,
            origin=lambda wildcards: settings.origin(MODELS[wildcards.model].entry),
            spec=spec_of,
            dump={key: config["dump"][key] for key in ("layers", "sublayers")},
            batch_tokens=config["compute"]["batch_tokens"],
            modes=config["entropy"]["normalise"],
            lengths=config["entropy"]["lengths"],
            variants=runs_of,
            drawn=drawn_for,
            left_out=without,
            gain=gain_constants,
            whitened=whitened_layers,
            sinks=sinks_asked,
            seed=config["seed"],
        ),
    message:
        "Running and decomposing {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule sum_rows:
    input:
        rest(model_files),
        folder=head(model_files),
        texts=model_texts,
    output:
        output=temp("results/sums/{part}/{model}/{corpus}.h5"),
    log:
        "results/logs/sum_rows/{part}/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(MEASURED_IN_PARTS),
        part=one_of(PARTS),
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
            "geomkit.lm.first_pass:sum_rows",
            content=model_content,
            origin=lambda wildcards: settings.origin(MODELS[wildcards.model].entry),
            spec=spec_of,
            dump={key: config["dump"][key] for key in ("layers", "sublayers")},
            batch_tokens=config["compute"]["batch_tokens"],
            modes=config["entropy"]["normalise"],
            variants=runs_of,
            whitened=whitened_layers,
            seed=config["seed"],
        ),
    message:
        "Summing the states of {wildcards.model} on part {wildcards.part} of {wildcards.corpus}"
    script:
        "../scripts/run.py"


use rule measure as measure_part with:
    input:
        rest(model_files),
        folder=head(model_files),
        texts=model_texts,
        # the mean is that of all texts, so every part waits for the sums of all
        sums=(
            expand("results/sums/{part}/{{model}}/{{corpus}}.h5", part=PARTS)
            if FIRST_SUMMED
            else []
        ),
    output:
        output=temp("results/spectra/{part}/{model}/{corpus}.h5"),
    log:
        "results/logs/measure/{part}/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(MEASURED_IN_PARTS),
        part=one_of(PARTS),
    message:
        "Running and decomposing {wildcards.model} on part {wildcards.part} of {wildcards.corpus}"


rule merge_measured:
    input:
        parts=expand("results/spectra/{part}/{{model}}/{{corpus}}.h5", part=PARTS),
    output:
        output="results/spectra/{model}/{corpus}.h5",
    log:
        "results/logs/merge_measured/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(MEASURED_IN_PARTS),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt
        * (4000 + input.size_mb // len(PARTS)),
        runtime=lambda wildcards, input, attempt: attempt
        * (30 + input.size_mb // (100 * len(PARTS))),
    params:
        **call(
            "geomkit.store.partial_spectra:merge_measured",
            modes=config["entropy"]["normalise"],
            lengths=config["entropy"]["lengths"],
            variants=runs_of,
            drawn=drawn_for,
        ),
    message:
        "Merging what was measured of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"
