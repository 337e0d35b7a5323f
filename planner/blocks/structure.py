"""A model's profile as the sequence of blocks that pipeline stages hold."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import lru_cache
from itertools import cycle, islice

from planner.blocks import record
from planner.blocks.record import Kind, Structure
from planner.blocks.recurrence import DeltaRule, Lightning, SelectiveScan, ShortConvolution, StateSpace
from planner.blocks.tower import tower
from planner.schema.model import Indexer as Choice
from planner.schema.model import Model
from planner.schema.workload import TowerPart

FEED_LETTERS = "-E"
"""Letters of a pattern that are a feed-forward part alone."""


WORDS = {
    "M": "Mamba-2 state-space layers",
    "G": "layers of the gated delta rule",
    "L": "layers of lightning attention",
    "H": "layers of attention and Mamba-2 side by side",
    "S": "Mamba-1 state-space layers",
    "C": "layers of short convolutions",
    "_": "layers without attention",
    "E": "layers of experts alone",
    "-": "layers of a feed-forward part alone",
}
"""Letters that stand for more than attention with a feed-forward part behind it."""


@lru_cache(maxsize=256)
def structure(model: Model, wide: tuple[int, int] = (0, 0), trained: TowerPart = "trained") -> Structure:
    """The distinct blocks of a model in order of appearance, its ends, and which kind every layer is.

    DeepSeek-V3: 3 layers of kind 0 (dense), 58 of kind 1 (experts). Gemma 3: five windowed, one full, and so on. The
    first and last `wide` layers keep their products in 16 bit; of a tower `trained` has gradients.
    """
    plain = [_block(model, index, letter) for index, letter in enumerate(letters(model))]
    first, last = wide[0], model.layers - wide[1]
    layers = [block if first <= index < last else replace(block, wide=True) for index, block in enumerate(plain)]
    blocks = tuple(dict.fromkeys(layers))
    where = {block: kind for kind, block in enumerate(blocks)}
    order = (*(where[block] for block in layers), *[len(blocks)] * model.mtp_layers)
    heads = [_head(model, tied) for tied in ((False, True) if model.tied_embeddings else (False,))]
    predictions = [_prediction(model, plain[-1], embeds) for embeds in (False, True) if model.mtp_layers]
    norms = [record.Norm(model.hidden, _vectors(model))] if model.mtp_layers else []
    seeing = tower(model.tower, trained) if model.tower else {}
    kinds: tuple[Kind, ...] = (*blocks, *predictions, _embedding(model), *heads, *norms, *seeing)
    counted = tuple(seeing.values())
    return Structure(kinds, order, len(blocks) + len(predictions), model.tied_embeddings, model.mtp_layers, counted)


def _prediction(model: Model, last: record.Block, embeds: bool) -> record.Prediction:
    like = {field.name: getattr(last, field.name) for field in fields(last)}
    return record.Prediction(**like, embedding=_embedding(model), head=_head(model, True), embeds=embeds)


def beyond_attention(model: Model) -> str | None:
    """What a model's layers have besides full or windowed attention and plain experts, in words; None: nothing."""
    held = {letter: words for letter, words in WORDS.items() if letter in (model.pattern or "")}
    if model.mla is not None and model.mla.indexer is not None:
        return "indexed sparse attention"
    if model.ffns:
        held["ffns"] = "layers of different widths"
    if model.windowed is not None:
        held["W"] = "layers whose windowed attention has another shape"
    if model.value_dim is not None:
        held["value"] = "values of another width than keys"
    return next(iter(held.values()), None)


def letters(model: Model) -> list[str]:
    """What every layer is, in the letters of `pattern`; without one, W where the window holds and * elsewhere."""
    if model.pattern:
        return list(islice(cycle(model.pattern), model.layers))
    if model.window is None:
        return ["*"] * model.layers
    every = model.window_every or model.layers + 1
    return ["W" if (index + 1) % every else "*" for index in range(model.layers)]


def _block(model: Model, index: int, letter: str) -> record.Block:
    alone = any(one in (model.pattern or "") for one in FEED_LETTERS)
    mixer = None if letter in FEED_LETTERS + "_" else _mixer(model, letter, index)
    feed = _alone(model, letter) if alone else _feed(model, index)
    return record.Block(model.hidden, _vectors(model), mixer, feed, model.dropout, model.norms == 4)


def _vectors(model: Model) -> int:
    return 2 if model.norm == "layernorm" else 1


def _mixer(model: Model, letter: str, index: int) -> record.Mixer:
    if letter == "M" and (s := model.state_space):
        return StateSpace(s.heads, s.head_dim, s.state, s.groups, s.conv, s.chunk, s.bias, s.projection_bias)
    if letter == "G" and (g := model.delta_rule):
        return DeltaRule(g.key_heads, g.value_heads, g.key_dim, g.value_dim, g.conv, g.channelwise)
    if letter == "L" and model.lightning:
        return Lightning(model.lightning.heads, model.lightning.head_dim)
    if letter == "S" and (one := model.selective_scan):
        return SelectiveScan(one.inner, one.state, one.rank, one.conv, one.bias, one.projection_bias)
    if letter == "C" and model.short_convolution:
        return ShortConvolution(model.short_convolution)
    if letter == "H":
        attention, state = _attention(model, None, index), _mixer(model, "M", index)
        assert isinstance(attention, record.Attention) and isinstance(state, StateSpace)
        return record.Parallel(attention, state)
    return _attention(model, model.window if letter == "W" else None, index)


def _attention(model: Model, window: int | None, index: int) -> record.Attention | record.Latent:
    if (m := model.mla) is not None:
        ranks = (m.kv_lora_rank, m.q_lora_rank, m.qk_nope_dim, m.qk_rope_dim, m.v_head_dim)
        found = _indexer(m.indexer, index) if m.indexer else None
        return record.Latent(model.heads, *ranks, window=window, dropout=model.dropout, indexer=found)
    own = model.windowed if window else None
    return record.Attention(
        own.heads if own else model.heads,
        own.kv_heads if own else model.kv_heads,
        own.head_dim if own else model.head_dim,
        window,
        bias=model.bias in ("qkv", "all"),
        output_bias=model.bias == "all",
        dropout=model.dropout,
        qk_norm=model.qk_norm or model.qk_norm_wide,
        wide=model.qk_norm_wide,
        gated=model.output_gate,
        sinks=model.sinks or bool(own and own.sinks),
        value_dim=own.value_dim if own else model.value_dim,
        keys_are_values=model.keys_are_values and window is None,
    )


def _indexer(of: Choice, index: int) -> record.Indexer:
    return record.Indexer(of.heads, of.head_dim, of.top_k, of.pattern[index % len(of.pattern)] == "S")


def _feed(model: Model, index: int) -> record.Dense | record.Experts | None:
    moe = model.moe
    if model.ffns:
        width = model.ffns[index % len(model.ffns)]
        return _dense(model, width) if width else None
    if moe is None or index < moe.dense_layers or (index - moe.dense_layers) % moe.every:
        return _dense(model, model.ffn)
    return _experts(model)


def _alone(model: Model, letter: str) -> record.Dense | record.Experts | None:
    return _experts(model) if letter == "E" else _dense(model, model.ffn) if letter == "-" else None


def _dense(model: Model, width: int) -> record.Dense:
    return record.Dense(width, model.mlp == "glu", model.bias == "all")


def _experts(model: Model) -> record.Experts:
    moe = model.moe
    assert moe is not None
    one = _dense(model, moe.ffn)
    shared = (moe.shared_width, moe.shared_gate, moe.latent)
    return record.Experts(moe.experts, moe.top_k, one, *shared, moe.router_bias, moe.groups, moe.top_groups)


def _embedding(model: Model) -> record.Embedding:
    positions = model.context if model.position == "learned" else 0
    return record.Embedding(model.hidden, model.vocab, positions, model.dropout)


def _head(model: Model, tied: bool) -> record.Head:
    return record.Head(model.hidden, model.vocab, 0 if model.mtp_layers else _vectors(model), tied)
