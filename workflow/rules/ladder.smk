LADDER = [
    f"ladder-{width}-s{seed}"
    for run in config["ladder"]["runs"]
    for width in run["widths"]
    for seed in range(run["seeds"])
]


rule ladder:
    input:
        "results/ladder/training_runs.csv",


rule ladder_tokenizer:
    input:
        f"results/corpora/{config['ladder']['corpus']}.parquet",
    output:
        "results/ladder/tokenizer/tokenizer_config.json",
        "results/ladder/tokenizer/tokenizer.json",
    log:
        "results/logs/ladder/tokenizer.log",
    benchmark:
        "results/benchmarks/ladder/tokenizer.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("ladder_tokenizer.py"),
        recipe=config["ladder"]["recipe"],
    message:
        "Training the ladder's tokenizer"
    script:
        "../scripts/ladder_tokenizer.py"


rule ladder_model:
    input:
        corpus=f"results/corpora/{config['ladder']['corpus']}.parquet",
        tokenizer="results/ladder/tokenizer/tokenizer_config.json",
    output:
        model="results/ladder/ladder-{width}-s{seed}/model.safetensors",
        config="results/ladder/ladder-{width}-s{seed}/config.json",
        curve="results/ladder/curves/ladder-{width}-s{seed}.csv",
    log:
        "results/logs/ladder/ladder-{width}-s{seed}.log",
    benchmark:
        "results/benchmarks/ladder/ladder-{width}-s{seed}.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        gpu=int(config["compute"]["device"] == "cuda"),
        mem_mb=4000,
        runtime=480,
    params:
        code=code("ladder_model.py"),
        recipe=config["ladder"]["recipe"],
        device=config["compute"]["device"],
        # not an output, or Snakemake would remove it from under a run that is to be resumed
        checkpoint="results/ladder/checkpoints/ladder-{width}-s{seed}.safetensors",
    message:
        "Training ladder-{wildcards.width}-s{wildcards.seed}"
    script:
        "../scripts/ladder_model.py"


rule ladder_runs:
    input:
        curves=expand("results/ladder/curves/{name}.csv", name=LADDER),
        models=expand("results/ladder/{name}/model.safetensors", name=LADDER),
    output:
        "results/ladder/training_runs.csv",
    log:
        "results/logs/ladder/training_runs.log",
    benchmark:
        "results/benchmarks/ladder/training_runs.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("ladder_runs.py"),
    message:
        "Joining the ladder's learning curves"
    script:
        "../scripts/ladder_runs.py"
