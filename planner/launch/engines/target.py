"""A serving engine that deployments are written for, and what none of them can express."""

from __future__ import annotations

from collections.abc import Callable

from planner.catalog.expressions import told
from planner.catalog.yamlfile import table
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


def _parts(engine: Engine) -> str:
    """ "nvidia and amd, without volta"."""
    return " and ".join(engine.vendors) + (f", without {' and '.join(engine.without)}" if engine.without else "")


def rules_of(name: str) -> tuple[EngineRule, ...]:
    """What an engine cannot run, of rules.yaml."""
    said = table("launch/engines", "rules.yaml")
    own = said["engines"][name]
    return tuple(_rule(key, said["rules"][key], own) for key in own["rules"].split())


def _rule(name: str, row: dict[str, str], own: dict[str, str]) -> EngineRule:
    def filled(text: str, d: Deployment) -> str:
        each, here = d.plan.tp * d.plan.pp, d.gpus // d.nodes
        return text.format(d=d, title=own["title"], parts=_parts(d.job.engine), each=each, here=here)

    return EngineRule(
        name,
        lambda d: bool(told(row["holds"], {"d": d})),
        lambda d: filled(row["says"], d),
        lambda d: filled(row["nearest"], d),
        row["source"].format(**own),
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
