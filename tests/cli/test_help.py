"""planner help: topics, and the help of commands."""

from __future__ import annotations

import pytest

from planner import errors
from planner.questions.thumbs import THUMBS
from planner.report.topics import TOPICS
from tests.cli.run import Shell


def test_topics_are_listed(shell: Shell) -> None:
    """Without one, every one with what it is about."""
    out = shell("help").out
    assert all(name in out and about in out for name, (about, _) in TOPICS.items())


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_is_one_screen(shell: Shell, topic: str) -> None:
    """Lines that fit, on stdout."""
    found = shell("help", topic)
    assert found.code == 0 and not found.err
    assert all(len(line) <= 120 for line in found.out.splitlines()) and len(found.out.splitlines()) < 45


def test_topics_say_what_the_program_goes_by(shell: Shell) -> None:
    """Every exit code, every spelling of a cluster, every target and every rule."""
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_") and isinstance(value, int)}
    assert codes == errors.EXIT_CODES.keys()
    assert all(f"\n{code} " in shell("help", "exit-codes").out for code in codes)
    assert all(spelling in shell("help", "clusters").out for spelling in ("16x8xH100", "4xp5.48xlarge", "@100GbE"))
    assert all(word in shell("help", "formats").out for word in ("Axolotl", "torchtitan", "slurm", "config.json"))
    assert all(name in shell("help", "rules").out for name in THUMBS)


def test_help_of_a_command_is_its_own(shell: Shell) -> None:
    """As `-h` prints it."""
    assert shell("help recommend").out == shell("recommend -h").out


def test_a_mistyped_topic(shell: Shell) -> None:
    """A suggestion."""
    found = shell("help cluster")
    assert found.code == 2 and "did you mean: clusters" in found.err and not found.out
