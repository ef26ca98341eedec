# Tables and the report: results for people. Their receipts carry keys like all others; the files below do not.


TABLES, REPORT = PLAN.jobs[-2:]


rule tabulate:
    input:
        parents_of(TABLES),
    output:
        receipt=str(PLAN.receipt(TABLES)),
        scores=RESULTS + "/scores.parquet",
        arms=RESULTS + "/arms.parquet",
        gains=RESULTS + "/gains.csv",
    log:
        RESULTS + "/logs/tabulate.log",
    benchmark:
        RESULTS + "/benchmarks/tabulate.tsv"
    conda:
        "../../envs/isthmus.yaml"
    threads: TABLES.threads
    resources:
        mem_mb=TABLES.memory_mb,
        runtime=TABLES.runtime_minutes,
    params:
        job=str(PLAN.document(TABLES)),
    message:
        "Writing the tables"
    shell:
        "exec {PYTHON:q} -m isthmus stage tabulate --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"


rule report:
    input:
        parents_of(REPORT),
    output:
        receipt=str(PLAN.receipt(REPORT)),
        page=RESULTS + "/report.html",
    log:
        RESULTS + "/logs/report.log",
    benchmark:
        RESULTS + "/benchmarks/report.tsv"
    conda:
        "../../envs/isthmus.yaml"
    threads: REPORT.threads
    resources:
        mem_mb=REPORT.memory_mb,
        runtime=REPORT.runtime_minutes,
    params:
        job=str(PLAN.document(REPORT)),
    message:
        "Writing the report"
    shell:
        "exec {PYTHON:q} -m isthmus stage report --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"
