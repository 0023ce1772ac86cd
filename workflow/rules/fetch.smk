rule fetch:
    input:
        lambda wildcards: DOWNLOADS,
    localrule: True


rule fetch_model:
    output:
        folder=directory("results/sources/models/{name}"),
    log:
        "results/logs/fetch/models/{name}.log",
    localrule: True
    conda:
        "../../envs/geomkit.yaml"
    params:
        # without a digest of code: a change of the library downloads nothing again
        function="geomkit.sources.fetch:fetch",
        entry=lambda wildcards: settings.download(MODELS[wildcards.name].entry),
    message:
        "Fetching the model {wildcards.name}"
    script:
        "../scripts/run.py"


use rule fetch_model as fetch_corpus with:
    output:
        folder=directory("results/sources/corpora/{name}"),
    log:
        "results/logs/fetch/corpora/{name}.log",
    localrule: True
    params:
        entry=lambda wildcards: settings.download(config["corpora"][wildcards.name]),
    message:
        "Fetching the corpus {wildcards.name}"


rule stage:
    input:
        rest(unstaged_files),
        source=head(unstaged_files),
    output:
        target=directory("results/staged/{place}"),
    log:
        "results/logs/stage/{place}.log",
    wildcard_constraints:
        place=".+",
    localrule: True
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.core.provenance:copy_folder",
            content=staged_content,
        ),
    message:
        "Copying {wildcards.place} to the storage"
    script:
        "../scripts/run.py"


rule convert_model:
    input:
        rest(inputs.converted_files),
        lambda wildcards: given_files(inputs.adapter_files, wildcards),
        source=head(inputs.converted_files),
    output:
        output=directory("results/models/{name}"),
    log:
        "results/logs/convert_model/{name}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt
        * max(4000, 12 * inputs.megabytes(input)),
    params:
        **call(
            "geomkit.models.convert:convert_model",
            content=inputs.converted_content,
            adapter=lambda wildcards: MODELS[wildcards.name].entry.get("adapter"),
            spec=lambda wildcards: MODELS[wildcards.name].spec("cpu"),
        ),
    message:
        "Converting the model {wildcards.name} to safetensors"
    script:
        "../scripts/run.py"
