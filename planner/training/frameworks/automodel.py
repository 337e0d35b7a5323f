"""What is written for NeMo Automodel of a plan: FSDP 2 with tensor parallelism."""

from __future__ import annotations

from planner.training.frameworks.deepspeed import whole_recompute
from planner.training.rule import Rule

SOURCE = "NeMo Automodel nemo_automodel/components/distributed"

RULES: tuple[Rule, ...] = (
    Rule(
        "automodel_parallelism",
        lambda j, p: (p.zero == 3) & (p.pp == 1) & (p.cp == 1) & (p.ep == 1),
        "what is written for Automodel is FSDP 2 with tensor parallelism: zero=3, pp=1, cp=1, ep=1, not zero={zero},"
        " pp={pp}, cp={cp}, ep={ep}",
        SOURCE,
    ),
    Rule("automodel_recompute", whole_recompute, "every layer is recomputed or none, not k={recompute_layers}", SOURCE),
)
