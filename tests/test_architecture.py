"""Shapes of transformers: parameters, activation bytes and FLOPs against published numbers."""

from __future__ import annotations

import numpy as np
import pytest

from planner.blocks import operators
from planner.blocks.attention import attended, kv_heads_per_rank
from planner.blocks.counts import active_parameters, model_flops, parameters
from planner.blocks.ends import padded_vocabulary
from planner.blocks.operator import Core, Scan, Share
from planner.blocks.record import Attention, Block, Kind
from planner.blocks.structure import beyond_attention, structure
from planner.cost.recompute import kept
from planner.plan import Num
from planner.questions.serve import ask_serve
from planner.schema.model import Model
from tests.jobs import model

SEQ = 2048


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("gpt2", 124_439_808),  # Hugging Face gpt2, num_parameters()
        ("llama2-7b", 6_738_415_616),  # safetensors index of meta-llama/Llama-2-7b-hf: 13,476,831,232 bytes / 2
        ("llama3.1-8b", 8_030_261_248),  # safetensors metadata of meta-llama/Llama-3.1-8B
        ("llama3.1-70b", 70_553_706_496),  # safetensors metadata of meta-llama/Llama-3.1-70B
        ("mixtral-8x7b", 46_702_792_704),  # safetensors metadata of mistralai/Mixtral-8x7B-v0.1
        ("qwen3-8b", 8_190_735_360),  # safetensors metadata of Qwen/Qwen3-8B
        ("gemma2-9b", 9_241_705_984),  # safetensors metadata of google/gemma-2-9b: four norms a layer
        ("gemma3-1b", 999_885_952),  # safetensors metadata of google/gemma-3-1b-pt
        ("gpt-oss-20b", 20_914_757_184),  # gpt-oss model card (arXiv:2508.10925), table 1: 20.91 B, with sinks
        ("olmo2-7b", 7_298_617_344),  # safetensors metadata of allenai/OLMo-2-1124-7B
    ],
)
def test_parameters_to_the_last_one(name: str, total: int) -> None:
    """Dense with biases and learned positions, MHA, GQA, MoE: as many as the published weights hold."""
    assert parameters(model(name)).total == total


@pytest.mark.parametrize(
    ("name", "total", "active"),
    [
        ("gpt3-175b", 174.6e9, 174.6e9),  # Narayanan et al. 2021 (arXiv:2104.04473), table 2
        ("megatron-1t", 1008.0e9, 1008.0e9),  # the same, table 1
        ("deepseek-v3", 671e9, 37e9),  # MLA and MoE: arXiv:2412.19437, abstract
        ("deepseek-v2", 236e9, 21e9),  # arXiv:2405.04434, abstract
    ],
)
def test_published_sizes(name: str, total: float, active: float) -> None:
    """Totals and active parameters within the digits that papers print."""
    assert parameters(model(name)).total == pytest.approx(total, rel=0.005)
    assert active_parameters(model(name)) == pytest.approx(active, rel=0.03)


KORTHIKANTI = (
    ("megatron-22b", 64, 6144),
    ("gpt3-175b", 96, 12288),
    ("mt-nlg-530b", 128, 20480),
    ("megatron-1t", 160, 25600),
)
"""Heads and hidden size of Korthikanti et al. 2022 (arXiv:2205.05198), table 3; s = 2048."""


def bytes_of(
    name: str, tp: Num, sp: int, policy: str = "none", layers: float = 1.0, b: float = 4.0, flash: bool = False
) -> Num:
    """What a policy keeps of some layers, in bytes."""
    of = model(name)
    everything, scores = saved(of, b, tp, float(sp), flash)
    freed = scores if policy == "selective" else 0.0
    one = kept(everything, freed, 2.0 * b * SEQ * of.hidden / (tp if sp else 1.0))
    return layers * (one.boundary if policy == "full" else one.whole)


def saved(of: Model, b: float, tp: Num, sp: Num, flash: bool) -> tuple[Num, Num]:
    """Bytes that the last block keeps when nothing is recomputed, and those of its attention core."""
    found = structure(of)
    share = Share(b, float(SEQ), tp=tp, etp=tp, sp=sp, flash=flash)
    ops = operators(found.kinds[found.blocks - 1], share)
    return sum(op.saved for op in ops), sum(op.saved for op in ops if "core_attn" in op.modules)


@pytest.mark.parametrize(("name", "a", "h"), KORTHIKANTI)
@pytest.mark.parametrize("t", [1, 8])
class TestActivationsOfKorthikanti:
    """Equations 1, 2 and 4, and the two policies of section 5, with b = 4."""

    def test_tensor_parallel(self, name: str, a: int, h: int, t: int) -> None:
        """Equation 2, and for t = 1 equation 1: s*b*h*(34 + 5*a*s/h)."""
        expected = SEQ * 4 * h * (10 + 24 / t + 5 * a * SEQ / (h * t))
        assert bytes_of(name, float(t), 0) == pytest.approx(expected, rel=1e-12)

    def test_sequence_parallel(self, name: str, a: int, h: int, t: int) -> None:
        """Equation 4."""
        assert bytes_of(name, float(t), 1) == pytest.approx(SEQ * 4 * h / t * (34 + 5 * a * SEQ / h), rel=1e-12)

    def test_selective(self, name: str, a: int, h: int, t: int) -> None:
        """Equation 6 for one layer: 34*s*b*h/t."""
        assert bytes_of(name, float(t), 1, "selective") == pytest.approx(34 * SEQ * 4 * h / t, rel=1e-12)

    def test_full(self, name: str, a: int, h: int, t: int) -> None:
        """Section 5: 2*s*b*h, not divided by tensor parallelism; by t with sequence parallelism."""
        assert bytes_of(name, float(t), 0, "full", layers=3.0) == pytest.approx(3 * 2 * SEQ * 4 * h, rel=1e-12)
        assert bytes_of(name, float(t), 1, "full", layers=3.0) == pytest.approx(3 * 2 * SEQ * 4 * h / t, rel=1e-12)


@pytest.mark.parametrize(("name", "ratio", "saved"), [("gpt3-175b", 80, 0.70), ("mt-nlg-530b", 64, 0.65)])
def test_what_selective_recomputation_saves(name: str, ratio: int, saved: float) -> None:
    """Korthikanti section 5: 5*a*s/h is 80 for GPT-3 and 64 for MT-NLG, so that 70 % and 65 % of the bytes go."""
    whole, left = bytes_of(name, 1.0, 0), bytes_of(name, 1.0, 0, "selective")
    assert 34 * (whole - left) / left == pytest.approx(ratio, rel=1e-12)
    assert 1 - left / whole == pytest.approx(saved, abs=0.01)


@pytest.mark.parametrize(
    ("name", "selective", "full"),
    [
        ("megatron-22b", 0.161, 0.076),
        ("gpt3-175b", 0.185, 0.087),
        ("mt-nlg-530b", 0.202, 0.095),
        ("megatron-1t", 0.202, 0.095),
    ],
)
def test_five_times_less_than_tensor_parallelism_alone(name: str, selective: float, full: float) -> None:
    """Korthikanti, abstract and figure 7: about 5x less with sequence parallelism and selective recomputation, t = 8.

    By hand, equation 6 and 2*s*b*h over equation 2: 4.25 and 2 over 13 + 5*a*s/(8*h), which is 26.3, 23, 21 and 21.
    """
    baseline = bytes_of(name, 8.0, 0)
    assert bytes_of(name, 8.0, 1, "selective") / baseline == pytest.approx(selective, rel=0.02)
    assert bytes_of(name, 8.0, 0, "full") / baseline == pytest.approx(full, rel=0.02)


def test_flash_attention_keeps_a_statistic_instead_of_scores() -> None:
    """4 bytes per token and head replace 5*a*s."""
    of = model("gpt3-175b")
    per_token = (bytes_of("gpt3-175b", 1.0, 0, flash=True) - bytes_of("gpt3-175b", 1.0, 0, "selective")) / (4 * SEQ)
    assert per_token == pytest.approx(4 * of.heads)


def test_no_masks_without_dropout() -> None:
    """Of 34 + 5*a*s/h, two masks of 1*s*b*h and 3*a*s*s*b of the scores' belong to dropout."""
    of = model("gpt3-175b").model_copy(update={"dropout": False})
    got = saved(of, 1.0, 1.0, 0.0, flash=False)[0]
    assert got == pytest.approx(SEQ * of.hidden * (32 + 2 * of.heads * SEQ / of.hidden), rel=1e-12)


@pytest.mark.parametrize("name", ["gpt3-175b", "llama3.1-70b", "mixtral-8x7b", "deepseek-v3"])
def test_activations_of_one_plan_and_of_many(name: str) -> None:
    """Numbers and arrays give the same bits."""
    tp, sp = np.array([1.0, 2.0, 4.0, 8.0]), np.array([0.0, 1.0, 0.0, 1.0])
    many = saved(model(name), 2.0, tp, sp, flash=True)[0]
    alone = [saved(model(name), 2.0, t, s, flash=True)[0] for t, s in zip(tp, sp, strict=True)]
    assert many.tolist() == alone


@pytest.mark.parametrize(
    ("name", "tp", "padded"),
    [("llama3.1-70b", 1, 128_256), ("llama3.1-70b", 8, 129_024), ("gpt2", 1, 50_304), ("gpt3-175b", 8, 51_200)],
)
def test_padded_vocabulary(name: str, tp: int, padded: int) -> None:
    """Megatron-LM training/tokenizer: up to a multiple of 128*tp; 50,257 becomes the well-known 50,304."""
    assert padded_vocabulary(model(name).vocab, tp) == padded


@pytest.mark.parametrize("name", [row[0] for row in KORTHIKANTI])
def test_model_flops_of_korthikanti(name: str) -> None:
    """Appendix A: 72*B*L*s*h*h*(1 + s/(6h) + V/(12hL)) per step."""
    of = model(name)
    L, h, V = of.layers, of.hidden, of.vocab
    per_token = 72 * L * h**2 * (1 + SEQ / (6 * h) + V / (12 * h * L))
    assert model_flops(of, float(SEQ)) == pytest.approx(per_token, rel=0.005)


def test_model_flops_of_frozen_weights() -> None:
    """LoRA needs no weight gradients: 2*P less per token, the attention core as before."""
    of = model("llama3.1-8b")
    matrices = 8_030_261_248 - 128_256 * 4096 - 65 * 4096
    assert model_flops(of, 4096.0) - model_flops(of, 4096.0, frozen=True) == pytest.approx(2 * matrices, rel=1e-9)


def test_flops_of_the_attention_core() -> None:
    """Two products of s x s by d per head: 4*s*h per token forward (Korthikanti, appendix A)."""
    of = model("gpt3-175b")
    for tp in (1.0, 8.0):
        (core,) = [
            op.work for op in operators(structure(of).kinds[0], Share(1.0, SEQ, tp=tp)) if isinstance(op.work, Core)
        ]
        assert core.square_flops / SEQ == 4 * SEQ * of.hidden / tp


@pytest.mark.parametrize(("window", "every", "seq"), [(None, 0, 512), (128, 0, 512), (128, 2, 512), (64, 6, 384)])
def test_sliding_window(window: int | None, every: int, seq: int) -> None:
    """Share of the causal pairs that a layer computes, counted one by one over a cycle of layers."""
    of: Model = model("llama3.1-8b").model_copy(update={"window": window, "window_every": every})
    found, cycle = structure(of), every or 1
    spans = [seq if (every and layer == cycle - 1) or window is None else window for layer in range(cycle)]
    for layer, span in enumerate(spans):
        kind = found.kinds[found.order[layer]]
        assert isinstance(kind, Block) and isinstance(kind.mixer, Attention)
        pairs = sum(min(row + 1, span) for row in range(seq))
        assert attended(kind.mixer.window, float(seq)) == pytest.approx(2 * pairs / seq, rel=0.01)
        assert attended(kind.mixer.window, 64.0) == 64


def test_key_value_heads_are_copied_beyond_their_number() -> None:
    """8 heads on 16 ranks: one each."""
    assert [kv_heads_per_rank(8, tp) for tp in (1.0, 4.0, 8.0, 16.0)] == [8, 2, 1, 1]


def test_trainers_split_key_value_heads_further_and_gather() -> None:
    """Llama 3 8B over 16: 6,144 / 16 columns a rank, all of them gathered for each token; a server's: 256 + 2 * 128."""
    kind = structure(model("llama3-8b")).kinds[0]
    found = [operators(kind, Share(1.0, 1.0, tp=16.0, plain=plain))[1] for plain in (True, False)]
    assert [op.weights for op in found] == [4096 * 6144 / 16, 4096 * 512]
    assert [one.bytes * one.calls for op in found for one in op.traffic] == [0.5 * 2 * 6144]
    assert not operators(kind, Share(1.0, 1.0, tp=8.0, plain=True))[1].traffic


def doubled(kind: Kind) -> float:
    """Parameters that two tensor-parallel ranks hold twice."""
    one, half = (sum(float(op.weights) for op in operators(kind, Share(1.0, 1.0, tp=tp, etp=tp))) for tp in (1.0, 2.0))
    return 2 * half - one


@pytest.mark.parametrize(
    ("name", "kind", "copied"),
    [
        ("nemotron-3-nano-30b-a3b", 0, 2688),  # Mamba-2: the norm; four groups of B and C on each rank
        ("granite-4.0-h-small", 0, (2 * 128) * (4096 + 5) + 2 * 4096 + 72 * 4096),  # one group: B, C; norms; router
        ("qwen3-next-80b-a3b", 0, 128 + 2 * 2048 + 512 * 2048 + 2048),  # norm of a head, norms, router, shared gate
        ("kimi-linear-48b-a3b", 0, 2 * 128 * 2304 + 128 + 2 * 2304),  # low-rank products, norm of a head, norms
    ],
)
def test_what_tensor_parallel_ranks_hold_twice(name: str, kind: int, copied: int) -> None:
    """Heads are split; norms, routers and what all heads share are copied."""
    assert doubled(structure(model(name)).kinds[kind]) == copied


def test_flops_of_a_state_space_scan() -> None:
    """Of one token of Nemotron-3 Nano by hand: per group 2*Q*N, per head 2*Q*P + 4*N*P, Q = N = 128, P = 64."""
    scans = [op.work for op in operators(structure(model("nemotron-3-nano-30b-a3b")).kinds[0], Share(1.0, 1024.0))]
    flops = sum(float(work.flops) for work in scans if isinstance(work, Scan)) / 1024
    assert flops == 8 * 32768 + 64 * (16384 + 32768)


def test_indexed_attention_meets_as_many_keys_as_it_chooses() -> None:
    """DeepSeek-V3.2 chooses 2,048: at 2,048 tokens it is full attention, at 65,536 its core is 16.3 times smaller."""
    kinds = (structure(model(name)).kinds[0] for name in ("deepseek-v3.2", "deepseek-v3"))
    sparse, full = ([op for op in operators(kind, Share(1.0, 65536.0)) if op.name == "core"] for kind in kinds)
    assert isinstance(sparse[0].work, Core) and isinstance(full[0].work, Core)
    ratio = float(full[0].work.square_flops) / float(sparse[0].work.square_flops)
    assert ratio == pytest.approx(65536 / (2 * 2048 - 2048 * 2048 / 65536))
    short = operators(structure(model("deepseek-v3.2")).kinds[0], Share(1.0, 2048.0))
    assert [op.work.side for op in short if op.name == "core" and isinstance(op.work, Core)] == [2048.0]


def test_a_layer_of_one_part_has_one_norm() -> None:
    """Nemotron-H: each of its layers is a mixer or a feed-forward part behind one norm; Gemma 2 has four norms."""
    for name, norms in (("nemotron-3-nano-30b-a3b", 1), ("llama3.1-8b", 2), ("gemma2-9b", 4)):
        ops = operators(structure(model(name)).kinds[0], Share(1.0, 1.0))
        assert sum(op.name == "norm" for op in ops) == norms


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("qwen3-next-80b-a3b", "the gated delta rule"),
        ("nemotron-nano-9b-v2", "Mamba-2"),
        ("deepseek-v3.2", "indexed sparse attention"),
    ],
)
def test_what_was_not_measured_is_told_by_the_name_of_the_mixer(name: str, words: str) -> None:
    """And served, at low confidence."""
    assert words in (beyond_attention(model(name)) or "")
    assert beyond_attention(model("gemma3-27b")) is None
    assert any(words in said and "low confidence" in said for said in ask_serve(name, "8xH200").assumptions)
