"""Terraform external data source: options of `planner size` as a JSON object on stdin, strings as one on stdout.

https://registry.terraform.io/providers/hashicorp/external/latest/docs/data-sources/external
"""

from __future__ import annotations

import json
import subprocess
import sys

FIELDS = "gpu,gpus,nodes,gpus_per_node,instance,spec,tokens_per_second,time_s,cost_usd"


def main() -> None:
    """One call; the program's own words on stderr and its exit code are Terraform's error."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in json.load(sys.stdin).items()]
    command = ["planner", "size", *options, "--fields", FIELDS, "--json", "--quiet"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 1:
        sys.stderr.write("no size keeps these limits: planner size says what comes nearest\n")
    if done.returncode:
        sys.exit(done.returncode)
    answer = json.loads(done.stdout)
    json.dump({name: "" if value is None else str(value) for name, value in answer.items()}, sys.stdout)


if __name__ == "__main__":
    main()
