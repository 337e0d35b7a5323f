"""The shape of a transformer: everything that parameters, FLOPs and activation bytes depend on."""

from collections.abc import Callable
from typing import Literal

from pydantic import Field, model_validator

from planner.schema.base import Positive, Profile, Record, Text, Whole
from planner.schema.formats import KvType, Module, WeightType
from planner.schema.quantities import Count, Experts, ExpertsBeside, Heads, Layers, Tokens, Vocabulary, Width
from planner.schema.tower import Tower


class MixtureOfExperts(Record):
    """Experts of the feed-forward part.

    Attributes:
        experts: routed experts per MoE layer.
        top_k: routed experts that one token visits.
        ffn: width of one routed expert.
        shared_experts: experts of the same width that every token visits.
        dense_layers: leading layers with a plain feed-forward part (DeepSeek-V3: 3).
        every: of the layers behind those, one in `every` is MoE (Llama 4 Maverick: 2); 1 means all.
        shared_ffn: width of what every token visits, where it is not shared_experts * ffn.
        shared_gate: the shared part is multiplied by one learned sigmoid (Qwen2-MoE, Qwen3-Next).
        router_bias: the router is a linear layer with a bias (gpt-oss).
        latent: width to which tokens are brought down for the experts (Nemotron-3 Super).
        groups, top_groups: the router first chooses so many groups of experts, and experts inside them (DeepSeek-V3:
            4 of 8).
    """

    experts: Experts
    top_k: Experts
    ffn: Width
    shared_experts: ExpertsBeside = 0
    dense_layers: Whole = 0
    every: Positive = 1
    shared_ffn: Width | None = None
    shared_gate: bool = False
    router_bias: bool = False
    latent: Width | None = None
    groups: Positive = 1
    top_groups: Positive = 1

    @property
    def shared_width(self) -> int:
        """Width of the part that every token visits; 0 where there is none."""
        return self.shared_ffn or self.shared_experts * self.ffn

    @model_validator(mode="after")
    def _top_k_exists(self) -> "MixtureOfExperts":
        if self.top_k > self.experts:
            raise ValueError(f"top_k {self.top_k} exceeds the {self.experts} experts")
        return self


class Indexer(Record):
    """Indexed sparse attention (DeepSeek-V3.2): heads that score all earlier tokens, of which the best are attended to.

    Attributes:
        heads, head_dim: of the scores; top_k: tokens that are left.
        pattern: one letter a layer, repeated: I has an indexer, S shares the choice of the last that has (GLM-5.2).
    """

    heads: Heads
    head_dim: Width
    top_k: Tokens
    pattern: str = Field(default="I", pattern=r"^I[IS]{0,999}$")


class StateSpace(Record):
    """Mamba-2 layers (arXiv:2405.21060): letter M of a pattern.

    Attributes:
        heads, head_dim: of the inner width; state: of every channel; groups: of heads with the same B and C.
        conv: width of the convolution; chunk: tokens that a scan takes at once.
        bias: of the convolution; projection_bias: of both products.
    """

    heads: Heads
    head_dim: Width
    state: Width
    groups: Heads = 1
    conv: Positive = 4
    chunk: Tokens = 256
    bias: bool = True
    projection_bias: bool = False


class SelectiveScan(Record):
    """Mamba-1 layers (arXiv:2312.00752): letter S of a pattern.

    Attributes:
        inner: width of the scan; state: of every column; rank: of the step's product; conv: width of the convolution.
        bias: of the convolution; projection_bias: of the first and the last product.
    """

    inner: Width
    state: Width
    rank: Width
    conv: Positive = 4
    bias: bool = True
    projection_bias: bool = False


class DeltaRule(Record):
    """Gated delta rule (arXiv:2412.06464): letter G of a pattern.

    Attributes:
        key_heads, value_heads, key_dim, value_dim: heads and widths of queries and keys, and of values and gates.
        conv: width of the convolution; channelwise: decay per channel (Kimi Delta Attention, arXiv:2510.26692).
    """

    key_heads: Heads
    value_heads: Heads
    key_dim: Width
    value_dim: Width
    conv: Positive = 4
    channelwise: bool = False


class Lightning(Record):
    """Lightning attention (MiniMax-01, arXiv:2501.08313): letter L of a pattern."""

    heads: Heads
    head_dim: Width


class Windowed(Record):
    """Attention of layers with the window, where its shape is not the model's (MiMo-V2-Flash, Gemma 4).

    Attributes:
        heads, kv_heads, head_dim: as of a model; value_dim: width of a head's values, where it is not head_dim.
        sinks: each softmax has one more learned logit per head.
    """

    heads: Heads
    kv_heads: Heads
    head_dim: Width
    value_dim: Width | None = None
    sinks: bool = False


class LatentAttention(Record):
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1).

    Attributes:
        kv_lora_rank: width of the compressed keys and values.
        q_lora_rank: width of the compressed queries; absent when queries are not compressed (V2-Lite).
        qk_nope_dim, qk_rope_dim: per-head query/key width without and with rotary position.
        v_head_dim: per-head value width.
        indexer: chooses the keys, where not all are attended to.
    """

    kv_lora_rank: Width
    q_lora_rank: Width | None = None
    qk_nope_dim: Width
    qk_rope_dim: Width
    v_head_dim: Width
    indexer: Indexer | None = None


class Checkpoint(Record):
    """How published weights are stored, by class of linear layer; embedding, head, router and norms are 16-bit.

    Attributes:
        names: under which users ask for it where it is one of several, on one line; the first is shown.
        hf_id: its repository, where it is not the model's.
        weights: format of what is quantised.
        attention, mlp, experts, shared: format of one class, where it differs.
        group: weights in int4 that share a scale; absent: 128.
        wide_layers: first and last layers that are 16-bit as a whole.
        kv: format of the KV cache that the checkpoint asks for.
        source: where this stands.
    """

    names: tuple[Text, ...] = ()
    hf_id: Text | None = None
    weights: WeightType
    attention: WeightType | None = None
    mlp: WeightType | None = None
    experts: WeightType | None = None
    shared: WeightType | None = None
    group: Width | None = None
    wide_layers: Whole = 0
    kv: KvType | None = None
    source: Text

    def format(self, module: Module) -> WeightType:
        """Of one class of linear layer."""
        if module == "router":
            return "bf16"
        own: WeightType | None = getattr(self, module)
        return own or self.weights


class Model(Profile):
    """One transformer decoder.

    Attributes:
        hf_id: Hugging Face repository, when there is one.
        family: name of the architecture (Hugging Face `model_type` where it has one).
        layers, hidden, ffn, heads, kv_heads, head_dim, vocab: L, h, f, a, g, d, V of docs/notation.md.
        mlp: "glu" has three matrices (gate, up, down); "gelu", "relu" and "relu2" have two.
        bias: which linear layers carry a bias.
        norm: "rmsnorm" has one vector of h, "layernorm" two.
        norms: of a layer with two parts; 4: a second one stands behind each part (Gemma 2).
        qk_norm: queries and keys are normed per head, with head_dim weights each (Qwen3, Gemma 3, GLM-4.5).
        qk_norm_wide: over all heads at once, with heads*head_dim and kv_heads*head_dim weights (OLMo 2, MiniMax-M2).
        output_gate: attention's output is gated, by as many further query columns (Qwen3-Next).
        sinks: each softmax has one more learned logit per head (gpt-oss).
        dropout: trained with dropout (its masks are kept for the backward pass).
        value_dim: width of a head's values, where it is not head_dim.
        keys_are_values: layers without the window have no product for values; keys serve as such (Gemma 4).
        window: sliding attention window in tokens, absent for full attention; windowed: shape of attention behind it.
        mtp_layers: layers behind the last that each predict one token more, where they are trained (DeepSeek-V3: 1).
        window_every: one layer in `window_every` is full attention, the others use the window; 0: all use it.
        pattern: one letter a layer, repeated to the last: * attention, W with the window, M state space, G delta rule,
            L lightning, S Mamba-1, C short convolution, H attention and state space side by side, _ no mixer. With
            letters - (feed-forward) and E (experts), each letter is a layer of one part, else a feed-forward part
            stands behind each mixer.
        ffns: width of each layer's dense part, where they differ, repeated to the last; 0: it has none.
        state_space, delta_rule, lightning, selective_scan: the shapes behind the letters.
        short_convolution: tokens that it spans.
        tower: the vision encoder before it and its projectors, which the count includes.
        text_only: encoders of images or sound stand before it and are neither in the shape nor in the count.
        parameters: published total, for checking; parameters_active: published per token.
        checkpoint: how the weights under `hf_id` are stored; absent: in 16 bit.
        checkpoints: further published weights, found by their names.
    """

    hf_id: str | None = None
    family: str
    layers: Layers
    hidden: Width
    ffn: Width
    heads: Heads
    kv_heads: Heads
    head_dim: Width
    vocab: Vocabulary
    tied_embeddings: bool
    context: Tokens
    mlp: Literal["glu", "gelu", "relu", "relu2"]
    bias: Literal["none", "qkv", "all"] = "none"
    norm: Literal["rmsnorm", "layernorm"] = "rmsnorm"
    norms: Literal[2, 4] = 2
    qk_norm: bool = False
    qk_norm_wide: bool = False
    output_gate: bool = False
    sinks: bool = False
    position: Literal["rope", "learned", "alibi", "none"] = "rope"
    dropout: bool = False
    mtp_layers: Whole = 0
    value_dim: Width | None = None
    keys_are_values: bool = False
    window: Tokens | None = None
    windowed: Windowed | None = None
    window_every: Whole = 0
    moe: MixtureOfExperts | None = None
    mla: LatentAttention | None = None
    pattern: str | None = Field(default=None, pattern=r"^[*WMGLSCHE_-]{1,1000}$")
    ffns: tuple[Whole, ...] = ()
    state_space: StateSpace | None = None
    delta_rule: DeltaRule | None = None
    lightning: Lightning | None = None
    selective_scan: SelectiveScan | None = None
    short_convolution: Positive | None = None
    tower: Tower | None = None
    text_only: bool = False
    parameters: Count | None = None
    parameters_active: Count | None = None
    checkpoint: Checkpoint | None = None
    checkpoints: tuple[Checkpoint, ...] = ()

    def published(self, asked: Callable[[str], bool]) -> "Model":
        """The model with the weights that some name asks for; with its own where none does."""
        for found in self.checkpoints:
            if any(asked(name) or asked(name.rpartition("/")[2]) for name in found.names):
                changes = {"name": found.names[0], "hf_id": found.hf_id, "checkpoint": found, "checkpoints": ()}
                return self.model_copy(update=changes)
        return self

    @model_validator(mode="after")
    def _shape_is_consistent(self) -> "Model":
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
        if self.moe and self.moe.dense_layers > self.layers:
            raise ValueError(f"moe.dense_layers {self.moe.dense_layers} exceeds layers {self.layers}")
        return self

    @model_validator(mode="after")
    def _each_layer_has_a_width(self) -> "Model":
        if len(self.ffns) > self.layers:
            raise ValueError(f"ffns has {len(self.ffns)} widths for {self.layers} layers")
        if self.windowed and self.windowed.heads % self.windowed.kv_heads:
            raise ValueError(f"windowed.heads {self.windowed.heads} is not a multiple of {self.windowed.kv_heads}")
        if "H" in (self.pattern or "") and self.mla:
            raise ValueError("pattern has H, and mla stands for latent attention")
        return self

    @model_validator(mode="after")
    def _letters_have_shapes(self) -> "Model":
        shapes = {"M": "state_space", "G": "delta_rule", "L": "lightning", "W": "window", "E": "moe"}
        shapes |= {"H": "state_space", "C": "short_convolution", "S": "selective_scan"}
        for letter, key in shapes.items():
            if letter in (self.pattern or "") and getattr(self, key) is None:
                raise ValueError(f"pattern has {letter}, and {key} is missing")
        return self

    @model_validator(mode="after")
    def _wide_layers_exist(self) -> "Model":
        for found in (self.checkpoint, *self.checkpoints):
            if found is not None and found.wide_layers > self.layers:
                raise ValueError(f"checkpoint.wide_layers {found.wide_layers} exceeds layers {self.layers}")
        return self
