rule mlp_width:
    input:
        spectra=expand("results/spectra/{model}/{corpus}.h5", **plan.chosen("entropy")),
    output:
        points="results/mlp_width/points.csv",
        laws="results/mlp_width/laws.csv",
        absent="results/mlp_width/absent.csv",
    log:
        "results/logs/mlp_width.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 4000,
    params:
        **call(
            "geomkit.studies.mlp_width.analyse:study_mlp_width",
            **plan.members("entropy"),
            modes=config["entropy"]["normalise"],
            resamples=plan.corpus_resamples,
            seed=config["seed"],
        ),
    message:
        "Comparing hidden states of MLPs of different width"
    script:
        "../scripts/run.py"


rule mlp_width_plot:
    input:
        points="results/mlp_width/points.csv",
        laws="results/mlp_width/laws.csv",
    output:
        output=report(
            "results/mlp_width_plot.pdf",
            caption="../report/mlp_width_plot.rst",
            category="Scaling",
        ),
    log:
        "results/logs/mlp_width_plot.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.mlp_width.figure:draw_mlp_width",
            modes=config["entropy"]["normalise"],
        ),
    message:
        "Drawing the ranks of MLP hidden states"
    script:
        "../scripts/run.py"
