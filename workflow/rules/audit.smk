# What was trained on, held against what is tested. Of all else only the report waits for it.


AUDIT = PLAN.jobs[-3]


rule fingerprint_dataset:
    input:
        parent_receipts,
    output:
        receipt="results/{study}/fingerprints/{task}-{key}.json",
    log:
        "results/{study}/logs/fingerprints/{task}-{key}.log",
    benchmark:
        "results/{study}/benchmarks/fingerprints/{task}-{key}.tsv"
    conda:
        "../../envs/isthmus.yaml"
    threads: job_threads
    resources:
        mem_mb=memory_mb,
        runtime=runtime_minutes,
    params:
        python=PYTHON,
        job=job_document,
    message:
        "Taking the fingerprints of {wildcards.task}"
    shell:
        "exec {params.python:q} -m isthmus stage fingerprint --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"


rule audit:
    input:
        parents_of(AUDIT),
    output:
        receipt=str(PLAN.receipt(AUDIT)),
        contamination=PLAN.results / "contamination.csv",
    log:
        PLAN.results / "logs/audit.log",
    benchmark:
        PLAN.results / "benchmarks/audit.tsv"
    conda:
        "../../envs/isthmus.yaml"
    threads: AUDIT.threads
    resources:
        mem_mb=AUDIT.memory_mb,
        runtime=AUDIT.runtime_minutes,
    params:
        python=PYTHON,
        job=str(PLAN.document(AUDIT)),
    message:
        "Looking for test examples in what was trained on"
    shell:
        "exec {params.python:q} -m isthmus stage audit --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"
