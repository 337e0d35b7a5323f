"""Every check of Megatron-LM: a command line that obeys all, and one change that breaks just the one."""

from __future__ import annotations

import pytest

from planner.errors import PlannerError
from planner.launch.shell import read_arguments
from planner.read.megatron import read_megatron
from planner.read.megatron_rules import PAIRS, PARALLEL, SWITCHES
from planner.read.options import known_options, read_options
from planner.read.reading import Reading

BASE = {
    "num-layers": "32",
    "hidden-size": "4096",
    "ffn-hidden-size": "14336",
    "num-attention-heads": "32",
    "group-query-attention": "",
    "num-query-groups": "8",
    "seq-length": "4096",
    "max-position-embeddings": "4096",
    "vocab-size": "128256",
    "tensor-model-parallel-size": "4",
    "pipeline-model-parallel-size": "4",
    "context-parallel-size": "1",
    "sequence-parallel": "",
    "micro-batch-size": "1",
    "global-batch-size": "64",
    "bf16": "",
    "swiglu": "",
    "disable-bias-linear": "",
}
"""Llama 3 8B, tp = 4, pp = 4 on 32 GPUs: dp = 2, m = 32."""

MXFP8 = {"fp8_format": "e4m3", "fp8_recipe": "mxfp8"}
MOE = {"num-experts": "8", "moe-router-topk": "2", "moe-ffn-hidden-size": "14336"}
SHARED = MOE | {"moe_shared_expert_intermediate_size": "14336"}


def flags(**changes: str | None) -> str:
    """BASE with changes; None takes an option away, underscores are dashes."""
    options = BASE | {name.replace("_", "-"): value for name, value in changes.items()}
    return " ".join(f"--{name} {value}".strip() for name, value in options.items() if value is not None)


def read(text: str, world: int = 32, connections: str = "1") -> Reading:
    """As from a script that exports CUDA_DEVICE_MAX_CONNECTIONS."""
    options = read_options(read_arguments(text).words, known_options("megatron"))
    return read_megatron(options, world, {"CUDA_DEVICE_MAX_CONNECTIONS": connections})


def test_base_obeys_everything() -> None:
    """No problem, and the numbers of the run."""
    found = read(flags())
    assert not found.problems
    assert {k: found.plan[k] for k in ("tp", "pp", "dp", "m", "sp")} == {"tp": 4, "pp": 4, "dp": 2, "m": 32, "sp": 1}


BREAKS: list[tuple[str, dict[str, str | None]]] = [
    ("world", {"pipeline_model_parallel_size": "16", "tensor_model_parallel_size": "4"}),
    ("instances", {"num_distributed_optimizer_instances": "4"}),
    ("heads", {"num_attention_heads": "6", "num_query_groups": "2", "hidden_size": "4096", "kv_channels": "128"}),
    ("kv_heads", {"num_query_groups": "6", "num_attention_heads": "36", "kv_channels": "128"}),
    ("widths", {"ffn_hidden_size": "14338"}),
    ("sequence_parallel", {"seq_length": "4098", "max_position_embeddings": "4098"}),
    ("context_parallel", {"context_parallel_size": "2", "seq_length": "4098", "max_position_embeddings": "4098"}),
    ("hierarchical_context", {"cp_comm_type": "a2a+p2p"}),
    ("context_kinds", {"context_parallel_size": "2", "cp_comm_type": "p2p a2a"}),
    ("positions", {"max_position_embeddings": "2048"}),
    (
        "one_virtual_option",
        {"num_virtual_stages_per_pipeline_rank": "2", "num_layers_per_virtual_pipeline_stage": "4"},
    ),
    ("layers", {"num_layers": "30"}),
    ("layers_per_virtual", {"num_layers_per_virtual_pipeline_stage": "3"}),
    ("virtual_stages", {"num_virtual_stages_per_pipeline_rank": "3"}),
    (
        "virtual_needs_pipeline",
        {
            "pipeline_model_parallel_size": "2",
            "num_virtual_stages_per_pipeline_rank": "2",
            "no_overlap_p2p_communication": "",
        },
    ),
    ("uneven_ends", {"decoder_first_pipeline_num_layers": "7"}),
    (
        "virtual_ends",
        {
            "pipeline_model_parallel_size": "2",
            "decoder_first_pipeline_num_layers": "16",
            "decoder_last_pipeline_num_layers": "16",
            "num_virtual_stages_per_pipeline_rank": "2",
        },
    ),
    ("one_placement", {"decoder_first_pipeline_num_layers": "8", "account_for_loss_in_pipeline_split": ""}),
    ("layout", {"pipeline_model_parallel_layout": "'Et*8|t*8|t*8|t*7L'"}),
    ("layout_predictions", {"pipeline_model_parallel_layout": "'Et*8|t*8|t*8m|t*8L'", "mtp_num_layers": "1"}),
    ("interleaved", {"num_virtual_stages_per_pipeline_rank": "2", "global_batch_size": "12"}),
    ("batch", {"global_batch_size": "63"}),
    ("dense", {"expert_model_parallel_size": "2"}),
    ("experts", MOE | {"expert_model_parallel_size": "3"}),
    ("experts_need_sp", MOE | {"sequence_parallel": None}),
    ("expert_bias", MOE | {"disable_bias_linear": None}),
    ("one_expert_softmax", MOE | {"moe_router_topk": "1"}),
    ("expert_overlap", MOE | {"overlap_moe_expert_parallel_comm": ""}),
    ("full_recompute", {"recompute_granularity": "full"}),
    ("selective_recompute", {"recompute_granularity": "selective", "recompute_modules": "mla_up_proj"}),
    (
        "delayed_recompute",
        MOE
        | {
            "moe_grouped_gemm": "",
            "recompute_granularity": "selective",
            "recompute_modules": "moe_act",
            "fp8_format": "hybrid",
        },
    ),
    (
        "graph_recompute",
        {
            "recompute_granularity": "full",
            "recompute_method": "uniform",
            "recompute_num_layers": "1",
            "cuda_graph_impl": "transformer_engine",
            "cuda_graph_scope": "attn",
        },
    ),
    ("graph_nan", {"cuda_graph_impl": "local", "cuda_graph_scope": "full_iteration"}),
    ("distributed_activations", {"distribute_saved_activations": ""}),
    ("tp_overlap", {"tp_comm_overlap": "", "sequence_parallel": None}),
    ("param_gather", {"overlap_param_gather": ""}),
    ("param_gather_with_step", {"overlap_param_gather_with_optimizer_step": ""}),
    ("param_gather_precision", {"fp8_param_gather": ""}),
    ("one_precision", {"fp16": ""}),
    ("one_low_precision", {"fp8_format": "hybrid", "fp4_format": "e2m1"}),
    ("delayed_scaling", {"fp8_format": "hybrid", "first_last_layers_bf16": ""}),
    ("fp4_weights", {"fp4_param_gather": ""}),
    ("position_embedding", {"no_position_embedding": "", "position_embedding_type": "none"}),
    ("main_gradients", {"main_grads_dtype": "bf16"}),
    ("optimizer_offload", {"optimizer_cpu_offload": ""}),
    ("precision_aware", {"use_precision_aware_optimizer": ""}),
    ("fine_grained_offload", {"fine_grained_activation_offloading": ""}),
    ("activation_offload", {"cpu_offloading_num_layers": "2"}),
    ("torch_fsdp2", {"use_torch_fsdp2": ""}),
    ("megatron_fsdp", {"use_megatron_fsdp": ""}),
    ("latent_groups", {"multi_latent_attention": ""}),
    ("one_data_source", {"mock_data": "", "data_path": "x"}),
    ("fp8_weights", {"fp8_param_gather": "", "use_distributed_optimizer": ""}),
    ("fp16_loss", {"fp16_lm_cross_entropy": ""}),
    ("saved", {"save": "x"}),
    ("padded_experts", MOE | {"moe_pad_expert_input_to_capacity": ""}),
    ("one_length", {"train_iters": "10", "lr_decay_samples": "10"}),
    ("one_length", {"train_samples": "10", "lr_warmup_iters": "10"}),
    ("aware_of_adam", {"optimizer": "muon", "use_precision_aware_optimizer": ""}),
    ("wide_gradients", {"accumulate_allreduce_grads_in_fp32": "", "main_grads_dtype": "bf16"}),
    ("wide_residuals", {"fp32_residual_connection": "", "bf16": None}),
    ("predictions_positions", {"mtp_num_layers": "1"}),
    ("local_attention", {"attention_backend": "local"}),
    ("offloaded_weights", {"optimizer_cpu_offload": "", "fp8_param_gather": "", **MXFP8}),
    ("whole_graph", {"cuda_graph_impl": "full_iteration"}),
    ("shared_overlap", SHARED | {"moe_shared_expert_overlap": ""}),
    ("dispatcher", MOE | {"moe_token_dispatcher_type": "alltoall_seq"}),
    ("flexible", MOE | {"moe_enable_deepep": "", "moe_token_dispatcher_type": "alltoall"}),
    (
        "padded_deepep",
        MOE | {"moe_token_dispatcher_type": "flex", "moe_pad_expert_input_to_capacity": ""},
    ),
    (
        "capacity_balance",
        MOE | {"moe_expert_capacity_factor": "1.0", "moe_router_load_balancing_type": "sinkhorn"},
    ),
    ("bias_scores", MOE | {"moe_router_enable_expert_bias": ""}),
    ("padded_routing", MOE | {"moe_router_padding_for_quantization": ""}),
    ("padded_for_fp8", MOE | MXFP8 | {"moe_router_padding_for_fp8": "", "moe_token_dispatcher_type": "allgather"}),
    ("routing_groups", MOE | {"moe_router_group_topk": "2", "moe_router_num_groups": "3"}),
    ("recomputed_modules", {"recompute_granularity": "selective", "recompute_modules": "attn"}),
    (
        "recomputed_in_delayed_scaling",
        {"recompute_granularity": "selective", "recompute_modules": "layernorm", "fp8_format": "hybrid"},
    ),
    (
        "recomputed_shared_experts",
        SHARED
        | {
            "recompute_granularity": "selective",
            "recompute_modules": "shared_experts",
            "moe_shared_expert_overlap": "",
            "moe_token_dispatcher_type": "alltoall",
        },
    ),
    ("offloaded_modules", {"fine_grained_activation_offloading": "", "offload_modules": "attn_proj"}),
    ("embedding_gradient", {"defer_embedding_wgrad_compute": "", "no_gradient_accumulation_fusion": ""}),
]


@pytest.mark.parametrize(("name", "changes"), BREAKS, ids=[name for name, _ in BREAKS])
def test_each_check_fires(name: str, changes: dict[str, str | None]) -> None:
    """Its message has the numbers, its option a line."""
    fsdp = bool({"use_torch_fsdp2", "use_megatron_fsdp"} & changes.keys())
    found = {p.rule: p for p in read(flags(**changes), connections="8" if fsdp else "1").problems}
    assert name in found
    assert "{" not in found[name].message and found[name].source


def test_all_checks_are_tried() -> None:
    """Those that need another cluster or environment have tests of their own."""
    others = {"expert_world", "connections", "graph_memory"}
    assert {check.name for check in (*PARALLEL, *SWITCHES, *PAIRS)} == {name for name, _ in BREAKS} | others


def test_instances_and_experts() -> None:
    """parallel_state.py: 32 GPUs over etp*ep*pp = 4*2*4 leave one rank for two instances, with etp = 1 four."""
    two = MOE | {"expert_model_parallel_size": "2", "num_distributed_optimizer_instances": "2"}
    assert any("parallel_state.py refuses 2" in note for note in read(flags(**two)).notes)
    assert not any("refuses" in note for note in read(flags(**two, expert_tensor_parallel_size="1")).notes)


def test_environment_decides() -> None:
    """tp > 1 wants one connection, FSDP more; segments that grow want NCCL without registered graphs."""
    assert [p.rule for p in read(flags(), connections="8").problems] == ["connections"]
    graphs = read_options(read_arguments(flags(cuda_graph_impl="transformer_engine")).words, known_options("megatron"))
    grows = {"CUDA_DEVICE_MAX_CONNECTIONS": "1", "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
    assert [p.rule for p in read_megatron(graphs, 32, grows).problems] == ["graph_memory"]
    assert not read_megatron(graphs, 32, grows | {"NCCL_GRAPH_REGISTER": "0"}).problems


def test_options_of_modelopt_are_megatrons() -> None:
    """pretrain_gpt.py takes them where nvidia-modelopt is installed: they are named, not refused."""
    found = read(f"{flags()} --enable-gpt-oss --export-force-local-attention")
    assert not found.problems
    assert {one.option for one in found.not_modelled} == {"--enable-gpt-oss", "--export-force-local-attention"}


def test_the_fused_loss_is_named_for_its_versions() -> None:
    """Transformer Engine's loss: 0.17 takes it, later parsers do not."""
    found = read(flags(cross_entropy_loss_fusion="", cross_entropy_fusion_impl="te"))
    assert [(one.option, one.touches) for one in found.not_modelled] == [("--cross-entropy-fusion-impl", ("legality",))]
    assert not read(flags(cross_entropy_loss_fusion="")).not_modelled


def test_local_graphs_beside_ep_are_named_for_their_versions() -> None:
    """0.17.1 asserts the padding that only inference uses (training/arguments.py), 0.18 does not."""

    def refused(**more: str) -> list[str]:
        found = read(flags(**MOE, cuda_graph_impl="local", cuda_graph_scope="attn", **more))
        return [one.option for one in found.not_modelled if one.touches == ("legality",)]

    assert refused(expert_model_parallel_size="2") == ["--cuda-graph-impl"]
    assert not refused(expert_model_parallel_size="1")
    assert not refused(expert_model_parallel_size="2", moe_pad_experts_for_cuda_graph_inference="")


def test_other_losses_are_named() -> None:
    """core/model_parallel_config.py has native and te."""
    found = read(flags(cross_entropy_loss_fusion="", cross_entropy_fusion_impl="linear"))
    assert [one.option for one in found.not_modelled] == ["--cross-entropy-fusion-impl"]


def test_experts_without_their_grouped_product_are_noted() -> None:
    """SequentialMLP of core/transformer/moe/experts.py runs one expert after the other."""
    said = [
        any("--moe-grouped-gemm" in n for n in read(flags(**MOE, **g)).notes) for g in ({}, {"moe_grouped_gemm": ""})
    ]
    assert said == [True, False]


def test_more_recomputed_layers_than_there_are() -> None:
    """Megatron-LM recomputes those that there are (core/transformer/transformer_block.py)."""
    found = read(flags(recompute_granularity="full", recompute_method="block", recompute_num_layers="9"))
    assert not found.problems and found.plan["recompute_layers"] == 8
    assert any("all 8 layers" in note for note in found.notes)


def test_muon_shards_by_layer() -> None:
    """dist_muon gathers parameters without the distributed optimizer."""
    gathers = {"overlap_param_gather": "", "overlap_grad_reduce": "", "optimizer": "dist_muon"}
    found = read(flags(**gathers))
    assert not found.problems and found.plan["zero"] == 1


def test_experts_over_more_ranks_than_there_are() -> None:
    """etp x ep x pp must divide the GPUs: 4 x 8 x 4 = 128 does not divide 32."""
    found = read(flags(**MOE, expert_model_parallel_size="8"))
    assert "expert_world" in [p.rule for p in found.problems]


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--tensor-model-paralel-size 8", "did you mean --tensor-model-parallel-size"),
        ("--no-bias-linear", "it is --disable-bias-linear now"),
        ("--my-own-fork 3", "an option of your own fork"),
    ],
)
def test_options_that_megatron_does_not_have(flag: str, says: str) -> None:
    """A typing mistake, an option of long ago, and somebody's own."""
    messages = [p.message for p in read(f"{flags()} {flag}").problems if p.rule == "unknown_option"]
    assert len(messages) == 1 and says in messages[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (flags(num_layers=None), "--num-layers is missing"),
        (flags(num_layers=None, hybrid_layer_pattern="M-M*-"), "layers of mixed kinds"),
        (flags(num_layers="many"), "wants a whole number, not 'many'"),
        (flags(micro_batch_size="0"), "must be positive"),
        (flags(num_layers="$LAYERS"), "nothing sets"),
        (flags(moe_layer_freq="[0]*999999999", **MOE), "no list expression"),
        (flags(moe_layer_freq="__import__('os')", **MOE), "no list expression"),
    ],
)
def test_what_makes_no_run(text: str, says: str) -> None:
    """One sentence each."""
    with pytest.raises(PlannerError, match=says.replace("'", ".")):
        read(text)


def test_defaults_are_megatrons() -> None:
    """ffn is 4*h, with SwiGLU int(8*h/3/64)*64; query groups are 1 unless counted (training/arguments.py)."""
    plain = read(flags(ffn_hidden_size=None, swiglu=None)).model
    gated = read(flags(ffn_hidden_size=None)).model
    multi = read(flags(num_query_groups=None)).model
    assert plain is not None and plain.ffn == 16384
    assert gated is not None and gated.ffn == int(8 * 4096 / 3 / 64) * 64 == 10880
    assert multi is not None and multi.kv_heads == 1
