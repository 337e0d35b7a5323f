"""Megatron-LM: flags, placement of layers, parameters per rank."""

from __future__ import annotations

from typing import Any

import pytest

from planner.errors import PlannerError
from planner.launch import megatron_bridge, megatron_core
from planner.launch.megatron import TARGET, layer_frequency
from planner.launch.megatron_layout import placement_flags, read_layout
from planner.launch.program import Program, Setup, flag_lines
from planner.launch.targets import refusal
from planner.plan import Plan
from planner.schema.model import MixtureOfExperts, Model
from planner.stages import letters_of
from planner.training.layouts import layout_string
from tests import jobs
from tests.jobs import rank_parameters


def program(model: str, cluster: str, *, batch: int = 64, seq: int = 4096, workload: dict[str, str] | None = None,
            **degrees: int) -> Program:  # fmt: skip
    """One plan as Megatron-LM's program."""
    job = jobs.job(model, cluster, seq=seq, batch=batch, **(workload or {}))
    plan = Plan(**degrees, schedule="interleaved" if degrees.get("v", 1) > 1 else "1f1b")
    return TARGET.program(Setup(job, plan))


def test_flags_of_a_dense_model() -> None:
    """One flag per line; grouped queries, RMSNorm, no biases, no dropout; degrees, recomputation, batch."""
    found = program("llama3-8b", "2x8xA100", tp=2, pp=4, v=2, dp=2, b=1, m=32, sp=1, zero=1, recompute_layers=4)
    lines = flag_lines(found).splitlines()
    for line in (
        "--num-query-groups 8",
        "--group-query-attention",
        "--ffn-hidden-size 14336",
        "--normalization RMSNorm",
        "--swiglu",
        "--disable-bias-linear",
        "--untie-embeddings-and-output-weights",
        "--hidden-dropout 0.0",
        "--tensor-model-parallel-size 2",
        "--num-virtual-stages-per-pipeline-rank 2",
        "--sequence-parallel",
        "--use-distributed-optimizer",
        "--recompute-method uniform",
        "--global-batch-size 64",
    ):
        assert line in lines
    assert found.environment == {"CUDA_DEVICE_MAX_CONNECTIONS": "1"}


def test_defaults_of_gpt_are_not_repeated() -> None:
    """GPT-3 has Megatron's own defaults: biases, LayerNorm, tied embeddings, learned positions."""
    lines = flag_lines(program("gpt3-175b", "8x8xA100", tp=8, pp=8, b=1, m=64)).splitlines()
    for absent in ("--disable-bias-linear", "--normalization", "--untie-embeddings-and-output-weights", "--swiglu"):
        assert not any(line.startswith(absent) for line in lines)
    assert "--position-embedding-type learned_absolute" in lines


def test_fsdp_wants_other_connections() -> None:
    """ZeRO-3 is Megatron-FSDP, which refuses CUDA_DEVICE_MAX_CONNECTIONS=1."""
    found = program("llama3-8b", "8xA100", dp=8, b=1, m=8, zero=3)
    lines = flag_lines(found).splitlines()
    assert "--data-parallel-sharding-strategy optim_grads_params" in lines and "--ckpt-format fsdp_dtensor" in lines
    assert found.environment == {} and found.unset == ("CUDA_DEVICE_MAX_CONNECTIONS",)


@pytest.mark.parametrize("modules", [("core_attn", "moe_act"), ("expert_fc1",)])
def test_inputs_of_modules_in_the_host(modules: tuple[str, ...]) -> None:
    """Written as they are read."""
    job = jobs.job("mixtral-8x7b", "8xH100", seq=4096, batch=64, offload="activations", offload_modules=modules)
    setup = Setup(job, Plan(ep=8, dp=8, b=1, m=8, zero=1))
    lines = flag_lines(TARGET.program(setup)).splitlines()
    assert f"--offload-modules {' '.join(modules)}" in " ".join(line.strip(" \\") for line in lines)
    assert refusal(TARGET, setup) is None


def test_activations_in_the_host() -> None:
    """Of as many layers as are asked for, else of all but the last."""
    for layers, written in ((12, 12), (0, 31)):
        job = jobs.job("llama3-8b", "8xA100", seq=4096, batch=64, offload="activations", offload_layers=layers)
        lines = flag_lines(TARGET.program(Setup(job, Plan(dp=8, b=1, m=8, zero=1)))).splitlines()
        assert any(f"--cpu-offloading-num-layers {written}" in line for line in lines)


@pytest.mark.parametrize(
    ("degrees", "workload", "rule"),
    [
        ({"pp": 2, "dp": 4, "zero": 3}, {}, "megatron_fsdp_pipeline"),
        ({"dp": 8}, {"optimizer": "adam-8bit"}, "megatron_optimizer"),
        ({"dp": 8}, {"method": "lora"}, "megatron_method"),
        ({"dp": 8, "zero": 0}, {"offload": "optimizer"}, "megatron_offload"),
        ({"dp": 8, "recompute_layers": 32}, {"offload": "activations"}, "megatron_activations"),
        ({"dp": 8}, {"offload": "activations", "offload_layers": 32}, "megatron_activations"),
        ({"dp": 8}, {"offload": "activations", "offload_modules": ("attn_proj",)}, "megatron_offload_modules"),
    ],
)
def test_refusals(degrees: dict[str, int], workload: dict[str, Any], rule: str) -> None:
    """What Megatron-LM cannot express is named, not written."""
    job = jobs.job("llama3-8b", "8xA100", seq=4096, batch=64, **workload)
    found = refusal(TARGET, Setup(job, Plan(**degrees, b=1, m=8)))
    assert found is not None and found.name == rule


@pytest.mark.parametrize(
    ("degrees", "workload", "rule"),
    [
        ({"modules": ("moe_act",)}, {"precision": "fp8"}, "megatron_recompute_delayed"),
        ({"modules": ("moe_act",)}, {"precision": "fp8-current"}, None),
        ({"recompute_layers": 32}, {"graphs": "partial"}, "megatron_graphs"),
        ({"modules": ("moe",)}, {"graphs": "partial"}, "megatron_graphs"),
        ({"recompute_layers": 32}, {"graphs": "full"}, None),
        ({"tp": 2, "dp": 8}, {}, "experts_need_sp"),
        ({"tp": 2, "dp": 8, "sp": 1}, {}, None),
    ],
)
def test_what_its_configuration_refuses(degrees: dict[str, Any], workload: dict[str, Any], rule: str | None) -> None:
    """Beside scales of earlier steps, around graphs; of experts with tp (core/transformer/transformer_config.py)."""
    job = jobs.job("mixtral-8x7b", "2x8xH100", seq=4096, batch=64, **workload)
    found = refusal(TARGET, Setup(job, Plan(**{"dp": 16, "ep": 8, "b": 1, "m": 4, "zero": 1} | degrees)))
    assert (found.name if found else None) == rule


def test_placement_takes_the_plainest_way() -> None:
    """Even: nothing or the number of stages; one layer less on both ends: two flags; chunks without layers: a string.

    126 layers on 16 ranks: Llama 3 405B (arXiv:2407.21783, section 3.3.2).
    """
    assert placement_flags(of(80), Plan(pp=4)) == []
    assert placement_flags(of(80), Plan(pp=4, v=5)) == [("--num-virtual-stages-per-pipeline-rank", "5")]
    ends = [("--decoder-first-pipeline-num-layers", "7"), ("--decoder-last-pipeline-num-layers", "7")]
    assert placement_flags(of(126), Plan(pp=16)) == ends
    layout = placement_flags(of(126), Plan(pp=16, v=8))[0][1]
    assert layout.startswith("E|(t|)*") and layout.endswith("L") and layout_string(read_layout(layout)) == layout
    assert "".join(read_layout(layout)).count("t") == 126


def test_a_given_layout_is_written_back() -> None:
    """DeepSeek-V3 on 8 ranks of 4 chunks, with and without its prediction, and that on a stage before the head's."""
    for text, predictions in (("Et|(tt|)*30mL", 1), ("Et|(tt|)*30L", 0)):
        plan = Plan(pp=8, v=4, layout=read_layout(text))
        assert placement_flags(of(61, predictions), plan) == [("--pipeline-model-parallel-layout", text)]
    assert placement_flags(of(61), Plan(pp=8, v=4)) == [("--pipeline-model-parallel-layout", "Et|(tt|)*30L")]
    moved = Plan(pp=4, layout=("Ettt", "ttt", "tm", "L"))
    assert placement_flags(of(7, 1), moved) == [("--pipeline-model-parallel-layout", "Ettt|(ttt|)*1(tm|)*1L")]


def of(layers: int, predictions: int = 0) -> Model:
    """A model of so many layers."""
    return jobs.model("llama3-8b").model_copy(update={"layers": layers, "mtp_layers": predictions})


@pytest.mark.parametrize(("layers", "p", "v", "head"), [(126, 16, 8, 0), (16, 4, 1, 4), (61, 8, 2, 0), (30, 7, 1, 2)])
def test_layout_string_reads_back(layers: int, p: int, v: int, head: int) -> None:
    """All ranks' first chunks come before their second ones."""
    if v > 1 and -(-layers // (p * v)) * p * v - layers > 2:
        pytest.skip("more than the end chunks would be short")
    stages = letters_of(layers, 0, Plan(pp=p, v=v, head=head))
    assert read_layout(layout_string(stages)) == stages


@pytest.mark.parametrize("text", ["Ett|tx|L", "E(t|)*999999L", "E" + "t*99999" * 3])
def test_broken_layouts_are_refused(text: str) -> None:
    """Unknown letters and endless repetitions."""
    with pytest.raises(PlannerError, match=r"none of|more stages"):
        read_layout(text)


def test_megatrons_own_example_of_a_layout() -> None:
    """core/transformer/pipeline_parallel_layer_layout.py: "Ettt|(tt|)*29,m|L" is 3, 29 times 2, 0 and 0 layers."""
    assert read_layout("Ettt|(tt|)*29,m|L") == ("Ettt", *["tt"] * 29, "m", "L")


def test_which_layers_have_experts() -> None:
    """Three dense layers first; or one layer in two."""
    assert layer_frequency(61, MixtureOfExperts(experts=256, top_k=8, ffn=2048, dense_layers=3)) == "([0]*3+[1]*58)"
    assert layer_frequency(5, MixtureOfExperts(experts=8, top_k=1, ffn=64, every=2)) == "([1,0]*2+[1])"


@pytest.mark.parametrize(
    ("model", "plan", "rank", "expected"),
    [
        ("llama3-8b", Plan(tp=8, pp=4, v=2), 0, [175144960, 109084672]),
        ("llama3-8b", Plan(tp=8, pp=4, v=2), 3, [109084672, 175149056]),
        ("llama3-70b", Plan(tp=8, pp=4, v=5), 0, [560005120, 427884544, 427884544, 427884544, 427884544]),
        ("llama3-70b", Plan(tp=8, pp=4, v=5), 3, [427884544, 427884544, 427884544, 427884544, 560013312]),
    ],
)
def test_parameters_per_rank(model: str, plan: Plan, rank: int, expected: list[int]) -> None:
    """As GPTModel of megatron-core 0.16.1 counted them on the meta device."""
    assert rank_parameters(jobs.model(model), plan, rank) == expected


@pytest.mark.parametrize("name", ["llama3-8b", "gpt3-13b", "qwen2.5-7b", "mixtral-8x7b", "deepseek-v3"])
def test_ranks_add_up_to_the_model(name: str) -> None:
    """Without padding, tensor and expert parallelism the ranks of a pipeline hold the model, a tied head once more."""
    from planner.blocks.counts import parameters
    from planner.blocks.ends import padded_vocabulary

    model = jobs.model(name)
    total = sum(sum(rank_parameters(model, Plan(pp=4, head=0), rank)) for rank in range(4))
    padding = int(padded_vocabulary(model.vocab, 1)) - model.vocab
    copies = padding * model.hidden * 2 + (model.vocab * model.hidden if model.tied_embeddings else 0)
    assert total == parameters(model).total + copies


@pytest.mark.parametrize(
    ("optimizer", "flags"),
    [
        ("adam-bf16-moments", "--use-precision-aware-optimizer --exp-avg-dtype bf16 --exp-avg-sq-dtype bf16"),
        ("muon", "--optimizer muon"),
    ],
)
def test_optimizers_are_megatrons(optimizer: str, flags: str) -> None:
    """training/arguments.py: formats of moments are the precision-aware optimizer's; Muon is named."""
    found = program("llama3-8b", "8xA100", workload={"optimizer": optimizer}, dp=8, b=1, m=8, zero=1)
    assert flags in " ".join(flag_lines(found).split())


def test_muon_is_not_fsdps() -> None:
    """training/arguments.py, "Emerging optimizer does not support Megatron-FSDP"."""
    of = jobs.job("llama3-8b", "8xA100", seq=4096, batch=64, optimizer="muon")
    rule = refusal(TARGET, Setup(of, Plan(dp=8, b=1, m=8, zero=3, schedule="1f1b")))
    assert rule is not None and rule.name == "megatron_optimizer_sharding"


def test_a_graph_of_the_whole_iteration_looks_for_no_nan() -> None:
    """Megatron-LM asserts it (training/arguments.py); Bridge has two fields for it, and wants its own generator."""
    plan = {"tp": 1, "pp": 2, "dp": 4, "b": 1, "m": 16, "zero": 1}
    found = program("llama3-8b", "8xH100", workload={"graphs": "full"}, **plan)
    assert ("--no-check-for-nan-in-loss-and-grad",) in found.flags
    job = jobs.job("llama3-8b", "8xH100", seq=4096, batch=64, graphs="full")
    words = {flag[0] for flag in megatron_bridge.TARGET.program(Setup(job, Plan(**plan))).flags}
    assert {
        "rerun_state_machine.check_for_nan_in_loss=false",
        "ddp.check_for_nan_in_grad=false",
        "model.use_te_rng_tracker=true",
    } <= words
    assert "check_for_nan" not in megatron_core.TARGET.program(Setup(job, Plan(**plan))).files[0].text


def test_a_graph_of_the_whole_iteration_beside_ep() -> None:
    """Up to 0.17.1 arguments.py asserts an option of inference beside local graphs and ep > 1."""
    plan = {"dp": 16, "b": 1, "m": 4, "zero": 1}
    padded = ("--moe-pad-experts-for-cuda-graph-inference",)
    for ep in (1, 8):
        job = jobs.job("mixtral-8x7b", "2x8xH100", seq=4096, batch=64, graphs="full")
        assert (padded in TARGET.program(Setup(job, Plan(ep=ep, **plan))).flags) == (ep > 1)


@pytest.mark.parametrize(("tp", "wanted"), [(2, ({"CUDA_DEVICE_MAX_CONNECTIONS": "32"}, ())),
                                            (1, ({}, ("CUDA_DEVICE_MAX_CONNECTIONS",)))])  # fmt: skip
def test_overlapped_experts_want_several_connections(tp: int, wanted: tuple[dict[str, str], tuple[str, ...]]) -> None:
    """With one, traffic of experts waits for the products beside it (core/transformer/moe/README.md)."""
    job = jobs.job("mixtral-8x7b", "2x8xH100", seq=4096, batch=64)
    plan = Plan(tp=tp, dp=16 // tp, ep=8, b=1, m=4 * tp, zero=1, sp=int(tp > 1), overlap=True)
    found = TARGET.program(Setup(job, plan))
    assert (found.environment, found.unset) == wanted
