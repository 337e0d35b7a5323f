"""A torchtitan 0.2 TOML as a plan. Names: pytorch/torchtitan at v0.2.2, config/job_config.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from planner.catalog import yamlfile
from planner.catalog.recipes import recipe_spelled
from planner.errors import PlannerError
from planner.read.deepspeed import line_of
from planner.read.options import Options
from planner.read.placement import Stages
from planner.read.reading import MOST_STRANGE, Problem, Reading, did_you_mean
from planner.read.table import Given, NotModelled, flat, table
from planner.read.tree import check_size
from planner.schedules import SCHEDULES as CATALOGUE
from planner.schedules import spelled
from planner.units import whole_number
from planner.wording import load_toml

SCHEDULES = {theirs.lower(): name for name, theirs in spelled("PyTorch").items() if not CATALOGUE[name].undivided}
"""torch.distributed.pipelining's names, lower case, and ours. InterleavedZeroBubble is looked up as ZB-H1."""

DEFAULT = "1F1B"
"""torchtitan's pipeline_parallel_schedule where none is given."""


def read_torchtitan(text: str, world: int, options: Options | None = None) -> Reading:
    """The plan of a configuration; its model is a name that the catalogue may know. Options of the command win.

    Raises:
        PlannerError: no TOML, or a value of a wrong kind.
    """
    check_size(text, "this TOML")
    written = overridden(load_toml(text), options)
    return read_sections(written, given_in(written, text, options), world, text)


def read_sections(written: dict[str, Any], given: list[Given], world: int, text: str) -> Reading:
    """The plan of torchtitan's sections; `given` are their keys with lines, `text` the file that they stand in.

    Raises:
        PlannerError: a value of a wrong kind.
    """
    notes: list[str] = []
    config = modern(written, notes)
    degrees, problems = _degrees(config, world), unknown(given)
    seq = _number(config, "training", "seq_len", 2048)
    workload: dict[str, Any] = {"seq": seq, "attention": "flash", "precision": "bf16"} | _recipe(config)
    if _text(config, "training", "dtype", "float32") == "bfloat16":
        workload["optimizer"] = "adam-bf16"
    if _flag(config, "training", "enable_cpu_offload") and degrees["zero"] == 3:
        workload["offload"] = "parameters"
    if degrees["cp"] > 1:
        method = _text(config, "parallelism", "context_parallel_rotate_method", "allgather")
        workload["context"] = "p2p" if method == "alltoall" else "allgather"
    batch = _batch(config, degrees, workload, problems, text)
    plan = degrees | batch | _stages(config, degrees["pp"])
    share = _recompute(config)
    problems += _rules(config, plan, seq, world, text)
    name = f"{_text(config, 'model', 'name', 'llama3')}-{_text(config, 'model', 'flavor', 'debugmodel')}"
    stages = plan.pop("stages", None)
    return Reading(
        "torchtitan",
        None,
        workload,
        plan,
        tuple(problems),
        tuple(notes),
        model_name=yamlfile.table("read", "titan-registry.yaml")["called"].get(name.lower(), name.lower()),
        recomputed=share,
        stages=stages,
        not_modelled=(*table("torchtitan").not_modelled(given), *kept_weights(config, plan, text)),
        preset=preset(config, plan),
        timed_as="torchtitan" if _flag(config, "compile", "enable", "training", "compile") else "torchtitan-eager",
    )


def _recipe(config: dict[str, Any]) -> dict[str, Any]:
    """Linear layers below 16 bit, by converter and recipe_name; float8 is scaled per tensor where it does not say."""
    linear = _section(_section(config, "quantize"), "linear")
    converters = _section(config, "model").get("converters", [])
    for said in converters if isinstance(converters, list) else str(converters).split(","):
        name = f"quantize.linear.{said}" if said in ("float8", "mx") else str(said)
        usual = {"quantize.linear.float8": "tensorwise", "quantize.linear.mx": "mxfp8_cublas"}.get(name)
        section = _section(linear, name.rpartition(".")[2])
        found = recipe_spelled("torchtitan", (name, section.get("recipe_name", usual)))
        if found is not None:
            return {"precision": found, "fp8_param_gather": section.get("enable_fsdp_float8_all_gather") is True}
    return {}


def modern(config: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """The configuration in the sections of 0.2: until 2024 degrees stood under [training] and [experimental]."""
    moved = {
        key: value
        for name in ("training", "experimental")
        for key, value in _section(config, name).items()
        if key.endswith("_parallel_degree") or key.startswith("pipeline_parallel_")
    }
    batch = _section(config, "training").get("batch_size")
    if not moved and batch is None:
        return config
    notes.append("degrees under [training] are those of torchtitan before 2025: read as [parallelism] of 0.2")
    if "data_parallel_degree" in moved:
        moved["data_parallel_shard_degree"] = moved.pop("data_parallel_degree")
    training = _section(config, "training") | ({} if batch is None else {"local_batch_size": batch})
    return config | {"parallelism": moved | _section(config, "parallelism"), "training": training}


def overridden(config: dict[str, Any], options: Options | None) -> dict[str, Any]:
    """The configuration with "--section.key value" of the command in place of the file's (config/manager.py)."""
    found = {name: dict(section) if isinstance(section, dict) else section for name, section in config.items()}
    if options is None:
        return found
    for name in options.given:
        *sections, last = name.replace("-", "_").split(".")
        if not sections or name.replace("-", "_") == "job.config_file":
            continue
        negated = last.startswith("no_") and not options.texts(name)
        place = found
        for section in sections:
            below = place.get(section)
            place[section] = dict(below) if isinstance(below, dict) else {}
            place = place[section]
        place[last.removeprefix("no_") if negated else last] = False if negated else _typed(options.texts(name))
    return found


def _typed(words: tuple[str, ...]) -> Any:
    """Words of a command as TOML would have them; a switch is true."""
    text = " ".join(words)
    plain = {"": True, "true": True, "false": False, "none": None}
    if text.lower() in plain:
        return plain[text.lower()]
    number = whole_number(text.lstrip("-"))
    return text if number is None else -number if text.startswith("-") else number


def given_in(config: dict[str, Any], text: str, options: Options | None) -> list[Given]:
    """Every key that file and command give, with its line in either."""
    said = (
        {name.replace("-", "_").replace(".no_", "."): options.line(name) for name in options.given} if options else {}
    )
    return [
        replace(one, line=said.get(one.option) or line_of(text, one.option.rpartition(".")[2])) for one in flat(config)
    ]


def kept_weights(config: dict[str, Any], plan: dict[str, Any], text: str) -> tuple[NotModelled, ...]:
    """In a pipeline, weights that stay gathered and gradients that stay whole between micro-batches: named."""
    name = "fsdp_reshard_after_forward"
    policy = _text(config, "parallelism", name, "default")
    if plan["pp"] == 1 or plan["zero"] < 3 or policy == "always":
        return ()
    why = "weights and gradients of a pipeline are sharded and gathered anew for every micro-batch"
    return (NotModelled(f"parallelism.{name}", policy, ("memory", "time"), why, line_of(text, name)),)


def preset(config: dict[str, Any], plan: dict[str, Any]) -> dict[str, Any]:
    """Fields of Framework that the file sets. "default" keeps weights gathered in a pipeline only (fsdp_config)."""
    policy = _text(config, "parallelism", "fsdp_reshard_after_forward", "default")
    kept = policy == "never" or (policy == "default" and plan["pp"] > 1)
    found: dict[str, Any] = {"reshards": False} if kept else {}
    return found | ({"logits_split": False} if _flag(config, "parallelism", "disable_loss_parallel") else {})


def _flag(config: dict[str, Any], *paths: str) -> bool:
    """Whether any of these, pairs of section and key, is true."""
    return any(_section(config, a).get(b) is True for a, b in zip(paths[::2], paths[1::2], strict=True))


def _section(config: dict[str, Any], name: str) -> dict[str, Any]:
    section = config.get(name, {})
    if not isinstance(section, dict):
        raise PlannerError(f"[{name}] is no section")
    return section


def _number(config: dict[str, Any], section: str, key: str, default: int) -> int:
    found = _section(config, section).get(key, default)
    if isinstance(found, bool) or not isinstance(found, int) or abs(found) > 10**9:
        raise PlannerError(f"{section}.{key} wants a whole number, not {found!r:.40}")
    return found


def _text(config: dict[str, Any], section: str, key: str, default: str) -> str:
    return str(_section(config, section).get(key, default))


def _degrees(config: dict[str, Any], world: int) -> dict[str, Any]:
    """Degrees; data_parallel_shard_degree -1 takes what the others leave."""

    def degree(key: str, default: int = 1) -> int:
        return _number(config, "parallelism", key, default)

    tp, cp = degree("tensor_parallel_degree"), degree("context_parallel_degree")
    pp, replicas = degree("pipeline_parallel_degree"), degree("data_parallel_replicate_degree")
    ep, etp = degree("expert_parallel_degree"), degree("expert_tensor_parallel_degree")
    if min(tp, cp, pp, replicas, ep, etp) < 1:
        raise PlannerError("a degree in [parallelism] is below 1", "only data_parallel_shard_degree may be -1")
    shard = degree("data_parallel_shard_degree", -1)
    shard = max(world // (tp * cp * pp * replicas), 1) if shard < 0 else max(shard, 1)
    zero = 3 if shard > 1 or cp > 1 else 0
    experts: dict[str, Any] = {"ep": ep, "etp": etp}
    deepep = _text(config, "parallelism", "expert_parallel_comm_backend", "standard") == "deepep"
    experts |= {"dispatcher": "deepep"} if deepep else {}
    sharded = {"dp": replicas * shard, "dp_replicate": replicas if zero else 1, "zero": zero}
    return {"tp": tp, "cp": cp, "pp": pp, "sp": int(tp > 1)} | sharded | experts


def _batch(
    config: dict[str, Any], degrees: dict[str, int], workload: dict[str, Any], problems: list[Problem], text: str
) -> dict[str, int]:
    """b, and B: without a pipeline the local batch is b; a pipeline cuts it into micro-batches."""
    local = _number(config, "training", "local_batch_size", 8)
    if local < 1:
        raise PlannerError(f"training.local_batch_size is {local}: at least 1 sequence", "local_batch_size = 1")
    whole = _number(config, "training", "global_batch_size", -1)
    whole = local * degrees["dp"] if whole < 0 else whole
    b = _number(config, "parallelism", "pipeline_parallel_microbatch_size", 1) if degrees["pp"] > 1 else local
    workload["global_batch"] = max(whole, 1)
    source = "torchtitan train.py"
    if whole % (local * degrees["dp"]):
        said = f"global_batch_size {whole} is no multiple of local_batch_size {local} x dp {degrees['dp']}"
        problems.append(Problem("batch", said, line_of(text, "global_batch_size"), source))
    if b < 1 or local % b:
        said = f"pipeline_parallel_microbatch_size {b} does not divide local_batch_size {local}"
        problems.append(Problem("microbatch", said, line_of(text, "pipeline_parallel_microbatch_size"), source))
    return {"b": max(b, 1)}


def _stages(config: dict[str, Any], pp: int) -> dict[str, Any]:
    """Schedule, and how layers are dealt out; v follows once the model is known."""
    if pp == 1:
        return {"schedule": SCHEDULES[DEFAULT.lower()]}
    written = _text(config, "parallelism", "pipeline_parallel_schedule", DEFAULT)
    schedule = SCHEDULES.get(written.lower())
    if schedule is None:
        raise PlannerError(f"pipeline_parallel_schedule {written!r:.40} is unknown", "torchtitan: 1F1B, GPipe ...")
    parts = _section(config, "parallelism").get("module_fqns_per_model_part")
    named = [part if isinstance(part, list) else [] for part in parts] if isinstance(parts, list) else []
    listed = tuple(sum(str(name).startswith("layers.") for name in part) for part in named)
    first = _number(config, "parallelism", "pipeline_parallel_first_stage_less_layers", 1)
    last = _number(config, "parallelism", "pipeline_parallel_last_stage_less_layers", 1)
    each = _number(config, "parallelism", "pipeline_parallel_layers_per_stage", 0)
    return {"schedule": schedule, "stages": Stages(listed, first, last, each, CATALOGUE[schedule].chunks == 1)}


def _recompute(config: dict[str, Any]) -> float:
    """Share of layers recomputed: 0, one in n, 1. Selective "op" keeps matrix products: half stands in for it."""
    mode = _text(config, "activation_checkpoint", "mode", "selective")
    option = _text(config, "activation_checkpoint", "selective_ac_option", "2")
    if mode in ("none", "full"):
        return float(mode == "full")
    if mode == "selective" and (every := whole_number(option)):
        return 1.0 / every
    return 0.5


def unknown(given: Sequence[Given]) -> list[Problem]:
    """Sections and keys that torchtitan refuses, the first MOST_STRANGE of them."""
    known = table("torchtitan")
    found: list[Problem] = []
    for one in [one for one in given if known.group(one.option) is None][:MOST_STRANGE]:
        section = one.option.partition(".")[0]
        strange = not any(key.startswith(f"{section}.") for key in known.rows)
        near = [key.partition(".")[0] if strange else key for key, _ in known.rows.values()]
        hint = did_you_mean(section if strange else one.option, near, 0.6, len(found))
        said = f"{section if strange else one.option:.80} is unknown to torchtitan 0.2{hint and f'; {hint}'}"
        if said not in [problem.message for problem in found]:
            found.append(Problem("unknown_key", said, one.line, "torchtitan config/manager.py"))
    return found


def _rules(config: dict[str, Any], plan: dict[str, Any], seq: int, world: int, text: str) -> list[Problem]:
    """Conditions of distributed/parallel_dims.py and train.py."""
    product = plan["tp"] * plan["cp"] * plan["pp"] * plan["dp"]
    found = []
    if product != world:
        said = (
            f"dp {plan['dp']} x tp {plan['tp']} x cp {plan['cp']} x pp {plan['pp']} = {product}, not the {world} GPUs"
        )
        line = line_of(text, "data_parallel_shard_degree")
        found.append(Problem("world", said, line, "torchtitan distributed/parallel_dims.py"))
    divisor = plan["tp"] * (2 * plan["cp"] if plan["cp"] > 1 else 1)
    if seq % divisor:
        said = f"tp x 2*cp = {divisor} does not divide seq_len {seq}; nearest: {seq // divisor * divisor}"
        found.append(Problem("sequence", said, line_of(text, "seq_len"), "torchtitan train.py"))
    return found
