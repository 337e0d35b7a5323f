"""A model's profile as the sequence of blocks that pipeline stages hold."""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache

from planner.blocks.record import (
    Attention,
    Block,
    Dense,
    Embedding,
    Experts,
    Head,
    Kind,
    Latent,
    Norm,
    Prediction,
    Structure,
)
from planner.schema.model import Model


@lru_cache(maxsize=256)
def structure(model: Model) -> Structure:
    """The distinct blocks of a model in order of appearance, its ends, and which kind every layer is.

    DeepSeek-V3: 3 layers of kind 0 (dense), 58 of kind 1 (experts). Gemma 3: five windowed, one full, and so on.
    """
    layers = [_block(model, index) for index in range(model.layers)]
    blocks = tuple(dict.fromkeys(layers))
    where = {block: kind for kind, block in enumerate(blocks)}
    order = (*(where[block] for block in layers), *[len(blocks)] * model.mtp_layers)
    heads = [_head(model, tied) for tied in ((False, True) if model.tied_embeddings else (False,))]
    predictions = [_prediction(model, layers[-1], embeds) for embeds in (False, True) if model.mtp_layers]
    norms = [Norm(model.hidden, _vectors(model))] if model.mtp_layers else []
    kinds: tuple[Kind, ...] = (*blocks, *predictions, _embedding(model), *heads, *norms)
    return Structure(kinds, order, len(blocks) + len(predictions), model.tied_embeddings, model.mtp_layers)


def _prediction(model: Model, last: Block, embeds: bool) -> Prediction:
    like = {field.name: getattr(last, field.name) for field in fields(last)}
    return Prediction(**like, embedding=_embedding(model), head=_head(model, True), embeds=embeds)


def _block(model: Model, index: int) -> Block:
    return Block(model.hidden, _vectors(model), _mixer(model, index), _feed(model, index), model.dropout)


def _vectors(model: Model) -> int:
    return 2 if model.norm == "layernorm" else 1


def _mixer(model: Model, index: int) -> Attention | Latent:
    full = model.window is None or (model.window_every and (index + 1) % model.window_every == 0)
    window = None if full else model.window
    if model.mla is not None:
        m = model.mla
        ranks = (m.kv_lora_rank, m.q_lora_rank, m.qk_nope_dim, m.qk_rope_dim, m.v_head_dim)
        return Latent(model.heads, *ranks, window=window, dropout=model.dropout)
    return Attention(
        model.heads,
        model.kv_heads,
        model.head_dim,
        window,
        bias=model.bias in ("qkv", "all"),
        output_bias=model.bias == "all",
        dropout=model.dropout,
        qk_norm=model.qk_norm or model.qk_norm_wide,
        wide=model.qk_norm_wide,
    )


def _feed(model: Model, index: int) -> Dense | Experts:
    gated, bias, moe = model.mlp == "glu", model.bias == "all", model.moe
    if moe is None or index < moe.dense_layers or (index - moe.dense_layers) % moe.every:
        return Dense(model.ffn, gated, bias)
    return Experts(moe.experts, moe.top_k, Dense(moe.ffn, gated, bias), moe.shared_experts)


def _embedding(model: Model) -> Embedding:
    return Embedding(model.hidden, model.vocab, model.context if model.position == "learned" else 0, model.dropout)


def _head(model: Model, tied: bool) -> Head:
    return Head(model.hidden, model.vocab, 0 if model.mtp_layers else _vectors(model), tied)
