from geomkit.ladder.names import expand as trainings_of

GROUPS = {
    str(training): group
    for group, members in config["ladder"]["controls"].items()
    for one in members
    for training in trainings_of(one)
}


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
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.width_depth.analyse:study_width_and_depth",
            groups=GROUPS,
            recipe=config["ladder"]["recipe"],
            primary=config["scaling"]["primary"],
            **RESAMPLED,
        ),
    message:
        "Separating width, depth and parameters"
    script:
        "../scripts/run.py"


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
        output=report(
            "results/controls_plot.pdf",
            caption="../report/controls_plot.rst",
            category="Training",
        ),
    log:
        "results/logs/controls_plot.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.width_depth.figure:draw_controls",
            primary=config["scaling"]["primary"],
        ),
    message:
        "Drawing width against depth, and seeds"
    script:
        "../scripts/run.py"
