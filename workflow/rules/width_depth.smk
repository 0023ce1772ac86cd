GROUPS = {
    str(training): group
    for group, members in config["ladder"]["controls"].items()
    for one in members
    for training in trainings_of(one)
}


rule controls_measured:
    input:
        models=[
            *[
                relative(RESOURCES / "ladder" / name / "model.safetensors")
                for name in LADDER
            ],
            *expand("results/ladder/controls/{name}/model.safetensors", name=CONTROLS),
        ],
        texts=f"results/texts/ladder/{config['ladder']['corpus']}.h5",
    output:
        "results/ladder/controls.parquet",
    log:
        "results/logs/ladder/controls_measured.log",
    benchmark:
        "results/benchmarks/ladder/controls_measured.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        code=code("controls_measured.py"),
        primary=config["scaling"]["primary"],
        parameters=PARAMETERS,
        compute=config["compute"],
    message:
        "Measuring the ladder and the trainings beside it"
    script:
        "../scripts/controls_measured.py"


rule width_depth:
    input:
        table=relative(RESOURCES / "ladder/controls.parquet"),
        trainings=relative(RESOURCES / "ladder/controls.csv"),
    output:
        points="results/axes/points.csv",
        effects="results/axes/width_depth.csv",
        tied="results/axes/tied.csv",
        rates="results/axes/rates.csv",
        seeds="results/axes/seeds.csv",
        absent="results/axes/absent.csv",
    log:
        "results/logs/width_depth.log",
    benchmark:
        "results/benchmarks/width_depth.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("width_depth.py"),
        groups=GROUPS,
        recipe=config["ladder"]["recipe"],
        primary=config["scaling"]["primary"],
        resamples=config["scaling"]["bootstrap"],
        seed=config["seed"],
    message:
        "Telling width, depth and parameters apart"
    script:
        "../scripts/width_depth.py"


rule controls_plot:
    input:
        points="results/axes/points.csv",
        effects="results/axes/width_depth.csv",
        tied="results/axes/tied.csv",
        rates="results/axes/rates.csv",
        seeds="results/axes/seeds.csv",
        absent="results/axes/absent.csv",
        trainings=relative(RESOURCES / "ladder/controls.csv"),
    output:
        report(
            "results/controls_plot.pdf",
            caption="../report/controls_plot.rst",
            category="Training",
        ),
    log:
        "results/logs/controls_plot.log",
    benchmark:
        "results/benchmarks/controls_plot.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("controls_plot.py"),
        primary=config["scaling"]["primary"],
    message:
        "Drawing width against depth, and seeds"
    script:
        "../scripts/controls_plot.py"
