"""The script that starts a deployment's replicas and measures one of them.

Replicas are servers of their own behind any HTTP load balancer, with every engine alike: vLLM's data parallelism joins
the experts of all replicas, SGLang's stays on one node and TensorRT-LLM has none (sources: vllm-project/vllm
vllm/config/parallel.py, sgl-project/sglang srt/arg_groups/validation_hook.py). They do not wait for each other, so that
one of them under its share of the load tells how all of them do.
"""

from __future__ import annotations

from collections.abc import Iterable
from shlex import join, quote

from planner import __version__
from planner.catalog.clusters import cluster_spec
from planner.launch.engines.deployment import PER_USER, Deployment
from planner.launch.engines.target import PORT, Server, ServingTarget, Shell, option
from planner.launch.launchers.shell import comments, continued, here_documents
from planner.launch.program import File, Flag
from planner.serving.options import per_gpu
from planner.units import format_seconds

SERVE, BENCH = "serve.sh", "bench.sh"

DEVICES = {"nvidia": "CUDA_VISIBLE_DEVICES", "amd": "HIP_VISIBLE_DEVICES"}
"""Variable that names the accelerators of a process, by vendor."""


def files(target: ServingTarget, d: Deployment) -> tuple[File, ...]:
    """serve.sh, bench.sh and what the server reads, for a directory."""
    top = _top(target, d)
    server = target.server(d)
    own = File(SERVE, f"{top}\n{_serve(server, d)}"), File(BENCH, f"{top}\n{_bench(target, d)}")
    return (*own, *server.files)


def text(target: ServingTarget, d: Deployment) -> str:
    """The same as one script: `serve` starts the server, `bench` measures it."""
    server = target.server(d)
    functions = (("serve", _serve(server, d)), ("bench", _bench(target, d)))
    bodies = "".join(f"\n{name}() {{\n{_indented(body)}}}\n" for name, body in functions)
    documents = here_documents(server.files, True)
    return f"{_top(target, d)}{documents}{bodies}\n{CHOICE}"


CHOICE = """what="${1:-serve}"
[ $# = 0 ] || shift
case "$what" in
  serve | bench) "$what" "$@" ;;
  *) echo "serve or bench, not $what" >&2; exit 2 ;;
esac
"""


def _top(target: ServingTarget, d: Deployment) -> str:
    """Comments, and the variables that both parts read."""
    variables = [model_line(target, d), 'HOST="${HOST:-127.0.0.1}"', f'PORT="${{PORT:-{PORT}}}"']
    head = "#!/usr/bin/env bash\n" + comments(header(target, d))
    return head + "set -euo pipefail\n\n" + "".join(f"{line}\n" for line in variables)


def header(target: ServingTarget, d: Deployment) -> tuple[str, ...]:
    """What this is, checked against what, what is predicted, how the replicas run, and the command that asks for it."""
    job, plan = d.job, d.plan
    return (
        f"planner {__version__}, {job.model.name} on {job.cluster.gpus} x {job.cluster.accelerator.name}",
        f"{target.title}: checked against {target.versions}",
        f"tp={plan.tp} ep={plan.ep} pp={plan.pp}, {plan.dp} replica{'s' if plan.dp > 1 else ''}: {predicted(d)}",
        *replicas(d, target.server(d).spawns),
        again(d),
    )


def predicted(d: Deployment) -> str:
    """What a benchmark is to find."""
    o, w = d.option, d.job.workload
    users = float(o.users)
    load = f"{w.rate:g} requests/s" if w.rate is not None else f"{users:,.0f} user{'' if users == 1 else 's'}"
    times = f"TTFT {format_seconds(float(o.ttft))}, TPOT {format_seconds(float(o.tpot))} ({w.statistic})"
    return f"{load}, {times}, {float(per_gpu(o, w.output)):,.0f} tok/s/GPU predicted"


def replicas(d: Deployment, spawns: bool) -> list[str]:
    """How several nodes, and several replicas, come together; `spawns`: one command starts all nodes of one."""
    said = []
    if d.nodes > 1:
        each = "start it once, inside a Slurm allocation of them" if spawns else "start it on each of them"
        said.append(f"a replica spans {d.nodes} nodes: {each}")
    if d.plan.dp > 1:
        where = f"{d.local} per node" if d.nodes == 1 else f"{d.nodes} nodes each"
        left = d.plan.dp % d.local
        last = f" (REPLICAS={left} on the last)" if left and d.nodes == 1 else ""
        said.append(f"{d.plan.dp} independent replicas, {where}{last}: put a load balancer in front of them")
    return said


def again(d: Deployment) -> str:
    """The question and its answer pinned, as a command."""
    w, plan = d.job.workload, d.plan
    asked: dict[str, object] = {
        "model": d.job.model.name,
        "gpus": cluster_spec(d.job.cluster),
        "engine": d.job.engine.name,
        "input": w.input,
        "output": w.output,
        **({"prefix": w.prefix} if w.prefix else {}),
        **({"images": w.images, "image-size": w.image_size} if w.images else {}),
        "weights": w.weights,
        "kv": w.kv,
        **_load(d),
        **({"statistic": w.statistic} if w.statistic != "mean" else {}),
        **{n: f"{1e3 * v:g}ms" for n, v in (("ttft", w.ttft), ("tpot", w.tpot)) if v is not None},
        **{n: getattr(plan, n) for n in ("tp", "ep", "pp", "dp")},
    }
    words = [word for name, value in asked.items() for word in (f"--{name}", str(value))]
    return f"asked: {join(['planner', 'serve', *words, '--launch'])}"


def _load(d: Deployment) -> dict[str, object]:
    """The load as it was given, or the one that was found."""
    w = d.job.workload
    if w.rate is not None:
        return {"rate": f"{w.rate:g}"}
    return {"batch" if d.together else "users": w.users or d.users * d.plan.dp}


def model_line(target: ServingTarget, d: Deployment) -> str:
    """Where the weights come from: the published ones, or a placeholder that stops the script until it is filled in."""
    model, kept = d.job.model, d.job.workload.weights
    if model.hf_id is None:
        wanted = f"path or Hugging Face name of {model.name}"
        return f'MODEL="${{MODEL:?{wanted}}}"' if _made(target, d) else f'MODEL="${{MODEL:?{wanted}, in {kept}}}"'
    if not _made(target, d):
        return f'MODEL="${{MODEL:?a checkpoint of {model.hf_id} in {kept}}}"'
    return f'MODEL="${{MODEL:-{model.hf_id}}}"'


def _made(target: ServingTarget, d: Deployment) -> bool:
    """Whether the published checkpoint will do: it is in the wanted format, or in 16 bit and made so."""
    if d.job.model.checkpoint is not None:
        return d.job.native
    return d.job.workload.weights in ("bf16", "fp16", *target.online)


def notes_of(target: ServingTarget, d: Deployment) -> tuple[str, ...]:
    """What the planner does not know and the user has to see to."""
    said = [f"checked against {target.versions}"]
    kept = d.job.workload.weights
    if _made(target, d) and d.narrowed:
        said.append(f"{kept} weights are made of a 16-bit checkpoint while it is loaded: a quantised one loads faster")
    elif _made(target, d) and not d.job.native:
        said.append(f"the checkpoint has to be in {kept}: no flag widens one that is published in fewer bits")
    if d.plan.dp > 1:
        said.append(f"{d.plan.dp} independent replicas: bench measures one of them under its share of the load")
    return tuple(said)


def _serve(server: Server, d: Deployment) -> str:
    """Starts the replicas of this node, or this node's part of one."""
    flags = (*server.flags, option("--host", Shell('"$HOST"')))
    if d.nodes > 1:
        return ("" if server.spawns else RANKS) + "".join(server.before) + _command(server.command, (*flags, ONE))
    if d.local == 1:
        return _command(server.command, (*flags, ONE))
    devices = DEVICES[d.job.cluster.accelerator.vendor]
    ports = option("--port", Shell('"$((PORT + replica))"'))
    start = _command((Shell(f'{devices}="$(seq -s , "$first" "$last")"'), *server.command), (*flags, ports), " &")
    counted = f'for ((replica = 0; replica < "${{REPLICAS:-{d.local}}}"; replica++)); do\n'
    span = f"  first=$(({d.gpus} * replica)) last=$(({d.gpus} * replica + {d.gpus - 1}))\n"
    return f"{TRAP}{counted}{span}{_indented(start)}done\nwait\n"


ONE = option("--port", Shell('"$PORT"'))

RANKS = """NODE_RANK="${NODE_RANK:?number of this node in its replica, from 0}"
MASTER_ADDR="${MASTER_ADDR:?name of the first node of the replica}"
"""

TRAP = "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n"


def _bench(target: ServingTarget, d: Deployment) -> str:
    """One run per load around the plan's."""
    bench = target.bench(d)
    name, values = ("rate", [f"{rate:g}" for rate in d.rates]) if d.rates else ("users", [str(n) for n in d.loads])
    waiting = "" if d.rates else f"# {d.users} users per replica is the plan; beyond {d.seats} they wait\n"
    count = "" if d.rates else f"PER_USER={PER_USER}\n"
    run = _indented(_command(bench.command, bench.flags))
    return f"{count}{SEED}{waiting}for {name} in {' '.join(values)}; do\n{NEXT_SEED}{run}done\n"


SEED, NEXT_SEED = 'seed="${SEED:-$RANDOM}"\n', "  seed=$((seed + 1))\n"
"""Servers keep prompts that they have seen: equal ones would cost the next run nothing."""


def _command(command: Flag, flags: Iterable[Flag], end: str = "") -> str:
    """One command, an option per line; words behind the script's own are appended, so that they can override."""
    lines = [_words(command), *map(_words, flags), '"$@"' + end]
    return continued(lines)


def _words(flag: Flag) -> str:
    return " ".join(word if isinstance(word, Shell) else quote(word) for word in flag)


def _indented(body: str) -> str:
    return "".join(f"  {line}\n" if line else "\n" for line in body.splitlines())
