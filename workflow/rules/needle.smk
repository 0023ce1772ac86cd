NEEDLE = config["ablation"]["needle"]


rule needle:
    input:
        rest(inputs.model_files, model=NEEDLE["model"]),
        folder=head(inputs.model_files, model=NEEDLE["model"]),
        fillers=f"results/corpora/{NEEDLE['fillers']}.parquet",
    output:
        output="results/needle/needle.csv",
    log:
        "results/logs/needle.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **GPU,
        mem_mb=lambda wildcards, attempt: attempt * 4000,
        runtime=lambda wildcards, attempt: attempt * 120,
    params:
        **call(
            "geomkit.studies.needle.run:score_needles",
            content=lambda wildcards: inputs.content_of(MODELS[NEEDLE["model"]]),
            texts=NEEDLE["texts"],
            spec=spec_of(MODELS[NEEDLE["model"]]),
            seed=config["seed"],
        ),
    message:
        "Asking for a fact after its statements are removed"
    script:
        "../scripts/run.py"
