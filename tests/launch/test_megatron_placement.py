"""Layouts and predictions of Megatron-LM scripts: placed exactly, counted on every rank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from planner.blocks.counts import parameters
from planner.launch.megatron_layout import read_layout
from planner.plan import Plan
from planner.stages import even_stages, layers_per_chunk
from planner.training.estimate import estimate
from tests.cli.run import run
from tests.jobs import job, model, rank_parameters
from tests.launch.test_megatron_checks import flags, read

PLACED: list[tuple[dict[str, str | None], list[int]]] = [
    ({"decoder_first_pipeline_num_layers": "5", "decoder_last_pipeline_num_layers": "7"}, [5, 10, 10, 7]),
    ({"decoder_last_pipeline_num_layers": "5"}, [9, 9, 9, 5]),
    ({"pipeline_model_parallel_layout": "'Et*4|(t*12|)*2t*4,L'"}, [4, 12, 12, 4]),
    ({"pipeline_model_parallel_layout": "'Et|(t*5|)*6tL'"}, [6, 10, 10, 6]),
    (
        {
            "num_layers": "30",
            "account_for_embedding_in_pipeline_split": "",
            "account_for_loss_in_pipeline_split": "",
            "num_virtual_stages_per_pipeline_rank": "2",
        },
        [7, 8, 8, 7],
    ),
    ({"num_layers": "31", "account_for_embedding_in_pipeline_split": ""}, [7, 8, 8, 8]),
]


@pytest.mark.parametrize(("changes", "layers"), PLACED, ids=[str(layers) for _, layers in PLACED])
def test_scripts_are_placed_exactly(changes: dict[str, str | None], layers: list[int]) -> None:
    """No check is broken, nothing is taken for something near it."""
    found = read(flags(**changes))
    assert not found.problems and not any("layers are placed" in note for note in found.notes) and found.model
    assert [sum(rank) for rank in layers_per_chunk(found.model.layers, Plan(**found.plan))] == layers


def test_check_prints_where_layers_are(tmp_path: Path) -> None:
    """In JSON, rank by rank; a prediction is among the parameters: 218 million of a layer and 34 of its projection."""
    script = tmp_path / "run.sh"
    counted = []
    for more in ("", "--mtp-num-layers 1"):
        layout = f"'Et*4|(t*12|)*2t*4{'m' if more else ''}L'"
        words = flags(
            pipeline_model_parallel_layout=layout, untie_embeddings_and_output_weights="", normalization="RMSNorm"
        )
        script.write_text(f"torchrun --nnodes 4 --nproc_per_node 8 pretrain_gpt.py {words} {more}\n")
        answer = run(["check", str(script), "--gpus", "4x8xH100", "--json"]).json
        assert answer["plan"]["layers_per_rank"] == [4, 12, 12, 4]
        counted.append(answer["inputs"]["model"]["parameters"])
    assert counted[1] - counted[0] == 218_112_000 + 2 * 4096**2 + 3 * 4096


def test_layers_that_no_pipeline_holds_are_named() -> None:
    """A layout of another model: refused, and the numbers are those of an even split."""
    found = read(flags(pipeline_model_parallel_layout="'Et*8|t*8|t*8|t*7L'"))
    assert [problem.rule for problem in found.problems] == ["layout"]
    assert any("split evenly" in note for note in found.notes) and "layout" not in found.plan


def test_deepseek_as_nvidia_lays_it_out() -> None:
    """61 layers on 8 ranks of 4 chunks, 1, 30 times 2 and 0: by the string, and by itself (Megatron-Bridge, H100)."""
    assert even_stages(61, 32) == [1, *[2] * 30, 0]
    expected = [[1, 2, 2, 2], *[[2] * 4] * 6, [2, 2, 2, 0]]
    for plan in (Plan(pp=8, v=4), Plan(pp=8, v=4, layout=read_layout("Et|(tt|)*30mL"))):
        assert layers_per_chunk(61, plan) == expected


def test_prediction_of_deepseek() -> None:
    """685 B are published with it, embedding and head once more included, 671 B without (deepseek-ai/DeepSeek-V3)."""
    shape = model("deepseek-v3")
    more = parameters(predicting()).total - parameters(shape).total
    assert more + 2 * shape.vocab * shape.hidden == pytest.approx(684.53e9 - 671.03e9, rel=0.01)


def predicting(name: str = "deepseek-v3") -> Any:
    """The model with one prediction."""
    return model(name).model_copy(update={"mtp_layers": 1})


def test_a_prediction_costs_memory_and_time() -> None:
    """On the last rank more parameters, in the step more time; on other ranks nothing."""
    plan = Plan(tp=2, pp=8, v=4, ep=64, dp=64, b=1, m=64, sp=1, zero=1, schedule="interleaved")
    shapes = (model("deepseek-v3"), predicting())
    counts = [[sum(rank_parameters(shape, plan, rank)) for rank in range(8)] for shape in shapes]
    assert counts[0][:6] == counts[1][:6] and counts[1][7] > counts[0][7] + 129280 * 7168 / 2
    without, with_it = (estimate(job(shape, "128x8xH100", seq=4096, batch=4096), plan) for shape in shapes)
    assert with_it.time.forward > without.time.forward and with_it.time.total > without.time.total
