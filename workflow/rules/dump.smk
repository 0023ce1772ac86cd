rule texts:
    input:
        rest(inputs.tokenizer_files),
        folder=head(inputs.tokenizer_files),
        corpus="results/corpora/{corpus}.parquet",
    output:
        output="results/texts/{tokenizer}/{corpus}.h5",
    log:
        "results/logs/texts/{tokenizer}/{corpus}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt
        * (2000 + 2 * inputs.megabytes(input)),
    params:
        **call(
            "geomkit.models.cutting:cut_texts",
            content=inputs.tokenizer_content,
            # texts depend on no other key of the tokenizer's model
            spec=lambda wildcards: settings.ModelSpec(
                trust_remote_code=plan.tokenizers[
                    wildcards.tokenizer
                ].trust_remote_code
            ),
            split=lambda wildcards: config["corpora"][wildcards.corpus].get(
                "split", "all"
            ),
            special_tokens=lambda wildcards: config["corpora"][wildcards.corpus].get(
                "special_tokens", "split"
            ),
            template=plan.template_of,
            texts=config["texts"],
            seed=config["seed"],
            # as a function of `input` it is not compared: other lengths cut no text again
            lengths=lambda wildcards, input: plan.lengths_needed(wildcards),
        ),
    message:
        "Cutting texts of {wildcards.corpus} for the tokenizer {wildcards.tokenizer}"
    script:
        "../scripts/run.py"


rule dump:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts=plan.model_texts,
    output:
        outputs=[dump_path(variant) for variant in plan.variants],
    log:
        "results/logs/dump/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(
            name for name in plan.whole(plan.dumped) if name not in plan.imported
        ),
    group:
        MEASURING
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **GPU,
        mem_mb=lambda wildcards, input, attempt: attempt
        * (4000 + 5 * inputs.megabytes(input)),
        runtime=lambda wildcards, input, attempt: attempt
        * (30 + inputs.megabytes(input) // 50),
    params:
        **call(
            "geomkit.states.dumping:dump_states",
            **RUNNING,
            dump=lambda wildcards: {
                "sublayers": plan.with_sublayers(wildcards),
                **{
                    key: config["dump"][key]
                    for key in ("layers", "mlp_hidden", "dtype", "compression")
                },
            },
            # the outputs are the same for every model: for a variant that it lacks, the file contains only the reason
            variants=plan.runs_of,
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
            for variant in plan.variants
        ],
    log:
        "results/logs/dump/{part}/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.in_parts(plan.dumped)),
        part=one_of(plan.parts),
    message:
        "Running {wildcards.model} on part {wildcards.part} of {wildcards.corpus}"


rule merge_dumps:
    input:
        parts=expand(
            "results/dumps/{part}/{{model}}/{{corpus}}/trained.h5", part=plan.parts
        ),
    output:
        output=dump_path("trained"),
    log:
        "results/logs/merge_dumps/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.in_parts(plan.dumped)),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, input, attempt: attempt * (10 + input.size_mb // 1000),
    params:
        **call(
            "geomkit.states.parts:merge_dumps",
            dtype=config["dump"]["dtype"],
            compression=config["dump"]["compression"],
        ),
    message:
        "Merging the parts of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


rule import_states:
    input:
        rest(inputs.states_files),
        folder=head(inputs.states_files),
    output:
        output=dump_path("trained"),
    log:
        "results/logs/import_states/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.imported),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 4000,
        runtime=lambda wildcards, input, attempt: attempt
        * (30 + inputs.megabytes(input) // 500),
    params:
        **call(
            "geomkit.sources.imported:import_states",
            content=inputs.states_content,
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
        lambda wildcards: all_files(plan.running(wildcards.stage)),
        folders=lambda wildcards: folders(plan.running(wildcards.stage)),
    output:
        output="results/weights/{stage}.csv",
    log:
        "results/logs/weights/{stage}.log",
    wildcard_constraints:
        stage=one_of(plan.stages),
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.sources.weights:write_weights",
            content=lambda wildcards: {
                name: inputs.content_of(MODELS[name])
                for name in plan.running(wildcards.stage)
            },
            names=lambda wildcards: plan.running(wildcards.stage),
        ),
    message:
        "Comparing the weights of the models of {wildcards.stage}"
    script:
        "../scripts/run.py"
