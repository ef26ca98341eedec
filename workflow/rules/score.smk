# On the CPU, without torch: a metric fix costs seconds.


rule score_languages:
    input:
        parent_receipts,
    output:
        receipt="results/{study}/scores/{encoder}/{arm}/{target}/s{seed}-{key}.json",
    log:
        "results/{study}/logs/scores/{encoder}/{arm}/{target}/s{seed}-{key}.log",
    benchmark:
        "results/{study}/benchmarks/scores/{encoder}/{arm}/{target}/s{seed}-{key}.tsv"
    conda:
        "../../envs/isthmus.yaml"
    threads: job_threads
    resources:
        mem_mb=memory_mb,
        runtime=runtime_minutes,
        slot=1,  # a cluster profile groups scores; with one slot they run one after the other
    params:
        python=PYTHON,
        job=job_document,
    message:
        "Scoring {wildcards.target}: {wildcards.encoder} after {wildcards.arm} (seed {wildcards.seed})"
    shell:
        "exec {params.python:q} -m isthmus stage score --job {params.job:q} "
        "--receipt {output.receipt:q} > {log:q} 2>&1"
