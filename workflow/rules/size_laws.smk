LAWS += ["results/scaling_plot.pdf", "results/nulls_plot.pdf"]


rule corpus_resamples:
    input:
        spectra=expand(
            "results/spectra/{model}/{{corpus}}.h5",
            model=plan.chosen("entropy")["model"],
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
            "geomkit.studies.size_laws.resamples:resample_corpora",
            **plan.members("entropy"),
            modes=config["entropy"]["normalise"],
            **MEASURED,
            resamples=plan.corpus_resamples,
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
            "results/resamples/{corpus}.parquet",
            corpus=plan.chosen("entropy")["corpus"],
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
            "geomkit.studies.size_laws.exponents:compare_exponents",
            primary=plan.primary,
            exploratory=config["scaling"].get("exploratory", []),
            held_out=config["scaling"]["held_out"],
            **RESAMPLED,
        ),
    message:
        "Fitting the scaling laws"
    script:
        "../scripts/run.py"


rule verdicts:
    input:
        table="results/entropy.parquet",
        projections=expand(
            "results/projections/{corpus}.parquet",
            corpus=plan.chosen("entropy")["corpus"],
        ),
    output:
        pairs="results/scaling/pairs.csv",
        residuals="results/scaling/residuals.csv",
        verdicts="results/scaling/verdicts.csv",
        differences="results/scaling/differences.csv",
    log:
        "results/logs/verdicts.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.size_laws.verdicts:judge_laws",
            primary=plan.primary,
            **RESAMPLED,
        ),
    message:
        "Judging laws with model size"
    script:
        "../scripts/run.py"


rule growth:
    input:
        spectra=expand("results/spectra/{model}/{corpus}.h5", **plan.chosen("entropy")),
        resampled=expand(
            "results/resamples/{corpus}.parquet",
            corpus=plan.chosen("entropy")["corpus"],
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
            "geomkit.studies.size_laws.growth:compare_growth",
            **plan.members("entropy"),
            lengths=config["entropy"]["lengths"],
            primary=plan.primary,
            **RESAMPLED,
        ),
    message:
        "Measuring Diff-eRank, and which measures grow or fall with size"
    script:
        "../scripts/run.py"


rule scaling_plot:
    input:
        points="results/points.csv",
        fits="results/scaling/fits.json",
        pairs="results/scaling/pairs.csv",
        differences="results/scaling/differences.csv",
        null_slopes="results/scaling/null_slopes.csv",
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
            "geomkit.studies.size_laws.figure.scaling:draw_scaling",
            primary=plan.primary,
            exploratory=config["scaling"].get("exploratory", []),
        ),
    message:
        "Drawing the scaling laws"
    script:
        "../scripts/run.py"


rule nulls_plot:
    input:
        pairs="results/scaling/pairs.csv",
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
            "geomkit.studies.size_laws.figure.nulls:draw_nulls",
            primary=plan.primary,
        ),
    message:
        "Drawing exponents minus those of their nulls"
    script:
        "../scripts/run.py"


rule own_directions:
    input:
        projections=expand(
            "results/projections/{corpus}.parquet",
            corpus=plan.chosen("entropy")["corpus"],
        ),
    output:
        output="results/scaling/own_directions.csv",
    log:
        "results/logs/own_directions.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.size_laws.own_directions:measure_own_directions",
            **RESAMPLED,
        ),
    message:
        "Measuring models of one size on fewer of their own directions"
    script:
        "../scripts/run.py"
