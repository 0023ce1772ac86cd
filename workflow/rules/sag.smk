rule sag:
    input:
        table="results/entropy.parquet",
        projections=expand(
            "results/projections/{corpus}.parquet",
            corpus=plan.chosen("entropy")["corpus"],
        ),
        following=expand(
            "results/width_share/{model}/{corpus}.parquet",
            **plan.chosen("width_share"),
        ),
        grid=relative(RESOURCES / "ladder/training_grid.csv"),
        controls=relative(RESOURCES / "ladder/controls.parquet"),
        trainings=relative(RESOURCES / "ladder/controls.csv"),
    output:
        sags="results/sag/sags.csv",
        widths="results/sag/widths.csv",
        causes="results/sag/causes.csv",
    log:
        "results/logs/sag.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + 10 * input.size_mb),
    params:
        **call(
            "geomkit.studies.sag.analyse:study_sag",
            primary=config["scaling"]["primary"],
            **RESAMPLED,
        ),
    message:
        "Asking what makes the widest models fall below projection"
    script:
        "../scripts/run.py"


rule sag_figure:
    input:
        sags="results/sag/sags.csv",
        widths="results/sag/widths.csv",
        causes="results/sag/causes.csv",
    output:
        output=report(
            "results/sag.pdf",
            caption="../report/sag.rst",
            category="Scaling",
        ),
    log:
        "results/logs/sag_figure.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call("geomkit.studies.sag.figure:draw_sag"),
    message:
        "Drawing what makes the widest models fall below projection"
    script:
        "../scripts/run.py"
