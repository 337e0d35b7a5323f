"""Predictions and scores of hand-made rows."""

from __future__ import annotations

import numpy as np
import pytest

from planner.accuracy.predict import predict, stack
from planner.accuracy.score import apart, main, score, verdicts
from planner.questions.train import usable_memory
from planner.training.estimate import estimate
from tests.accuracy.samples import case, read_corpus, row


def test_a_batch_predicts_what_one_plan_does() -> None:
    """Rows that share a job are evaluated together, to the same bits."""
    corpus = read_corpus([row(), row(id="paper-002", tp="4"), row(id="paper-003", recompute="selective")])
    for found in predict(corpus.cases):
        alone = estimate(found.case.job, found.case.plan)
        assert found.step == float(alone.time.total)
        assert found.need == float(alone.memory.total)
        assert found.fits == (found.need <= usable_memory(found.case.job))
        assert sum(found.parts.values()) == pytest.approx(found.step)


def test_the_nearest_alternative_counts() -> None:
    """Recomputation that the row does not state is the one that comes nearest to the time."""
    full = predict([case(recompute="full")])[0].step
    none = predict([case(recompute="none")])[0].step
    corpus = read_corpus([row(recompute="", value=str(full)), row(recompute="", value=str(none))])
    assert [p.plan.recompute_layers for p in predict(corpus.cases)] == [12, 0]


def test_allocated_memory_leaves_out_the_reserve() -> None:
    """PyTorch's count holds neither context nor what its allocator cannot use: a tenth of what comes and goes."""
    rows = [row(metric="peak_mem_gb", value="30", notes=note) for note in ("nvidia-smi", "torch max_memory_allocated")]
    seen, allocated = predict(read_corpus(rows).cases)
    memory = estimate(seen.case.job, seen.plan).memory
    lost = 0.1 * float(memory.activations + memory.logits + memory.buffers)
    assert seen.peak - allocated.peak == pytest.approx(seen.case.job.framework.reserve + lost)


def test_memory_of_the_first_rank() -> None:
    """Never more than that of the fullest."""
    notes = "torch max_memory_allocated, max over ranks", "torch max_memory_allocated, first stage"
    rows = [row(metric="peak_mem_gb", value="30", notes=note, vocab="1024000", tp="1") for note in notes]
    fullest, first = (predict([c])[0] for r in rows for c in read_corpus([r]).cases)
    assert first.peak < fullest.peak
    assert first.need == fullest.need


def test_a_stack_holds_every_degree() -> None:
    """One array per degree, in order."""
    plans = stack([case().plan, case(tp="4").plan])
    assert plans.tp.tolist() == [8.0, 4.0] and plans.dp.tolist() == [2.0, 4.0]


def test_a_score() -> None:
    """Two sources of one run each: the mean of both errors."""
    rows = [row(id="one-001"), row(id="two-001")]
    step = predict(read_corpus(rows).cases)[0].step
    rows = [row(id="one-001", value=str(step / 1.1)), row(id="two-001", value=str(step / 0.7))]
    found = score(predict(read_corpus(rows).cases))
    assert found.step is not None
    assert found.step.median == pytest.approx(0.2) and found.step.bias == pytest.approx(-0.1)
    assert [s.name for s in found.sources] == ["one", "two"]
    assert found.fit.fits_fits == 2


def test_a_layout_measured_twice_is_ranked_once() -> None:
    """With the median of its times."""
    rows = [
        row(id="s-1", sweep_group="g", value="5"),
        row(id="s-2", sweep_group="g", value="7"),
        row(id="s-3", sweep_group="g", tp="4", value="9"),
    ]
    group = score(predict(read_corpus(rows).cases)).groups[0]
    assert group.layouts == 2 and group.spread == pytest.approx(9 / 6)


def test_a_layout_is_judged_once() -> None:
    """A time and a peak of one run are one run that fitted."""
    failed = row(metric="fit", value="oom", tp="1", pp="1", micro_batch="1")
    rows = [row(), row(metric="peak_mem_gb", value="20"), failed]
    found = verdicts(predict(read_corpus(rows).cases))
    assert (found.fits_fits, found.oom_oom, found.fits_oom, found.oom_fits) == (1, 1, 0, 0)


def test_apart() -> None:
    """Doubtful runs have a score of their own."""
    predictions = predict(read_corpus([row(), row(id="paper-2", notes="doubtful", value="9")]).cases)
    assert len(main(predictions)) == 1
    assert set(apart(predictions)) == {"doubtful"}


def test_nothing_is_not_a_number() -> None:
    """Every prediction of a usable row is finite and positive."""
    for found in predict([case(), case(pp="1"), case(framework="torchtitan", zero_stage="3")]):
        assert np.isfinite(found.step) and found.step > 0 and np.isfinite(found.peak) and found.peak > 0
