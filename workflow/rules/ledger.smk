from geomkit.core.shipped import FINDINGS, TRAININGS

LAWS += ["results/claims.html", "results/claims.pdf"]

SHIPPED = [
    relative(path)
    for path in (RESOURCES / one.place for one in (*FINDINGS, *TRAININGS))
    if path.is_file() and path.is_relative_to(RESOURCES / "findings")
]


# what default targets of this run make, and what was made on request before
OWN = lambda wildcards: [
    f"results/{one.path}"
    for one in FINDINGS
    if (one.stage and plan.chosen(one.stage)["model"])
    or Path("results", one.path).exists()
]


rule claims:
    input:
        files=OWN,
    output:
        output="results/claims.csv",
    log:
        "results/logs/claims.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.ledger.table:write_ledger",
        ),
    message:
        "Judging claims by this run's results"
    script:
        "../scripts/run.py"


rule claims_page:
    input:
        claims="results/claims.csv",
        shipped="results/findings/claims.csv",
        files=OWN,
        shipped_files=SHIPPED,
        template=relative(ROOT / "workflow/report/claims.html"),
    output:
        page=report(
            "results/claims.html",
            caption="../report/claims_page.rst",
            category="Claims",
        ),
        front="results/claims_front.csv",
    log:
        "results/logs/claims_page.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.ledger.pages:write_page",
        ),
    message:
        "Writing the page of claims"
    script:
        "../scripts/run.py"


rule claims_plot:
    input:
        claims="results/claims.csv",
        shipped="results/findings/claims.csv",
    output:
        output=report(
            "results/claims.pdf",
            caption="../report/claims_plot.rst",
            category="Claims",
        ),
    log:
        "results/logs/claims_plot.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.ledger.figure:draw_claims",
        ),
    message:
        "Drawing claims with their nulls and margins"
    script:
        "../scripts/run.py"


rule findings_claims:
    input:
        files=SHIPPED,
    output:
        output="results/findings/claims.csv",
    log:
        "results/logs/findings_claims.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.ledger.table:write_ledger",
        ),
    message:
        "Judging claims by the findings that ship"
    script:
        "../scripts/run.py"


rule findings:
    input:
        claims="results/findings/claims.csv",
        files=SHIPPED,
        readme=relative(ROOT / "README.md"),
    output:
        findings="results/findings/findings.md",
        figures=directory("results/findings/figures"),
        paper="results/findings/paper.md",
        with_findings="results/findings/README.md",
    log:
        "results/logs/findings.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.ledger.pages:write_findings",
        ),
    message:
        "Writing the page of findings"
    script:
        "../scripts/run.py"
