# isthmus: one study file becomes fetch → tokenize → pre-train → intermediate → target → predict → score → tables.
#
#   snakemake                                     the study in config.yaml
#   snakemake --configfile studies/X.yaml         another study; exactly one, nothing is merged
#
# The study is expanded and held against the store here, before the DAG is built: a job whose receipt is missing has
# to run, any other has not. Keys stand in the receipts' paths, so no time, parameter or metadata decides anything.

import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.27")

# isthmus need not be installed.
sys.path.insert(0, str(Path(workflow.basedir) / "src"))


include: "workflow/rules/common.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/check.smk"
include: "workflow/rules/tokenize.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/audit.smk"
include: "workflow/rules/publish.smk"


localrules:
    all,


rule all:
    default_target: True
    input:
        [PLAN.receipt(job) for job in PLAN.goals],
        [PLAN.results / name for job in PLAN.jobs for name in job.publishes],


onsuccess:
    show_table()
