"""What was once taken in silence or answered with nonsense."""

from __future__ import annotations

from planner.questions.ask import ask
from planner.questions.curve import ask_curve


def test_attention_that_the_part_has_not() -> None:
    """Volta has no FlashAttention: said, unless another kernel is named."""
    said = "has no FlashAttention"
    assert any(said in one for one in ask("gpt2-xl", "8xV100").assumptions)
    assert not any(said in one for one in ask("gpt2-xl", "8xV100", attention="unfused").assumptions)
    assert not any(said in one for one in ask("gpt2-xl", "8xA100").assumptions)


def test_a_range_of_one() -> None:
    """Both ends may be the same."""
    assert ask_curve("gpt2-xl", "8xA100..8xA100").sizes == (8,)


def test_the_rank_of_adapters() -> None:
    """Given or not."""
    assert ask("gpt2-xl", "8xA100", method="lora", lora_rank=8).job.workload.lora_rank == 8
    assert ask("gpt2-xl", "8xA100", method="lora").job.workload.lora_rank == 16
