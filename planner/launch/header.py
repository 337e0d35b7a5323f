"""The comment on top of everything that is written, and the line in it that `planner check` reads back."""

from __future__ import annotations

import re
from shlex import join, split

from planner import __version__
from planner.catalog.clusters import cluster_spec
from planner.launch.program import Setup, Target

MARK = "planner-options:"
"""Begins the line with what flags and configuration do not hold: the model's name, the cluster, the preset."""

OPTIONS = ("--model", "--gpus", "--framework", "--seq", "--attention")


def header(target: Target, setup: Setup, facts: str) -> tuple[str, ...]:
    """What the file is, for which plan, checked against what; then the options behind MARK."""
    job = setup.job
    said = f"{job.model.name} on {job.cluster.gpus} x {job.cluster.accelerator.name}"
    lines = [f"planner {__version__}, {said}", f"{target.title}: checked against {target.versions}"]
    lines += [facts] if facts else []
    options = {
        "--model": job.model.name,
        "--gpus": cluster_spec(job.cluster),
        "--framework": job.framework.name,
        "--seq": str(job.workload.seq),
        "--attention": job.workload.attention,
    }
    return (*lines, f"{MARK} {join([word for pair in options.items() for word in pair])}")


def read_header(text: str) -> dict[str, str]:
    """The options behind MARK by name without dashes; nothing where there is no such line."""
    found = re.search(rf"^[^\w\n]*{MARK} (.*)$", text, re.MULTILINE)
    if found is None:
        return {}
    try:
        words = split(found[1])
    except ValueError:
        return {}
    pairs = zip(words[::2], words[1::2], strict=False)
    return {name[2:]: value for name, value in pairs if name in OPTIONS}
