# One stage for all training: an encoder from scratch, an intermediate task, a target task.

rule pretrain_encoder:
    input:
        parent_receipts,
    output:
        receipt=RESULTS + "/encoder/{encoder}/s{seed}-{key}.json",
    log:
        RESULTS + "/logs/encoder/{encoder}/s{seed}-{key}.log",
    benchmark:
        RESULTS + "/benchmarks/encoder/{encoder}/s{seed}-{key}.tsv"
    conda:
        "../../envs/isthmus.yaml"
    threads: job_threads
    resources:
        mem_mb=memory_mb,
        runtime=runtime_minutes,
    params:
        job=job_document,
    message:
        "Pre-training {wildcards.encoder} (seed {wildcards.seed})"
    shell:
        "exec {PYTHON:q} -m isthmus stage train --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"


rule train_intermediate:
    input:
        parent_receipts,
    output:
        receipt=RESULTS + "/intermediate/{encoder}/{arm}/s{seed}-{key}.json",
    log:
        RESULTS + "/logs/intermediate/{encoder}/{arm}/s{seed}-{key}.log",
    benchmark:
        RESULTS + "/benchmarks/intermediate/{encoder}/{arm}/s{seed}-{key}.tsv"
    conda:
        "../../envs/isthmus.yaml"
    threads: job_threads
    resources:
        mem_mb=memory_mb,
        runtime=runtime_minutes,
    params:
        job=job_document,
    message:
        "Training {wildcards.encoder} on the intermediate arm {wildcards.arm} (seed {wildcards.seed})"
    shell:
        "exec {PYTHON:q} -m isthmus stage train --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"


rule train_target:
    input:
        parent_receipts,
    output:
        receipt=RESULTS + "/target/{encoder}/{arm}/{training_set}/s{seed}-{key}.json",
    log:
        RESULTS + "/logs/target/{encoder}/{arm}/{training_set}/s{seed}-{key}.log",
    benchmark:
        RESULTS + "/benchmarks/target/{encoder}/{arm}/{training_set}/s{seed}-{key}.tsv"
    conda:
        "../../envs/isthmus.yaml"
    threads: job_threads
    resources:
        mem_mb=memory_mb,
        runtime=runtime_minutes,
    params:
        job=job_document,
    message:
        "Fine-tuning {wildcards.encoder} on {wildcards.training_set} after {wildcards.arm} (seed {wildcards.seed})"
    shell:
        "exec {PYTHON:q} -m isthmus stage train --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"
