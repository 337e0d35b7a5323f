"""Options and cluster strings: any words get an answer or one screen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.kit import MEMORY, ask, cases, kept, weigh

PARTS = ("8", "x", "A100", "H100", "V100", "2x8x", "..", ":", "-80GB", "0", "-1", "1e9", "×", " ", "*", "80GiB", "\x00")


@given(st.lists(st.sampled_from(PARTS), max_size=5).map("".join) | st.text(max_size=12))
@cases(60)
def test_any_cluster(gpus: str) -> None:
    """A cluster, or what is wrong with the text."""
    kept(ask(["recommend", "-m", "gpt2-xl", "-q", f"--gpus={gpus}"]))


def test_memory() -> None:
    """The largest cluster that the documentation speaks of stays within its bound."""
    result, peak = weigh(["recommend", "-m", "llama3-405b", "-g", "2048x8xH100", "--json"])
    kept(result)
    assert peak < MEMORY
