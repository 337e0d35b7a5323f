"""What the "#SBATCH" lines of a script say, and the variables that Slurm derives from them."""

from __future__ import annotations

import re
from collections.abc import Iterable

FLAGS = {
    "-N": "nodes", "--nodes": "nodes", "-n": "tasks", "--ntasks": "tasks", "--ntasks-per-node": "per_node",
    "--gpus-per-node": "gpus", "--gres": "gpus", "-G": "all_gpus", "--gpus": "all_gpus",
    "--cpus-per-task": "cpus", "-c": "cpus", "--ntasks-per-gpu": "per_gpu",
}  # fmt: skip


def directives(text: str) -> tuple[str, ...]:
    """The "#SBATCH" lines before the first command, without that word and without comments."""
    found = []
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            break
        if line.startswith("#SBATCH"):
            found.append(re.split(r"\s#", line[len("#SBATCH") :], maxsplit=1)[0].strip())
    return tuple(found)


def settings(words: Iterable[str]) -> dict[str, int]:
    """Nodes, tasks and GPUs among the options of sbatch or srun; what is no plain number is left out."""
    found: dict[str, int] = {}
    flag = ""
    for word in words:
        name, equals, value = word.partition("=")
        if re.fullmatch(r"-[NnGc]\d+", word):
            name, equals, value = word[:2], "=", word[2:]
        if not equals and flag and not word.startswith("-"):
            name, value = flag, word
        flag = name if name in FLAGS and not value else ""
        number = re.fullmatch(r"(?:gpu:)?(?:[A-Za-z]\w*:)?([0-9]{1,9})(?:\(.*\))?", value)
        if name in FLAGS and number and (name != "--gres" or "gpu" in value):
            found[FLAGS[name]] = int(number[1])
    return found


def variables(lines: Iterable[str]) -> dict[str, str]:
    """SLURM_* variables as the job will see them, as far as its directives tell."""
    found = settings(word for line in lines for word in line.split())
    nodes, per_node, gpus = found.get("nodes"), found.get("per_node"), found.get("gpus")
    tasks = found.get("tasks") or (nodes * per_node if nodes and per_node else None)
    if gpus is None and nodes and "all_gpus" in found and found["all_gpus"] % nodes == 0:
        gpus = found["all_gpus"] // nodes
    said = {
        "SLURM_NNODES": nodes, "SLURM_JOB_NUM_NODES": nodes, "SLURM_NTASKS": tasks, "SLURM_NPROCS": tasks,
        "SLURM_NTASKS_PER_NODE": per_node, "SLURM_GPUS_ON_NODE": gpus, "SLURM_GPUS_PER_NODE": gpus,
        "SLURM_CPUS_PER_TASK": found.get("cpus"),
    }  # fmt: skip
    return {name: str(value) for name, value in said.items() if value is not None}
