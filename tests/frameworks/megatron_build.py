"""Megatron-core's own model of one rank, on the meta device, over torch's fake process group (worker's side)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from unittest import mock

from tests.frameworks.serve import stage

ORDERS = {False: "tp-cp-ep-dp-pp", True: "tp-cp-ep-pp-dp"}
"""Of ranks, without and with --use-tp-pp-dp-mapping (training/initialize.py)."""

BUILD = {"sequence_parallel": False, "gradient_accumulation_fusion": False, "persist_layer_norm": False}
"""Off while building: they need Transformer Engine or Apex, and change no parameter."""


@contextlib.contextmanager
def groups(layout: Mapping[str, Any], rank: int) -> Iterator[None]:
    """All process groups of one rank of a large job, in this one process. Raises where the degrees do not fit."""
    import torch.distributed as dist
    from megatron.core import parallel_state
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", rank=rank, world_size=layout["world"], store=FakeStore())
    try:
        with stage("initialize"):
            parallel_state.initialize_model_parallel(
                tensor_model_parallel_size=layout["tp"],
                pipeline_model_parallel_size=layout["pp"],
                virtual_pipeline_model_parallel_size=layout["vp"] if layout["vp"] > 1 else None,
                context_parallel_size=layout["cp"],
                expert_model_parallel_size=layout["ep"],
                expert_tensor_parallel_size=layout["etp"],
                num_distributed_optimizer_instances=layout["instances"],
                order=ORDERS[layout["pp_before_dp"]],
                create_gloo_process_groups=False,
            )
        yield
    finally:
        parallel_state.destroy_model_parallel()
        dist.destroy_process_group()


def config_of(shape: Mapping[str, Any], layout: Mapping[str, Any]) -> Any:
    """Megatron's TransformerConfig of plain numbers."""
    import torch
    from megatron.core.transformer import TransformerConfig

    fields: dict[str, Any] = {
        "num_layers": shape["layers"],
        "hidden_size": shape["hidden"],
        "num_attention_heads": shape["heads"],
        "num_query_groups": shape["kv_heads"],
        "kv_channels": shape["head_dim"],
        "ffn_hidden_size": shape["ffn"],
        "gated_linear_unit": shape["gated"],
        "activation_func": torch.nn.functional.silu if shape["gated"] else torch.nn.functional.gelu,
        "add_bias_linear": shape["bias"],
        "add_qkv_bias": shape["qkv_bias"],
        "normalization": shape["norm"],
        "qk_layernorm": shape["qk_norm"],
    }
    if shape["experts"]:
        fields |= {"num_moe_experts": shape["experts"], "moe_router_topk": shape["top_k"]}
        fields |= {"moe_ffn_hidden_size": shape["expert_ffn"], "moe_layer_freq": shape["expert_layers"]}
        fields |= {"moe_shared_expert_intermediate_size": shape["shared_ffn"]}
    return TransformerConfig(**fields, **_degrees(layout))


def _degrees(layout: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    fields = {
        "tensor_model_parallel_size": layout["tp"],
        "pipeline_model_parallel_size": layout["pp"],
        "virtual_pipeline_model_parallel_size": layout["vp"] if layout["vp"] > 1 else None,
        "context_parallel_size": layout["cp"],
        "expert_model_parallel_size": layout["ep"],
        "expert_tensor_parallel_size": layout["etp"],
        "num_layers_in_first_pipeline_stage": layout["first"],
        "num_layers_in_last_pipeline_stage": layout["last"],
        "pipeline_model_parallel_layout": layout["stages"],
        "account_for_embedding_in_pipeline_split": layout["count_embedding"],
        "account_for_loss_in_pipeline_split": layout["count_loss"],
        "pipeline_dtype": torch.bfloat16 if layout["pp"] > 1 else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def parameters(config: Any, model: Mapping[str, Any], chunks: int) -> list[int]:
    """Parameters of each model chunk of the rank whose groups are open."""
    import torch

    for name, value in BUILD.items():
        setattr(config, name, value)
    config.use_cpu_initialization, config.perform_initialization = True, False
    moved = mock.patch.object(torch.Tensor, "cuda", lambda tensor: tensor)
    device = mock.patch.object(torch.cuda, "current_device", lambda: "meta")
    with stage("build"), torch.device("meta"), moved, device, _latent(config):
        return [_chunk(config, model, chunk if chunks > 1 else None) for chunk in range(chunks)]


@contextlib.contextmanager
def _latent(config: Any) -> Iterator[None]:
    """Latent attention as Transformer Engine has it, which needs a device: a core without parameters, `Copied`."""
    import torch
    from megatron.core.transformer import multi_latent_attention
    from megatron.core.transformer.dot_product_attention import DotProductAttention

    def bare(core: Any, *args: Any, **options: Any) -> None:
        torch.nn.Module.__init__(core)

    if not getattr(config, "multi_latent_attention", False):
        yield
        return
    core = mock.patch.object(DotProductAttention, "__init__", bare)
    with core, mock.patch.object(multi_latent_attention, "TELinear", _copied()):
        yield


@cache
def _copied() -> type:
    """Stands for TELinear with parallel_mode="duplicated": the whole matrix on every tensor-parallel rank."""
    import torch

    class Copied(torch.nn.Module):
        def __init__(self, inputs: int, outputs: int, *args: Any, **options: Any) -> None:
            super().__init__()
            assert options["parallel_mode"] == "duplicated"
            self.weight = torch.nn.Parameter(torch.empty(outputs, inputs))

    return Copied


def _down_projections(layers: list[Any]) -> None:
    """The local specification splits what Transformer Engine's copies."""
    for layer in layers:
        attention = layer.submodules.self_attention.submodules
        for name in ("linear_q_down_proj", "linear_kv_down_proj"):
            setattr(attention, name, _copied())


def _chunk(config: Any, model: Mapping[str, Any], chunk: int | None) -> int:
    from megatron.core import parallel_state
    from megatron.core.models.gpt import GPTModel
    from megatron.core.models.gpt import gpt_layer_specs as specs

    spec = specs.get_gpt_decoder_block_spec(config, False, normalization=config.normalization, vp_stage=chunk)
    last = specs.get_gpt_decoder_layer_specs(config, False, config.normalization)[-1]
    if getattr(config, "multi_latent_attention", False):
        _down_projections([*spec.layer_specs, last])
    predictions = specs.get_gpt_mtp_block_spec(config, last, False, vp_stage=chunk) if config.mtp_num_layers else None
    where: dict[str, Any] = {"ignore_virtual": chunk is None, "vp_stage": chunk}
    built = GPTModel(
        config,
        spec,
        mtp_block_spec=predictions,
        vocab_size=model["padded_vocab"],
        max_sequence_length=model["positions"],
        position_embedding_type=model["position_embedding"],
        share_embeddings_and_output_weights=model["tied"],
        pre_process=parallel_state.is_pipeline_first_stage(**where),
        post_process=parallel_state.is_pipeline_last_stage(**where),
        vp_stage=chunk,
    )
    return sum(weight.numel() for weight in built.parameters())


def layers(config: Any, pp: int, vp: int) -> list[list[int]]:
    """Layers of each chunk of each pipeline rank."""
    from megatron.core.transformer.enums import LayerType
    from megatron.core.transformer.transformer_block import get_num_layers_to_build

    layout = getattr(config, "pipeline_model_parallel_layout", None)

    def count(rank: int, chunk: int | None) -> int:
        if layout is not None:
            return int(layout.layout[rank][chunk or 0].count(LayerType.decoder))
        return int(get_num_layers_to_build(config, vp_stage=chunk, pp_rank=rank))

    with stage("build"):
        return [[count(rank, chunk if vp > 1 else None) for chunk in range(vp)] for rank in range(pp)]


def rank_groups(layout: Mapping[str, Any], token: str, expert: bool) -> list[list[int]]:
    """Megatron's rank groups: of the dense part, or of the experts."""
    from megatron.core.parallel_state import RankGenerator

    etp = layout["tp"] if layout["etp"] is None else layout["etp"]
    tp, cp, ep = (etp, 1, layout["ep"]) if expert else (layout["tp"], layout["cp"], 1)
    with stage("initialize"):
        inside = tp * cp * ep * layout["pp"]
        if layout["world"] % inside:
            raise ValueError(f"{layout['world']} ranks are no multiple of {inside}")
        sizes: dict[str, Any] = {"tp": tp, "ep": ep, "cp": cp, "pp": layout["pp"], "dp": layout["world"] // inside}
        return [list(group) for group in RankGenerator(**sizes, order=ORDERS[layout["pp_before_dp"]]).get_ranks(token)]
