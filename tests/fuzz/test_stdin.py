"""Answers read back: an edited one is a plan of its job or is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.kit import ask, cases, kept

JOBS = {
    "dense": ("recommend", "-m", "gpt2-xl", "-g", "8xA100", "--top", "2", "--pp", "2"),
    "experts": ("recommend", "-m", "mixtral-8x7b", "-g", "16xH100", "--top", "1"),
    "explained": ("explain", "-m", "llama3-8b", "-g", "8xH100", "--tp", "2"),
}
READERS = (
    ("launch", "-", "-q"),
    ("launch", "-q", "--launcher", "none", "--target", "pytorch"),
    ("check", "-", "-q"),
    ("check", "-", "-q", "--json"),
    ("launch", "-", "-q", "-g", "8xV100"),
    ("check", "-", "-q", "-f", "deepspeed"),
)

NUMBERS = st.integers(-8, 20) | st.sampled_from((2**31, 10**9, 10**18, -(10**30), 0.5, 1e308, -0.0))
VALUES = NUMBERS | st.none() | st.booleans() | st.text(max_size=8) | st.lists(NUMBERS, max_size=2) | st.just({})
WORDS = st.sampled_from(("1f1b", "interleaved", "naive", "zb-h1", "full", "none", "block", "lora", "bf16", "deepspeed"))


@cache
def answer(name: str) -> Any:
    """What the planner itself says of a job."""
    return ask([*JOBS[name], "--json", "-q"]).json


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Keys of what is read, outermost first."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


@cache
def keys(name: str) -> list[tuple[Any, ...]]:
    """Where an answer can be edited: its question and its plans."""
    return [path for path in places(answer(name)) if path[0] in ("schema", "inputs", "plans", "plan")]


@st.composite
def edited(draw: st.DrawFn) -> Any:
    """An answer with up to three edits."""
    name = draw(st.sampled_from(sorted(JOBS)))
    found = deepcopy(answer(name))
    for path in draw(st.lists(st.sampled_from(keys(name)), min_size=1, max_size=3)):
        holder = found
        for key in path[:-1]:
            holder = holder[key] if isinstance(holder, dict | list) and _has(holder, key) else {}
        if isinstance(holder, dict | list) and _has(holder, path[-1]):
            if isinstance(holder, dict) and draw(st.integers(0, 9)) == 0:
                del holder[path[-1]]
            else:
                holder[path[-1]] = draw(VALUES | WORDS)
    return found


def _has(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else isinstance(key, int) and key < len(holder)


@given(edited(), st.sampled_from(READERS))
@cases(60)
def test_edited_answers(data: Any, words: tuple[str, ...]) -> None:
    """One screen, or what is written is for a plan whose degrees make its cluster and its batch."""
    result = ask(words, stdin=json.dumps(data).encode())
    kept(result)
    if result.code == 0:
        plan = data["plans"][0] if data.get("plans") is not None else data["plan"]
        assert min(plan[key] for key in ("tp", "cp", "ep", "pp", "v", "dp", "micro_batch", "micro_batches")) >= 1
        assert plan["dp"] * plan["micro_batch"] * plan["micro_batches"] == data["inputs"]["workload"]["global_batch"]
        if "-g" not in words:
            assert plan["tp"] * plan["cp"] * plan["pp"] * plan["dp"] == data["inputs"]["cluster"]["gpus"]
        assert plan["ep"] == 1 or "moe" in data["inputs"]["model"]["profile"]
        assert plan["v"] == 1 or plan["schedule"] == "interleaved"
        assert plan["recompute_layers"] <= data["inputs"]["model"]["profile"]["layers"]


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | VALUES.map(lambda v: json.dumps(v).encode()))
@cases(40)
def test_any_bytes(data: bytes) -> None:
    """No answer, no script, no JSON."""
    for words in (["launch", "-"], ["check", "-", "-g", "8xA100", "--json"], ["sweep", "-"]):
        kept(ask(words, stdin=data))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tp": -8}, "plans[0].tp"),
        ({"pp": 0}, "plans[0].pp"),
        ({"dp": "8"}, "plans[0].dp"),
        ({"zero": True}, "plans[0].zero"),
        ({"schedule": "zigzag"}, "schedule 'zigzag' is unknown"),
        ({"optimizer": "rmsprop"}, "plans[0].optimizer"),
        ({"micro_batches": 1}, "rule: batch"),
        ({"ep": 4}, "rule: dense"),
        ({"v": 2, "head_layers": 0, "schedule": "1f1b", "layout": None}, "rule: schedule"),
        ({"layout": "Et|L"}, "rule: layout"),
        ({"layout": "Et|q"}, "none of E t m L"),
        ({"recompute": "block", "recompute_layers": 99}, "rule: recompute_layers"),
        ({"recompute_layers": 3, "recompute": "none"}, "recompute is none, but recompute_layers 3"),
        ({"cp": 2}, "rule: gpus"),
        ({"tp": None}, "plans[0].tp"),
    ],
)
@pytest.mark.parametrize("verb", ["launch", "check"])
def test_edits_are_refused(verb: str, change: dict[str, Any], says: str) -> None:
    """By the key that cannot be, or the rule that the plan breaks."""
    data = deepcopy(answer("dense"))
    data["plans"][0] |= change
    result = ask([verb, "-"], stdin=json.dumps(data).encode())
    kept(result)
    assert result.code == 2 and says in result.err


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b"\r\n"])
def test_an_answer_of_another_editor(start: bytes) -> None:
    """A byte order mark and CRLF change nothing."""
    text = json.dumps(answer("dense"), indent=2)
    plain, other = (
        ask(["launch", "-q"], stdin=data) for data in (text.encode(), start + text.replace("\n", "\r\n").encode())
    )
    assert (other.code, other.out) == (0, plain.out)
