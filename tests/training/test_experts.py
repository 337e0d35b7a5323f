"""Layers of experts: what is run again, what it frees, what the host adds, what skew costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from planner.blocks import operators
from planner.blocks.operator import Stream
from planner.cost.dispatch import hidden
from planner.cost.recompute import MODULES
from planner.plan import Plan
from planner.training.estimate import estimate
from planner.training.job import Job
from planner.training.layer import pieces, share_of
from planner.training.memory import beside, held_kinds
from planner.training.policies import light_modules, module_sets, policies, recomputable, usual_dispatcher
from planner.training.rules import first_broken, legal
from planner.training.space import Bounds
from tests.jobs import job

QWEN = job("qwen3-30b-a3b", "2x8xH100", seq=4096, batch=1024)
PLAN = Plan(ep=16, dp=16, m=64, zero=1, dispatcher="deepep")
DEEPSEEK = job("deepseek-v3", "128x8xH100", seq=4096, batch=1024)


def changed(of: Job, **workload: Any) -> Job:
    return replace(of, workload=of.workload.model_copy(update=workload))


def kept(of: Job, *modules: str) -> float:
    """Bytes that a layer of experts keeps of one micro-batch."""
    kinds = held_kinds(of, replace(PLAN, modules=modules).floats())
    return float(kinds[0].kept.whole)


def test_bytes_of_recomputed_modules() -> None:
    """Qwen3-30B, one token: the activation's output is 8 * 768 elements, the norm before the router 2048 of 2 bytes.

    The router keeps 9 bytes for each of 128 experts: two scores in fp32 and a mask.
    """
    tokens = 4096.0
    assert kept(QWEN) - kept(QWEN, "moe_act") == pytest.approx(tokens * 8 * 768 * 2)
    assert kept(QWEN) - kept(QWEN, "layernorm") == pytest.approx(tokens * 2048 * 2)
    assert kept(QWEN) - kept(QWEN, "moe") == pytest.approx(tokens * (8 * (2048 + 3 * 768) * 2 + 128 * 9))
    assert kept(QWEN, "moe", "moe_act") == kept(QWEN, "moe")


def test_unfused_gates_keep_three_more() -> None:
    """Qwen3-30B on 8 MI355X, 8 sequences: 54.3 GiB (Primus, 277 GB before its activation is fused, 222.7 behind)."""
    of = job("qwen3-30b-a3b", "8xMI355X", "primus", seq=4096, batch=512)
    plan = Plan(ep=8, dp=8, b=8, m=8, zero=1)
    unfused = replace(of, framework=of.framework.model_copy(update={"unfused_gate": 3.0}))
    more = [float(estimate(one, plan).memory.activations) / 2**30 for one in (unfused, of)]
    assert more[0] - more[1] == pytest.approx(54.3, rel=0.01)


def test_biased_experts_clamp_and_add() -> None:
    """gpt-oss, one token, ep = 8: 4 rows clamp 5,760 elements (8 bytes forward each) and add to 2,880 (28 bytes)."""
    of = job("gpt-oss-120b", "8xH100", "megatron-core", seq=4096, batch=64)
    share = share_of(of, Plan(ep=8, dp=8, m=8, zero=1).floats())
    ops = {op.name: op for op in operators(of.structure.kinds[0], share)}
    rows = 4 * 4096.0
    clamp, add = ops["experts clamp"].work, ops["experts bias"].work
    assert isinstance(clamp, Stream) and isinstance(add, Stream)
    assert float(clamp.moved) == 8 * rows * 5760 and float(ops["experts clamp"].saved) == 2 * rows * 5760
    assert float(add.moved) == 28 * rows * 2880 and float(add.kernels) == 2 * 16 + 2


def test_overlap_keeps_more_in_flight() -> None:
    """A layer of 48 without a pipeline, a chunk of four in one; no more micro-batches than a step has."""
    assert float(beside(replace(PLAN, overlap=True), 1.0, 48.0)) == pytest.approx(1.0 + 1.0 / 48)
    piped = replace(PLAN, pp=2, v=4, dp=8, overlap=True)
    assert float(beside(piped, 2.5, 12.0)) == 2.75 and float(beside(replace(piped, m=2), 2.0, 12.0)) == 2.0
    assert float(beside(PLAN, 1.0, 48.0)) == 1.0


def test_latents_keep_what_they_are_made_of() -> None:
    """DeepSeek-V3 at tp = 1: 128 heads of q (192), k (192) and v (128) are made again out of latents.

    With them their inputs, latents of 1536 and 512 behind a norm.
    """
    plan = Plan(pp=16, ep=64, dp=64, m=16, zero=1)
    whole, light = (
        float(held_kinds(DEEPSEEK, replace(plan, modules=modules).floats())[1].kept.whole)
        for modules in ((), ("mla_up_proj",))
    )
    assert whole - light == pytest.approx(4096.0 * (128 * (192 + 192 + 128) + 1536 + 512) * 2)


@pytest.mark.parametrize("module", MODULES)
def test_recomputed_modules_cost_their_forward_pass(module: str) -> None:
    """More time than without, less than all of the layer; every module of the layer saves memory or nothing."""
    plan = Plan(pp=16, ep=64, dp=64, m=16, zero=1, modules=(module,)).floats()
    piece = pieces(DEEPSEEK, plan)[1]
    assert (module == "mlp") == (piece.again.total == 0.0)
    assert piece.again.total < piece.forward.total
    freed, none = (estimate(DEEPSEEK, replace(plan, modules=one)).memory.activations for one in ((module,), ()))
    assert freed <= none


def test_recomputing_experts_sends_tokens_again() -> None:
    """Two of four dispatches of a micro-batch are of the forward pass: half as many again."""
    plain, again = (estimate(QWEN, replace(PLAN, modules=modules)).time for modules in ((), ("moe",)))
    assert again.ep_comm == pytest.approx(1.5 * plain.ep_comm)


@pytest.mark.parametrize(("graphs", "wait"), [("none", 1.0e-3), ("partial", 1.0e-3), ("full", None)])
def test_what_the_host_adds(graphs: str, wait: float | None) -> None:
    """48 layers, 64 micro-batches: the preset's wait each and 0.1 us a token, nothing in a graph of the iteration."""
    framework = QWEN.framework.model_copy(update={"host_layer": 0.0, "host_layer_backward": 0.0})
    bare = framework.model_copy(update=dict.fromkeys(("expert_wait_fused", "expert_wait_graphs", "expert_token"), 0.0))
    of = changed(QWEN, graphs=graphs)
    times = [float(estimate(replace(of, framework=one), PLAN).time.total) for one in (framework, bare)]
    expected = 0.0 if wait is None else 48 * 64 * (wait + 4096 * 0.1e-6)
    assert times[0] - times[1] == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_all_to_all_waits_longer_and_a_capacity_not_at_all() -> None:
    plain, fused = (estimate(QWEN, replace(PLAN, dispatcher=name)).time for name in ("alltoall", "deepep"))
    assert plain.forward + plain.backward - fused.forward - fused.backward == pytest.approx(48 * 64 * 2e-3, rel=0.01)
    padded = estimate(changed(QWEN, capacity=1.0), PLAN).time
    assert fused.forward + fused.backward - padded.forward - padded.backward == pytest.approx(48 * 64 * 1e-3, rel=0.01)


@pytest.mark.parametrize(("dispatcher", "saved"), [("hybridep", 0.1506), ("alltoall", 0.2427)])
def test_overlap_saves_what_was_measured(dispatcher: str, saved: float) -> None:
    """2 nodes of H100, HybridEP: 24.71 -> 20.99 s a step; all-to-all: 41.25 -> 31.24 s (Megatron-Bridge skills)."""
    times = [estimate(QWEN, replace(PLAN, overlap=on, dispatcher=dispatcher)).time.total for on in (False, True)]
    assert 1.0 - times[1] / times[0] == pytest.approx(saved, abs=0.055)


def test_traffic_hides_beside_its_own_part_of_a_layer() -> None:
    """Combine behind attention forward or backward, both dispatches behind the experts; the first batch has none."""
    assert hidden(2.0, (0.25, 3.0), (0.5, 1.0)) == pytest.approx(0.5 * (0.25 + 1.0 + 1.5))
    alone, one = (estimate(QWEN, replace(PLAN, b=64, m=1, overlap=on)).time.ep_comm for on in (False, True))
    assert alone == one


def test_skew_reaches_time_and_memory() -> None:
    """A rank with half as many tokens again: so many more rows to send, compute and keep."""
    even, skewed = (estimate(changed(QWEN, imbalance=x), PLAN) for x in (1.0, 1.5))
    assert skewed.time.ep_comm == pytest.approx(1.5 * even.time.ep_comm, rel=0.02)
    assert skewed.time.forward > even.time.forward
    rows = 48 * 4096.0 * 8 * (2048 + 3 * 768) * 2
    assert skewed.memory.activations - even.memory.activations == pytest.approx(0.5 * rows, rel=1e-6)
    cut = estimate(changed(QWEN, imbalance=1.5, capacity=1.0), PLAN)
    assert cut.memory.activations == even.memory.activations


class TestPolicies:
    """What is searched, and what is refused."""

    def test_modules_of_a_model(self) -> None:
        assert recomputable(QWEN) == ("core_attn", "layernorm", "moe_act", "moe")
        assert light_modules(DEEPSEEK) == ("mla_up_proj", "layernorm", "moe_act")
        assert light_modules(job("llama3.1-8b", "8xH100", seq=4096, batch=64)) == ()

    def test_defaults(self) -> None:
        """Nothing or what is cheap; the fastest dispatcher of the machine; with and without overlap."""
        assert module_sets(QWEN, Bounds()) == [(), ("layernorm", "moe_act")]
        assert len(list(policies(QWEN, Bounds()))) == 4
        machines = {"8xA100": "alltoall", "8xH100": "deepep", "64xGB200": "hybridep", "8xMI300X": "alltoall"}
        jobs = {on: job("qwen3-30b-a3b", on, seq=4096, batch=1024) for on in machines}
        assert {on: usual_dispatcher(of) for on, of in jobs.items()} == machines

    def test_asked(self) -> None:
        bounds = Bounds(recompute=frozenset({"selective"}), modules=("moe",), dispatchers=frozenset({"alltoall"}))
        assert {(one["modules"], one["dispatcher"]) for one in policies(QWEN, bounds)} == {(("moe",), "alltoall")}

    @pytest.mark.parametrize(
        ("on", "changes", "rule"),
        [
            ("2x8xH100", {"modules": ("mla_up_proj",)}, "recompute_modules"),
            ("2x8xH100", {"modules": ("moe",), "recompute_layers": 1}, "recompute_together"),
            ("2x8xA100", {"dispatcher": "deepep"}, "dispatcher_links"),
            ("2x8xH100", {"overlap": True, "dispatcher": "allgather"}, "expert_overlap"),
            ("2x8xH100", {"overlap": True, "ep": 1}, "expert_overlap"),
        ],
    )
    def test_refused(self, on: str, changes: dict[str, Any], rule: str) -> None:
        of = job("qwen3-30b-a3b", on, seq=4096, batch=1024)
        plan = replace(PLAN, **{"dispatcher": "alltoall"} | changes)
        mask, broken = legal(of, plan)
        assert not mask and rule in broken


def test_sequence_parallelism_beside_experts_is_megatrons_wish() -> None:
    """Its MoE layer raises without it in training (core/transformer/moe/moe_layer.py); others run."""
    plan = Plan(tp=2, dp=8, ep=8, m=4)
    jobs = {name: job("mixtral-8x7b", "2x8xH100", name, seq=4096, batch=32) for name in ("any", "megatron-core")}
    names = {name: first_broken(one, plan) for name, one in jobs.items()}
    assert names["any"] is None
    assert names["megatron-core"] is not None and names["megatron-core"].name == "experts_need_sp"
