# records that claims know by their names: those that ship, and those that this run's default targets make
SHIPPED = [
    file
    for folder in ("findings", "needle", "theory")
    for file in map(relative, files_below(RESOURCES / folder))
    if Path(file).suffix in (".csv", ".json")
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
        SHIPPED,
        OWN,
    output:
        "results/claims.csv",
    log:
        "results/logs/claims.log",
    benchmark:
        "results/benchmarks/claims.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("claims.py"),
    message:
        "Judging claims"
    script:
        "../scripts/claims.py"


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
    benchmark:
        "results/benchmarks/claims_page.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("claims_page.py"),
    message:
        "Writing the page of claims"
    script:
        "../scripts/claims_page.py"


rule claims_plot:
    input:
        "results/claims.csv",
    output:
        report(
            "results/claims.pdf",
            caption="../report/claims_plot.rst",
            category="Claims",
        ),
    log:
        "results/logs/claims_plot.log",
    benchmark:
        "results/benchmarks/claims_plot.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("claims_plot.py"),
    message:
        "Drawing claims with their nulls and margins"
    script:
        "../scripts/claims_plot.py"


rule findings_rows:
    input:
        "results/{stage}_summary.csv",
    output:
        "results/findings/{stage}_summary.csv",
    log:
        "results/logs/findings/{stage}_summary.log",
    benchmark:
        "results/benchmarks/findings/{stage}_summary.tsv"
    wildcard_constraints:
        stage="tokens|ablation|components|semantics",
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("findings_rows.py"),
    message:
        "Choosing the rows of {wildcards.stage} that ship"
    script:
        "../scripts/findings_rows.py"


rule findings_claims:
    input:
        SHIPPED,
    output:
        "results/findings/claims.csv",
    log:
        "results/logs/findings_claims.log",
    benchmark:
        "results/benchmarks/findings_claims.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("claims.py"),
    message:
        "Judging claims by the findings that ship"
    script:
        "../scripts/claims.py"


rule findings:
    input:
        claims="results/findings/claims.csv",
        readme=relative(ROOT / "README.md"),
    output:
        findings="results/findings/findings.md",
        readme="results/findings/README.md",
    log:
        "results/logs/findings.log",
    benchmark:
        "results/benchmarks/findings.tsv"
    conda:
        "../../envs/geomkit.yaml"
    threads: 1
    params:
        code=code("findings.py"),
    message:
        "Writing the page of findings"
    script:
        "../scripts/findings.py"
