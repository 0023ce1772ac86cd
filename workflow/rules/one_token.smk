AUDIT = {
    **ABOUT_MODEL,
    "number": config["one_token"]["texts"],
    "lengths": config["one_token"]["lengths"],
    **MEASURED,
    "seed": config["seed"],
}


rule audit_of_states:
    input:
        dumps="results/dumps/{model}/{corpus}/trained.h5",
    output:
        output="results/one_token/{model}/{corpus}.csv",
    log:
        "results/logs/audit_of_states/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(plan.imported),
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 4000,
    params:
        **call(
            "geomkit.studies.one_token.analyse:audit_one_token",
            **STORED,
            **AUDIT,
        ),
    message:
        "Auditing the longest tokens of {wildcards.model} on {wildcards.corpus}"
    script:
        "../scripts/run.py"


use rule audit_of_states as audit with:
    input:
        rest(inputs.model_files),
        folder=head(inputs.model_files),
        texts=plan.model_texts,
    log:
        "results/logs/audit/{model}/{corpus}.log",
    wildcard_constraints:
        model=one_of(name for name in MODELS if name not in plan.imported),
    resources:
        **LOADING,
    params:
        **call(
            "geomkit.studies.one_token.analyse:audit_one_token",
            **RUNNING,
            **AUDIT,
        ),


rule audits:
    input:
        parts=expand(
            "results/one_token/{model}/{corpus}.csv", **plan.chosen("one_token")
        ),
    output:
        path="results/one_token.csv",
    log:
        "results/logs/audits.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call("geomkit.tables.rows:join_csv"),
    message:
        "Joining the audits of longest tokens"
    script:
        "../scripts/run.py"


rule one_token_figure:
    input:
        rows="results/one_token.csv",
    output:
        output=report(
            "results/one_token.pdf",
            caption="../report/one_token.rst",
            category="Tokens",
        ),
    log:
        "results/logs/one_token_figure.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call("geomkit.studies.one_token.figure:draw_one_token"),
    message:
        "Drawing what one long token does"
    script:
        "../scripts/run.py"
