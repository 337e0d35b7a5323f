"""Images of prompts that are served: what their encoder takes, and where it counts."""

from __future__ import annotations

from typing import Any

import pytest

from planner.plan import Plan
from planner.serving.disaggregate import prefill_rate
from planner.serving.estimate import encoding, prefill, prefill_share
from planner.serving.job import ServeJob, at_batch
from planner.serving.memory import activation_bytes
from planner.serving.queueing import closed_loop, offline, open_loop
from tests.serving.jobs import serve_job

SHAPE = {"input": 3000, "output": 200}


def seeing(of: str = "qwen2.5-vl-7b", on: str = "8xH100", preset: str = "sglang", **asked: Any) -> ServeJob:
    """One image of 1,024 pixels a side in every prompt."""
    return serve_job(of, on, preset, **(SHAPE | {"images": 1} | asked))


def plan(**degrees: float) -> Plan:
    return Plan(**degrees).floats()  # type: ignore[arg-type]


def by_hand() -> float:
    """FLOPs of Qwen2.5-VL's encoder for 74 * 74 patches, from its config.json: 32 layers of 1,280 with a gated part of
    3,456, of which 4 attend to all patches and 28 to windows of 64; patches of 2 * 3 * 14 * 14 numbers; a projector of
    5,120 to 5,120 to 3,584 behind 37 * 37 squares.
    """
    patches, h = 74 * 74, 1280
    layers = 32 * 2 * patches * (4 * h * h + 3 * h * 3456)
    cores = 4 * patches * h * (4 * patches + 28 * 64)
    ends = 2 * patches * h * 1176 + 2 * 37 * 37 * (5120 * 5120 + 5120 * 3584)
    return float(layers + cores + ends)


def test_one_gpu_takes_as_long_as_its_products() -> None:
    """Between once and three times the dense peak's time (989 TFLOP/s), and twice as long for two images."""
    peak, took = by_hand() / 989e12, float(encoding(seeing(), plan()))
    assert peak < took < 3.0 * peak
    assert float(encoding(seeing(images=2), plan())) == pytest.approx(2.0 * took, rel=0.1)


def test_the_host_launches_what_is_in_no_graph() -> None:
    """vLLM's encoder is eager: 32 layers take 0.29 ms each at least, on however many GPUs."""
    job = seeing(preset="vllm", image_size=224)
    assert float(encoding(job, plan(tp=8))) > 32 * job.engine.host_layer
    assert float(encoding(seeing(image_size=224), plan(tp=8))) < 32 * job.engine.host_layer


def test_heads_that_do_not_divide_leave_it_whole() -> None:
    """16 heads go up in 8 ranks, not in 32: every rank then computes all of it, without an all-reduce."""
    job = seeing("qwen2.5-vl-72b", "4x8xH100", input=3000)
    assert float(encoding(job, plan(tp=32))) == pytest.approx(float(encoding(job, plan(tp=1))))
    assert float(encoding(job, plan(tp=8))) < 0.5 * float(encoding(job, plan(tp=1)))


@pytest.mark.parametrize("degrees", [{"tp": 1.0}, {"tp": 4.0}, {"tp": 2.0, "pp": 2.0}])
def test_it_is_part_of_a_prefill(degrees: dict[str, float]) -> None:
    """Once for every prompt, on the first stage; the tokens are the prompt's own."""
    job, text, at = seeing(), seeing(images=0), plan(**degrees)
    once = float(encoding(job, at))
    for prompts in (1.0, 3.0):
        more = float(prefill(job, at, prompts)) - float(prefill(text, at, prompts))
        assert more == pytest.approx(prompts * once)
    busy = at_batch(at, 21.0)
    share = float(prefill_share(job, busy, 3100.0)) - float(prefill_share(text, busy, 3100.0))
    assert share == pytest.approx(20.0 / 200.0 * once)
    assert 1.0 / float(prefill_rate(job, at)) == pytest.approx(1.0 / float(prefill_rate(text, at)) + once)


def test_users_wait_for_it() -> None:
    """In a closed loop, under a rate and from a list; and are told how long a prompt's own takes."""
    job, text, at = seeing(), seeing(images=0), at_batch(plan(tp=2), 4.0)
    for load in (closed_loop, offline):
        assert float(load(job, at).ttft) > float(load(text, at).ttft) + 0.99 * float(encoding(job, at))
    first, other = open_loop(job, at, 3.0), open_loop(text, at, 3.0)
    assert float(first.ttft) > float(other.ttft) + float(first.encoder)
    assert float(first.encoder) == float(encoding(job, at)) and other.encoder == 0.0


def test_copies_of_the_attention_see_their_own() -> None:
    """A prompt's images are encoded by the ranks of its copy; the copies do so side by side."""
    job = seeing("qwen3-vl-235b-a22b", "8xH200", weights="fp8")
    text = seeing("qwen3-vl-235b-a22b", "8xH200", weights="fp8", images=0)
    at = at_batch(plan(tp=1, ep=8), 81.0)
    once, alone = float(encoding(job, at)), float(encoding(job, plan(tp=1)))
    assert once == pytest.approx(alone)
    share = float(prefill_share(job, at, 3100.0)) - float(prefill_share(text, at, 3100.0))
    assert share == pytest.approx(80.0 / 200.0 * once / 8.0)


def test_many_large_images_need_room() -> None:
    """As many as a chunk holds are encoded together: their working space counts where it is more than the decoder's."""
    text = float(activation_bytes(seeing(preset="tensorrt-llm", images=0), plan(tp=8)))
    assert float(activation_bytes(seeing(preset="tensorrt-llm"), plan(tp=8))) == text
    large = seeing(preset="tensorrt-llm", input=60_000, images=2, image_size=4096)
    patches = (2 * round(4096 / 28)) ** 2
    assert float(activation_bytes(large, plan(tp=8))) > max(text, patches * 3 * 2 * 1280)
