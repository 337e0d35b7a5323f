"""Texts whose reading once took time with the square of their length: an hour of work then, a second now."""

from __future__ import annotations

import time

import pytest

from planner.errors import PlannerError
from planner.launch.header import read_header
from planner.read.script import Context, read_any

HOSTILE = {
    "continued lines": "--a " + "\\\n" * 90_000,
    "blank lines": "\n" * 190_000,
    "unknown options": "".join(f"--a{n:x} 1 " for n in range(20_000)),
    "values": "--num-layers 1 --a " + "1 " * 90_000,
    "unknown tables": "".join(f"[a{n}]\n" for n in range(22_000)),
    "dots of a key": "[a]\na" + ".a" * 90_000 + "=1\n",
    "a long key of TOML": "[a]\n[" + "a" * 190_000 + "]\n",
    "unknown keys of JSON": "{" + ",".join(f'"a{n}":1' for n in range(20_000)) + "}",
    "a long key of JSON": '{"' + "a" * 190_000 + '":1}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_ends(name: str) -> None:
    """Read or refused; the bound tells a blow-up from a slow machine."""
    start = time.process_time()
    read_header(HOSTILE[name])
    try:
        read_any(HOSTILE[name], Context(8))
    except PlannerError as refused:
        assert str(refused)
    assert time.process_time() - start < 20
