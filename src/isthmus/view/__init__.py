"""What `isthmus run` shows while Snakemake works: a screen, what is watched for it, and the forecast."""
