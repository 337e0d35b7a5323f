"""Megatron-LM's options under other names: YAML of Primus, FlagScale, the MoE model zoo, NeMo; `megatron sft`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from planner.catalog.yamlfile import table
from planner.errors import PlannerError
from planner.launch.megatron import shaped
from planner.read.altered import altered
from planner.read.asked import adapters, seen
from planner.read.bridge import overwritten, shipped, timed_as, unseen
from planner.read.context import Context
from planner.read.format import Format
from planner.read.job import Job, read_job, truth
from planner.read.megatron import read_megatron
from planner.read.megatron_facts import SETTINGS
from planner.read.options import Option, Options, known_options
from planner.read.reading import Problem, Reading
from planner.read.table import Given, text_of
from planner.read.tree import Leaf, Tree
from planner.schema.model import Model
from planner.training.frameworks.megatron_bridge import tower

Lookup = Callable[[str], "Model | None"]
"""A model by what a file calls it, None where nobody knows it."""

NAMES = table("read", "megatron-names.yaml")
ALIASES, WHEN_FALSE, IMPLIED, VALUES = (NAMES[part] for part in ("aliases", "when_false", "implied", "values"))
"""Other names of options; settings that switch one off, and that imply one; values that stand for one."""

SHAPED = ("swiglu", "untie-embeddings-and-output-weights", "disable-bias-linear", "hidden-dropout")
"""Options of a format's base that a model which is named replaces."""

MUST = ("num-layers", "hidden-size", "num-attention-heads")


def read_megatron_tree(
    tree: Tree, form: Format, context: Context, environment: Mapping[str, str] | None = None
) -> Reading:
    """The plan of a configuration in Megatron-LM's names.

    Raises:
        PlannerError: as `read_megatron`; no shape and no name of a model that is known.
    """
    lost = overwritten(tree) if form.name == "bridge" else {}
    kept = {key: leaf for key, leaf in tree.leaves.items() if key not in lost and not SHELL & set(key.split(".")[:-1])}
    shaped = form.shaped(Tree(kept))
    given = options_of(shaped)
    usual = as_options({key: value for key, value in form.defaults.items() if is_option(key)})
    job = read_job(Tree({key: leaf for key, leaf in shaped.leaves.items() if not is_option(key)}), form)
    if context.seq and "seq-length" not in given:
        given["seq-length"] = Option((str(context.seq),), 0)
    usual = _shipped(job, shaped, usual) if form.name == "bridge" else usual
    name = _model(job, shaped)
    shape = None if all(one in given for one in MUST) else _shape(name, context.lookup, given)
    changes: tuple[str, ...] = ()
    if shape is not None:
        shape, changes = altered(shape, {name: usual[name] for name in ("mtp-num-layers",) if name in usual} | given)
        usual = {name: option for name, option in usual.items() if name not in SHAPED}
        found = shape_options(shape)
        if shape.position == "rope":
            del found["max-position-embeddings"]
        given = found | given
    given = {name: option for name, option in usual.items() if name not in switched_off(shaped)} | given
    if "seq-length" in given and (shape is None or shape.position == "rope"):
        given = {"max-position-embeddings": given["seq-length"]} | given
    if "pipeline-model-parallel-layout" in given and "num_virtual_stages_per_pipeline_rank" not in shaped:
        given.pop("num-virtual-stages-per-pipeline-rank", None)
    options = Options(given)
    named = context.vocabulary or (shape.vocab if shape else None) or _vocabulary(shaped, context.lookup)
    own = environment if form.general else None
    try:
        reading = read_megatron(options, context.world, own, named)
    except PlannerError as error:
        hints = [hint for hint in error.hint if "command line" not in hint]
        raise PlannerError(in_words(str(error)), hints or "--model names the shape, --seq the length") from None
    own_parser = "te_loss" in form.unchecked
    left = [one for one in reading.not_modelled if not (own_parser and one.touches == ("legality",))]
    ours = {one.option for one in left}
    kept_notes = (note for note in reading.notes if own is not None or "CONNECTIONS" not in note)
    share = chosen_layers(job, shaped) / (shape.layers if shape else reading.model.layers if reading.model else 1)
    waived = (*form.unchecked, *(("full_recompute",) if share else ()))
    return replace(
        reading,
        form=form.name,
        model=None if shape is not None and not changes else shape or reading.model,
        model_name=name if shape is not None and not changes else None,
        workload=reading.workload | _adapters(job) | seen(job),
        recomputed=share,
        problems=tuple(spelled(one) for one in reading.problems if one.rule not in waived),
        notes=(*job.notes, *changes, *map(unseen, lost.values()), *kept_notes),
        not_modelled=(*(one for one in job.not_modelled if one.option not in ours), *left),
        keys=keys(shaped, form),
        preset=reading.preset | (tower(shape) if form.name == "bridge" else {}),
        timed_as=timed_as(shaped) if form.name == "bridge" else "",
    )


def _shipped(job: Job, tree: Tree, usual: Mapping[str, Option]) -> dict[str, Option]:
    """What a format has by default under what a recipe sets; of that, what is no option is named where it matters."""
    own = {key: value for key, value in shipped(job, tree).items() if key not in tree or tree.get(key) is not None}
    off = switched_off(Tree({key: Leaf(value) for key, value in own.items() if key not in tree}))
    beside = (Given(key, text_of(value)) for key, value in own.items() if not is_option(key))
    job.not_modelled += job.format.table.not_modelled(beside)
    return {name: one for name, one in usual.items() if name not in off} | as_options(own)


SHELL = {"ENV_VARS", "envs"}
"""Sections of variables of the shell: the model zoo's and FlagScale's files list them."""


def chosen_layers(job: Job, tree: Tree) -> int:
    """How many layers Primus recomputes by their numbers (primus/backends/megatron/patches)."""
    leaf = tree.leaves.get("recompute_layer_ids")
    if leaf is None or not truth(leaf):
        return 0
    job.name(leaf, ("memory", "time"), "as many layers are recomputed in every chunk")
    return len(re.findall(r"\d+", text_of(leaf.value)))


def is_option(key: str) -> bool:
    """Whether a key is one of Megatron-LM's, under whatever name."""
    known, name = known_options("megatron"), ALIASES.get(key, key.replace("_", "-"))
    named = any(f"--{one}" in known for one in (name, f"no-{name}", f"disable-{name}"))
    return named or key in WHEN_FALSE or key in VALUES


def keys(tree: Tree, form: Format) -> dict[str, tuple[str, str]]:
    """Key and value of each setting as the file has them, or the key that would set it."""
    said = {
        ALIASES.get(key, key.replace("_", "-")): (leaf.key, text_of(leaf.value)) for key, leaf in tree.leaves.items()
    }
    return {
        name: said.get(option, (form.table.spelled.format(option.replace("-", "_")), ""))
        for name, option in SETTINGS.items()
    }


def spelled(problem: Problem) -> Problem:
    """A message in the names of the file: without dashes in front, "_" within."""
    return replace(problem, message=in_words(problem.message))


def in_words(message: str) -> str:
    """The same message about keys instead of options."""
    words = message.split(" ")
    return " ".join(w.lstrip("-").replace("-", "_") if w.startswith("--") else w for w in words)


def options_of(tree: Tree) -> dict[str, Option]:
    """Those keys that are options of Megatron-LM, as its parser would have them."""
    known = known_options("megatron")
    inner_last = sorted(tree.leaves.items(), key=lambda one: one[0] == "packing_length")
    return {name: one for key, leaf in inner_last for name, one in option_of(key, leaf, known).items()}


def switched_off(tree: Tree) -> set[str]:
    """Options of a format's base that a file takes back: `swiglu: false`, `add_bias_linear: true`."""
    off = {ALIASES.get(key, key.replace("_", "-")) for key, leaf in tree.leaves.items() if leaf.value is False}
    return off | {WHEN_FALSE[key] for key, leaf in tree.leaves.items() if key in WHEN_FALSE and leaf.value is True}


def option_of(key: str, leaf: Leaf, known: Mapping[str, str]) -> dict[str, Option]:
    """One key as options: none where it is no option, or leaves one off."""
    value, line = leaf.value, leaf.line
    if key in VALUES and isinstance(value, str | int) and not isinstance(value, bool):
        name, _, word = VALUES[key].get(str(value).lower(), "").partition(" ")
        if name:
            return {name: Option((word,) if word else (), line)}
    name = ALIASES.get(key, key.replace("_", "-"))
    if value is None or value == "":
        return {}
    if value is False:
        off = WHEN_FALSE.get(key) or next((o for o in (f"no-{name}", f"disable-{name}") if f"--{o}" in known), "")
        return {off: Option((), line)} if off else {}
    count = known.get(f"--{name}")
    if count is None:
        return {}
    if count == "0":
        return {name: Option((), line)} if truth(leaf) else {}
    more = {IMPLIED[key]: Option((), line)} if key in IMPLIED else {}
    if isinstance(value, str) and count in "+*" and (several := re.fullmatch(r"\[(.*)\]", value)):
        value = [one.strip() for one in several[1].split(",")]
    values = tuple(map(text_of, value)) if isinstance(value, list) else (text_of(value),)
    unknown = tuple(text for text in values if "${" in text or text.startswith("$"))
    return {name: Option(values, line, unknown)} | more


def shape_options(model: Model) -> dict[str, Option]:
    """A model of the catalogue in Megatron's options."""
    plain = {
        "num-layers": model.layers,
        "hidden-size": model.hidden,
        "ffn-hidden-size": model.ffn,
        "num-attention-heads": model.heads,
        "max-position-embeddings": model.context,
        "vocab-size": model.vocab,
        "hidden-dropout": 0.0,
    }
    found = {name: Option((str(value),), 0) for name, value in plain.items()}
    found |= {} if model.tied_embeddings else {"untie-embeddings-and-output-weights": Option((), 0)}
    found |= {"disable-bias-linear": Option((), 0)} if model.bias in ("none", "qkv") else {}
    for name, *values in shaped(model):
        found[name.removeprefix("--")] = Option(tuple(values), 0)
    return found


def as_options(keys: Mapping[str, Any]) -> dict[str, Option]:
    """Keys as options, as their parser would have them."""
    known = known_options("megatron")
    return {name: one for key, value in keys.items() for name, one in option_of(key, Leaf(value), known).items()}


def _model(job: Job, tree: Tree) -> str | None:
    converted = [name for name in (tree.get("mcore_model"), tree.get("load")) if str(name).endswith("-mcore")]
    named = next((name for name in (job.get("model"), *converted, tree.get("tokenizer_model")) if name), None)
    return str(named).removesuffix(".yaml") if isinstance(named, str) else None


def _shape(name: str | None, lookup: Lookup, given: Mapping[str, Option]) -> Model:
    found = lookup(name) if name else None
    if found is None:
        missing = ", ".join(one.replace("-", "_") for one in MUST if one not in given)
        why = f"and {name!r:.80} is no model that is known here" if name else "and no model is named"
        raise PlannerError(f"{missing}: missing, {why}", "name it: --model llama3.1-8b, or a config.json")
    return found


def _vocabulary(tree: Tree, lookup: Lookup) -> int | None:
    named = [tree.get(key) for key in ("tokenizer_model", "hf_checkpoint", "type") if "vocab_size" not in tree]
    found = next((model for name in named if isinstance(name, str) and (model := lookup(name))), None)
    return found.vocab if found else None


def _adapters(job: Job) -> dict[str, Any]:
    found = adapters(job)
    return {} if found.get("method", "full") == "full" else found
