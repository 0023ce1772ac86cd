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
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + 2 * megabytes(input)),
    params:
        code=code("texts.py"),
        content=tokenizer_content,
        trust_remote_code=lambda wildcards: TOKENIZERS[wildcards.tokenizer].entry.get(
            "trust_remote_code", False
        ),
        split=lambda wildcards: config["corpora"][wildcards.corpus].get("split", "all"),
        special_tokens=lambda wildcards: config["corpora"][wildcards.corpus].get(
            "special_tokens", "split"
        ),
        texts=config["texts"],
        seed=config["seed"],
        # a function of the input is no reason to run again
        lengths=lambda wildcards, input: lengths_needed(wildcards),
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
    wildcard_constraints:
        model=one_of(name for name in WHOLE if name not in IMPORTED),
    group:
        MEASURING
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        **GPU,
        mem_mb=lambda wildcards, input, attempt: attempt * (4000 + 5 * megabytes(input)),
        runtime=lambda wildcards, input, attempt: attempt
        * (30 + megabytes(input) // 50),
    params:
        code=code("dump.py"),
        content=model_content,
        origin=lambda wildcards: settings.origin(MODELS[wildcards.model].entry),
        trust_remote_code=lambda wildcards: MODELS[wildcards.model].entry.get(
            "trust_remote_code", False
        ),
        objective=lambda wildcards: MODELS[wildcards.model].objective,
        dump=lambda wildcards: {
            "sublayers": with_sublayers(wildcards),
            **{key: config["dump"][key] for key in ("layers", "dtype", "compression")},
        },
        compute=config["compute"],
        # every rule has the same outputs: of variants that this model has none of the file holds the reason alone
        variants=runs_of,
        seed=config["seed"],
    message:
        "Running {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/dump.py"


use rule dump as dump_part with:
    output:
        [
            temp(f"results/dumps/{{part}}/{{model}}/{{corpus}}/{variant}.h5")
            for variant in VARIANTS
        ],
    log:
        "results/logs/dump/{part}/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/dump/{part}/{model}/{corpus}.tsv"
    wildcard_constraints:
        model=one_of(IN_PARTS),
        part=one_of(PARTS),
    message:
        "Running {wildcards.model} on part {wildcards.part} of {wildcards.corpus}"


rule merge_dumps:
    input:
        expand("results/dumps/{part}/{{model}}/{{corpus}}/trained.h5", part=PARTS),
    output:
        dump_path("trained"),
    log:
        "results/logs/merge_dumps/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/merge_dumps/{model}/{corpus}.tsv"
    wildcard_constraints:
        model=one_of(IN_PARTS),
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, input, attempt: attempt * (10 + input.size_mb // 1000),
    params:
        code=code("merge_dumps.py"),
        dtype=config["dump"]["dtype"],
        compression=config["dump"]["compression"],
    message:
        "Merging the parts of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/merge_dumps.py"


rule import_states:
    input:
        states_files,
    output:
        dump_path("trained"),
    log:
        "results/logs/import_states/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/import_states/{model}/{corpus}.tsv"
    wildcard_constraints:
        model=one_of(IMPORTED),
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 4000,
        runtime=lambda wildcards, input, attempt: attempt
        * (30 + megabytes(input) // 500),
    params:
        code=code("import_states.py"),
        content=states_content,
        origin=lambda wildcards: settings.origin(MODELS[wildcards.model].entry),
        dump={key: config["dump"][key] for key in ("layers", "dtype", "compression")},
    message:
        "Importing the states of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/import_states.py"


rule weights:
    input:
        folders=lambda wildcards: folders_of_models(running(wildcards.stage)),
        files=lambda wildcards: files_of_models(running(wildcards.stage)),
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
        content=lambda wildcards: {
            name: content_of(MODELS[name]) for name in running(wildcards.stage)
        },
        names=lambda wildcards: running(wildcards.stage),
    message:
        "Comparing the weights of the models of {wildcards.stage}"
    script:
        "../scripts/weights.py"
