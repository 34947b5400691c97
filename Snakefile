"""nnexafs: from a config file to the structure behind a measured X-ray absorption spectrum."""

import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from nnexafs.campaign import plan, start
from nnexafs.config import potential_files, validate
from nnexafs.config import state_points as points_of
from nnexafs.config.files import default_yaml
from nnexafs.errors import UserError
from nnexafs.files import write_text
from nnexafs.jobs import orphans, stages

min_version("9.27")


configfile: "config/config.yaml"


try:
    campaign = validate(config)
    state_points = points_of.of_all(campaign)
    potentials = potential_files.checksums(campaign, state_points)
except UserError as error:
    raise WorkflowError(str(error)) from None

RESULTS = f"results/{campaign.campaign}"
CONFIG = f"{RESULTS}/config.yaml"
VERIFIED = f"{RESULTS}/verified.json"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
FOLDS = range(campaign.dataset.folds)

batches_of = partial(points_of.batches_of, size=campaign.state_points_per_job)
batches = batches_of(state_points)
IN_DATASET = batches_of(points_of.of_campaign(campaign))
# Parameter of each rule: the part of the config that its job depends on.
settings_of = partial(stages.settings_text, campaign)

# The package runs from the checkout in the environment of the snakemake command, or of the rule with --sdm conda.
PREFIX = f"export PYTHONPATH='{workflow.basedir}/workflow' OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 "
# Jobs write to their logs, and why they failed to the screen as well (with `quiet` Snakemake keeps failed logs to itself).
PREFIX += f"{orphans.RUN}={orphans.identity()} NNEXAFS_SCREEN=3; exec 3>&2; "
if not workflow.deployment_settings.deployment_method:
    PREFIX += f"export PATH='{Path(sys.executable).parent}':\"$PATH\"; "
shell.prefix(f"set -euo pipefail; {PREFIX}")


wildcard_constraints:
    batch=r"[\w.-]+",
    fold=r"\d+",
    part=r"\d+",
    measurement="|".join(campaign.measurements) or "none",
    series="|".join(campaign.series) or "none",
    study="|".join(campaign.studies) or "none",
    theory="|".join(campaign.theories) or "none",


include: "workflow/rules/structures.smk"
include: "workflow/rules/exafs.smk"
include: "workflow/rules/dataset.smk"
include: "workflow/rules/learning.smk"
include: "workflow/rules/measured.smk"
include: "workflow/rules/inversion.smk"
include: "workflow/rules/refinement.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/campaign.smk"


if workflow.is_main_process:
    try:
        start.check_targets(sys.argv[1:], Path(RESULTS), batches)
        start.prepare(Path(RESULTS), dry_run=workflow.output_settings.dryrun)
    except UserError as error:
        raise WorkflowError(str(error)) from None
    if not workflow.output_settings.dryrun:
        # `nnexafs` is for the display of the progress (snakemake_logger_plugin_nnexafs).
        told = {"summary": plan.summary(campaign), "report": rules.report.output[0]}
        logger.info(told["summary"], extra={"nnexafs": told})


# The merged config that the jobs read. Not an input of any rule: each job's dependencies are in its parameter
# `settings`, so that a new learning rate does not repeat a trajectory.
onstart:
    try:
        start.hold(Path(RESULTS))
    except UserError as error:
        raise WorkflowError(str(error)) from None
    # Every run ends with the verification; and Snakemake repeats a missing file only where an end of the flow is missing.
    Path(VERIFIED).unlink(missing_ok=True)
    write_text(Path(CONFIG), default_yaml(campaign))
    # What the run does not depend on must not stop it.
    with suppress(Exception):
        from nnexafs.campaign.forecast import Forecast

        jobs = (
            (
                workflow.dag.jobid(job),
                job.rule.name,
                job.wildcards_dict,
                job.threads,
            )
            for job in workflow.dag.needrun_jobs()
        )
        finished = (
            (job.rule.name, job.wildcards_dict, Path(job.benchmark))
            for job in workflow.dag.jobs
            if job.benchmark and not workflow.dag.needrun(job)
        )
        forecast = Forecast(campaign)
        told = {"measured": forecast.learn(finished), "jobs": forecast.jobs(jobs)}
        logger.info(
            f"{len(told['jobs'])} jobs in this run", extra={"nnexafs": told}
        )


onsuccess:
    with suppress(Exception):
        from nnexafs.campaign.forecast import remarks

        told = {"remark": remarks(Path(RESULTS))}
        logger.info(told["remark"], extra={"nnexafs": told})


rule all:
    """The campaign's report, and with it everything else, verified."""
    default_target: True
    input:
        f"{RESULTS}/report.html",
        VERIFIED,
