"""A serving engine that deployments are written for, and what none of them can express."""

from __future__ import annotations

from collections.abc import Callable

from planner.frozen import frozen
from planner.launch.engines.deployment import Deployment
from planner.launch.program import File, Flag
from planner.schema.engine import Engine


class Shell(str):
    """A word that the shell is to read: it is not quoted."""

    __slots__ = ()


MODEL = Shell('"$MODEL"')
"""The model's name or directory, which the script sets on top."""

USERS = Shell("$((PER_USER * users))")
"""Prompts of a run in a closed loop."""

PORT = 8000
"""Of the first replica on a node."""


@frozen
class Server:
    """What starts one replica.

    Attributes:
        command: words in front of the options; flags: the options, in the order they are written.
        files: configuration that it reads; before: lines of shell that its words need.
        spawns: it starts the ranks of all nodes itself, so that one node runs it.
    """

    command: Flag
    flags: tuple[Flag, ...]
    files: tuple[File, ...] = ()
    before: tuple[str, ...] = ()
    spawns: bool = False


@frozen
class Bench:
    """What measures one replica: a command with options, the load among them as $users or $rate."""

    command: Flag
    flags: tuple[Flag, ...]


@frozen
class EngineRule:
    """Something that an engine cannot run.

    Attributes:
        says: a sentence about a deployment that breaks it; nearest: options of `planner serve` that avoid it.
        source: file of the named repository.
    """

    name: str
    holds: Callable[[Deployment], bool]
    says: Callable[[Deployment], str]
    nearest: Callable[[Deployment], str]
    source: str


@frozen
class ServingTarget:
    """An engine.

    Attributes:
        versions: what the options were checked against, and how, as printed in the header.
        online: weight formats other than 16 bit that it makes of a 16-bit checkpoint itself, and its name for them.
    """

    name: str
    title: str
    versions: str
    online: dict[str, str]
    rules: tuple[EngineRule, ...]
    server: Callable[[Deployment], Server]
    bench: Callable[[Deployment], Bench]

    def broken(self, deployment: Deployment) -> EngineRule | None:
        """The first rule that a deployment breaks, or None."""
        return next((rule for rule in self.rules if not rule.holds(deployment)), None)


def _even(d: Deployment) -> bool:
    return d.nodes == 1 or d.gpus % d.nodes == 0


def _parts(engine: Engine) -> str:
    """ "nvidia and amd, without volta"."""
    return " and ".join(engine.vendors) + (f", without {' and '.join(engine.without)}" if engine.without else "")


def shared_rules(source: str, title: str, built: str) -> tuple[EngineRule, ...]:
    """What holds for every engine; `source` is where this one divides ranks among nodes, `built` where parts are."""
    return (
        EngineRule(
            "built_for",
            lambda d: d.job.engine.built_for(d.job.cluster.accelerator),
            lambda d: f"{title} is not built for {d.job.cluster.accelerator.name}: only for {_parts(d.job.engine)}",
            lambda d: "--gpus of one of them, or another --engine",
            built,
        ),
        EngineRule(
            "kv_format",
            lambda d: d.job.caches(d.job.workload.kv),
            lambda d: (
                f"a KV cache in {d.job.workload.kv} needs an accelerator that computes in it: "
                f"{d.job.cluster.accelerator.name} does not"
            ),
            lambda d: f"--kv {d.job.wide}",
            f"{title}: no run with such a cache was at hand",
        ),
        EngineRule(
            "even_nodes",
            _even,
            lambda d: f"a replica of {d.gpus} GPUs does not divide evenly over {d.nodes} nodes",
            lambda d: f"tp x pp that is a multiple of {d.nodes}",
            source,
        ),
        EngineRule(
            "whole_nodes",
            lambda d: d.plan.dp <= d.places,
            lambda d: (
                f"{d.plan.dp} replicas of {d.gpus} GPUs would straddle nodes of {d.job.cluster.used}: "
                f"{d.places} lie inside"
            ),
            lambda d: f"--dp {d.places}",
            source,
        ),
    )


def option(name: str, value: object) -> Flag:
    """An option with one value; text that is `Shell` stays so."""
    return name, value if isinstance(value, Shell) else f"{value}"


def spelled(text: str) -> list[Flag]:
    """Options as they are typed: words that name variables are the shell's."""
    flags: list[list[str]] = []
    for word in text.split():
        if word.startswith("--"):
            flags.append([])
        flags[-1].append(Shell(word) if "$" in word else word)
    return [tuple(flag) for flag in flags]


CHAT = "openai-chat --endpoint /v1/chat/completions"
"""Where images are sent to."""


def unseen_prefix(title: str, source: str) -> EngineRule:
    """Of an engine whose benchmark draws images and has no prefix that they share."""
    return EngineRule(
        "prefix_of_images",
        lambda d: not (d.job.workload.images and d.job.workload.prefix),
        lambda d: f"{title}'s benchmark has no cached prefix in front of images",
        lambda d: "--prefix 0, or --engine vllm",
        source,
    )


def measuring(backend: str, prompts: list[Flag], d: Deployment, behind: str = "") -> tuple[Flag, ...]:
    """Options of a benchmark: the server, prompts of one length, the load and the service levels."""
    where = spelled(f'--model {MODEL} --backend {backend} --host "$HOST" --port "$PORT"')
    return (*where, *prompts, *load(d), *goodput(d), *spelled(behind))


def random_prompts(d: Deployment, own: str = "", drawn: str = "") -> list[Flag]:
    """Random tokens; a cached prefix is the same in all prompts. `own`: an engine's own words about them; `drawn`: what
    it calls those with images.
    """
    w = d.job.workload
    prefix = f"--random-prefix-len {w.prefix}" if w.prefix else ""
    lengths = f"--random-input-len {d.text} --random-output-len {w.output}"
    return spelled(f"--dataset-name {'random' if not w.images else drawn} {own} {prefix} {lengths} --ignore-eos")


PERCENTILES = "--percentile-metrics ttft,tpot,itl,e2el --metric-percentiles 50,99"


def goodput(d: Deployment) -> list[Flag]:
    """The service levels, in milliseconds, where there are any; all three benchmarks count requests that keep them."""
    w = d.job.workload
    levels = [f"{name}:{1e3 * bound:g}" for name, bound in (("ttft", w.ttft), ("tpot", w.tpot)) if bound is not None]
    return [("--goodput", *levels)] if levels else []


def load(d: Deployment) -> list[Flag]:
    """A closed loop of $users, or Poisson arrivals at $rate; a $seed of its own, so that no prompt is cached yet."""
    if d.rates:
        return spelled(f'--seed "$seed" --num-prompts {d.prompts} --request-rate "$rate"')
    number = option("--num-prompts", USERS)
    return [*spelled('--seed "$seed"'), number, *spelled('--max-concurrency "$users" --request-rate inf')]
