"""Arguments of training scripts in Python, where they are literal: Transformers, TRL, Unsloth, Lightning. Never run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from planner.errors import PlannerError
from planner.read.tree import Leaf, Tree, check_size, plain, without_comments

ARGUMENTS = re.compile(r"(\w*TrainingArguments|(SFT|DPO|GRPO|KTO|ORPO|PPO|Reward|CPO)(Config|Trainer)|Trainer)")
"""Calls whose keywords are the trainer's."""

PARTS = {"LoraConfig", "BitsAndBytesConfig", "get_peft_model", "FSDPStrategy", "DeepSpeedStrategy", "DataLoader"}
STAGES = re.compile(r"(SFT|DPO|GRPO|KTO|ORPO|PPO|Reward|CPO)(Config|Trainer)")
MODELS = re.compile(r"\w*(ForCausalLM|ForConditionalGeneration|FastLanguageModel|FastModel|LanguageModel)")
START = re.compile(r"(import|from)\s+[\w.]+|\"\"\"|'''|def \w+\(|class \w+[(:]|@|if __name__|[A-Za-z_]\w* = ")


def is_python(text: str) -> bool:
    """Whether a text is a Python program that calls a trainer."""
    start = without_comments(text)
    imports = re.search(r"(?m)^(from\s+[\w.]+\s+import\s|import\s+[\w.]+)", text) is not None
    return (
        imports
        and START.match(start) is not None
        and re.search(r"\b(Trainer|TrainingArguments|\w+Config)\(", text) is not None
    )


def python_tree(text: str) -> Tree:
    """Keywords of the calls that set up a training, as configuration; what is not literal is left out.

    Raises:
        PlannerError: no Python.
    """
    check_size(text)
    try:
        program = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        raise PlannerError(
            f"line {line}: no Python that can be read", "give the command or configuration instead"
        ) from None
    names = dict(_assigned(program))
    leaves: dict[str, Leaf] = {}
    for key, value, line in _given(program):
        found = _literal(value, names)
        if found is not None:
            leaves.setdefault(plain(key), Leaf(found, line, key))
    if "unsloth" in text:
        leaves.setdefault("unsloth", Leaf(True, 1, "unsloth"))
    return Tree(leaves)


def _assigned(program: ast.AST) -> Iterator[tuple[str, Any]]:
    """NAME = literal, anywhere; of two the later one."""
    for node in ast.walk(program):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found = _literal(node.value, {})
            if found is not None:
                yield node.targets[0].id, found


def _given(program: ast.AST) -> Iterator[tuple[str, ast.expr, int]]:
    """Key, value and line of every argument that sets up a training."""
    for node in ast.walk(program):
        if isinstance(node, ast.Dict):
            keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            if "per_device_train_batch_size" in keys:
                yield from ((str(k), v, v.lineno) for k, v in zip(keys, node.values, strict=True) if isinstance(k, str))
        elif isinstance(node, ast.Call):
            yield from _call(node)


def _call(node: ast.Call) -> Iterator[tuple[str, ast.expr, int]]:
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    owner = ast.unparse(function.value) if isinstance(function, ast.Attribute) and name == "from_pretrained" else ""
    if MODELS.fullmatch(owner.rpartition(".")[2]):
        yield from (("model_name_or_path", value, value.lineno) for value in node.args[:1])
    elif not (ARGUMENTS.fullmatch(name) or name in PARTS):
        return
    if stage := STAGES.fullmatch(name):
        yield "trl_trainer", ast.Constant(stage[1].lower()), node.lineno
    if name in ("LoraConfig", "get_peft_model"):
        yield "use_peft", ast.Constant(True), node.lineno
    yield from ((one.arg, one.value, one.value.lineno) for one in node.keywords if one.arg)


def _literal(node: ast.expr, names: dict[str, Any]) -> Any:
    """A number, text, truth, list or torch dtype; of a name what it was set to; None for anything else."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute) and node.attr in ("bfloat16", "float16", "float32"):
        return node.attr
    if isinstance(node, ast.Dict | ast.List | ast.Tuple):
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, RecursionError, MemoryError):
            return None
    return None
