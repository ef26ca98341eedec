# Rows and encoders from the hub.


rule fetch_dataset:
    input:
        parent_receipts,
    output:
        receipt="results/{study}/data/{task}-{key}.json",
    log:
        "results/{study}/logs/data/{task}-{key}.log",
    benchmark:
        "results/{study}/benchmarks/data/{task}-{key}.tsv"
    conda:
        "../../envs/isthmus.yaml"
    threads: job_threads
    resources:
        mem_mb=memory_mb,
        runtime=runtime_minutes,
        hub=1,
    params:
        python=PYTHON,
        job=job_document,
    message:
        "Fetching {wildcards.task}"
    shell:
        "exec {params.python:q} -m isthmus stage fetch --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"


rule fetch_encoder:
    input:
        parent_receipts,
    output:
        receipt="results/{study}/encoder/{encoder}/hub-{key}.json",
    log:
        "results/{study}/logs/encoder/{encoder}/hub-{key}.log",
    benchmark:
        "results/{study}/benchmarks/encoder/{encoder}/hub-{key}.tsv"
    conda:
        "../../envs/isthmus.yaml"
    threads: job_threads
    resources:
        mem_mb=memory_mb,
        runtime=runtime_minutes,
        hub=1,
    params:
        python=PYTHON,
        job=job_document,
    message:
        "Fetching the encoder {wildcards.encoder}"
    shell:
        "exec {params.python:q} -m isthmus stage encoder --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"
