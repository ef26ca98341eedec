"""isthmus: English intermediate-task training for zero-shot cross-lingual transfer, as one Snakemake DAG."""
