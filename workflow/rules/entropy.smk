rule entropy:
    input:
        spectra="results/spectra/{model}/{corpus}.h5",
    output:
        output="results/entropy/{model}/{corpus}.parquet",
    log:
        "results/logs/entropy/{model}/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
    params:
        **call(
            "geomkit.studies.entropy:measure_spectra",
            family=lambda wildcards: MODELS[wildcards.model].family,
            seed=lambda wildcards: MODELS[wildcards.model].seed,
            metrics=METRICS,
            parameters=PARAMETERS,
        ),
    message:
        "Measuring {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule width_nulls:
    input:
        spectra=expand(
            "results/spectra/{model}/{{corpus}}.h5", model=chosen("entropy")["model"]
        ),
    output:
        output="results/nulls/{corpus}.parquet",
    log:
        "results/logs/nulls/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 4000,
    params:
        **call(
            "geomkit.studies.width_nulls:measure_width_nulls",
            families=of_models("entropy", "family"),
            seeds=of_models("entropy", "seed"),
            modes=config["entropy"]["normalise"],
            lengths=config["entropy"]["lengths"],
            metrics=METRICS,
            parameters=PARAMETERS,
        ),
    message:
        "Measuring spectra whose shape does not change with width, on {wildcards.corpus}"
    script:
        "../scripts/run.py"


# what a donor's rows are projected to, from a dump or while the model runs
PROJECTING = {
    "modes": config["entropy"]["normalise"],
    "lengths": config["entropy"]["lengths"],
    "metrics": METRICS,
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
        rest(model_files),
        folder=head(model_files),
        texts=model_texts,
        spectra=family_spectra("entropy"),
    output:
        output="results/projections/{model}/{corpus}.parquet",
    log:
        "results/logs/project/{model}/{corpus}.log",
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
            "geomkit.studies.projections:project_donor",
            states="geomkit.lm.rerunning:run_again",
            **PROJECTING,
            families=of_family("entropy", "family"),
            seeds=of_family("entropy", "seed"),
            content=model_content,
            asked=asked_again(["last", "final"]),
            compute=config["compute"],
        ),
    message:
        "Projecting {wildcards.model} on as many directions as narrower models have, on {wildcards.corpus}"
    script:
        "../scripts/run.py"


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
        output="results/projections/{corpus}.parquet",
    log:
        "results/logs/projections/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb),
        runtime=lambda wildcards, input, attempt: attempt * (30 + input.size_mb // 20),
    params:
        **call(
            "geomkit.studies.projections:write_projections",
            **PROJECTING,
            families=of_models("entropy", "family"),
            seeds=of_models("entropy", "seed"),
        ),
    message:
        "Projecting models on as many directions as narrower ones have, on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule entropy_table:
    input:
        "results/weights/entropy.csv",
        tables=[
            *expand("results/entropy/{model}/{corpus}.parquet", **chosen("entropy")),
            *expand(
                "results/nulls/{corpus}.parquet", corpus=chosen("entropy")["corpus"]
            ),
        ],
    output:
        output="results/entropy.parquet",
        absent="results/entropy_absent.csv",
    log:
        "results/logs/entropy_table.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.store.tables:merge_stage",
        ),
    message:
        "Joining the tables of all models"
    script:
        "../scripts/run.py"


rule points:
    input:
        table="results/entropy.parquet",
    output:
        output="results/points.csv",
    log:
        "results/logs/points.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.points:collect_points",
            primary=config["scaling"]["primary"],
            exploratory=config["scaling"].get("exploratory", []),
        ),
    message:
        "Averaging the metrics that are drawn over texts"
    script:
        "../scripts/run.py"


rule entropy_layers:
    input:
        points="results/points.csv",
    output:
        output=report(
            "results/entropy_layers.pdf",
            caption="../report/entropy_layers.rst",
            category="Entropy",
        ),
    log:
        "results/logs/entropy_layers.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.figures.layers:draw_layers",
            primary=config["scaling"]["primary"],
        ),
    message:
        "Drawing the metrics over depth"
    script:
        "../scripts/run.py"
