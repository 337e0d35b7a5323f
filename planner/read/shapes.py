"""Models that a configuration describes by their numbers: nanotron, GPT-NeoX, llm-foundry."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

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
    read = {"nanotron": _nanotron, "neox": _neox, "foundry": _foundry}.get(job.format.name)
    fields = read(tree, job) if read else None
    if fields is None:
        return None
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


def _nanotron(tree: Tree, job: Job) -> dict[str, Any] | None:
    part = tree.under("model.model_config")
    heads, hidden = _count(part, "num_attention_heads"), _count(part, "hidden_size")
    return {
        "layers": _count(part, "num_hidden_layers"),
        "hidden": hidden,
        "ffn": _count(part, "intermediate_size", 4 * hidden),
        "heads": heads,
        "kv_heads": _count(part, "num_key_value_heads", heads),
        "head_dim": _count(part, "head_dim", max(hidden // heads, 1)),
        "vocab": _count(part, "vocab_size"),
        "context": max(_count(part, "max_position_embeddings", 2048), job.get("seq", 1)),
        "tied_embeddings": _on(part, "tie_word_embeddings", False),
        "mlp": "glu",
        "bias": "none",
        "norm": "rmsnorm",
        "position": "rope",
    }


def _neox(tree: Tree, job: Job) -> dict[str, Any] | None:
    heads, hidden = _count(tree, "num_attention_heads"), _count(tree, "hidden_size")
    gated = str(tree.get("mlp_type", "regular")) == "llama" or str(tree.get("activation", "")) in NEOX_GATED
    positions = {"rotary": "rope", "learned": "learned", "alibi": "alibi", "none": "none"}
    return {
        "layers": _count(tree, "num_layers"),
        "hidden": hidden,
        "ffn": _neox_width(tree, hidden, gated),
        "heads": heads,
        "kv_heads": _count(tree, "num_kv_heads", heads),
        "head_dim": max(hidden // heads, 1),
        "vocab": _neox_vocabulary(tree, job),
        "context": max(_count(tree, "max_position_embeddings", 2048), job.get("seq", 1)),
        "tied_embeddings": not _on(tree, "no_weight_tying", False),
        "mlp": "glu" if gated else "gelu",
        "bias": "all" if _on(tree, "use_bias_in_attn_linear", True) else "none",
        "norm": "rmsnorm" if str(tree.get("norm", "layernorm")) == "rmsnorm" else "layernorm",
        "position": positions.get(str(tree.get("pos_emb", "learned")), "rope"),
        "dropout": str(tree.get("hidden_dropout", 0)) not in ("0", "0.0"),
    }


NEOX_GATED = ("swiglu", "geglu", "reglu", "bilinear", "glu")
"""Activations that multiply two halves (megatron/model/activations.py)."""


def _neox_width(tree: Tree, hidden: int, gated: bool) -> int:
    """intermediate_size is that of both halves times 3/2, where there are two, and grows to a multiple of the unit
    (megatron/model/transformer.py, ParallelMLP)."""
    width, unit = _count(tree, "intermediate_size", 4 * hidden), _count(tree, "mlp_multiple_of", 1)
    width = int(width * 2 / 3) // 2 if gated and str(tree.get("mlp_type", "")) != "llama" else width
    return -(-width // unit) * unit


def _neox_vocabulary(tree: Tree, job: Job) -> int:
    """Padded to a multiple of make_vocab_size_divisible_by, which is 128, x model_parallel_size."""
    if "vocab_size" in tree:
        return _count(tree, "vocab_size")
    kind = str(tree.get("tokenizer_type", "GPT2BPETokenizer"))
    size = NEOX_VOCABULARY.get(kind.lower(), 50257)
    unit = _count(tree, "make_vocab_size_divisible_by", 128) * (job.get("tp") or 1)
    job.notes.append(f"vocabulary {size:,}, that of {kind} in GPT-NeoX")
    return -(-size // unit) * unit


def _foundry(tree: Tree, job: Job) -> dict[str, Any] | None:
    part = tree.under("model")
    if "d_model" not in part:
        return None
    heads, hidden = _count(part, "n_heads"), _count(part, "d_model")
    gated = "glu" in str(part.get("ffn_config.ffn_type", "mptmlp"))
    alibi, rope = _on(part, "attn_config.alibi", False), _on(part, "attn_config.rope", False)
    kind = str(part.get("attn_config.attn_type", "multihead_attention"))
    shared = 1 if kind.startswith("multiquery") else _count(part, "attn_config.kv_n_heads", heads)
    width = _count(part, "expansion_ratio", 4) * hidden
    return {
        "layers": _count(part, "n_layers"),
        "hidden": hidden,
        "ffn": _count(part, "ffn_config.ffn_hidden_size", width),
        "heads": heads,
        "kv_heads": shared,
        "head_dim": max(hidden // heads, 1),
        "vocab": _count(part, "vocab_size", 50368),
        "context": max(_count(part, "max_seq_len", 2048), job.get("seq", 1)),
        "tied_embeddings": _on(part, "tie_word_embeddings", True),
        "mlp": "glu" if gated else "gelu",
        "bias": "none" if _on(part, "no_bias", False) else "all",
        "norm": "rmsnorm" if "rms" in str(part.get("norm_type", "")) else "layernorm",
        "position": "alibi" if alibi else "rope" if rope else "learned",
    }
