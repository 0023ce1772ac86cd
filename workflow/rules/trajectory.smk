# the metrics of the literature on phases of training, beside those of the protocol
PHASED = ["erank_singular", "alpha_req"]
TRAJECTORY_METRICS = [
    *config["scaling"]["primary"]["metrics"],
    *[name for name in PHASED if name not in config["scaling"]["primary"]["metrics"]],
]
TRAJECTORIES = sorted({model.training for model in ALONG_TRAINING})
ALONG = {"training": TRAJECTORIES, "corpus": chosen("trajectory")["corpus"]}


rule trajectory_training:
    input:
        lambda wildcards: files_of_models(
            model.name for model in models_along(wildcards.training)
        ),
        folders=lambda wildcards: folders_of_models(
            model.name for model in models_along(wildcards.training)
        ),
        texts=lambda wildcards: f"results/texts/{first_of(wildcards).tokenizer}/{wildcards.corpus}.h5",
    output:
        output="results/trajectory/{training}/{corpus}.parquet",
        resampled="results/trajectory/{training}/resamples/{corpus}.parquet",
    log:
        "results/logs/trajectory/{training}/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **GPU,
        mem_mb=lambda wildcards, input, attempt: attempt * (4000 + 5 * input.size_mb),
        runtime=lambda wildcards, input, attempt: attempt * (60 + input.size_mb // 5),
    params:
        **call(
            "geomkit.lm.trajectory:measure_training",
            content=lambda wildcards: [
                content_of(model) for model in models_along(wildcards.training)
            ],
            # of each model in the order of the folders
            seeds=lambda wildcards: {
                model.name: model.seed for model in models_along(wildcards.training)
            },
            family=lambda wildcards: first_of(wildcards).family,
            spec=lambda wildcards: spec_of(
                SimpleNamespace(model=first_of(wildcards).name)
            ),
            layers=config["dump"]["layers"],
            variants=lambda wildcards: RUNS[first_of(wildcards).name],
            drawn=lambda wildcards: variants.drawn(
                OWN_NULLS[first_of(wildcards).name]
            ),
            metrics=TRAJECTORY_METRICS,
            parameters=PARAMETERS,
            batch_tokens=config["compute"]["batch_tokens"],
            resamples=CORPUS_RESAMPLES,
            seed=config["seed"],
            length=config["scaling"]["primary"]["length"],
            normalisation=config["scaling"]["primary"]["normalise"],
        ),
    message:
        "Measuring {wildcards.training} at its steps on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule trajectory:
    input:
        "results/weights/trajectory.csv",
        tables=expand("results/trajectory/{training}/{corpus}.parquet", **ALONG),
        resampled=expand(
            "results/trajectory/{training}/resamples/{corpus}.parquet", **ALONG
        ),
    output:
        points="results/trajectory/points.csv",
        turns="results/trajectory/turns.csv",
        laws="results/trajectory/laws.csv",
    log:
        "results/logs/trajectory.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.trajectory:study_trajectories",
            trainings={
                model.name: (model.training, model.seed, model.step)
                for model in ALONG_TRAINING
            },
            primary=config["scaling"]["primary"],
            metrics=TRAJECTORY_METRICS,
            resamples=config["scaling"]["bootstrap"],
            seed=config["seed"],
        ),
    message:
        "Finding where metrics turn in training, and whether they follow the loss"
    script:
        "../scripts/run.py"


rule trajectory_plot:
    input:
        points="results/trajectory/points.csv",
        turns="results/trajectory/turns.csv",
        laws="results/trajectory/laws.csv",
    output:
        output=report(
            "results/trajectory_plot.pdf",
            caption="../report/trajectory_plot.rst",
            category="Training",
        ),
    log:
        "results/logs/trajectory_plot.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.figures.trajectory:draw_trajectories",
            primary=config["scaling"]["primary"],
            metrics=TRAJECTORY_METRICS,
        ),
    message:
        "Drawing metrics and loss over training"
    script:
        "../scripts/run.py"
