rule final_state:
    input:
        model=model_files,
        texts=model_texts,
    output:
        "results/final_state/{model}/{corpus}.parquet",
    log:
        "results/logs/final_state/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/final_state/{model}/{corpus}.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        **GPU,
        mem_mb=lambda wildcards, input, attempt: attempt * (4000 + 5 * megabytes(input)),
        runtime=lambda wildcards, input, attempt: attempt * (60 + megabytes(input) // 5),
    params:
        code=code("final_state.py"),
        content=model_content,
        trust_remote_code=lambda wildcards: MODELS[wildcards.model].entry.get(
            "trust_remote_code", False
        ),
        objective=lambda wildcards: MODELS[wildcards.model].objective,
        family=lambda wildcards: MODELS[wildcards.model].family,
        model_seed=lambda wildcards: MODELS[wildcards.model].seed,
        twins=lambda wildcards: twins_of(MODELS[wildcards.model].entry),
        modes=config["entropy"]["normalise"],
        lengths=config["entropy"]["lengths"],
        metrics=(
            None
            if config["entropy"]["metrics"] == "all"
            else config["entropy"]["metrics"]
        ),
        parameters=PARAMETERS,
        compute=config["compute"],
    message:
        "Measuring the final state of {wildcards.model} and of untrained twins on {wildcards.corpus}"
    script:
        "../scripts/final_state.py"


rule fixed_width:
    input:
        final_states=expand(
            "results/final_state/{model}/{corpus}.parquet",
            model=running("entropy"),
            corpus=chosen("entropy")["corpus"],
        ),
        table="results/entropy.parquet",
        diff_erank="results/scaling/diff_erank.csv",
        published=relative(RESOURCES / "published/diff_erank.csv"),
    output:
        "results/scaling/fixed_width.csv",
    log:
        "results/logs/fixed_width.log",
    benchmark:
        "results/benchmarks/fixed_width.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + 40 * input.size_mb),
    params:
        code=code("fixed_width.py"),
        resamples=config["scaling"]["bootstrap"],
        seed=config["seed"],
    message:
        "Comparing models of one width with their controls"
    script:
        "../scripts/fixed_width.py"


rule own_directions:
    input:
        expand(
            "results/projections/{corpus}.parquet", corpus=chosen("entropy")["corpus"]
        ),
    output:
        "results/scaling/own_directions.csv",
    log:
        "results/logs/own_directions.log",
    benchmark:
        "results/benchmarks/own_directions.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("own_directions.py"),
        resamples=config["scaling"]["bootstrap"],
        seed=config["seed"],
    message:
        "Measuring models of one size on fewer of their own directions"
    script:
        "../scripts/own_directions.py"


rule follow:
    input:
        model=model_files,
        texts=model_texts,
        spectra=family_spectra("entropy"),
    output:
        "results/following/{model}/{corpus}.parquet",
    log:
        "results/logs/follow/{model}/{corpus}.log",
    benchmark:
        "results/benchmarks/follow/{model}/{corpus}.tsv"
    wildcard_constraints:
        model=one_of(measured("entropy")),
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        **GPU,
        mem_mb=lambda wildcards, input, attempt: attempt
        * (4000 + 5 * megabytes(input.model)),
        runtime=lambda wildcards, input, attempt: attempt
        * (60 + megabytes(input.model) // 10),
    params:
        code=code("follow.py"),
        content=model_content,
        asked=asked_again(["last", "final"]),
        compute=config["compute"],
        families=of_family("entropy", "family"),
        seeds=of_family("entropy", "seed"),
        mode=config["scaling"]["primary"]["normalise"],
        parameters=PARAMETERS,
    message:
        "Measuring {wildcards.model} at lengths that follow the width, on {wildcards.corpus}"
    script:
        "../scripts/follow.py"


rule following:
    input:
        dumps=expand(
            "results/dumps/{model}/{corpus}/trained.h5",
            model=kept("entropy"),
            corpus=chosen("entropy")["corpus"],
        ),
        spectra=expand(
            "results/spectra/{model}/{corpus}.h5",
            model=measured("entropy"),
            corpus=chosen("entropy")["corpus"],
        ),
        tables=expand(
            "results/following/{model}/{corpus}.parquet",
            model=measured("entropy"),
            corpus=chosen("entropy")["corpus"],
        ),
    output:
        "results/scaling/following.csv",
    log:
        "results/logs/following.log",
    benchmark:
        "results/benchmarks/following.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * (2000 + input.size_mb),
    params:
        code=code("following.py"),
        families=of_models("entropy", "family"),
        seeds=of_models("entropy", "seed"),
        mode=config["scaling"]["primary"]["normalise"],
        parameters=PARAMETERS,
        resamples=config["scaling"]["bootstrap"],
        seed=config["seed"],
    message:
        "Judging laws at lengths that follow the width"
    script:
        "../scripts/following.py"
