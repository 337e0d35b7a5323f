"""What was once taken in silence or answered with nonsense."""

from __future__ import annotations

from typing import Any

from planner.questions.ask import ask
from planner.questions.curve import ask_curve
from planner.questions.train import caveats


def test_attention_that_the_part_has_not() -> None:
    """Volta has no FlashAttention: said, unless another kernel is named."""
    assert "has no FlashAttention" in _doubts("8xV100")
    assert "has no FlashAttention" not in _doubts("8xV100", attention="unfused")
    assert "has no FlashAttention" not in _doubts("8xA100")


def test_attention_that_nobody_timed() -> None:
    """FlashAttention 3 is written for Hopper (Dao-AILab/flash-attention, README.md)."""
    assert "no rate of flash3" in _doubts("8xA100", attention="flash3")
    assert "no rate of" not in _doubts("8xH100", attention="flash3") + _doubts("8xA100", attention="flash2")


def _doubts(gpus: str, **asked: Any) -> str:
    question = ask("gpt2-xl", gpus, **asked)
    return "\n".join(caveats(question.job, question.bounds))


def test_a_range_of_one() -> None:
    """Both ends may be the same."""
    assert ask_curve("gpt2-xl", "8xA100..8xA100").sizes == (8,)


def test_the_rank_of_adapters() -> None:
    """Given or not."""
    assert ask("gpt2-xl", "8xA100", method="lora", lora_rank=8).job.workload.lora_rank == 8
    assert ask("gpt2-xl", "8xA100", method="lora").job.workload.lora_rank == 16
