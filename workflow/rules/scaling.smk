rule scaling:
    input:
        "results/entropy.parquet",
    output:
        "results/scaling/fits.json",
    log:
        "results/logs/scaling.log",
    benchmark:
        "results/benchmarks/scaling.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("scaling.py"),
        primary=config["scaling"]["primary"],
    message:
        "Fitting the scaling laws"
    script:
        "../scripts/scaling.py"


rule scaling_plot:
    input:
        table="results/entropy.parquet",
        fits="results/scaling/fits.json",
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
    message:
        "Drawing the scaling laws"
    script:
        "../scripts/scaling_plot.py"
