SHARED = {
    **ABOUT_MODEL,
    "number": config["width_share"]["texts"],
    "modes": ["unit", "centre-unit"],
    "parameters": {"eps2": config["entropy"]["eps2"]},
}
SHARING = plan.chosen("width_share")


rule measure_lengths_of_states:
    input:
        dumps="results/dumps/{model}/{corpus}/trained.h5",
        relatives=widths_of_family("width_share"),
    output:
        output="results/width_share/{model}/{corpus}.parquet",
    log:
        "results/logs/measure_lengths_of_states/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.imported),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb),
    params:
        **call(
            "geomkit.studies.width_share.measure:measure_lengths",
            **STORED,
            **SHARED,
        ),
    message:
        "Measuring {wildcards.model} at lengths proportional to widths, on {wildcards.corpus}"
    script:
        "../scripts/run.py"


use rule measure_lengths_of_states as measure_lengths with:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts=plan.model_texts,
        relatives=widths_of_family("width_share"),
    log:
        "results/logs/measure_lengths/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(name for name in MODELS if name not in plan.imported),
    resources:
        **LOADING,
    params:
        **call(
            "geomkit.studies.width_share.measure:measure_lengths",
            **RUNNING,
            **SHARED,
            dump={"layers": ["last"], "sublayers": False},
            seed=config["seed"],
        ),


rule width_share:
    input:
        tables=expand("results/width_share/{model}/{corpus}.parquet", **SHARING),
    output:
        exponents="results/width_share/exponents.csv",
        points="results/width_share/points.csv",
        predictions="results/width_share/predictions.csv",
    log:
        "results/logs/width_share.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.studies.width_share.analyse:share_widths",
            modes=SHARED["modes"],
            parameters=SHARED["parameters"],
            **RESAMPLED,
        ),
    message:
        "Comparing exponents with those of width, where texts grow with it"
    script:
        "../scripts/run.py"


rule width_share_figure:
    input:
        exponents="results/width_share/exponents.csv",
        points="results/width_share/points.csv",
    output:
        output=report(
            "results/width_share.pdf",
            caption="../report/width_share.rst",
            category="Scaling",
        ),
    log:
        "results/logs/width_share_figure.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call("geomkit.studies.width_share.figure:draw_width_share"),
    message:
        "Drawing how much width accounts for"
    script:
        "../scripts/run.py"
