"""Models that a configuration describes by their numbers: nanotron, GPT-NeoX, llm-foundry."""

from __future__ import annotations

from functools import partial
from typing import Any

from pydantic import ValidationError

from planner.catalog.expressions import told
from planner.catalog.yamlfile import table
from planner.errors import PlannerError
from planner.read.job import Job, truth, whole
from planner.read.megatron import UNNAMED
from planner.read.tree import Leaf, Tree
from planner.schema.model import Model
from planner.wording import schema_problem

NEOX_VOCABULARY = {"hftokenizer": 50277, "gpt2bpetokenizer": 50257, "tiktoken": 100277}
"""Words of GPT-NeoX's tokenizers, 20B_tokenizer.json among them, before padding (megatron/tokenizer/tokenizer.py)."""


def model_of(job: Job, tree: Tree) -> Model | None:
    """The shape that a configuration holds; None where it names a model instead.

    Raises:
        PlannerError: numbers that no transformer has.
    """
    said = table("read", "shapes.yaml").get(job.format.name)
    part = tree.under(said["under"]) if said and "under" in said else tree
    if said is None or ("needs" in said and said["needs"] not in part):
        return None
    words: dict[str, Any] = {"seq": job.get("seq", 1), "vocabulary": partial(_neox_vocabulary, tree, job)}
    words |= {"count": partial(_count, part), "on": partial(_on, part)}
    words["get"] = lambda key, default="": str(part.get(key, default))
    for name, value in said["fields"].items():
        words[name] = told(value, words)
    fields = {name: words[name] for name in said["fields"] if not name.startswith("_")}
    plain = {"name": UNNAMED, "source": "the configuration", "family": "script", "dropout": False}
    try:
        return Model.model_validate(plain | fields)
    except ValidationError as error:
        problem = error.errors()[0]
        raise PlannerError(f"{job.format.title}: the shape of the model: {schema_problem(problem)}") from None


def _count(tree: Tree, key: str, default: int | None = None) -> int:
    """A whole number of the shape.

    Raises:
        PlannerError: it is missing, or none.
    """
    leaf = tree.leaves.get(key)
    found = whole(leaf) if leaf is not None else None
    if found is None and default is None:
        raise PlannerError(f"{key} is missing: the shape of the model needs it")
    if found == 0:
        raise PlannerError(f"{key} must be positive, not 0: the shape of the model")
    return found if found is not None else default or 0


def _on(tree: Tree, key: str, default: bool) -> bool:
    return truth(tree.leaves.get(key, Leaf(default)))


def _neox_vocabulary(tree: Tree, job: Job) -> int:
    """Padded to a multiple of make_vocab_size_divisible_by, which is 128, x model_parallel_size."""
    if "vocab_size" in tree:
        return _count(tree, "vocab_size")
    kind = str(tree.get("tokenizer_type", "GPT2BPETokenizer"))
    size = NEOX_VOCABULARY.get(kind.lower(), 50257)
    unit = _count(tree, "make_vocab_size_divisible_by", 128) * (job.get("tp") or 1)
    job.notes.append(f"vocabulary {size:,}, that of {kind} in GPT-NeoX")
    return -(-size // unit) * unit
