# a resample of a corpus takes an eigenvalue decomposition for each layer, normalisation, variant and model
CORPUS_RESAMPLES = min(200, config["scaling"]["bootstrap"])
GRID = relative(RESOURCES / "ladder/training_grid.csv")
CARD = relative(RESOURCES / "ladder/losses.csv")


rule corpus_resamples:
    input:
        spectra=expand(
            "results/spectra/{model}/{{corpus}}.h5", model=chosen("entropy")["model"]
        ),
    output:
        output="results/resamples/{corpus}.parquet",
    log:
        "results/logs/resamples/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb),
        runtime=lambda wildcards, input, attempt: attempt * (30 + input.size_mb // 20),
    params:
        **call(
            "geomkit.studies.resamples:resample_corpora",
            families={
                name: MODELS[name].family for name in chosen("entropy")["model"]
            },
            seeds={name: MODELS[name].seed for name in chosen("entropy")["model"]},
            modes=config["entropy"]["normalise"],
            metrics=METRICS,
            parameters=PARAMETERS,
            resamples=CORPUS_RESAMPLES,
            seed=config["seed"],
        ),
    message:
        "Measuring {wildcards.corpus} in resamples of its documents"
    script:
        "../scripts/run.py"


rule scaling:
    input:
        table="results/entropy.parquet",
        resampled=expand(
            "results/resamples/{corpus}.parquet", corpus=chosen("entropy")["corpus"]
        ),
        published=relative(RESOURCES / "published/matrix_entropy.csv"),
    output:
        slopes="results/scaling/slopes.csv",
        null_slopes="results/scaling/null_slopes.csv",
        fits="results/scaling/fits.json",
    log:
        "results/logs/scaling.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + 40 * input.size_mb),
    params:
        **call(
            "geomkit.studies.exponents:compare_exponents",
            primary=config["scaling"]["primary"],
            exploratory=config["scaling"].get("exploratory", []),
            resamples=config["scaling"]["bootstrap"],
            held_out=config["scaling"]["held_out"],
            seed=config["seed"],
        ),
    message:
        "Fitting the scaling laws"
    script:
        "../scripts/run.py"


rule verdicts:
    input:
        table="results/entropy.parquet",
        projections=expand(
            "results/projections/{corpus}.parquet", corpus=chosen("entropy")["corpus"]
        ),
    output:
        verdicts="results/scaling/verdicts.csv",
        differences="results/scaling/differences.csv",
    log:
        "results/logs/verdicts.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.verdicts:judge_laws",
            primary=config["scaling"]["primary"],
            resamples=config["scaling"]["bootstrap"],
            seed=config["seed"],
        ),
    message:
        "Judging laws with model size"
    script:
        "../scripts/run.py"


rule growth:
    input:
        spectra=expand("results/spectra/{model}/{corpus}.h5", **chosen("entropy")),
        resampled=expand(
            "results/resamples/{corpus}.parquet", corpus=chosen("entropy")["corpus"]
        ),
        slopes="results/scaling/slopes.csv",
        null_slopes="results/scaling/null_slopes.csv",
        published=relative(RESOURCES / "published/diff_erank.csv"),
    output:
        differences="results/scaling/diff_erank.csv",
        growth="results/scaling/growth.csv",
    log:
        "results/logs/growth.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 4000,
    params:
        **call(
            "geomkit.studies.growth:compare_growth",
            families={
                name: MODELS[name].family for name in chosen("entropy")["model"]
            },
            seeds={name: MODELS[name].seed for name in chosen("entropy")["model"]},
            lengths=config["entropy"]["lengths"],
            primary=config["scaling"]["primary"],
            resamples=config["scaling"]["bootstrap"],
            seed=config["seed"],
        ),
    message:
        "Measuring Diff-eRank, and what grows and what falls with size"
    script:
        "../scripts/run.py"


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
            "geomkit.studies.loss_laws:fit_loss_laws",
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
            "results/projections/{corpus}.parquet", corpus=chosen("entropy")["corpus"]
        ),
        card=CARD,
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
            "geomkit.studies.loss_axes:study_loss_axes",
            card_family="ladder",
            card_length=config["ladder"]["recipe"]["context"],
            primary=config["scaling"]["primary"],
            resamples=config["scaling"]["bootstrap"],
            held_out=config["scaling"]["held_out"],
            seed=config["seed"],
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
            "geomkit.studies.data_laws:fit_data_laws",
            metrics=config["scaling"]["primary"]["metrics"],
            held_out=config["scaling"]["held_out"],
            resamples=config["scaling"]["bootstrap"],
            seed=config["seed"],
        ),
    message:
        "Fitting the law of the loss over model size and data"
    script:
        "../scripts/run.py"


rule scaling_plot:
    input:
        points="results/points.csv",
        fits="results/scaling/fits.json",
        verdicts="results/scaling/verdicts.csv",
        differences="results/scaling/differences.csv",
    output:
        output=report(
            "results/scaling_plot.pdf",
            caption="../report/scaling_plot.rst",
            category="Scaling",
        ),
    log:
        "results/logs/scaling_plot.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.figures.scaling:draw_scaling",
            primary=config["scaling"]["primary"],
            exploratory=config["scaling"].get("exploratory", []),
        ),
    message:
        "Drawing the scaling laws"
    script:
        "../scripts/run.py"


rule nulls_plot:
    input:
        verdicts="results/scaling/verdicts.csv",
        differences="results/scaling/differences.csv",
        slopes="results/scaling/slopes.csv",
        null_slopes="results/scaling/null_slopes.csv",
        growth="results/scaling/growth.csv",
    output:
        output=report(
            "results/nulls_plot.pdf",
            caption="../report/nulls_plot.rst",
            category="Scaling",
        ),
    log:
        "results/logs/nulls_plot.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.figures.nulls:draw_nulls",
        ),
    message:
        "Drawing exponents minus those of their nulls"
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
            "geomkit.figures.losses:draw_losses",
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
            "geomkit.figures.data:draw_data",
            primary=config["scaling"]["primary"],
            eps2=config["entropy"]["eps2"],
        ),
    message:
        "Drawing loss and metrics over model size and data"
    script:
        "../scripts/run.py"
