"""What a job is taken to be where the user did not say: every default is a sentence in the output."""

from __future__ import annotations

from math import log2

from planner.schema.hardware import Cluster
from planner.schema.model import Model

TOKENS_PER_STEP = 2**22
"""About 4 M tokens per optimizer step: Llama 2 and 3 pre-trained with 4 M (arXiv:2307.09288, 2.2; 2407.21783, 3.4)."""

TUNING_SEQUENCES = 64
"""Of one step of fine-tuning: LIMA's 32 to 64 (arXiv:2305.11206, 3), Alpaca's and Tulu 3's 128 (2411.15124, 4.3)."""

LONGEST_SEQUENCE = 8192
"""Longer contexts are trained in a short last phase; the bulk of pre-training runs at 8k or less (2407.21783, 3.4)."""


def default_sequence(model: Model) -> int:
    """The model's context, at most 8,192 tokens."""
    return min(model.context, LONGEST_SEQUENCE)


def default_global_batch(seq: int, gpus: int) -> int:
    """Sequences for about 4 M tokens: a power of two times the odd part of the GPU count, so that every dp divides it.

    8,192 tokens on 128 GPUs: 512. 4,096 tokens on 24 GPUs: 3 * 256 = 768 (1,024 would leave dp = 3, 6, 12 out).
    """
    return _divisible(TOKENS_PER_STEP / seq, gpus)


def default_tuning_batch(gpus: int) -> int:
    """About 64 sequences, at least one per GPU, whatever they are long: 64 on 8 GPUs, 256 on 256."""
    return _divisible(max(TUNING_SEQUENCES, gpus), gpus)


def usual_batch(seq: int, gpus: int, tuned: bool) -> int:
    """Sequences of a step where nothing says: of fine-tuning, or of pre-training."""
    return default_tuning_batch(gpus) if tuned else default_global_batch(seq, gpus)


def _divisible(wanted: float, gpus: int) -> int:
    """About as many, a power of two times the odd part of the GPU count."""
    odd = gpus
    while odd % 2 == 0:
        odd //= 2
    power = max(0, round(log2(max(1.0, wanted / odd))))
    return odd * (1 << power)


def default_precision(cluster: Cluster) -> str:
    """bf16 where the accelerator has it, else fp16 (V100)."""
    return "bf16" if cluster.accelerator.peak.bf16 else "fp16"
