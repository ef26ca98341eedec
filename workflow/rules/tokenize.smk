# The tokenizer of an encoder that is pre-trained here, and every dataset in its pieces.


rule train_tokenizer:
    input:
        parent_receipts,
    output:
        receipt="results/{study}/tokenizer/{encoder}-{key}.json",
    log:
        "results/{study}/logs/tokenizer/{encoder}-{key}.log",
    benchmark:
        "results/{study}/benchmarks/tokenizer/{encoder}-{key}.tsv"
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
        "Training the tokenizer of {wildcards.encoder}"
    shell:
        "exec {params.python:q} -m isthmus stage tokenizer --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"


rule tokenize_dataset:
    input:
        parent_receipts,
    output:
        receipt="results/{study}/tokens/{encoder}/{task}-{key}.json",
    log:
        "results/{study}/logs/tokens/{encoder}/{task}-{key}.log",
    benchmark:
        "results/{study}/benchmarks/tokens/{encoder}/{task}-{key}.tsv"
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
        "Tokenizing {wildcards.task} for {wildcards.encoder}"
    shell:
        "exec {params.python:q} -m isthmus stage tokenize --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"
