"""ms-swift: the command `swift sft` for one plan, DeepSpeed's JSON beside it.

Options: modelscope/ms-swift swift/arguments/*.py; variables of its launcher: swift/cli/main.py. Its shipped `fsdp2`
recomputes every layer and gives weights back behind the forward pass (swift/config/fsdp2.json).
"""

from __future__ import annotations

from planner.launch import seeing, tuner
from planner.launch.described import table
from planner.launch.program import Program, Setup
from planner.launch.transformers import by_fsdp
from planner.training.adapters import on_experts
from planner.training.frameworks import tuners


def program(setup: Setup) -> Program:
    """`swift sft` starts torchrun by itself."""
    fsdp = {"recompute": None, "fsdp": "fsdp2"} if by_fsdp(setup) else {}
    bits = {"quant_method": "bnb"} | tuner.stored(setup) if setup.job.workload.method == "qlora" else {}
    found = tuner.fields(setup) | seeing.parts(setup) | tuner.shared(setup) | fsdp
    bits |= {"lora_dropout": 0.0} if on_experts(setup.job) else {}
    options = tuner.written("swift", found) | bits | (table("swift")["images"] if setup.job.workload.images else {})
    notes = (*tuner.notes(setup, "--dataset"), *seeing.notes(setup))
    return Program("swift sft", tuner.flags(options), files=tuner.engine_files(setup), notes=notes)


TARGET = tuner.target("swift", program, tuners.SWIFT_MASTERS, tuners.SWIFT_FSDP)
