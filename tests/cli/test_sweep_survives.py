"""planner sweep when it is killed, interrupted, run twice at a time, or out of room."""

from __future__ import annotations

import array
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.run import Shell

fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")

CELLS = 40
ROOT = Path(__file__).parents[2]
PATIENCE = 60
"""Seconds after which a test gives up; none takes that long on an idle machine."""


def sweep_file(path: Path, count: int) -> Path:
    """A sweep of that many cells."""
    batches = list(range(4, 4 * count + 4, 4))
    path.write_text(f"model: llama3.2-1b\ngpus: 2xA100\nglobal-batch: {batches}\nseq: 1024\ncp: 1\n")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Less than a second on one core."""
    return sweep_file(tmp_path / "sweep.yaml", CELLS)


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """Longer than any test waits."""
    return sweep_file(tmp_path / "endless.yaml", 20_000)


def command(file: Path, *options: object) -> list[str]:
    return [sys.executable, "-m", "planner", "sweep", str(file), "-q", *map(str, options)]


@contextmanager
def started(file: Path, *options: object, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A sweep in a process of its own, which is gone afterwards."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command(file, *options), env=environment, stderr=subprocess.PIPE, **more) as process:
        try:
            yield process
        finally:
            process.kill()


def until(true: Callable[[], bool]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def size(out: Path) -> int:
    return out.stat().st_size if out.exists() else 0


def has_records(out: Path) -> Callable[[], bool]:
    return lambda: size(out) > 0


def cells(out: Path) -> list[str]:
    """Of a file whose lines are all whole."""
    text = out.read_text()
    assert text == "" or text.endswith("\n")
    return [json.loads(line)["cell"] for line in text.splitlines()]


def test_same_bytes_however_often_it_was_stopped(shell: Shell, file: Path, tmp_path: Path) -> None:
    """One process or several, in one go or in many: the same records, byte for byte."""
    whole, parts = tmp_path / "whole.ndjson", tmp_path / "parts.ndjson"
    assert shell(f"sweep {file} -q -o {whole} -j 1").code == 0
    for number in (signal.SIGINT, signal.SIGKILL, signal.SIGTERM):
        before = size(parts)
        with started(file, "-o", parts, "-j", 3) as process:
            until(lambda: process.poll() is not None or size(parts) > before)  # noqa: B023
            process.send_signal(number)
            assert process.wait(PATIENCE) in (0, -9, 128 + number)
    assert shell(f"sweep {file} -q -o {parts} -j 2").code == 0
    assert sorted(parts.read_bytes().splitlines()) == sorted(whole.read_bytes().splitlines())
    assert len(set(cells(parts))) == CELLS
    again = tmp_path / "again.ndjson"
    assert shell(f"sweep {file} -q -o {again} -j 3").code == 0 and again.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_whole_records(endless: Path, tmp_path: Path, number: signal.Signals) -> None:
    """To the whole group, as Ctrl-C does: the workers say nothing."""
    out = tmp_path / "out.ndjson"
    with started(endless, "-o", out, "-j", 2, start_new_session=True) as process:
        until(has_records(out))
        os.killpg(process.pid, number)
        assert process.wait(PATIENCE) == 128 + number
        assert process.communicate()[1] == b""
    assert cells(out)


def test_killed_it_leaves_no_workers(endless: Path, tmp_path: Path) -> None:
    """Whoever still lives holds the pipe open, and reading it does not end. The file is free at once."""
    out = tmp_path / "out.ndjson"
    with started(endless, "-o", out, "-j", 2, stdout=subprocess.PIPE) as process:
        until(has_records(out))
        process.kill()
        assert process.communicate(timeout=PATIENCE) == (b"", b"")
    with started(endless, "-o", out, "-j", 2) as process:
        before = size(out)
        until(lambda: size(out) > before)


def test_a_reader_that_does_not_read_holds_nobody_up(endless: Path) -> None:
    """A full pipe, nobody at its end, and a signal."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, getattr(fcntl, "F_SETPIPE_SZ", 1031), 4096)
    seen: list[int] = []

    def is_full() -> bool:
        """Something is in the pipe, and for a while nothing came after it."""
        waiting = array.array("i", [0])
        fcntl.ioctl(reading, termios.FIONREAD, waiting)
        seen.append(waiting[0])
        return seen[-1] > 0 and seen[-30:] == [seen[-1]] * 30

    with started(endless, "-j", 2, stdout=writing) as process:
        until(is_full)
        process.terminate()
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM
    os.close(writing)
    os.close(reading)


def test_one_sweep_at_a_time(shell: Shell, endless: Path, tmp_path: Path) -> None:
    """The second is refused and changes nothing; counting what is there is allowed."""
    out = tmp_path / "out.ndjson"
    with started(endless, "-o", out, "-j", 1) as process:
        until(has_records(out))
        os.kill(process.pid, signal.SIGSTOP)
        before = out.read_bytes()
        refused = shell(f"sweep {endless} -o {out}")
        assert refused.code == 2 and "another sweep is writing to it" in refused.err and out.read_bytes() == before
        assert shell(f"sweep {endless} -o {out} --dry-run").code == 0


@pytest.mark.parametrize("name", ["out.ndjson", "out.csv"])
@pytest.mark.parametrize("limit", [10, 4000])
def test_a_full_disk_loses_nothing(shell: Shell, file: Path, tmp_path: Path, name: str, limit: int) -> None:
    """What went in stays in whole, and the same command goes on when there is room."""
    out, whole = tmp_path / name, tmp_path / f"whole-{name}"
    limits = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))}
    with started(file, "-o", out, "-j", 2, **limits) as process:
        said = process.communicate(timeout=PATIENCE)[1].decode()
    assert process.returncode == 2 and f"--out {out}: " in said and "make room" in said and "Traceback" not in said
    before = out.read_bytes()
    assert before == b"" or before.endswith(b"\n")
    assert (limit < 100) == (len(before) == 0) and len(before) <= limit
    assert shell(f"sweep {file} -q -o {out}").code == shell(f"sweep {file} -q -o {whole}").code == 0
    assert out.read_bytes().startswith(before)
    assert sorted(out.read_bytes().splitlines()) == sorted(whole.read_bytes().splitlines())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_devices_are_written_to(shell: Shell, file: Path) -> None:
    """They stay what they are; one without room is said."""
    full = shell(f"sweep {file} -q -o /dev/full")
    assert full.code == 2 and "no space left" in full.err
    assert shell(f"sweep {file} -q -o /dev/null").code == 0
    assert all(stat.S_ISCHR(os.stat(path).st_mode) for path in ("/dev/full", "/dev/null"))
