# Everything that is fetched, looked at before anything is trained. What it says is no part of any result.


rule preflight:
    input:
        parent_receipts,
    output:
        receipt="results/{study}/preflight-{key}.json",
    log:
        "results/{study}/logs/preflight-{key}.log",
    benchmark:
        "results/{study}/benchmarks/preflight-{key}.tsv"
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
        "Checking every dataset, head and scorer"
    shell:
        "exec {params.python:q} -m isthmus stage check --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"
