# Tables and the report: results for people. Their receipts carry keys like all others; the files below do not.


TABLES, REPORT = PLAN.jobs[-2:]


rule tabulate:
    input:
        parents_of(TABLES),
    output:
        receipt=str(PLAN.receipt(TABLES)),
        scores=PLAN.results / "scores.parquet",
        arms=PLAN.results / "arms.parquet",
        gains=PLAN.results / "gains.csv",
    log:
        PLAN.results / "logs/tabulate.log",
    benchmark:
        PLAN.results / "benchmarks/tabulate.tsv"
    conda:
        "../../envs/isthmus.yaml"
    threads: TABLES.threads
    resources:
        mem_mb=TABLES.memory_mb,
        runtime=TABLES.runtime_minutes,
    params:
        python=PYTHON,
        job=str(PLAN.document(TABLES)),
    message:
        "Writing the tables"
    shell:
        "exec {params.python:q} -m isthmus stage tabulate --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"


rule report:
    input:
        parents_of(REPORT),
    output:
        receipt=str(PLAN.receipt(REPORT)),
        page=PLAN.results / "report.html",
    log:
        PLAN.results / "logs/report.log",
    benchmark:
        PLAN.results / "benchmarks/report.tsv"
    conda:
        "../../envs/isthmus.yaml"
    threads: REPORT.threads
    resources:
        mem_mb=REPORT.memory_mb,
        runtime=REPORT.runtime_minutes,
    params:
        python=PYTHON,
        job=str(PLAN.document(REPORT)),
    message:
        "Writing the report"
    shell:
        "exec {params.python:q} -m isthmus stage report --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"
