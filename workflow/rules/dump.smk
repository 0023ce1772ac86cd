rule texts:
    input:
        tokenizer=tokenizer_files,
        corpus="results/corpora/{corpus}.parquet",
    output:
        "results/texts/{tokenizer}/{corpus}.h5",
    log:
        "results/logs/texts/{tokenizer}/{corpus}.log",
    benchmark:
        "results/benchmarks/texts/{tokenizer}/{corpus}.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + 2 * input.size_mb),
    params:
        code=code("texts.py"),
        folder=lambda wildcards: relative(TOKENIZERS[wildcards.tokenizer].folder),
        trust_remote_code=lambda wildcards: TOKENIZERS[wildcards.tokenizer].entry.get(
            "trust_remote_code", False
        ),
        split=lambda wildcards: config["corpora"][wildcards.corpus].get("split", "all"),
        texts=config["texts"],
        seed=config["seed"],
    message:
        "Cutting texts of {wildcards.corpus} for the tokenizer {wildcards.tokenizer}"
    script:
        "../scripts/texts.py"


rule dump:
    input:
        model=model_files,
        texts=model_texts,
    output:
        [dump_path(variant) for variant in VARIANTS],
    log:
        "results/logs/dump/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/dump/{model}/{corpus}.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        gpu=int(config["compute"]["device"] == "cuda"),
        mem_mb=lambda wildcards, input, attempt: attempt * (4000 + 5 * input.size_mb),
        runtime=lambda wildcards, input, attempt: attempt * (30 + input.size_mb // 50),
    params:
        code=code("dump.py"),
        folder=lambda wildcards: relative(MODELS[wildcards.model].folder),
        origin=lambda wildcards: settings.origin(MODELS[wildcards.model].entry),
        trust_remote_code=lambda wildcards: MODELS[wildcards.model].entry.get(
            "trust_remote_code", False
        ),
        dump={
            key: config["dump"][key]
            for key in ("layers", "sublayers", "dtype", "compression")
        },
        compute=config["compute"],
        seed=config["seed"],
    message:
        "Running {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/dump.py"


rule weights:
    input:
        lambda wildcards: files_of_models(chosen(wildcards.stage)["model"]),
    output:
        "results/weights/{stage}.csv",
    log:
        "results/logs/weights/{stage}.log",
    benchmark:
        "results/benchmarks/weights/{stage}.tsv"
    wildcard_constraints:
        stage="entropy|trajectory",
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("weights.py"),
        folders=lambda wildcards: {
            name: relative(MODELS[name].folder)
            for name in chosen(wildcards.stage)["model"]
        },
    message:
        "Comparing the weights of the models of {wildcards.stage}"
    script:
        "../scripts/weights.py"
