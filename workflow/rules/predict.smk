# Once per checkpoint: all of its targets, all languages; one store entry for each.


rule predict_languages:
    input:
        parent_receipts,
    output:
        receipt="results/{study}/predictions/{encoder}/{arm}/{training_set}/s{seed}-{key}.json",
    log:
        "results/{study}/logs/predictions/{encoder}/{arm}/{training_set}/s{seed}-{key}.log",
    benchmark:
        "results/{study}/benchmarks/predictions/{encoder}/{arm}/{training_set}/s{seed}-{key}.tsv"
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
        "Predicting every language of {wildcards.training_set} with {wildcards.encoder} after {wildcards.arm} (seed {wildcards.seed})"
    shell:
        "exec {params.python:q} -m isthmus stage predict --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"
