# a resample of a corpus takes an eigenvalue decomposition for each layer, normalisation, variant and model
CORPUS_RESAMPLES = min(200, config["scaling"]["bootstrap"])
GRID = relative(RESOURCES / "ladder/training_grid.csv")
CARD = relative(RESOURCES / "ladder/losses.csv")


rule corpus_resamples:
    input:
        expand(
            "results/spectra/{model}/{{corpus}}.h5", model=chosen("entropy")["model"]
        ),
    output:
        "results/resamples/{corpus}.parquet",
    log:
        "results/logs/resamples/{corpus}.log",
    benchmark:
        "results/benchmarks/resamples/{corpus}.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb),
        runtime=lambda wildcards, input, attempt: attempt * (30 + input.size_mb // 20),
    params:
        code=code("corpus_resamples.py"),
        families={name: MODELS[name].family for name in chosen("entropy")["model"]},
        seeds={name: MODELS[name].seed for name in chosen("entropy")["model"]},
        modes=config["entropy"]["normalise"],
        metrics=(
            None
            if config["entropy"]["metrics"] == "all"
            else config["entropy"]["metrics"]
        ),
        parameters=PARAMETERS,
        resamples=CORPUS_RESAMPLES,
        seed=config["seed"],
    message:
        "Measuring {wildcards.corpus} in resamples of its documents"
    script:
        "../scripts/corpus_resamples.py"


rule scaling:
    input:
        table="results/entropy.parquet",
        resamples=expand(
            "results/resamples/{corpus}.parquet", corpus=chosen("entropy")["corpus"]
        ),
        published=relative(RESOURCES / "published/matrix_entropy.csv"),
    output:
        slopes="results/scaling/slopes.csv",
        null_slopes="results/scaling/null_slopes.csv",
        fits="results/scaling/fits.json",
    log:
        "results/logs/scaling.log",
    benchmark:
        "results/benchmarks/scaling.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + 40 * input.size_mb),
    params:
        code=code("scaling.py"),
        primary=config["scaling"]["primary"],
        exploratory=config["scaling"].get("exploratory", []),
        bootstrap=config["scaling"]["bootstrap"],
        held_out=config["scaling"]["held_out"],
        seed=config["seed"],
    message:
        "Fitting the scaling laws"
    script:
        "../scripts/scaling.py"


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
    benchmark:
        "results/benchmarks/verdicts.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("verdicts.py"),
        primary=config["scaling"]["primary"],
        resamples=config["scaling"]["bootstrap"],
        seed=config["seed"],
    message:
        "Judging laws with model size"
    script:
        "../scripts/verdicts.py"


rule growth:
    input:
        spectra=expand("results/spectra/{model}/{corpus}.h5", **chosen("entropy")),
        resamples=expand(
            "results/resamples/{corpus}.parquet", corpus=chosen("entropy")["corpus"]
        ),
        slopes="results/scaling/slopes.csv",
        null_slopes="results/scaling/null_slopes.csv",
        published=relative(RESOURCES / "published/diff_erank.csv"),
    output:
        diff_erank="results/scaling/diff_erank.csv",
        growth="results/scaling/growth.csv",
    log:
        "results/logs/growth.log",
    benchmark:
        "results/benchmarks/growth.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 4000,
    params:
        code=code("growth.py"),
        families={name: MODELS[name].family for name in chosen("entropy")["model"]},
        seeds={name: MODELS[name].seed for name in chosen("entropy")["model"]},
        lengths=config["entropy"]["lengths"],
        primary=config["scaling"]["primary"],
        resamples=config["scaling"]["bootstrap"],
        seed=config["seed"],
    message:
        "Measuring Diff-eRank, and what grows and what falls with size"
    script:
        "../scripts/growth.py"


rule loss_laws:
    input:
        table="results/entropy.parquet",
        published=relative(RESOURCES / "published/losses.csv"),
        laws=relative(RESOURCES / "published/laws.csv"),
    output:
        fits="results/scaling/loss_laws.json",
        regions="results/scaling/loss_regions.csv",
    log:
        "results/logs/loss_laws.log",
    benchmark:
        "results/benchmarks/loss_laws.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("loss_laws.py"),
        held_out=config["scaling"]["held_out"],
    message:
        "Fitting laws of the loss, ours and published"
    script:
        "../scripts/loss_laws.py"


rule loss_axes:
    input:
        table="results/entropy.parquet",
        projections=expand(
            "results/projections/{corpus}.parquet", corpus=chosen("entropy")["corpus"]
        ),
        card=CARD,
    output:
        axes="results/scaling/loss_axes.json",
        entropy_loss="results/scaling/entropy_loss.json",
    log:
        "results/logs/loss_axes.log",
    benchmark:
        "results/benchmarks/loss_axes.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + 40 * input.size_mb),
    params:
        code=code("loss_axes.py"),
        family="ladder",
        length=config["ladder"]["recipe"]["context"],
        primary=config["scaling"]["primary"],
        bootstrap=config["scaling"]["bootstrap"],
        held_out=config["scaling"]["held_out"],
        seed=config["seed"],
    message:
        "Fitting laws of the loss on three measures of size, and what entropy adds to the best"
    script:
        "../scripts/loss_axes.py"


rule data_laws:
    input:
        grid=GRID,
        laws=relative(RESOURCES / "published/laws.csv"),
    output:
        "results/scaling/data_laws.json",
    log:
        "results/logs/data_laws.log",
    benchmark:
        "results/benchmarks/data_laws.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("data_laws.py"),
        metrics=config["scaling"]["primary"]["metrics"],
        held_out=config["scaling"]["held_out"],
        resamples=config["scaling"]["bootstrap"],
        seed=config["seed"],
    message:
        "Fitting the law of the loss over model size and data"
    script:
        "../scripts/data_laws.py"


rule scaling_plot:
    input:
        points="results/points.csv",
        fits="results/scaling/fits.json",
        verdicts="results/scaling/verdicts.csv",
        differences="results/scaling/differences.csv",
    output:
        report(
            "results/scaling_plot.pdf",
            caption="../report/scaling_plot.rst",
            category="Scaling",
        ),
    log:
        "results/logs/scaling_plot.log",
    benchmark:
        "results/benchmarks/scaling_plot.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("scaling_plot.py"),
        primary=config["scaling"]["primary"],
        exploratory=config["scaling"].get("exploratory", []),
    message:
        "Drawing the scaling laws"
    script:
        "../scripts/scaling_plot.py"


rule nulls_plot:
    input:
        verdicts="results/scaling/verdicts.csv",
        differences="results/scaling/differences.csv",
        slopes="results/scaling/slopes.csv",
        null_slopes="results/scaling/null_slopes.csv",
        growth="results/scaling/growth.csv",
    output:
        report(
            "results/nulls_plot.pdf",
            caption="../report/nulls_plot.rst",
            category="Scaling",
        ),
    log:
        "results/logs/nulls_plot.log",
    benchmark:
        "results/benchmarks/nulls_plot.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("nulls_plot.py"),
    message:
        "Drawing exponents minus those of their nulls"
    script:
        "../scripts/nulls_plot.py"


rule losses_plot:
    input:
        fits="results/scaling/loss_laws.json",
        regions="results/scaling/loss_regions.csv",
        axes="results/scaling/loss_axes.json",
    output:
        report(
            "results/losses_plot.pdf",
            caption="../report/losses_plot.rst",
            category="Scaling",
        ),
    log:
        "results/logs/losses_plot.log",
    benchmark:
        "results/benchmarks/losses_plot.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("losses_plot.py"),
    message:
        "Drawing the laws of the loss"
    script:
        "../scripts/losses_plot.py"


rule data_plot:
    input:
        grid=GRID,
        laws="results/scaling/data_laws.json",
    output:
        report(
            "results/data_plot.pdf",
            caption="../report/data_plot.rst",
            category="Scaling",
        ),
    log:
        "results/logs/data_plot.log",
    benchmark:
        "results/benchmarks/data_plot.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("data_plot.py"),
        primary=config["scaling"]["primary"],
        eps2=config["entropy"]["eps2"],
    message:
        "Drawing loss and metrics over model size and data"
    script:
        "../scripts/data_plot.py"
