"""Parameters of every rank as Megatron-Core lays them out, to the unit: vocabulary padding, uneven ends, chunks."""

from __future__ import annotations

from planner.architecture import attention_parameters, matrices, padded_vocabulary
from planner.plan import Plan
from planner.schema.model import Model
from planner.stages import layers_per_chunk


def rank_parameters(model: Model, plan: Plan, rank: int) -> list[int]:
    """Parameters of each model chunk of a pipeline rank, on one of its tp*ep ranks (all hold as many).

    Llama 3 8B, tp = 8, pp = 4, v = 2, rank 0: four layers and 129,024/8 rows of the embedding are 175,144,960, four
    layers more 109,084,672, as `GPTModel` counts them (NVIDIA/Megatron-LM core/models/gpt/gpt_model.py).
    """
    chunks = layers_per_chunk(model.layers, plan.pp, plan.v, plan.head)
    counts, first = [], _first_layers(chunks)
    for chunk, layers in enumerate(chunks[rank]):
        begin = first[chunk][rank]
        counts.append(sum(layer_parameters(model, plan, i) for i in range(begin, begin + layers)))
    if rank == 0:
        counts[0] += embedding_parameters(model, plan)
    if rank == plan.pp - 1:
        counts[-1] += head_parameters(model, plan)
    return counts


def _first_layers(chunks: list[list[int]]) -> list[list[int]]:
    """Number of the first layer of every chunk, [chunk][rank]: Megatron goes over all ranks, then to the next chunk."""
    first, done = [], 0
    for chunk in range(len(chunks[0])):
        row = []
        for rank in chunks:
            row.append(done)
            done += rank[chunk]
        first.append(row)
    return first


def layer_parameters(model: Model, plan: Plan, index: int) -> int:
    """Parameters of layer `index` on one rank: attention and feed-forward part over tp, experts over ep*tp."""
    norms = 2 * norm_parameters(model)
    return norms + sharded_attention(model, plan.tp) + sharded_mlp(model, plan.tp, plan.ep, has_experts(model, index))


def norm_parameters(model: Model) -> int:
    """One norm: a weight, and a bias if it is a LayerNorm."""
    return model.hidden * (2 if model.norm == "layernorm" else 1)


def has_experts(model: Model, index: int) -> bool:
    """Whether a layer is MoE: those behind the dense ones, one in `every`."""
    behind = index - (model.moe.dense_layers if model.moe else 0)
    return model.moe is not None and behind >= 0 and behind % model.moe.every == 0


def sharded_attention(model: Model, tp: int) -> int:
    """Attention of one layer on one rank. The output bias is copied; MLA's down projections and norms are too."""
    if model.mla is not None:
        return _sharded_latent_attention(model, tp)
    copied = model.hidden if model.bias == "all" else 0
    return (attention_parameters(model) - copied) // tp + copied


def _sharded_latent_attention(model: Model, tp: int) -> int:
    assert model.mla is not None
    mla, h = model.mla, model.hidden
    copied = h * (mla.kv_lora_rank + mla.qk_rope_dim) + mla.kv_lora_rank
    copied += mla.q_lora_rank * (h + 1) if mla.q_lora_rank else 0
    return (attention_parameters(model) - copied) // tp + copied


def sharded_mlp(model: Model, tp: int, ep: int, experts: bool) -> int:
    """Feed-forward part of one layer on one rank: dense, or its experts, the shared ones and the router."""
    if not experts or model.moe is None:
        return _sharded_part(model, model.ffn, tp)
    moe = model.moe
    shared = _sharded_part(model, moe.shared_experts * moe.ffn, tp) if moe.shared_experts else 0
    return moe.experts // ep * _sharded_part(model, moe.ffn, tp) + shared + model.hidden * moe.experts


def _sharded_part(model: Model, width: int, tp: int) -> int:
    """Two or three matrices of h by width/tp; the bias of the last is copied."""
    split = matrices(model) * model.hidden * width
    split += (matrices(model) - 1) * width if model.bias == "all" else 0
    return split // tp + (model.hidden if model.bias == "all" else 0)


def embedding_parameters(model: Model, plan: Plan) -> int:
    """Padded vocabulary over tp, and learned positions, copied."""
    positions = model.context * model.hidden if model.position == "learned" else 0
    rows = int(padded_vocabulary(model, plan.tp)) // int(plan.tp)
    return rows * model.hidden + positions


def head_parameters(model: Model, plan: Plan) -> int:
    """Final norm and head; a tied head is a copy of the embedding unless both live on one rank."""
    own = not model.tied_embeddings or plan.pp > 1
    head: int = int(padded_vocabulary(model, plan.tp)) // plan.tp * model.hidden
    return norm_parameters(model) + (head if own else 0)
