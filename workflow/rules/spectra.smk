rule spectra:
    input:
        lambda wildcards: expand(
            "results/dumps/{model}/{corpus}/{variant}.h5",
            model=wildcards.model,
            corpus=wildcards.corpus,
            variant=runs_of(wildcards),
        ),
    output:
        "results/spectra/{model}/{corpus}.h5",
    log:
        "results/logs/spectra/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/spectra/{model}/{corpus}.tsv"
    wildcard_constraints:
        model=one_of(WHOLE),
    group:
        MEASURING
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb // 10),
        runtime=lambda wildcards, input, attempt: attempt * (30 + input.size_mb // 500),
    params:
        code=code("spectra.py"),
        modes=config["entropy"]["normalise"],
        lengths=config["entropy"]["lengths"],
        drawn=drawn_for,
        absent=without,
        gain=gain_constants,
        whitened=whitened_layers,
        sinks=sinks_asked,
        seed=config["seed"],
    message:
        "Decomposing {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/spectra.py"


use rule spectra as spectra_part with:
    input:
        lambda wildcards: expand(
            "results/dumps/{part}/{model}/{corpus}/{variant}.h5",
            model=wildcards.model,
            corpus=wildcards.corpus,
            variant=runs_of(wildcards),
            part=PARTS,
        ),
    output:
        temp("results/spectra/{part}/{model}/{corpus}.h5"),
    log:
        "results/logs/spectra/{part}/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/spectra/{part}/{model}/{corpus}.tsv"
    wildcard_constraints:
        model=one_of(IN_PARTS),
        part=one_of(PARTS),
    message:
        "Decomposing part {wildcards.part} of the states of {wildcards.model} on {wildcards.corpus}"


rule merge_spectra:
    input:
        parts=expand("results/spectra/{part}/{{model}}/{{corpus}}.h5", part=PARTS),
        kept=dump_path("trained") if config["dump"]["keep"] is True else [],
    output:
        "results/spectra/{model}/{corpus}.h5",
    log:
        "results/logs/merge_spectra/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/merge_spectra/{model}/{corpus}.tsv"
    wildcard_constraints:
        model=one_of(IN_PARTS),
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("merge_spectra.py"),
        modes=config["entropy"]["normalise"],
        lengths=config["entropy"]["lengths"],
        variants=runs_of,
        drawn=drawn_for,
    message:
        "Merging the spectra of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/merge_spectra.py"


rule measure:
    input:
        model=model_files,
        texts=model_texts,
    output:
        "results/spectra/{model}/{corpus}.h5",
    log:
        "results/logs/measure/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/measure/{model}/{corpus}.tsv"
    wildcard_constraints:
        model=one_of(MEASURED_WHOLE),
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
        code=code("measure.py"),
        content=model_content,
        origin=lambda wildcards: settings.origin(MODELS[wildcards.model].entry),
        trust_remote_code=lambda wildcards: MODELS[wildcards.model].entry.get(
            "trust_remote_code", False
        ),
        objective=lambda wildcards: MODELS[wildcards.model].objective,
        dump={key: config["dump"][key] for key in ("layers", "sublayers")},
        compute=config["compute"],
        modes=config["entropy"]["normalise"],
        lengths=config["entropy"]["lengths"],
        variants=runs_of,
        drawn=drawn_for,
        absent=without,
        gain=gain_constants,
        whitened=whitened_layers,
        sinks=sinks_asked,
        seed=config["seed"],
    message:
        "Running and decomposing {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/measure.py"


rule sum_rows:
    input:
        model=model_files,
        texts=model_texts,
    output:
        temp("results/sums/{part}/{model}/{corpus}.h5"),
    log:
        "results/logs/sum_rows/{part}/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/sum_rows/{part}/{model}/{corpus}.tsv"
    wildcard_constraints:
        model=one_of(MEASURED_IN_PARTS),
        part=one_of(PARTS),
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
        code=code("sum_rows.py"),
        content=model_content,
        origin=lambda wildcards: settings.origin(MODELS[wildcards.model].entry),
        trust_remote_code=lambda wildcards: MODELS[wildcards.model].entry.get(
            "trust_remote_code", False
        ),
        objective=lambda wildcards: MODELS[wildcards.model].objective,
        dump={key: config["dump"][key] for key in ("layers", "sublayers")},
        compute=config["compute"],
        modes=config["entropy"]["normalise"],
        variants=runs_of,
        whitened=whitened_layers,
        seed=config["seed"],
    message:
        "Summing the states of {wildcards.model} on part {wildcards.part} of {wildcards.corpus}"
    script:
        "../scripts/sum_rows.py"


use rule measure as measure_part with:
    input:
        model=model_files,
        texts=model_texts,
        # the mean is that of all texts, so every part waits for the sums of all
        sums=(
            expand("results/sums/{part}/{{model}}/{{corpus}}.h5", part=PARTS)
            if FIRST_SUMMED
            else []
        ),
    output:
        temp("results/spectra/{part}/{model}/{corpus}.h5"),
    log:
        "results/logs/measure/{part}/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/measure/{part}/{model}/{corpus}.tsv"
    wildcard_constraints:
        model=one_of(MEASURED_IN_PARTS),
        part=one_of(PARTS),
    message:
        "Running and decomposing {wildcards.model} on part {wildcards.part} of {wildcards.corpus}"


rule merge_measured:
    input:
        expand("results/spectra/{part}/{{model}}/{{corpus}}.h5", part=PARTS),
    output:
        "results/spectra/{model}/{corpus}.h5",
    log:
        "results/logs/merge_measured/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/merge_measured/{model}/{corpus}.tsv"
    wildcard_constraints:
        model=one_of(MEASURED_IN_PARTS),
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt
        * (4000 + input.size_mb // len(PARTS)),
        runtime=lambda wildcards, input, attempt: attempt
        * (30 + input.size_mb // (100 * len(PARTS))),
    params:
        code=code("merge_measured.py"),
        modes=config["entropy"]["normalise"],
        lengths=config["entropy"]["lengths"],
        variants=runs_of,
        drawn=drawn_for,
    message:
        "Merging what was measured of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/merge_measured.py"
