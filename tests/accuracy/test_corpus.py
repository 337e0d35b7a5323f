"""Rows of measurements become jobs and plans, or say why not."""

from __future__ import annotations

import pytest

from planner.accuracy.corpus import family
from planner.accuracy.machines import node_rate
from planner.accuracy.plans import MOST_CHUNKS
from planner.accuracy.rows import Unusable
from planner.units import GIB
from tests.accuracy.samples import case, read_corpus, row


def test_a_full_row() -> None:
    """Every column arrives where it belongs."""
    one = case()
    model, cluster, plan = one.job.model, one.job.cluster, one.plan
    assert (model.layers, model.hidden, model.ffn, model.heads, model.vocab) == (48, 6144, 24576, 64, 51200)
    assert (model.tied_embeddings, model.dropout, model.bias) == (True, True, "all")
    assert (cluster.accelerator.name, cluster.nodes, cluster.used) == ("a100-sxm4-80gb", 8, 8)
    assert cluster.network is not None and cluster.network.rate == 200e9 / 8
    assert (plan.tp, plan.pp, plan.dp, plan.b, plan.m, plan.v) == (8, 4, 2, 4, 8, 1)
    assert (plan.recompute_layers, plan.modules, plan.zero, plan.sp) == (12, (), 0, 0)
    assert (one.job.workload.attention, one.job.workload.precision) == ("unfused", "fp16")
    assert (one.step, one.peak, one.fit, one.source) == (5.0, None, None, "paper")
    assert one.main and not one.alternatives


def test_degrees_that_are_not_said() -> None:
    """Context parallelism is 1 and the data-parallel degree what remains; without tp or pp nothing remains."""
    plan = case(tp="2", cp="").plan
    assert (plan.tp, plan.cp, plan.dp, plan.m) == (2, 1, 8, 2)
    assert case(tp="", dp="16").plan.tp == 1
    with pytest.raises(Unusable, match="no layout"):
        case(tp="")


def test_gated_models_follow_llama() -> None:
    """No biases, no dropout, rotary positions, untied embeddings unless the row says tied."""
    model = case(gated_mlp="yes", n_kv_heads="8").job.model
    assert (model.mlp, model.bias, model.norm, model.position, model.kv_heads) == ("glu", "none", "rmsnorm", "rope", 8)
    assert not model.dropout and not model.tied_embeddings
    assert case(gated_mlp="yes", tied_embeddings="yes").job.model.tied_embeddings


def test_the_catalogue_fills_a_shape() -> None:
    """A name stands for dimensions that are missing; a cut model keeps all but its depth."""
    empty = {name: "" for name in ("hidden", "ffn_hidden", "n_heads", "vocab", "gated_mlp")}
    one = case(model="Llama3-70B (cut to 12 layers)", n_layers="12", pp="1", **empty)
    assert (one.job.model.layers, one.job.model.hidden, one.job.model.kv_heads) == (12, 8192, 8)
    assert "catalog-shape" in one.labels


def test_the_row_goes_before_the_catalogue() -> None:
    """A name with another width is another model."""
    model = case(model="Llama3-8B", hidden="2048", n_heads="16", ffn_hidden="8192").job.model
    assert (model.hidden, model.heads, model.kv_heads, model.bias) == (2048, 16, 16, "all")


def test_a_vocabulary_with_a_remark() -> None:
    """The number that the cell begins with."""
    assert case(vocab="50257 (config default)").job.model.vocab == 50257


class TestRecompute:
    """What the words mean depends on the attention kernel."""

    def test_none(self) -> None:
        assert case(recompute="none").plan.recompute_layers == 0

    def test_selective_with_stored_scores(self) -> None:
        plan = case(recompute="selective").plan
        assert plan.modules == ("core_attn",) and plan.recompute_layers == 0

    def test_selective_under_flash_attention(self) -> None:
        """Megatron has nothing left to recompute; torchtitan recomputes every second layer or product."""
        plan = case(recompute="selective", flash_attention="yes").plan
        assert not plan.modules and plan.recompute_layers == 0
        titan = case(recompute="selective", flash_attention="yes", framework="torchtitan 2024")
        assert titan.plan.recompute_layers == 6 and "selective-ac" in titan.labels

    def test_unknown_is_every_plausible_setting_and_scored_apart(self) -> None:
        one = case(recompute="unknown")
        assert [(p.recompute_layers, p.modules) for p in (one.plan, *one.alternatives)] == [
            (0, ()), (0, ("core_attn",)), (12, ()),
        ]  # fmt: skip
        assert not one.main and "unknown-recompute" in one.labels

    def test_another_word(self) -> None:
        with pytest.raises(Unusable, match="not understood"):
            case(recompute="now and then")


class TestSchedule:
    """Names and virtual stages."""

    def test_interleaved(self) -> None:
        plan = case(schedule="interleaved-1f1b", vp="3").plan
        assert (plan.schedule, plan.v) == ("interleaved", 3)

    def test_interleaved_without_its_stages(self) -> None:
        """The smallest number above 1 that divides the layers of a rank: 12 on each of four."""
        one = case(schedule="interleaved-1f1b", vp="")
        assert (one.plan.schedule, one.plan.v) == ("interleaved", 2) and "assumed-v" in one.labels
        assert MOST_CHUNKS >= 2

    def test_without_a_pipeline(self) -> None:
        plan = case(schedule="interleaved-1f1b", vp="3", pp="1").plan
        assert (plan.schedule, plan.v) == ("1f1b", 1)

    def test_unknown(self) -> None:
        with pytest.raises(Unusable, match="not modelled"):
            case(schedule="moonwalk")


class TestZero:
    """ZeRO stage and sequence parallelism where the row leaves them open."""

    def test_unknown_is_the_distributed_optimizer(self) -> None:
        one = case(zero_stage="unknown")
        assert one.plan.zero == 1 and "assumed-zero" in one.labels

    def test_unknown_under_fsdp(self) -> None:
        assert case(zero_stage="unknown", framework="torchtitan 2024").plan.zero == 3

    def test_nothing_to_shard_over(self) -> None:
        assert case(zero_stage="1", n_gpus="32").plan.zero == 0

    def test_sequence_parallel_unknown(self) -> None:
        one = case(sequence_parallel="unknown")
        assert one.plan.sp == 1 and "assumed-sp" in one.labels
        assert case(sequence_parallel="yes", tp="1").plan.sp == 0


@pytest.mark.parametrize(
    ("text", "per_node", "gigabits"),
    [
        ("NVLink/NVSwitch; 8x200 Gbps HDR IB per node (Selene)", 8, 1600),
        ("Omni-Path 4 links/node (100 Gb/s each), NVLink", 8, 400),
        ("RoCE 1600 Gbps/node", 8, 1600),
        ("NVLink in node; 4x HDR InfiniBand = 800 Gb/s per node (config)", 8, 800),
        ("4x100 Gb/s RoCE per node", 8, 400),
        ("8x ConnectX-7 IB NDR 400 Gb/s per node", 8, 3200),
        ("Grand Teton, RDMA 400 Gb/s per GPU", 8, 3200),
        ("Jean Zay V100: Omni-Path, 4 GPUs/node NVLink", 4, 400),
        ("AWS p5 EFA", 8, 3200),
        ("DGX H100", 8, None),
        ("", 8, None),
    ],
)
def test_rates_of_nodes(text: str, per_node: int, gigabits: float | None) -> None:
    """What leaves a node, in all the ways in which sources put it."""
    rate = node_rate(text, per_node)
    assert rate == (None if gigabits is None else gigabits * 1e9 / 8)


class TestValues:
    """Everything becomes seconds per step or bytes."""

    def test_tokens_per_second(self) -> None:
        """64 * 2048 tokens at 100 tokens/s on each of 64."""
        assert case(metric="tokens_per_sec_per_gpu", value="100").step == pytest.approx(20.48)

    def test_hardware_flops(self) -> None:
        """Narayanan 2021, table 1, 145.6B: 148 TFLOP/s on 1,536 GPUs is a step of 24.8 s."""
        one = case(
            n_layers="80", hidden="12288", ffn_hidden="49152", n_heads="96", n_gpus="1536", pp="8", micro_batch="2",
            global_batch="2304", metric="tflops_per_gpu_hardware", value="148",
        )  # fmt: skip
        assert one.step == pytest.approx(24.817, rel=1e-3)

    def test_megatron_flops(self) -> None:
        """148.0 GFLOP a token of Qwen3-235B at 4k, as Megatron-Bridge's cards have it: 245 TFLOP/s on 256 H100."""
        moe = {"model": "qwen3-235b-a22b", "hidden": "4096", "n_layers": "94", "n_heads": "64", "seq_len": "4096"}
        run = {
            "gpu": "H100-80GB-SXM",
            "n_gpus": "256",
            "tp": "2",
            "ep": "32",
            "global_batch": "2048",
            "micro_batch": "1",
        }
        said = {
            "framework": "Megatron-Core",
            "metric": "tflops_per_gpu",
            "value": "245",
            "precision": "bf16",
            "pp": "8",
        }
        measured = case(**moe, **run, **said, vp="4", schedule="interleaved-1f1b", flash_attention="yes").step
        assert measured == pytest.approx(2048 * 4096 * 148.0e9 / (245e12 * 256), rel=0.005)

    def test_model_flops(self) -> None:
        """6P + 12Lsh per token, or 6P + 6Lsh where the source halves attention."""
        full = case(metric="tflops_per_gpu_model", value="150").step
        half = case(metric="tflops_per_gpu_model", value="150", notes="causal attention FLOPs").step
        attention = 6 * 48 * 2048 * 6144 * 64 * 2048 / (150e12 * 64)
        assert full is not None and half is not None
        assert full - half == pytest.approx(attention)

    def test_memory(self) -> None:
        one = case(metric="peak_mem_gb", value="37.5", notes="nvidia-smi, whole GB")
        assert (one.peak, one.tool, one.step) == (37.5 * GIB, "nvidia-smi", None)

    def test_memory_of_one_rank(self) -> None:
        one = case(metric="peak_mem_gb", value="37.5", notes="torch max_memory_allocated in GiB, first stage")
        assert (one.tool, one.rank) == ("allocated", "first")

    def test_units_of_memory(self) -> None:
        """62.166 GiB and 66.75 GB are one reading (Megatron-Bridge); 189.471 thousand MiB are a GB200's 185.03 GiB."""
        peak = {"metric": "peak_mem_gb", "memory_tool": "allocated"}
        one = case(value="66.75", memory_unit="GB", **peak)
        assert one.peak is not None and one.peak / GIB == pytest.approx(62.166, abs=1e-3) and one.tool == "allocated"
        other = case(value="189.471", memory_unit="1000 MiB", **peak)
        assert other.peak is not None and other.peak / GIB == pytest.approx(185.03, abs=5e-3)
        for cell in ({"memory_unit": "MB"}, {"memory_tool": "psutil"}):
            with pytest.raises(Unusable, match="is none of"):
                case(value="1", **peak | cell)

    def test_units_of_sources(self) -> None:
        """What a source's column means is known of the source."""
        of = {"metric": "peak_mem_gb", "value": "50"}
        read = {name: case(id=f"{name}-001", **of) for name in ("mbskill", "mfsdp", "primusv2", "paper")}
        assert [one.tool for one in read.values()] == ["allocated", "nvidia-smi", "nvidia-smi", ""]
        assert [one.peak for one in read.values()] == [50e9, 50e3 * 2**20, 50 * GIB, 50 * GIB]

    def test_verdict(self) -> None:
        assert case(metric="fit", value="oom").fit == "oom"
        assert case(metric="fit", value="ok").fit == "fits"

    @pytest.mark.parametrize(("metric", "value"), [("mfu", "0.5"), ("iter_seconds", ""), ("iter_seconds", "-1"),
                                                   ("iter_seconds", "1e999"), ("fit", "perhaps")])  # fmt: skip
    def test_nothing_to_compare(self, metric: str, value: str) -> None:
        with pytest.raises(Unusable):
            case(metric=metric, value=value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gpu": "abacus"}, "unknown GPU"),
        ({"gpu": ""}, "no GPU"),
        ({"n_gpus": ""}, "no number of GPUs"),
        ({"n_gpus": "0"}, "no count"),
        ({"n_gpus": "-8"}, "no count"),
        ({"n_gpus": "12"}, "do not fill nodes"),
        ({"micro_batch": ""}, "no micro-batch"),
        ({"micro_batch": "0"}, "no count"),
        ({"micro_batch": "3"}, "does not divide"),
        ({"global_batch": ""}, "no global batch"),
        ({"dp": "4"}, "on 64 GPUs"),
        ({"tp": "3"}, "on 64 GPUs"),
        ({"pp": "64", "tp": "1", "n_layers": "40"}, "stages for 40 layers"),
        ({"n_layers": "", "model": ""}, "no layers"),
        ({"n_heads": "7"}, "no multiple"),
        ({"n_experts": "8", "model": "Some MoE"}, "expert"),
        ({"precision": "int3"}, "not modelled"),
        ({"zero_stage": "7"}, "zero_stage"),
        ({"seq_len": ""}, "no sequence length"),
        ({"seq_len": "1.5"}, "no count"),
    ],
)
def test_rows_that_cannot_be_used(changes: dict[str, str], reason: str) -> None:
    """Each is skipped with its reason, not with a crash."""
    corpus = read_corpus([row(**changes)])
    assert not corpus.cases
    assert reason in corpus.skipped[0].reason


def test_the_same_figure_counts_once() -> None:
    """In two files under two ids; a repeat of the run with another result counts."""
    corpus = read_corpus([row(), row(id="paper-002"), row(id="paper-003", value="5.2")])
    assert [c.id for c in corpus.cases] == ["paper-001", "paper-003"]


def test_rows_of_one_job_share_it() -> None:
    """So that their plans are evaluated together."""
    first, second = read_corpus([row(), row(id="paper-002", tp="4", value="4")]).cases
    assert first.job is second.job and first.plan != second.plan


@pytest.mark.parametrize(
    ("identity", "name"),
    [("bloom-17", "bloom"), ("aao-1", "aa"), ("mlperf-gpt3-4", "mlperf-gpt3"), ("vt-s0001", "vt-single"), ("x", "x")],
)
def test_families(identity: str, name: str) -> None:
    """Up to the last dash, with out-of-memory rows beside the times of their source."""
    assert family(identity) == name


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"notes": "label doubtful"}, "doubtful"),
        ({"notes": "derived from a chart"}, "derived"),
        ({"notes": "CPU-offloaded AdamW"}, "offload"),
        ({"model": "Llama2-70B-LoRA"}, "lora"),
        ({"notes": "deterministic functional test"}, "deterministic"),
    ],
)
def test_what_is_scored_apart(changes: dict[str, str], label: str) -> None:
    """A label each, and none of them in the main score."""
    one = case(**changes)
    assert label in one.labels and not one.main


def test_kernels_split_a_sweep() -> None:
    """A planner chooses the layout; the kernel is given."""
    assert case(sweep_group="g", notes="kernel=torch; x").group == "g torch"
    assert case(sweep_group="g", notes="kernel=flash2 + RMS kernel").group == "g flash2 + RMS kernel"
    assert case(sweep_group="g").group == "g"


def test_a_stand_in_preset_is_labelled() -> None:
    """The preset that the framework would deserve, by name."""
    one = case(framework="Some Other Framework")
    assert one.job.framework.name == "megatron-core" and "preset:some-other-framework" in one.labels


def test_cells_that_a_source_has_otherwise() -> None:
    """Nemotron-4 340B of one release ran 12 chunks a rank, which its table does not say."""
    shape = {"model": "nemotron4-340b", "hidden": "18432", "n_layers": "96", "n_heads": "96", "vp": "", "pp": "8"}
    run = {"gpu": "H100-80GB-SXM", "n_gpus": "256", "global_batch": "64", "micro_batch": "1", "precision": "bf16"}
    asked = shape | run | {"flash_attention": "yes"}
    assert case(id="dgxc-900", release="v25.04.02", **asked).plan.v == 12
    assert case(id="dgxc-900", release="v25.05.05", **asked).plan.v == 1


def test_activations_in_host_memory() -> None:
    """Of as many layers as the notes say."""
    work = case(notes="activation offload 20 layers").job.workload
    assert (work.offload, work.offload_layers) == ("activations", 20)


def test_a_fuller_row_takes_what_it_leaves_open() -> None:
    """One states recomputation, the other tp: together they are the run, counted once."""
    corpus = read_corpus([row(recompute="unknown"), row(id="fuller-001", existing_id="paper-001 (open)", tp="")])
    assert [(one.id, one.plan.tp, one.alternatives) for one in corpus.cases] == [("fuller-001", 8, ())]
    assert "fuller-001" in corpus.skipped[0].reason
