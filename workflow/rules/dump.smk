rule texts:
    input:
        rest(tokenizer_files),
        folder=head(tokenizer_files),
        corpus="results/corpora/{corpus}.parquet",
    output:
        output="results/texts/{tokenizer}/{corpus}.h5",
    log:
        "results/logs/texts/{tokenizer}/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + 2 * megabytes(input)),
    params:
        **call(
            "geomkit.lm.cutting:cut_texts",
            content=tokenizer_content,
            spec=tokenizer_spec,
            split=lambda wildcards: config["corpora"][wildcards.corpus].get(
                "split", "all"
            ),
            special_tokens=lambda wildcards: config["corpora"][wildcards.corpus].get(
                "special_tokens", "split"
            ),
            texts=config["texts"],
            seed=config["seed"],
            # a function of the input is no reason to run again
            lengths=lambda wildcards, input: lengths_needed(wildcards),
        ),
    message:
        "Cutting texts of {wildcards.corpus} for the tokenizer {wildcards.tokenizer}"
    script:
        "../scripts/run.py"


rule dump:
    input:
        rest(model_files),
        folder=head(model_files),
        texts=model_texts,
    output:
        outputs=[dump_path(variant) for variant in VARIANTS],
    log:
        "results/logs/dump/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(name for name in WHOLE if name not in IMPORTED),
    group:
        MEASURING
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **GPU,
        mem_mb=lambda wildcards, input, attempt: attempt * (4000 + 5 * megabytes(input)),
        runtime=lambda wildcards, input, attempt: attempt
        * (30 + megabytes(input) // 50),
    params:
        **call(
            "geomkit.lm.dumping:dump_model",
            content=model_content,
            origin=lambda wildcards: settings.origin(MODELS[wildcards.model].entry),
            spec=spec_of,
            dump=lambda wildcards: {
                "sublayers": with_sublayers(wildcards),
                **{
                    key: config["dump"][key]
                    for key in ("layers", "dtype", "compression")
                },
            },
            batch_tokens=config["compute"]["batch_tokens"],
            # every rule has the same outputs: of variants that this model has none of the file holds the reason alone
            variants=runs_of,
            seed=config["seed"],
        ),
    message:
        "Running {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


use rule dump as dump_part with:
    output:
        outputs=[
            temp(f"results/dumps/{{part}}/{{model}}/{{corpus}}/{variant}.h5")
            for variant in VARIANTS
        ],
    log:
        "results/logs/dump/{part}/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(IN_PARTS),
        part=one_of(PARTS),
    message:
        "Running {wildcards.model} on part {wildcards.part} of {wildcards.corpus}"


rule merge_dumps:
    input:
        parts=expand("results/dumps/{part}/{{model}}/{{corpus}}/trained.h5", part=PARTS),
    output:
        output=dump_path("trained"),
    log:
        "results/logs/merge_dumps/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(IN_PARTS),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, input, attempt: attempt * (10 + input.size_mb // 1000),
    params:
        **call(
            "geomkit.store.parts:merge_dumps",
            dtype=config["dump"]["dtype"],
            compression=config["dump"]["compression"],
        ),
    message:
        "Merging the parts of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule import_states:
    input:
        rest(states_files),
        folder=head(states_files),
    output:
        output=dump_path("trained"),
    log:
        "results/logs/import_states/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(IMPORTED),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 4000,
        runtime=lambda wildcards, input, attempt: attempt
        * (30 + megabytes(input) // 500),
    params:
        **call(
            "geomkit.sources.states:import_states",
            content=states_content,
            entry=lambda wildcards: settings.origin(MODELS[wildcards.model].entry),
            dump={
                key: config["dump"][key] for key in ("layers", "dtype", "compression")
            },
        ),
    message:
        "Importing the states of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule weights:
    input:
        lambda wildcards: files_of_models(running(wildcards.stage)),
        folders=lambda wildcards: folders_of_models(running(wildcards.stage)),
    output:
        output="results/weights/{stage}.csv",
    log:
        "results/logs/weights/{stage}.log",
    wildcard_constraints:
        stage="entropy|trajectory",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.store.weights:write_weights",
            content=lambda wildcards: {
                name: content_of(MODELS[name]) for name in running(wildcards.stage)
            },
            names=lambda wildcards: running(wildcards.stage),
        ),
    message:
        "Comparing the weights of the models of {wildcards.stage}"
    script:
        "../scripts/run.py"
