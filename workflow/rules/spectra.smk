rule spectra:
    input:
        expand("results/dumps/{{model}}/{{corpus}}/{variant}.h5", variant=VARIANTS),
    output:
        "results/spectra/{model}/{corpus}.h5",
    log:
        "results/logs/spectra/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/spectra/{model}/{corpus}.tsv"
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
        seed=config["seed"],
    message:
        "Decomposing {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/spectra.py"
