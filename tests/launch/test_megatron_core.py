"""plan.py for Megatron-Core."""

from __future__ import annotations

import ast

import pytest

from planner.launch.megatron_core import TARGET
from planner.launch.program import Setup
from tests.launch.drawn import EXPERTS, broken, dense, draw, setup


def sets(wanted: Setup) -> dict[str, dict[str, str]]:
    """Keyword arguments by set, as text."""
    tree = ast.parse(TARGET.bare(TARGET.program(wanted)))
    calls = {ast.unparse(n.targets[0]): n.value for n in tree.body if isinstance(n, ast.Assign)}
    found = {}
    for name, call in calls.items():
        assert isinstance(call, ast.Call)
        found[name] = {str(word.arg): ast.unparse(word.value) for word in call.keywords}
    return found


def test_llama_70b() -> None:
    """Degrees, GQA, gated activation, padded vocabulary."""
    found = sets(setup("llama3-70b", "4x8xH100", seq=8192, batch=512, tp=4, pp=4, v=5, sp=1, zero=1))
    config = found["CONFIG"]
    assert config["virtual_pipeline_model_parallel_size"] == "5"
    assert (config["num_query_groups"], config["kv_channels"]) == ("8", "128")
    assert (config["gated_linear_unit"], config["activation_func"]) == ("True", "F.silu")
    assert (config["bf16"], config["pipeline_dtype"]) == ("True", "torch.bfloat16")
    assert found["MODEL"]["vocab_size"] == "128512"
    assert found["GRADIENTS"]["use_distributed_optimizer"] == "True"
    assert found["BATCH"]["num_microbatches"] == "256"


def test_uneven_ends_and_layout() -> None:
    """The same three ways as on the command line."""
    ends = sets(setup(dense(layers=14), "8xA100", pp=4))["CONFIG"]
    assert (ends["num_layers_in_first_pipeline_stage"], ends["num_layers_in_last_pipeline_stage"]) == ("3", "3")
    layout = sets(setup(dense(layers=15), "8xA100", pp=4, v=2, zero=1))["CONFIG"]
    assert layout["pipeline_model_parallel_layout"].startswith("'Et")
    assert layout["virtual_pipeline_model_parallel_size"] == "2"


def test_experts_and_latent_attention() -> None:
    """Fields of their own; the configuration's class follows the attention."""
    wanted = setup("deepseek-v3", "64x8xH100", batch=4096, tp=2, pp=16, sp=1, ep=8, zero=1)
    found = sets(wanted)
    assert found["CONFIG"]["moe_layer_freq"] == "[0] * 3 + [1] * 58"
    assert found["CONFIG"]["kv_lora_rank"] == "512"
    assert found["GROUPS"]["expert_model_parallel_size"] == "8"
    assert "MLATransformerConfig(**CONFIG)" in TARGET.bare(TARGET.program(wanted))


def test_recomputation_and_sharding() -> None:
    """Block recomputation; Megatron-FSDP and the variable that it must not see."""
    wanted = setup(dense(), "8xA100", tp=2, zero=3, recompute_layers=5)
    found = sets(wanted)
    assert found["CONFIG"]["recompute_method"] == "'block'"
    assert found["GRADIENTS"]["data_parallel_sharding_strategy"] == "'optim_grads_params'"
    assert TARGET.program(wanted).unset == ("CUDA_DEVICE_MAX_CONNECTIONS",)


def test_offload() -> None:
    """Needs the precision-aware optimizer."""
    wanted = setup(dense(), "8xA100", zero=1, offload="optimizer")
    assert sets(wanted)["OPTIMIZER"]["use_precision_aware_optimizer"] == "True"
    assert broken(TARGET, setup(dense(), "8xA100", offload="optimizer")) == ["megatron_offload"]


def test_offloaded_activations() -> None:
    """Of the layers that are asked for."""
    found = sets(setup(dense(), "8xA100", zero=1, offload="activations", offload_layers=7))
    assert found["CONFIG"]["cpu_offloading"] == "True" and found["CONFIG"]["cpu_offloading_num_layers"] == "7"


@pytest.mark.parametrize("wanted", draw(TARGET, "megatron-core"), ids=lambda s: str(s.plan.degrees.values()))
def test_drawn_plans(wanted: Setup) -> None:
    """It is Python, and its degrees make the world."""
    plan, found = wanted.plan, sets(wanted)
    groups = {name: ast.literal_eval(value) for name, value in found["GROUPS"].items()}
    sizes = ("tensor_model_parallel_size", "pipeline_model_parallel_size", "context_parallel_size")
    assert groups[sizes[0]] * groups[sizes[1]] * groups[sizes[2]] * plan.dp == wanted.job.cluster.gpus
    assert ("virtual_pipeline_model_parallel_size", plan.v if plan.v > 1 else None) in groups.items()


def test_experts_without_latent_attention() -> None:
    """Mixtral-like."""
    found = sets(setup(dense(moe=EXPERTS), "8xA100", ep=4))["CONFIG"]
    assert (found["num_moe_experts"], found["moe_router_topk"], found["moe_ffn_hidden_size"]) == ("4", "2", "1024")
