"""What Axolotl cannot run of a plan: the Trainer that it runs, and the axes that it adds to it."""

from __future__ import annotations

from planner.plan import Plan, Truth
from planner.training.frameworks import transformers, tuners
from planner.training.job import Job
from planner.training.rule import Rule


def _ring(job: Job, plan: Plan) -> Truth:
    """Keys and values go round; they are gathered (varlen_llama3) where samples are packed alone."""
    return (plan.cp == 1) | (job.contexts[0] == "p2p")


def _axes(job: Job, plan: Plan) -> Truth:
    sharded = (plan.zero >= 2) & job.framework.shard_is_master
    alone = (plan.tp == 1) & (plan.cp == 1) & (plan.dp_replicate == 1)
    return (plan.pp == 1) & (plan.ep == 1) & (plan.sp == 0) & (alone | sharded)


PARALLELISM: tuple[Rule, ...] = (
    Rule(
        "axolotl_parallelism",
        _axes,
        "tp={tp}, cp={cp} and copies={dp_replicate} stand beside FSDP (--framework hf-fsdp, zero 2 or 3), without sp; "
        "pp={pp} and ep={ep} have to be 1",
        "Axolotl docs/nd_parallelism.qmd",
    ),
    Rule(
        "axolotl_context",
        _ring,
        "sequences that are not packed go round a ring over cp={cp} ranks: --cp-comm p2p",
        "Axolotl utils/schemas/validation.py (validate_ring_attn_func)",
    ),
)

MASTERS = tuners.loaded_in_16_bit("axolotl", "Axolotl", "Axolotl loaders/model.py")

RULES = (
    *(rule for rule in transformers.RULES if rule.name != "hf_parallelism"),
    *PARALLELISM,
    tuners.PAGED,
    MASTERS,
)
