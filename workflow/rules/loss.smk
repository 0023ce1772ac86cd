LAWS += ["results/losses_plot.pdf", "results/data_plot.pdf"]
GRID = relative(RESOURCES / "ladder/training_grid.csv")
LOSSES = relative(RESOURCES / "ladder/losses.csv")


rule loss_laws:
    input:
        table="results/entropy.parquet",
        published=relative(RESOURCES / "published/losses.csv"),
        known=relative(RESOURCES / "published/laws.csv"),
    output:
        fits="results/scaling/loss_laws.json",
        regions="results/scaling/loss_regions.csv",
    log:
        "results/logs/loss_laws.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.loss.laws:fit_loss_laws",
            held_out=config["scaling"]["held_out"],
        ),
    message:
        "Fitting laws of the loss, ours and published"
    script:
        "../scripts/run.py"


rule loss_axes:
    input:
        table="results/entropy.parquet",
        projected=expand(
            "results/projections/{corpus}.parquet",
            corpus=plan.chosen("entropy")["corpus"],
        ),
        card=LOSSES,
    output:
        axes="results/scaling/loss_axes.json",
        entropy_loss="results/scaling/entropy_loss.json",
    log:
        "results/logs/loss_axes.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + 40 * input.size_mb),
    params:
        **call(
            "geomkit.studies.loss.size_measures:study_loss_axes",
            card_family="ladder",
            card_length=config["ladder"]["recipe"]["context"],
            primary=config["scaling"]["primary"],
            held_out=config["scaling"]["held_out"],
            **RESAMPLED,
        ),
    message:
        "Fitting laws of the loss on three measures of size, and what entropy adds to the best"
    script:
        "../scripts/run.py"


rule data_laws:
    input:
        grid=GRID,
        known=relative(RESOURCES / "published/laws.csv"),
    output:
        output="results/scaling/data_laws.json",
    log:
        "results/logs/data_laws.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.loss.data:fit_data_laws",
            metrics=config["scaling"]["primary"]["metrics"],
            held_out=config["scaling"]["held_out"],
            **RESAMPLED,
        ),
    message:
        "Fitting the law of the loss over model size and data"
    script:
        "../scripts/run.py"


rule losses_plot:
    input:
        fits="results/scaling/loss_laws.json",
        regions="results/scaling/loss_regions.csv",
        axes="results/scaling/loss_axes.json",
    output:
        output=report(
            "results/losses_plot.pdf",
            caption="../report/losses_plot.rst",
            category="Scaling",
        ),
    log:
        "results/logs/losses_plot.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.loss.figure.losses:draw_losses",
        ),
    message:
        "Drawing the laws of the loss"
    script:
        "../scripts/run.py"


rule data_plot:
    input:
        grid=GRID,
        laws="results/scaling/data_laws.json",
    output:
        output=report(
            "results/data_plot.pdf",
            caption="../report/data_plot.rst",
            category="Scaling",
        ),
    log:
        "results/logs/data_plot.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.loss.figure.data:draw_data",
            primary=config["scaling"]["primary"],
            eps2=config["entropy"]["eps2"],
        ),
    message:
        "Drawing loss and metrics over model size and data"
    script:
        "../scripts/run.py"
