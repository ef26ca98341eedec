# What the rules share: the plan, and the lookups from a job's key to what Snakemake asks about it.

from isthmus import settings
from isthmus.errors import IsthmusError
from isthmus.plan import Plan


def load_plan():
    """Plan the study. Inside a cluster job the scheduler's process has done the resolving."""
    studies = workflow.overwrite_configfiles or [Path(workflow.basedir, "config.yaml")]
    if len(studies) > 1 or workflow.config_settings.config:
        raise WorkflowError(
            "A run has one study: name one file with --configfile, and edit it rather than pass --config values, "
            "which no receipt would record."
        )
    try:
        plan = Plan.of(Path(studies[0]))
        if workflow.is_main_process:
            plan.resolve()
    except IsthmusError as error:
        raise WorkflowError(str(error)) from None
    return plan


settings.share_source()
PLAN = load_plan()
# In an environment that Snakemake deploys, that environment's Python; else the one that runs Snakemake.
PYTHON = "python" if workflow.deployment_settings.deployment_method else sys.executable


wildcard_constraints:
    study=re.escape(PLAN.study.name),
    key="[0-9a-f]{16}",
    seed="[0-9]+",
    task="[a-z0-9][a-z0-9_.-]*",
    encoder="[a-z0-9][a-z0-9_.-]*",
    arm="[a-z0-9][a-z0-9_.-]*",
    training_set="[a-z0-9][a-z0-9_.-]*",
    target="[a-z0-9][a-z0-9_.-]*",


def parents_of(job):
    """The receipts a job waits for. A job whose own receipt is there is done and waits for none."""
    return (
        []
        if PLAN.receipt(job).exists()
        else [str(PLAN.receipt(maker)) for maker in job.makers]
    )


def parent_receipts(wildcards):
    """The receipts that the job with this key waits for."""
    return parents_of(PLAN.by_key[wildcards.key])


def training_receipts(wildcards):
    """The same for a training, which begins when all data were checked. What that says is no part of its result, so its
    time counts for nothing."""
    job = PLAN.by_key[wildcards.key]
    if PLAN.receipt(job).exists():
        return []
    return parents_of(job) + [ancient(str(PLAN.receipt(other))) for other in job.after]


def job_document(wildcards):
    """The file that tells the stage what to do."""
    return str(PLAN.document(PLAN.by_key[wildcards.key]))


def job_threads(wildcards):
    """Compute threads are part of the recipe, because sums differ with them."""
    return PLAN.by_key[wildcards.key].threads


def memory_mb(wildcards, attempt):
    """Memory for a cluster job, doubled with every attempt; Snakemake's own processes need about 400 MB of it."""
    return PLAN.by_key[wildcards.key].memory_mb * 2 ** (attempt - 1)


def runtime_minutes(wildcards, attempt):
    """Time limit for a cluster job. A job that runs out of it saves its state and goes on in the next attempt."""
    return PLAN.by_key[wildcards.key].runtime_minutes * attempt


def show_table():
    """The table of scores on the terminal, if the run came that far and `isthmus run` does not show it."""
    if not workflow.is_main_process or settings.runs_within_isthmus():
        return
    if all(PLAN.receipt(job).exists() for job in PLAN.goals):
        from isthmus.publish.terminal import table

        print(table(PLAN.results))
