rule scaling:
    input:
        table="results/entropy.parquet",
        published=relative(RESOURCES / "published/matrix_entropy.csv"),
    output:
        slopes="results/scaling/slopes.csv",
        fits="results/scaling/fits.json",
        entropy_loss="results/scaling/entropy_loss.json",
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
        bootstrap=config["scaling"]["bootstrap"],
        held_out=config["scaling"]["held_out"],
        seed=config["seed"],
    message:
        "Fitting the scaling laws"
    script:
        "../scripts/scaling.py"


rule scaling_plot:
    input:
        table="results/entropy.parquet",
        fits="results/scaling/fits.json",
        slopes="results/scaling/slopes.csv",
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


rule nulls_plot:
    input:
        "results/scaling/slopes.csv",
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
        "Drawing exponents beside their nulls"
    script:
        "../scripts/nulls_plot.py"
