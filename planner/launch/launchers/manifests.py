"""Documents of orchestrators that start the ranks of every node, by manifests.yaml. Ranks of a node are consecutive."""

from __future__ import annotations

from typing import Any

from planner.catalog.expressions import rows
from planner.catalog.yamlfile import table
from planner.errors import PlannerError
from planner.launch.launchers import shell
from planner.launch.launchers.launcher import IMAGES, Launcher, Options, yaml_text
from planner.launch.program import File, Program, Setup
from planner.schema.hardware import Accelerator

SAID = table("launch", "launchers/manifests.yaml")


def manifest(name: str) -> Launcher:
    """A launcher by its table: one document; the directory it is applied from goes along, where one can."""
    said = SAID[name]

    def files(setup: Setup, program: Program, options: Options) -> tuple[File, ...]:
        beside = () if options.embed or not program.files or "beside" not in said else (said["beside"],)
        document = dict(rows(said["document"], _words(said, setup, program, options)))
        return (File(said["file"], yaml_text((*options.header, *beside), document)),)

    return Launcher(name, said["title"], said["versions"], files)


def _words(said: dict[str, Any], setup: Setup, program: Program, options: Options) -> dict[str, Any]:
    """What a document names."""
    cluster = setup.job.cluster
    return {
        "name": options.name,
        "nodes": cluster.nodes,
        "used": cluster.used,
        "image": options.image,
        "usual": IMAGES.get(cluster.accelerator.vendor),
        "called": lambda: called(cluster.accelerator, said["names"], said["title"]),
        "resource": lambda: resource(cluster.accelerator, said["resource"]),
        "script": script(said, setup, program, options),
    }


def script(said: dict[str, Any], setup: Setup, program: Program, options: Options) -> str:
    """What every node runs; where a controller has told torchrun all, the program alone."""
    text: str = said["begin"] + "\n" + shell.variables(program) + shell.here_documents(program.files, options.embed)
    if said.get("controlled") and not shell.starter(program):
        return text + shell.continued(["torchrun", *shell.script(program)])
    node, address, port = (*said["place"], f"{shell.PORT}")[:3]
    where = shell.place(setup, node, address, port)
    first = f"{said['first']}\n" if "first" in said and where.nodes > 1 else ""
    return text + first + shell.command(program, where, more="")


def called(accelerator: Accelerator, names: dict[str, str], launcher: str) -> str:
    """What a launcher calls an accelerator.

    Raises:
        PlannerError: it has no name for it.
    """
    if accelerator.name in names:
        return names[accelerator.name]
    hints = (f"{launcher} has names for: {', '.join(names)}", "choose --launcher torchrun or slurm, which need none")
    raise PlannerError(f"{launcher} has no name for {accelerator.name}", hints)


def resource(accelerator: Accelerator, names: dict[str, str]) -> str:
    """What Kubernetes calls an accelerator, by its vendor.

    Raises:
        PlannerError: no device plugin is known for the vendor.
    """
    if accelerator.vendor not in names:
        hint = f"vendors with a torch-distributed resource: {', '.join(names)}; else choose --launcher torchrun"
        raise PlannerError(f"no Kubernetes resource is known for {accelerator.name}", hint)
    return names[accelerator.vendor]
