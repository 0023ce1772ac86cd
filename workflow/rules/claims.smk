from geomkit.shipped import FINDINGS

DEFAULT += ["results/claims.html", "results/claims.pdf"]
# records that claims read: those that ship, and those that this run's default targets make
SHIPPED = [
    relative(path)
    for path in (RESOURCES / "findings" / one.path for one in FINDINGS)
    if path.is_file()
]
OWN = [
    "results/scaling/verdicts.csv",
    "results/scaling/differences.csv",
    "results/scaling/growth.csv",
    "results/scaling/loss_axes.json",
    "results/scaling/entropy_loss.json",
    "results/scaling/data_laws.json",
]


rule claims:
    input:
        files=[*SHIPPED, *OWN],
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
        "Judging claims"
    script:
        "../scripts/run.py"


rule claims_page:
    input:
        claims="results/claims.csv",
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
            "geomkit.figures.ledger:write_page",
        ),
    message:
        "Writing the page of claims"
    script:
        "../scripts/run.py"


rule claims_plot:
    input:
        claims="results/claims.csv",
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
            "geomkit.figures.claims:draw_claims",
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
        readme=relative(ROOT / "README.md"),
    output:
        findings="results/findings/findings.md",
        with_findings="results/findings/README.md",
    log:
        "results/logs/findings.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.figures.ledger:write_findings",
        ),
    message:
        "Writing the page of findings"
    script:
        "../scripts/run.py"
