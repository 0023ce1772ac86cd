rule spectra:
    input:
        expand("results/dumps/{{model}}/{{corpus}}/{variant}.h5", variant=VARIANTS),
    output:
        "results/spectra/{model}/{corpus}.h5",
    log:
        "results/logs/spectra/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/spectra/{model}/{corpus}.tsv"
    wildcard_constraints:
        model=one_of(DUMPED),
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
        drawn=variants.drawn(config["entropy"]),
        gain=gain_constants,
        whitened=whitened_layers,
        sinks=sinks_asked,
        seed=config["seed"],
    message:
        "Decomposing {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/spectra.py"


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
        model=one_of(name for name in MODELS if name not in DUMPED),
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        **GPU,
        mem_mb=lambda wildcards, input, attempt: attempt * (4000 + 5 * input.size_mb),
        runtime=lambda wildcards, input, attempt: attempt * (60 + input.size_mb // 10),
    params:
        code=code("measure.py"),
        origin=lambda wildcards: settings.origin(MODELS[wildcards.model].entry),
        trust_remote_code=lambda wildcards: MODELS[wildcards.model].entry.get(
            "trust_remote_code", False
        ),
        objective=lambda wildcards: MODELS[wildcards.model].objective,
        dump={key: config["dump"][key] for key in ("layers", "sublayers")},
        compute=config["compute"],
        modes=config["entropy"]["normalise"],
        lengths=config["entropy"]["lengths"],
        variants=VARIANTS,
        drawn=variants.drawn(config["entropy"]),
        gain=gain_constants,
        whitened=whitened_layers,
        sinks=sinks_asked,
        seed=config["seed"],
    message:
        "Running and decomposing {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/measure.py"
