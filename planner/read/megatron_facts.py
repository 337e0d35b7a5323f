"""What Megatron-LM makes of its options: every number that its checks look at, with the defaults it fills in."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from planner.catalog.yamlfile import table
from planner.errors import PlannerError
from planner.frozen import frozen
from planner.launch.megatron_layout import read_layout
from planner.read.options import Options
from planner.schema.formats import STORED

SAID = table("read", "megatron-facts.yaml")

COUNTS: dict[str, tuple[str, int | None]] = {name: (one[0], one[1]) for name, one in SAID["counts"].items()}
"""Whole numbers: our name, the option, Megatron's default; None: it must be given."""

USUAL: dict[str, str] = SAID["usual"]
"""Megatron's defaults of options whose values are words."""

SETTINGS = {name: COUNTS[name][0] for name in ("tp", "pp", "cp", "ep")} | SAID["settings"]
"""Settings of a plan that an edit may name, by their options."""


@frozen
class Facts:
    """The options of one run with Megatron's defaults and what follows from them.

    Attributes:
        options: as given; `has` asks for switches.
        world: accelerators; environment: what the script exports; None: not known.
        n: whole numbers by name: those of COUNTS, and etp, ffn, groups, positions, B, dp, m, v, vocab.
        stages: what every stage holds, in Megatron's order, when a layout string says so.
    """

    options: Options
    world: int
    environment: Mapping[str, str] | None
    n: Mapping[str, int]
    stages: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> int:
        try:
            return self.n[name]
        except KeyError:
            raise AttributeError(name) from None

    def has(self, *names: str) -> bool:
        """Whether any of these options was given."""
        return any(name in self.options for name in names)

    def text(self, name: str) -> str:
        """The value of an option, or its default."""
        return self.options.text(name, USUAL.get(name, ""))

    @property
    def granularity(self) -> str:
        """Recomputation: "", "full" or "selective"."""
        said = self.text("recompute-granularity")
        return "selective" if self.has("recompute-activations") else said.replace("none", "")

    @property
    def modules(self) -> tuple[str, ...]:
        """What selective recomputation covers."""
        said = self.options.texts("recompute-modules")
        return tuple(name for text in said for name in text.split()) or ("core_attn",)

    @property
    def away(self) -> tuple[str, ...]:
        """Modules whose inputs lie in host memory."""
        if not self.has("fine-grained-activation-offloading"):
            return ()
        return tuple(name for text in self.options.texts("offload-modules") for name in text.split())

    @property
    def sp(self) -> bool:
        """Sequence parallelism, which Megatron switches off by itself for tp = 1."""
        return self.has("sequence-parallel") and self.n["tp"] > 1

    @property
    def fsdp(self) -> bool:
        """Megatron-FSDP."""
        return self.has("use-megatron-fsdp", "use-custom-fsdp")

    @property
    def uneven(self) -> bool:
        """Whether the ends have layer counts of their own."""
        return bool(self.n["first"] or self.n["last"])

    @property
    def counted(self) -> int:
        """Layers plus what counts as one: the embedding and the loss, on request."""
        extra = ("account-for-embedding-in-pipeline-split", "account-for-loss-in-pipeline-split")
        return self.n["layers"] + sum(self.has(name) for name in extra)


def read_facts(options: Options, world: int, environment: Mapping[str, str] | None) -> Facts:
    """Fill in Megatron's defaults.

    Raises:
        PlannerError: an option that the plan depends on is missing, unset or no number.
    """
    n = {ours: _count(options, name, default) for ours, (name, default) in COUNTS.items()}
    n |= _derived(options, n, world)
    stages = _stages(options)
    n["v"] = _virtual_stages(n, stages)
    return Facts(options, world, environment, n, stages)


MIXED = ("hybrid-layer-pattern", "hybrid-override-pattern")
"""Options that spell a model's layers one by one, Mamba's and attention's."""


def _count(options: Options, name: str, default: int | None) -> int:
    value = options.whole(name, default)
    mixed = next((one for one in MIXED if one in options), None)
    if value is None and mixed and name == "num-layers":
        said = f"line {options.line(mixed)}: --{mixed}: layers of mixed kinds are not read from options"
        raise PlannerError(said, "planner recommend --model nemotron-h-8b plans such a model by its name")
    if value is None:
        raise PlannerError(f"--{name} is missing: Megatron-LM needs it", "is this a Megatron-LM command line?")
    if value < 0 or (value == 0 and default != 0):
        raise PlannerError(f"line {options.line(name)}: --{name} must be positive, not {value}")
    return value


def _derived(options: Options, n: Mapping[str, int], world: int) -> dict[str, int]:
    """ffn is 4*h, or int(8*h/3/64)*64 with SwiGLU; query groups are 1 unless counted; training/arguments.py."""
    gated = int(8 * n["hidden"] / 3 / 64) * 64 if "swiglu" in options else 4 * n["hidden"]
    groups = (options.whole("num-query-groups") or 1) if "group-query-attention" in options else n["heads"]
    dp = max(world // (n["tp"] * n["pp"] * n["cp"]), 1)
    batch = options.whole("global-batch-size") or n["b"] * dp
    return {
        "etp": options.whole(SETTINGS["etp"]) or n["tp"],
        "ffn": options.whole("ffn-hidden-size") or gated,
        "groups": groups,
        "positions": options.whole("max-position-embeddings") or 0,
        "dp": dp,
        "B": batch,
        "m": batch // (n["b"] * dp),
        "zero": zero_stage(options),
    }


def zero_stage(options: Options) -> int:
    """The ZeRO stage that the sharding options amount to; dist_muon deals its states out by whole layers."""
    if "use-torch-fsdp2" in options:
        return 3
    if "use-megatron-fsdp" in options or "use-custom-fsdp" in options:
        strategy = options.text("data-parallel-sharding-strategy", "optim_grads_params")
        return {"no_shard": 0, "optim": 1, "optim_grads": 2}.get(strategy, 3)
    return int("use-distributed-optimizer" in options or options.text("optimizer") == "dist_muon")


def preset(facts: Facts) -> dict[str, Any]:
    """Fields of Framework that the options set.

    Gradients are kept in fp32 with bf16 unless --grad-reduce-in-bf16 or --main-grads-dtype say otherwise, with fp16 on
    request only (training/arguments.py); the distributed optimizer then has a shard of them in fp32 too, unless it is
    the precision-aware one (core/optimizer/distrib_optimizer.py). Without --overlap-grad-reduce nothing hides them.
    """
    found: dict[str, Any] = {} if facts.has("overlap-grad-reduce") else {"dp_hidden": 0.0}
    half = facts.has("grad-reduce-in-bf16") or facts.text("main-grads-dtype") != "fp32"
    half |= facts.has("fp16") and not facts.has("accumulate-allreduce-grads-in-fp32")
    if half:
        copied = not facts.has("use-precision-aware-optimizer")
        found |= {"gradient_bytes": 2.0, "sharded_bytes": 4.0 if copied else 0.0}
    return found


DTYPES = {"exp-avg-dtype": "moments", "exp-avg-sq-dtype": "moments", "main-params-dtype": "master"}
"""Options of the precision-aware optimizer, and the tensors of a recipe whose format they set."""


def formats(facts: Facts) -> dict[str, Any]:
    """Fields of Recipe that the options set; the wider format, where both moments have their own."""
    found: dict[str, Any] = {}
    for option, tensor in DTYPES.items():
        said = facts.text(option)
        if STORED.get(said, 0.0) >= STORED.get(found.get(tensor, ""), 0.0):
            found[tensor] = said
    return {tensor: said for tensor, said in found.items() if said != "fp32"}


def _stages(options: Options) -> tuple[str, ...]:
    text = options.text("pipeline-model-parallel-layout")
    try:
        return read_layout(text) if text else ()
    except PlannerError as error:
        line = options.line("pipeline-model-parallel-layout")
        raise PlannerError(
            f"line {line}: --pipeline-model-parallel-layout: {error}", 'like "Ett|(tt|)*6ttL", see docs/launch.md'
        ) from None


def _virtual_stages(n: Mapping[str, int], stages: tuple[str, ...]) -> int:
    """Chunks per rank out of whichever of the three options says so."""
    if stages:
        return max(len(stages) // n["pp"], 1)
    if n["per_virtual"]:
        return max(n["layers"] // n["pp"] // n["per_virtual"], 1)
    return n["virtual"] or 1


def moe_layers(text: str, layers: int) -> list[int]:
    """1 for every layer with experts: --moe-layer-freq is a number, or a list expression like "([0]*3+[1]*58)".

    Raises:
        PlannerError: neither.
    """
    if re.fullmatch(r"\d{1,6}", text.strip()) and int(text) > 0:
        return [int(i % int(text) == 0) for i in range(layers)]
    try:
        pattern = _list(ast.parse(text.strip(), mode="eval").body)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise PlannerError(f"--moe-layer-freq {text!r:.60} is no list expression", "like ([0]*3+[1]*58)") from None
    if len(pattern) != layers:
        raise PlannerError(f"--moe-layer-freq {text!r:.60} has {len(pattern)} entries for {layers} layers")
    return pattern


LONGEST_PATTERN = 10_000


def _list(node: Any) -> list[int]:
    """A list of 0 and 1 out of brackets, + and *: nothing else is evaluated."""
    if isinstance(node, ast.List):
        found = [int(getattr(entry, "value", 0)) for entry in node.elts if getattr(entry, "value", None) in (0, 1)]
        if len(found) == len(node.elts):
            return found
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _list(node.left) + _list(node.right)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) and isinstance(node.right, ast.Constant):
        times, unit = node.right.value, _list(node.left)
        if isinstance(times, int) and 0 <= times * max(len(unit), 1) <= LONGEST_PATTERN:
            return unit * times
    raise ValueError
