# metrics of the protocol, and others along training; the study itself says what others have measured
ALONG_TRAINING = list(
    dict.fromkeys(
        [*config["scaling"]["primary"]["metrics"], *plan.metrics_with("phases")]
    )
)
# models of each training, in the order of their steps
TRAININGS = settings.trainings(map(MODELS.get, plan.chosen("trajectory")["model"]))
PAIRS = {"training": list(TRAININGS), "corpus": config["trajectory"]["corpora"]}
DOWNLOADS += inputs.downloads("trajectory")


rule trajectory_training:
    input:
        lambda wildcards: all_files(
            model.name for model in TRAININGS[wildcards.training]
        ),
        folders=lambda wildcards: folders(
            model.name for model in TRAININGS[wildcards.training]
        ),
        texts=lambda wildcards: f"results/texts/{TRAININGS[wildcards.training][0].tokenizer}/{wildcards.corpus}.h5",
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
            "geomkit.studies.training.measure:measure_training",
            states="geomkit.models.stream:runs_by_name",
            content=lambda wildcards: [
                inputs.content_of(model) for model in TRAININGS[wildcards.training]
            ],
            # seeds in the order of the folders
            seeds=lambda wildcards: {
                model.name: model.seed for model in TRAININGS[wildcards.training]
            },
            family=lambda wildcards: TRAININGS[wildcards.training][0].family,
            spec=lambda wildcards: spec_of(TRAININGS[wildcards.training][0]),
            batch_tokens=config["compute"]["batch_tokens"],
            dump=CHOSEN_STATES | {"sublayers": False, "mlp_hidden": []},
            variants=lambda wildcards: plan.runs[
                TRAININGS[wildcards.training][0].name
            ],
            drawn=lambda wildcards: plan.drawn[TRAININGS[wildcards.training][0].name],
            metrics=ALONG_TRAINING,
            parameters=plan.parameters,
            resamples=plan.corpus_resamples,
            seed=config["seed"],
            length=config["scaling"]["primary"]["length"],
            normalisation=config["scaling"]["primary"]["normalise"],
            pooled=plan.pooled,
        ),
    message:
        "Measuring {wildcards.training} at its steps on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule trajectory:
    input:
        "results/weights/trajectory.csv",
        tables=expand("results/trajectory/{training}/{corpus}.parquet", **PAIRS),
        resampled=expand(
            "results/trajectory/{training}/resamples/{corpus}.parquet", **PAIRS
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
            "geomkit.studies.training.analyse:study_trajectories",
            trainings={
                model.name: (model.training, model.seed, model.step)
                for model in map(MODELS.get, plan.chosen("trajectory")["model"])
            },
            primary=config["scaling"]["primary"],
            metrics=ALONG_TRAINING,
            **RESAMPLED,
        ),
    message:
        "Finding turning points of metrics in training, and whether they follow the loss"
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
            "geomkit.studies.training.figure:draw_trajectories",
            primary=config["scaling"]["primary"],
            metrics=ALONG_TRAINING,
        ),
    message:
        "Drawing metrics and loss over training"
    script:
        "../scripts/run.py"
