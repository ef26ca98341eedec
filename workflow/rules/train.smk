# One stage for all training: an encoder from scratch, an intermediate task, a target task.


rule pretrain_encoder:
    input:
        training_receipts,
    output:
        receipt="results/{study}/encoder/{encoder}/s{seed}-{key}.json",
    log:
        "results/{study}/logs/encoder/{encoder}/s{seed}-{key}.log",
    benchmark:
        "results/{study}/benchmarks/encoder/{encoder}/s{seed}-{key}.tsv"
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
        "Pre-training {wildcards.encoder} (seed {wildcards.seed})"
    shell:
        "exec {params.python:q} -m isthmus stage train --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"


rule train_intermediate:
    input:
        training_receipts,
    output:
        receipt="results/{study}/intermediate/{encoder}/{arm}/s{seed}-{key}.json",
    log:
        "results/{study}/logs/intermediate/{encoder}/{arm}/s{seed}-{key}.log",
    benchmark:
        "results/{study}/benchmarks/intermediate/{encoder}/{arm}/s{seed}-{key}.tsv"
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
        "Training {wildcards.encoder} on the intermediate arm {wildcards.arm} (seed {wildcards.seed})"
    shell:
        "exec {params.python:q} -m isthmus stage train --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"


rule train_target:
    input:
        training_receipts,
    output:
        receipt="results/{study}/target/{encoder}/{arm}/{training_set}/s{seed}-{key}.json",
    log:
        "results/{study}/logs/target/{encoder}/{arm}/{training_set}/s{seed}-{key}.log",
    benchmark:
        "results/{study}/benchmarks/target/{encoder}/{arm}/{training_set}/s{seed}-{key}.tsv"
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
        "Fine-tuning {wildcards.encoder} on {wildcards.training_set} after {wildcards.arm} (seed {wildcards.seed})"
    shell:
        "exec {params.python:q} -m isthmus stage train --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"
