"""What a schedule does to memory, against the papers' counts."""

from __future__ import annotations

import pytest

from planner.blocks import operators
from planner.blocks.operator import Share
from planner.blocks.structure import structure
from planner.plan import Plan
from planner.training.activations import late_bytes
from planner.training.moments import rank_moments, rank_peaks
from tests.jobs import job

OF = job("llama3.1-8b", "8xA100", "any", seq=4096, batch=64)


def held(schedule: str, part: str, v: int = 1) -> list[float]:
    """A part of every row's memory, from the first rank on: four ranks, eight layers each."""
    plan = Plan(pp=4, v=v, dp=2, m=32, b=1, schedule=schedule).floats()
    return [float(getattr(peak.memory, part)) for peak in rank_peaks(OF, plan)]


def test_versions_of_the_weights() -> None:
    """PipeDream keeps one per micro-batch in flight, four on rank 0 and one on the last; 2BW two on each."""
    plain, stashed, double = (held(name, "weights") for name in ("1f1b", "pipedream", "2bw"))
    assert stashed[0] == pytest.approx(4 * plain[0]) and stashed[-1] == pytest.approx(plain[-1])
    assert double == pytest.approx([2 * weights for weights in plain])


def test_a_v_holds_both_ends_on_rank_0() -> None:
    """Embedding and head are 2 * 128,256 * 4,096 parameters, 2 bytes each, beside layers of equal number."""
    weights = held("zb-v", "weights", 2)
    assert weights[0] - weights[-1] == pytest.approx(2 * 2 * 128_256 * 4096, rel=1e-4)


def test_dualpipe_holds_every_stage_twice() -> None:
    """Ranks 0 and 3 have the stages of both: with the ends, the weights of 1F1B's ranks 0 and 3 together."""
    plain, twice = held("1f1b", "weights"), held("dualpipe", "weights", 2)
    assert twice[0] == pytest.approx(plain[0] + plain[-1])


@pytest.mark.parametrize(
    ("schedule", "batches"), [("v-half", 3), ("v-min", 2), ("zb-v", 4), ("dualpipe", 5), ("dualpipe-v", 4.5)]
)
def test_activations_on_rank_0(schedule: str, batches: float) -> None:
    """In micro-batches of a rank's eight layers: 1F1B holds 4, V-Half 3, V-Min 2, DualPipe p + 1 of one stage each."""
    plain, plan = held("1f1b", "activations")[0], Plan(pp=4, v=2, dp=2, m=32, b=1, schedule=schedule).floats()
    assert rank_moments(OF, plan)[0][0]["backward"].activations == pytest.approx(batches / 4 * plain)


def test_what_a_weight_gradient_needs() -> None:
    """32 bytes per token and hidden unit of a GPT layer (Qi 2024, arXiv:2401.10241, 2.3).

    On four ranks a quarter but for inputs of q, k, v and up (4), and gradients of the outputs of projection and down
    (4), of which sequence parallelism scatters the inputs.
    """
    model = job("gpt3-175b", "8xA100", seq=2048, batch=8).model
    for tp, sp, each in ((1.0, 0.0, 32), (4.0, 0.0, 14), (4.0, 1.0, 11)):
        share = Share(1.0, 2048.0, tp=tp, sp=sp)
        late = late_bytes(operators(structure(model).kinds[0], share), share, model.hidden)
        assert late == pytest.approx(each * 2048 * model.hidden)
