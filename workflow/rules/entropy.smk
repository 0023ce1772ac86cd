rule entropy:
    input:
        "results/spectra/{model}/{corpus}.h5",
    output:
        "results/entropy/{model}/{corpus}.parquet",
    log:
        "results/logs/entropy/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/entropy/{model}/{corpus}.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
    params:
        code=code("entropy.py"),
        family=lambda wildcards: MODELS[wildcards.model].family,
        model_seed=lambda wildcards: MODELS[wildcards.model].seed,
        metrics=(
            None
            if config["entropy"]["metrics"] == "all"
            else config["entropy"]["metrics"]
        ),
        parameters=PARAMETERS,
    message:
        "Measuring {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/entropy.py"


rule width_nulls:
    input:
        expand(
            "results/spectra/{model}/{{corpus}}.h5", model=chosen("entropy")["model"]
        ),
    output:
        "results/nulls/{corpus}.parquet",
    log:
        "results/logs/nulls/{corpus}.log",
    benchmark:
        "results/benchmarks/nulls/{corpus}.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 4000,
    params:
        code=code("width_nulls.py"),
        families=of_models("entropy", "family"),
        seeds=of_models("entropy", "seed"),
        modes=config["entropy"]["normalise"],
        lengths=config["entropy"]["lengths"],
        metrics=(
            None
            if config["entropy"]["metrics"] == "all"
            else config["entropy"]["metrics"]
        ),
        parameters=PARAMETERS,
    message:
        "Measuring spectra whose shape does not change with width, on {wildcards.corpus}"
    script:
        "../scripts/width_nulls.py"


# what a donor's rows are projected to, from a dump or while the model runs
PROJECTING = {
    "modes": config["entropy"]["normalise"],
    "lengths": config["entropy"]["lengths"],
    "metrics": (
        None if config["entropy"]["metrics"] == "all" else config["entropy"]["metrics"]
    ),
    "parameters": PARAMETERS,
    "draws": 20,
    "bracket": {
        "modes": [config["scaling"]["primary"]["normalise"]],
        "lengths": [config["scaling"]["primary"]["length"]],
    },
    "seed": config["seed"],
}


rule project:
    input:
        model=model_files,
        texts=model_texts,
        spectra=family_spectra("entropy"),
    output:
        "results/projections/{model}/{corpus}.parquet",
    log:
        "results/logs/project/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/project/{model}/{corpus}.tsv"
    wildcard_constraints:
        model=one_of(measured("entropy")),
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
        **PROJECTING,
        families=of_family("entropy", "family"),
        seeds=of_family("entropy", "seed"),
        code=code("project.py"),
        content=model_content,
        asked=asked_again(["last", "final"]),
        compute=config["compute"],
    message:
        "Projecting {wildcards.model} on as many directions as narrower models have, on {wildcards.corpus}"
    script:
        "../scripts/project.py"


rule projections:
    input:
        dumps=expand(
            "results/dumps/{model}/{{corpus}}/trained.h5", model=kept("entropy")
        ),
        spectra=expand(
            "results/spectra/{model}/{{corpus}}.h5", model=measured("entropy")
        ),
        tables=expand(
            "results/projections/{model}/{{corpus}}.parquet",
            model=measured("entropy"),
        ),
    output:
        "results/projections/{corpus}.parquet",
    log:
        "results/logs/projections/{corpus}.log",
    benchmark:
        "results/benchmarks/projections/{corpus}.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb),
        runtime=lambda wildcards, input, attempt: attempt * (30 + input.size_mb // 20),
    params:
        **PROJECTING,
        families=of_models("entropy", "family"),
        seeds=of_models("entropy", "seed"),
        code=code("projections.py"),
    message:
        "Projecting models on as many directions as narrower ones have, on {wildcards.corpus}"
    script:
        "../scripts/projections.py"


rule entropy_table:
    input:
        tables=[
            *expand("results/entropy/{model}/{corpus}.parquet", **chosen("entropy")),
            *expand(
                "results/nulls/{corpus}.parquet", corpus=chosen("entropy")["corpus"]
            ),
        ],
        weights="results/weights/entropy.csv",
    output:
        table="results/entropy.parquet",
        absent="results/entropy_absent.csv",
    log:
        "results/logs/entropy_table.log",
    benchmark:
        "results/benchmarks/entropy_table.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("merge.py"),
    message:
        "Joining the tables of all models"
    script:
        "../scripts/merge.py"


rule points:
    input:
        "results/entropy.parquet",
    output:
        "results/points.csv",
    log:
        "results/logs/points.log",
    benchmark:
        "results/benchmarks/points.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("points.py"),
        primary=config["scaling"]["primary"],
        exploratory=config["scaling"].get("exploratory", []),
    message:
        "Averaging the metrics that are drawn over texts"
    script:
        "../scripts/points.py"


rule entropy_layers:
    input:
        "results/points.csv",
    output:
        report(
            "results/entropy_layers.pdf",
            caption="../report/entropy_layers.rst",
            category="Entropy",
        ),
    log:
        "results/logs/entropy_layers.log",
    benchmark:
        "results/benchmarks/entropy_layers.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("entropy_layers.py"),
        primary=config["scaling"]["primary"],
    message:
        "Drawing the metrics over depth"
    script:
        "../scripts/entropy_layers.py"
