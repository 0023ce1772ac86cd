DEFAULT += ["results/entropy_layers.pdf", "results/entropy_absent.csv"]
DOWNLOADS += inputs.downloads("entropy")


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
            "geomkit.studies.entropy.analyse:measure_spectra",
            family=lambda wildcards: MODELS[wildcards.model].family,
            seed=lambda wildcards: MODELS[wildcards.model].seed,
            **MEASURED,
        ),
    message:
        "Evaluating metrics of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule width_nulls:
    input:
        spectra=expand(
            "results/spectra/{model}/{{corpus}}.h5",
            model=plan.chosen("entropy")["model"],
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
            "geomkit.studies.entropy.width_nulls:measure_width_nulls",
            **plan.members("entropy"),
            modes=config["entropy"]["normalise"],
            lengths=config["entropy"]["lengths"],
            **MEASURED,
        ),
    message:
        "Measuring nulls for width on {wildcards.corpus}"
    script:
        "../scripts/run.py"


# settings of projections, from a dump or while the model runs
PROJECTING = {
    **relatives("entropy"),
    "modes": config["entropy"]["normalise"],
    "lengths": config["entropy"]["lengths"],
    **MEASURED,
    "draws": 20,
    "bracket": {
        "modes": [config["scaling"]["primary"]["normalise"]],
        "lengths": [config["scaling"]["primary"]["length"]],
    },
    "seed": config["seed"],
}


rule project:
    input:
        dumps="results/dumps/{model}/{corpus}/trained.h5",
        spectra=spectra_of_family("entropy"),
    output:
        output="results/projections/{model}/{corpus}.parquet",
    log:
        "results/logs/project/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.dumped_of("entropy")),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb),
        runtime=lambda wildcards, input, attempt: attempt * (30 + input.size_mb // 20),
    params:
        **call(
            "geomkit.studies.size_laws.projections:project_donor",
            **STORED,
            **PROJECTING,
        ),
    message:
        "Projecting {wildcards.model} to the widths of narrower models, on {wildcards.corpus}"
    script:
        "../scripts/run.py"


use rule project as project_running with:
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
            "geomkit.studies.size_laws.projections:project_donor",
            **RUNNING,
            **PROJECTING,
            dump=LAST_STATES,
        ),


rule projections:
    input:
        spectra=expand(
            "results/spectra/{model}/{{corpus}}.h5",
            model=plan.chosen("entropy")["model"],
        ),
        tables=expand(
            "results/projections/{model}/{{corpus}}.parquet",
            model=plan.chosen("entropy")["model"],
        ),
    output:
        output="results/projections/{corpus}.parquet",
    log:
        "results/logs/projections/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.size_laws.projections:join_projections",
            **plan.members("entropy"),
            modes=config["entropy"]["normalise"],
        ),
    message:
        "Joining the projections of all models on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule entropy_table:
    input:
        "results/weights/entropy.csv",
        tables=[
            *expand(
                "results/entropy/{model}/{corpus}.parquet", **plan.chosen("entropy")
            ),
            *expand(
                "results/nulls/{corpus}.parquet",
                corpus=plan.chosen("entropy")["corpus"],
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
            "geomkit.tables.tidy:merge_stage",
        ),
    message:
        "Joining the tables of all models"
    script:
        "../scripts/run.py"


rule points:
    input:
        # means over texts have intervals of their own; clouds with one row for each text have those of resamples
        **(
            {}
            if plan.primary["rows"] == "tokens"
            else {
                "resampled": expand(
                    "results/resamples/{corpus}.parquet",
                    corpus=plan.chosen("entropy")["corpus"],
                )
            }
        ),
        table="results/entropy.parquet",
    output:
        output="results/points.csv",
    log:
        "results/logs/points.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.entropy.figure_means:collect_points",
            primary=plan.primary,
            exploratory=config["scaling"].get("exploratory", []),
            **RESAMPLED,
        ),
    message:
        "Averaging over texts the metrics that figures draw"
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
            "geomkit.studies.entropy.figure:draw_layers",
            primary=plan.primary,
        ),
    message:
        "Drawing the metrics over depth"
    script:
        "../scripts/run.py"
