"""What a job is taken to be where the user did not say: every default is a sentence in the output."""

from __future__ import annotations

from math import log2

from planner.schema.hardware import Cluster
from planner.schema.model import Model

TOKENS_PER_STEP = 2**22
"""About 4 M tokens per optimizer step: Llama 2 and 3 pre-trained with 4 M (arXiv:2307.09288, 2.2; 2407.21783, 3.4)."""

SEQUENCES_PER_GPU = 8
"""Of one step of fine-tuning: per_device_train_batch_size of Transformers' Trainer (training_args.py)."""

LONGEST_SEQUENCE = 8192
"""Longer contexts are trained in a short last phase; the bulk of pre-training runs at 8k or less (2407.21783, 3.4)."""


def default_sequence(model: Model) -> int:
    """The model's context, at most 8,192 tokens."""
    return min(model.context, LONGEST_SEQUENCE)


def default_global_batch(seq: int, gpus: int) -> int:
    """Sequences for about 4 M tokens: a power of two times the odd part of the GPU count, so that every dp divides it.

    8,192 tokens on 128 GPUs: 512. 4,096 tokens on 24 GPUs: 3 * 256 = 768 (1,024 would leave dp = 3, 6, 12 out).
    """
    odd = gpus
    while odd % 2 == 0:
        odd //= 2
    power = max(0, round(log2(max(1.0, TOKENS_PER_STEP / seq / odd))))
    return odd * (1 << power)


def default_precision(cluster: Cluster) -> str:
    """bf16 where the accelerator has it, else fp16 (V100)."""
    return "bf16" if cluster.accelerator.peak.bf16 else "fp16"
