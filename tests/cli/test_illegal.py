"""Questions that leave no legal plan: the rule that stands in the way is named, and what is said to cure it does."""

from __future__ import annotations

import re
from typing import Any

import pytest

from planner.errors import NoLegalPlan
from planner.questions.ask import ask
from planner.questions.train import recommend
from tests.cli.run import Shell

DENSE: dict[str, Any] = {"model": "llama3-8b", "gpus": "8xH100", "seq": 8192, "global_batch": 512}
MOE = DENSE | {"model": "mixtral-8x7b"}

ILLEGAL: tuple[tuple[dict[str, Any], str, str], ...] = (
    (DENSE | {"recompute": "selective", "framework": "torchtitan"}, "saves nothing", "--recompute selective"),
    (DENSE | {"gpus": "1xH100", "pp": "2"}, "pp=2 x dp=1 does not make the 1 GPU of", "--pp 2"),
    (DENSE | {"gpus": "6xH100", "tp": "3"}, "legal: 1, 2$", "--tp 3"),
    (DENSE | {"v": "3", "pp": "1"}, "p=1: interleaving needs two ranks", "--v 3"),
    (DENSE | {"expert_overlap": "1"}, "llama3-8b has no experts", "--expert-overlap 1"),
    (DENSE | {"etp": "2"}, "llama3-8b has no experts", "--etp 2"),
    (DENSE | {"recompute_modules": "moe"}, "recomputes core_attn, mlp", "--recompute-modules moe"),
    (DENSE | {"gpus": "2x8xH100", "dp_replicate": "2", "zero": "0"}, "needs ZeRO 1 or more", "--zero 0"),
    (DENSE | {"recompute": "full", "recompute_layers": "0"}, "is all of --recompute-layers 0", "--recompute full"),
    (MOE | {"gpus": "2x8xH100", "tp": "4", "sp": "0"}, "needs sequence parallelism", "--sp 0"),
    (MOE | {"ep": "8", "etp": "2"}, r"8\*2 does not divide dp\*cp\*tp/dp_replicate = 8\*1\*1", "--etp 2"),
    (MOE | {"tp": "4", "etp": "2", "framework": "torchtitan"}, "all of tp=4 or not at all", "--etp 2"),
)
"""Options, what the sentence says, and the pins without which there are legal plans."""


@pytest.mark.parametrize(("options", "says", "gone"), ILLEGAL)
def test_the_rule_that_stands_in_the_way_is_named(options: dict[str, Any], says: str, gone: str) -> None:
    """And without the pins that are named there are legal plans."""
    question = ask(**options)
    with pytest.raises(NoLegalPlan, match=says) as told:
        recommend(question.job, question.bounds)
    assert told.value.hint[-1] == f"there are legal plans without {gone}"
    names = {word.removeprefix("--").replace("-", "_") for word in gone.split() if word.startswith("--")}
    cured = ask(**{name: value for name, value in options.items() if name not in names})
    assert recommend(cured.job, cured.bounds, 1).plans


@pytest.mark.parametrize(
    ("options", "more"),
    [
        (DENSE | {"gpus": "128x8xH100", "global_batch": 2}, "with --cp 1..1024"),
        (DENSE | {"offload": "parameters"}, "with --framework hf"),
        (DENSE | {"offload": "parameters", "zero": "1"}, "with --framework hf and without --zero 1"),
        (DENSE | {"global_batch": 2, "cp": "1", "tp": "1..8", "pp": "1..8", "dp": "8"}, "without --dp 8"),
    ],
)
def test_what_would_be_legal_is_said_where_the_job_itself_is_not(options: dict[str, Any], more: str) -> None:
    """A wider search, another framework or a larger batch."""
    question = ask(**options)
    with pytest.raises(NoLegalPlan) as told:
        recommend(question.job, question.bounds)
    assert told.value.hint[-1] == f"there are legal plans {more}"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--dispatcher", "deepep", "--imbalance", "1.3"), "no experts: nothing comes of --imbalance, --dispatcher"),
        (("--cp-comm", "a2a"), "nothing comes of --cp-comm a2a without --cp"),
        (("--offload-layers", "2"), "nothing comes of --offload-layers 2"),
    ],
)
def test_options_that_change_nothing_are_named(shell: Shell, words: tuple[str, ...], says: str) -> None:
    """On stderr, like every assumption; with what they are of, they are not."""
    asked = ("recommend", "-m", "llama3-8b", "-g", "8xH100", "--seq", "8192")
    assert re.search(says, shell(*asked, *words).err)
    assert "nothing comes of" not in shell("recommend", "-m", "mixtral-8x7b", "-g", "8xH100", "--imbalance", "1.3").err
