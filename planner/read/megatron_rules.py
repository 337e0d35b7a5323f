"""Megatron-LM's own checks on its options, and what two of them leave out together: megatron-checks.yaml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from planner.catalog.expressions import PLAIN, told
from planner.catalog.yamlfile import table
from planner.cost.recompute import MODULES
from planner.frozen import frozen
from planner.launch.megatron import MASK
from planner.plan import divisors
from planner.read.megatron_experts import graphs
from planner.read.megatron_facts import Facts
from planner.read.options import known_options
from planner.read.table import NotModelled
from planner.schema.formats import STORED
from planner.schema.workload import OFFLOADED
from planner.units import format_bytes, whole_number

NEWER = ("gdn_norm_out", "gdp_in_proj", "gdp_qkv", "mhc", "fused_group_mlp")
"""Modules of architectures that are not read from options."""

LISTS = {"recomputable": MODULES, "offloadable": OFFLOADED}


class Words(dict[str, Any]):
    """What a condition of megatron-checks.yaml may name."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts.n, world=facts.world, environment=facts.environment, options=facts.options)
        self |= PLAIN | {"whole": facts.options.whole, "whole_number": whole_number}
        self |= {name: frozenset((*known, *NEWER)) for name, known in LISTS.items()}
        self |= {"stages": facts.stages, "mask": MASK, "stored": lambda name: STORED.get(name, 0.0)}
        self.facts = facts

    def __missing__(self, name: str) -> Any:
        """A function of FOUND, what Facts has, else an option: a switch, or its value."""
        if name in FOUND:
            return FOUND[name](self.facts)
        if hasattr(Facts, name):
            return getattr(self.facts, name)
        option = name.replace("_", "-")
        switch = known_options("megatron").get(f"--{option}", "0") == "0"
        return self.facts.has(option) if switch else self.facts.text(option)


@frozen
class Check:
    """One condition on the options.

    Attributes:
        option: the option that the message is about, for its line in the script. condition: as `told` takes it.
        says: the sentence; {placeholders} are those of `numbers`. source: the file that looks; at: when it does.
    """

    name: str
    option: str
    condition: str
    says: str
    source: str
    at: str

    def holds(self, facts: Facts) -> bool:
        """Whether the options obey."""
        return bool(told(self.condition, Words(facts)))

    def message(self, facts: Facts) -> str:
        """The sentence with this run's numbers."""
        return self.says.format_map(numbers(facts))


def numbers(facts: Facts) -> dict[str, Any]:
    """Everything a sentence may name, with the nearest legal values."""
    n = dict(facts.n) | {"world": facts.world, "counted": facts.counted, "stages": len(facts.stages)}
    per_rank = max(facts.layers // facts.pp, 1)
    return n | {
        "layout_layers": "".join(facts.stages).count("t"),
        "model": facts.tp * facts.pp * facts.cp,
        "expert_model": facts.etp * facts.ep * facts.pp,
        "legal_tp": _list([t for t in divisors(facts.heads) if t <= facts.world]),
        "legal_pp": _list(divisors(facts.counted)),
        "legal_v": _list(divisors(per_rank)),
        "legal_ep": _list(divisors(facts.experts or 1)),
        "legal_batch": _list(_multiples(facts.B, facts.b * facts.dp)),
        "legal_interleaved": _list(_multiples(facts.B, facts.b * facts.dp * _group(facts))),
        "legal_seq": _list(_multiples(facts.seq, 2 * facts.cp)),
        "legal_world": _list(_multiples(facts.world, facts.tp * facts.pp * facts.cp)),
        "per_rank": per_rank,
        "group": _group(facts),
        "middle": facts.layers - facts.first - facts.last,
        "middle_stages": _middle_stages(facts),
        "mask": format_bytes(facts.b * facts.seq**2),
    }


def _list(values: Any) -> str:
    return ", ".join(str(value) for value in values)


def _multiples(near: int, of: int) -> list[int]:
    """The multiples on both sides of a number."""
    below = near // of * of
    return [x for x in (below, below + of) if x > 0]


def _group(f: Facts) -> int:
    """Micro-batches that go through one chunk before the next: N of interleaving, pp unless said."""
    return f.options.whole("microbatch-group-size-per-virtual-pipeline-stage") or f.pp


def _middle_stages(f: Facts) -> int:
    """Stages that are neither of the ends with a count of their own."""
    return f.pp - bool(f.first) - bool(f.last)


def _even_between(f: Facts) -> bool:
    """Uneven ends leave the same layers to all stages between."""
    stages, middle = _middle_stages(f), f.layers - f.first - f.last
    if not f.uneven or stages == 0 or middle <= 0:
        return not f.uneven or stages == middle == 0
    shares = [x for x in (f.first, f.last, middle // stages) if x]
    return middle % stages == 0 and all(share % f.v == 0 for share in shares)


def _whole_layout(f: Facts) -> bool:
    text = "".join(f.stages)
    ends = text.startswith("E") and text.endswith("L") and text.count("E") == text.count("L") == 1
    return not f.stages or (len(f.stages) % f.pp == 0 and ends and text.count("t") == f.layers)


def _placed_predictions(f: Facts) -> bool:
    text, early = "".join(f.stages), any("m" in stage for stage in f.stages[: -f.pp])
    behind = text.count("m") == f.mtp and "t" not in text.partition("m")[2]
    return not f.stages or (behind and not early and sum("m" in stage for stage in f.stages) <= 1)


def _hierarchical(f: Facts) -> bool:
    """The kind a2a+p2p has sizes, and sizes make cp."""
    sizes = [
        size
        for text in f.options.texts("hierarchical-context-parallel-sizes")
        if (size := whole_number(text)) is not None
    ]
    asked = "a2a+p2p" in f.options.texts("cp-comm-type")
    return prod(sizes) == f.cp if sizes else not asked


FOUND: Mapping[str, Callable[[Facts], Any]] = {
    "graphs": graphs,
    "group": _group,
    "middle_stages": _middle_stages,
    "even_between": _even_between,
    "whole_layout": _whole_layout,
    "placed_predictions": _placed_predictions,
    "hierarchical": _hierarchical,
    "window": lambda f: whole_number(f.text("window-size").strip("()[] ").partition(",")[0]) or None,
    "selected": lambda f: f.modules if f.granularity == "selective" else (),
    "strange": lambda f: " ".join(name for name in f.away if name not in OFFLOADED),
    "dispatched": lambda f: lambda *kinds: f.text("moe-token-dispatcher-type") in kinds,
    "router_groups": lambda f: f.options.whole("moe-router-num-groups") or 0,
    "chosen_groups": lambda f: f.options.whole("moe-router-group-topk") or 0,
}
"""Names in conditions that take more than one expression."""

ROWS = table("read", "megatron-checks.yaml")


def _checks(part: str) -> tuple[Check, ...]:
    return tuple(_check(name, row) for name, row in ROWS[part].items())


def _check(name: str, row: dict[str, str]) -> Check:
    """One row: `with`, `needs` and `apart` are conditions on an option that is given."""
    option, at = row["option"], row.get("at", "arguments")
    says, condition = row.get("says", ""), row.get("holds", "")
    for word, others in LISTS.items():
        says = says.replace(f"<{word}>", ", ".join(others))
    if "holds" not in row:
        condition = row.get("with") or (f"has('{row['needs']}')" if "needs" in row else f"not has('{row['apart']}')")
        condition = f"not has('{option}') or ({condition})"
    if "with" in row:
        says = f"--{option} {says}"
    elif not says:
        says = f"--{option} needs --{row['needs']}" if "needs" in row else ""
        says = says or f"--{option} and --{row['apart']} exclude each other"
    return Check(name, option, condition, says, row.get("file") or ROWS["files"][at], at)


PARALLEL, SWITCHES, PAIRS = map(_checks, ("parallel", "switches", "pairs"))
"""On degrees, layers and batches; on recomputation, sharding, overlap, precision and the environment; on two options
that need, or exclude, one another."""


def named(facts: Facts) -> tuple[NotModelled, ...]:
    """What no table of options can tell: it takes two of them together."""
    found = []
    for row in ROWS["named"]:
        words = Words(facts)
        if told(row["where"], words):
            option, why = row["option"], row["why"].format_map(numbers(facts))
            value = told(row["value"], words) if "value" in row else " ".join(facts.options.texts(option))
            touches = tuple(row["touches"].split())
            found.append(NotModelled(f"--{option}", value, touches, why, facts.options.line(option)))
    return tuple(found)
