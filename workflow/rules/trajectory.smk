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
        models=lambda wildcards: files_of_models(
            model.name for model in models_along(wildcards.training)
        ),
        folders=lambda wildcards: folders_of_models(
            model.name for model in models_along(wildcards.training)
        ),
        texts=lambda wildcards: f"results/texts/{first_of(wildcards).tokenizer}/{wildcards.corpus}.h5",
    output:
        table="results/trajectory/{training}/{corpus}.parquet",
        resamples="results/trajectory/{training}/resamples/{corpus}.parquet",
    log:
        "results/logs/trajectory/{training}/{corpus}.log",
    benchmark:
        "results/benchmarks/trajectory/{training}/{corpus}.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        **GPU,
        mem_mb=lambda wildcards, input, attempt: attempt * (4000 + 5 * input.size_mb),
        runtime=lambda wildcards, input, attempt: attempt * (60 + input.size_mb // 5),
    params:
        code=code("trajectory_training.py"),
        content=lambda wildcards: [
            content_of(model) for model in models_along(wildcards.training)
        ],
        # of each model in the order of the folders
        seeds=lambda wildcards: {
            model.name: model.seed for model in models_along(wildcards.training)
        },
        family=lambda wildcards: first_of(wildcards).family,
        trust_remote_code=lambda wildcards: first_of(wildcards).entry.get(
            "trust_remote_code", False
        ),
        layers=config["dump"]["layers"],
        variants=lambda wildcards: RUNS[first_of(wildcards).name],
        drawn=lambda wildcards: variants.drawn(OWN_NULLS[first_of(wildcards).name]),
        primary=config["scaling"]["primary"],
        metrics=TRAJECTORY_METRICS,
        parameters=PARAMETERS,
        compute=config["compute"],
        resamples=CORPUS_RESAMPLES,
        seed=config["seed"],
    message:
        "Measuring {wildcards.training} at its steps on {wildcards.corpus}"
    script:
        "../scripts/trajectory_training.py"


rule trajectory:
    input:
        tables=expand("results/trajectory/{training}/{corpus}.parquet", **ALONG),
        resamples=expand(
            "results/trajectory/{training}/resamples/{corpus}.parquet", **ALONG
        ),
        weights="results/weights/trajectory.csv",
    output:
        points="results/trajectory/points.csv",
        turns="results/trajectory/turns.csv",
        laws="results/trajectory/laws.csv",
    log:
        "results/logs/trajectory.log",
    benchmark:
        "results/benchmarks/trajectory.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("trajectory.py"),
        trainings={
            model.name: (model.training, model.seed, model.step)
            for model in ALONG_TRAINING
        },
        primary=config["scaling"]["primary"],
        metrics=TRAJECTORY_METRICS,
        resamples=config["scaling"]["bootstrap"],
        seed=config["seed"],
    message:
        "Finding where metrics turn in training, and whether they follow the loss"
    script:
        "../scripts/trajectory.py"


rule trajectory_plot:
    input:
        points="results/trajectory/points.csv",
        turns="results/trajectory/turns.csv",
        laws="results/trajectory/laws.csv",
    output:
        report(
            "results/trajectory_plot.pdf",
            caption="../report/trajectory_plot.rst",
            category="Training",
        ),
    log:
        "results/logs/trajectory_plot.log",
    benchmark:
        "results/benchmarks/trajectory_plot.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("trajectory_plot.py"),
        primary=config["scaling"]["primary"],
        metrics=TRAJECTORY_METRICS,
    message:
        "Drawing metrics and loss over training"
    script:
        "../scripts/trajectory_plot.py"
