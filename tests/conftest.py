"""How many examples properties are tried on, and how many cases of a test are run.

Without an option the examples are the same ones every time: a run fails for a change, not for its luck.
`--hypothesis-profile=fuzz` asks for ten thousand random ones. `--thin N` runs of each test function its first case and
every Nth after it: what a further set of versions needs when all cases have passed with another.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("fuzz", max_examples=10_000, deadline=None)
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thin", type=int, default=1, metavar="N", help="every Nth case of each test function only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seen: Counter[str] = Counter()
    kept, left = [], []
    for item in items:
        name = item.nodeid.partition("[")[0]
        (left if seen[name] % config.getoption("--thin") else kept).append(item)
        seen[name] += 1
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept
