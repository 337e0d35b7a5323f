"""One stream of vLLM 0.6.6 and 0.7.2 as RedHatAI's model cards have it (seconds from request to last token).

huggingface.co/RedHatAI: DeepSeek-R1-Distill-Llama-70B, -Llama-8B and -Qwen-32B quantized.w4a16 (vLLM 0.7.2),
granite-3.1-8b-instruct quantized.w4a16 and granite-3.1-8b-base quantized.w8a8 (0.6.6).
"""

from __future__ import annotations

import pytest

from planner.questions.serve import answer, ask_serve

LENGTHS = ((256, 128), (512, 256), (768, 128), (1024, 128), (256, 1024), (1024, 1024), (4096, 512))

MEASURED = [
    ("llama3.3-70b", "4xRTXA6000", "bf16", (7.4, 14.9, 7.5, 7.7, 57.2, 58.9, 31.9)),
    ("llama3.3-70b", "2xRTXA6000", "int4", (4.9, 10.0, 5.5, 5.8, 38.9, 39.2, 23.7)),
    ("llama3.3-70b", "2xA100", "bf16", (6.4, 12.8, 6.6, 6.7, 50.4, 50.8, 27.0)),
    ("llama3.3-70b", "1xA100", "int4", (4.6, 9.2, 4.9, 5.2, 35.3, 36.3, 21.2)),
    ("llama3.3-70b", "2xH100", "bf16", (3.8, 7.6, 3.9, 3.9, 30.0, 30.4, 16.1)),
    ("llama3.3-70b", "1xH100", "int4", (4.0, 7.9, 4.1, 4.2, 31.2, 31.8, 17.8)),
    ("qwen2.5-32b", "1xRTXA6000", "int4", (3.9, 7.8, 4.3, 4.6, 29.7, 30.9, 19.3)),
    ("qwen2.5-32b", "1xA100", "bf16", (5.6, 11.1, 5.7, 5.8, 44.0, 44.7, 23.6)),
    ("qwen2.5-32b", "1xA100", "int4", (2.2, 4.5, 2.4, 2.5, 17.4, 18.0, 10.5)),
    ("qwen2.5-32b", "1xH100", "bf16", (3.3, 6.7, 3.4, 3.4, 26.6, 26.9, 14.3)),
    ("qwen2.5-32b", "1xH100", "fp8", (2.2, 4.3, 2.2, 2.3, 17.3, 17.5, 9.5)),
    ("qwen2.5-32b", "1xH100", "int4", (2.1, 4.1, 2.1, 2.1, 16.1, 16.5, 9.1)),
    ("llama3.1-8b", "1xRTXA6000", "bf16", (3.0, 6.0, 3.0, 3.1, 23.6, 24.0, 12.7)),
    ("llama3.1-8b", "1xRTXA6000", "int4", (1.2, 2.3, 1.3, 1.3, 9.1, 9.5, 5.8)),
    ("llama3.1-8b", "1xA100", "int4", (0.8, 1.6, 0.9, 0.9, 6.4, 6.6, 3.7)),
    ("llama3.1-8b", "1xH100", "int4", (0.7, 1.4, 0.7, 0.7, 5.6, 5.7, 3.1)),
    ("granite-3.3-8b", "1xRTXA5000", "bf16", (3.6, 7.2, 3.7, 3.8, 28.3, 28.8, 15.7)),
    ("granite-3.3-8b", "1xL40", "bf16", (3.2, 6.3, 3.2, 3.2, 25.1, 25.3, 13.4)),
    ("granite-3.3-8b", "1xL40", "int4", (1.1, 2.3, 1.2, 1.2, 8.9, 9.2, 5.3)),
]


def _seconds(model: str, gpus: str, weights: str, lengths: tuple[int, int]) -> float:
    ask = ask_serve(model, gpus, users=1, input=lengths[0], output=lengths[1], weights=weights, tp=gpus.split("x")[0])
    best = answer(ask).choice.ranked[0]
    return float(best.ttft + (lengths[1] - 1) * best.tpot)


@pytest.mark.parametrize(("model", "gpus", "weights", "seconds"), MEASURED)
def test_one_stream(model: str, gpus: str, weights: str, seconds: tuple[float, ...]) -> None:
    """Within 18 % each, rounding of a tenth of a second included, and 14 % at the three longest."""
    errors = [_seconds(model, gpus, weights, at) / t - 1.0 for at, t in zip(LENGTHS, seconds, strict=True)]
    assert all(abs(error) < 0.18 for error in errors), errors
    assert all(abs(error) < 0.145 for error in errors[4:6]), errors
