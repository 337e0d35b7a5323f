"""trainjob.yaml: a TrainJob of Kubeflow Trainer v2, on its torch-distributed runtime.

Fields: kubeflow/trainer pkg/apis/trainer/v1alpha1/trainjob_types.go. The controller sets PET_NNODES,
PET_NPROC_PER_NODE, PET_NODE_RANK, PET_MASTER_ADDR and PET_MASTER_PORT (pkg/constants/constants.go), which torchrun
reads in place of its options. Ranks of a pod are consecutive.
"""

from __future__ import annotations

from typing import Any

from planner.errors import PlannerError
from planner.launch.launchers import shell
from planner.launch.launchers.launcher import Launcher, Options, image, yaml_text
from planner.launch.program import File, Program, Setup

NAME = "trainjob.yaml"
RESOURCES = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu", "intel": "habana.ai/gaudi"}
"""Extended resources of the vendors' device plugins for Kubernetes."""

BESIDE = "the files that the command reads have to be in the image or on a volume of the runtime"


def files(setup: Setup, program: Program, options: Options) -> tuple[File, ...]:
    """One manifest."""
    header = options.header if options.embed or not program.files else (*options.header, BESIDE)
    return (File(NAME, yaml_text(header, manifest(setup, program, options))),)


def manifest(setup: Setup, program: Program, options: Options) -> dict[str, Any]:
    """The TrainJob."""
    cluster = setup.job.cluster
    limits = {resource(setup): cluster.used}
    trainer: dict[str, Any] = (
        {"image": image(cluster.accelerator, options)} if image(cluster.accelerator, options) else {}
    )
    trainer |= {
        "numNodes": cluster.nodes,
        "numProcPerNode": cluster.used,
        "resourcesPerNode": {"requests": limits, "limits": dict(limits)},
        "command": ["bash", "-c"],
        "args": [script(setup, program, options)],
    }
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": options.name},
        "spec": {"runtimeRef": {"name": "torch-distributed"}, "trainer": trainer},
    }


def resource(setup: Setup) -> str:
    """What Kubernetes calls the accelerator.

    Raises:
        PlannerError: no device plugin is known for the vendor.
    """
    accelerator = setup.job.cluster.accelerator
    if accelerator.vendor not in RESOURCES:
        hint = f"vendors with a torch-distributed resource: {', '.join(RESOURCES)}; else choose --launcher torchrun"
        raise PlannerError(f"no Kubernetes resource is known for {accelerator.name}", hint)
    return RESOURCES[accelerator.vendor]


def script(setup: Setup, program: Program, options: Options) -> str:
    """What every pod runs: sizes and addresses come from the controller."""
    text = "set -euo pipefail\n" + shell.variables(program) + shell.here_documents(program.files, options.embed)
    if shell.starter(program):
        where = shell.place(setup, '"$PET_NODE_RANK"', '"$PET_MASTER_ADDR"', '"$PET_MASTER_PORT"')
        return text + shell.command(program, where, more="")
    return text + shell.continued(["torchrun", *shell.script(program)])


LAUNCHER = Launcher("trainjob", "Kubeflow TrainJob", "kubeflow-trainer-api 2.3.0", files)
