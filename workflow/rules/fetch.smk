rule fetch:
    input:
        [
            fetched_folder("models", MODELS[name].key)
            for stage in STAGES
            for name in chosen(stage)["model"]
        ],
        [
            fetched_folder("corpora", name)
            for stage in STAGES
            if config[stage]["models"]
            for name in chosen(stage)["corpus"]
        ],
        [
            fetched_folder("corpora", config["semantics"][key])
            for key in ("background", "judgements")
            if config["semantics"]["models"]
        ],
    localrule: True


rule fetch_model:
    output:
        directory("results/sources/models/{name}"),
    log:
        "results/logs/fetch/models/{name}.log",
    benchmark:
        "results/benchmarks/fetch/models/{name}.tsv"
    localrule: True
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        entry=lambda wildcards: settings.download(config["models"][wildcards.name]),
    message:
        "Fetching the model {wildcards.name}"
    script:
        "../scripts/fetch.py"


use rule fetch_model as fetch_corpus with:
    output:
        directory("results/sources/corpora/{name}"),
    log:
        "results/logs/fetch/corpora/{name}.log",
    benchmark:
        "results/benchmarks/fetch/corpora/{name}.tsv"
    localrule: True
    params:
        entry=lambda wildcards: settings.download(config["corpora"][wildcards.name]),
    message:
        "Fetching the corpus {wildcards.name}"


rule stage:
    input:
        unstaged,
    output:
        directory("results/staged/{place}"),
    log:
        "results/logs/stage/{place}.log",
    benchmark:
        "results/benchmarks/stage/{place}.tsv"
    wildcard_constraints:
        place=".+",
    localrule: True
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("stage.py"),
        content=staged_content,
    message:
        "Copying {wildcards.place} to the storage"
    script:
        "../scripts/stage.py"


rule convert_model:
    input:
        model=converted_files,
        adapter=adapter_files,
    output:
        directory("results/models/{name}"),
    log:
        "results/logs/convert_model/{name}.log",
    benchmark:
        "results/benchmarks/convert_model/{name}.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt
        * max(4000, 12 * megabytes(input)),
    params:
        code=code("convert_model.py"),
        content=lambda wildcards: [
            entry_content("models", wildcards.name),
            adapter_content(wildcards),
        ],
        adapter=lambda wildcards: config["models"][wildcards.name].get("adapter"),
        trust_remote_code=lambda wildcards: config["models"][wildcards.name].get(
            "trust_remote_code", False
        ),
        objective=lambda wildcards: config["models"][wildcards.name].get(
            "objective", "causal"
        ),
    message:
        "Making safetensors of the model {wildcards.name}"
    script:
        "../scripts/convert_model.py"
