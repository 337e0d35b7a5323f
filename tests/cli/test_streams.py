"""stdin, stdout and stderr that are closed, full, unread, or of few letters."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from time import sleep

import pytest

from planner.cli import screen
from planner.cli.streams import Lost, Stream
from tests.cli.run import Shell

TABLE = "recommend -m gpt2-xl -g 8xA100"


def bash(command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A command under `pipefail`; `planner` is the one under test."""
    script = f'set -o pipefail; planner() {{ "{sys.executable}" -m planner "$@"; }}; {command}'
    return subprocess.run(["bash", "-c", script], capture_output=True, check=False, env={**os.environ, **environment})


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (f"planner {TABLE} -q | head -1", 0, ""),
        (f"planner {TABLE} -q | true", 0, ""),
        ("planner recommend -m llama3-405b -g 8xA100 -q --exact | true", 1, ""),
        ("planner --help | true", 0, ""),
        (f"planner {TABLE} 2>/dev/full", 0, ""),
        (f"planner {TABLE} 2>&-", 0, ""),
        ("planner frobnicate 2>/dev/full", 2, ""),
        ("planner recommend -m nope -g 8xA100 2>&-", 2, ""),
        (f"planner {TABLE} -q --json >/dev/full", 2, "No space left on device, the answer is lost"),
        ("planner --version >/dev/full", 2, "No space left on device, the answer is lost"),
        (f"planner {TABLE} -q >&-", 2, "stdout: closed"),
        (f"planner {TABLE} -q <&- >&- 2>&-", 2, ""),
        ("planner launch - <&-", 2, "stdin is closed"),
        ("planner launch <&-", 2, "no plan"),
        ("planner check - -g 8xA100 <&-", 2, "stdin is closed"),
    ],
)
def test_streams(command: str, code: int, says: str) -> None:
    """The exit code is that of the answer; 2 where it is lost; nobody hears of a reader that has gone."""
    done = bash(command)
    assert done.returncode == code, done
    assert says in done.stderr.decode() if says else done.stderr == b""
    assert len(done.stderr.splitlines()) <= 4


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
@pytest.mark.parametrize("command", [f"{TABLE} -q", "timeline 1f1b --pp 4 -m 8", "recommend --help", "frobnicate"])
def test_few_letters(shell: Shell, monkeypatch: pytest.MonkeyPatch, encoding: str, command: str) -> None:
    """Whole lines in any encoding: as many as in UTF-8."""
    plain = shell(command)
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    code = shell(command).code
    for stream in (out, err):
        stream.flush()
    written = [stream.buffer.getvalue().decode(encoding) for stream in (out, err)]  # type: ignore[attr-defined]
    assert code == plain.code
    assert [len(text.splitlines()) for text in written] == [len(plain.out.splitlines()), len(plain.err.splitlines())]


def test_stand_ins_are_as_wide() -> None:
    """What ASCII lacks is replaced, letter by letter; bytes that were no text are told apart."""
    real = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\n")
    stream = Stream(real, "stdout", True)
    stream.write("2 × 8 · ±9 % ─ ₁ é\n\udcff ☃\n")
    stream.flush()
    assert real.buffer.getvalue() == b"2 x 8 . ~9 % - 1 e\n\\xff ?\n"  # type: ignore[attr-defined]
    stream.restore()
    assert real.errors == "strict"


def test_what_was_lost_stays_lost(tmp_path: Path) -> None:
    """Whoever swallows the first complaint hears it again at the end."""
    stream = Stream(None, "stdout", True)
    stream.write("")
    with pytest.raises(Lost):
        stream.write("answer")
    assert stream.write("more") == 4
    with pytest.raises(Lost, match="closed"):
        stream.flush()


def test_a_sweep_stops_when_nobody_reads(tmp_path: Path) -> None:
    """The rest of a thousand cells is not computed."""
    sweep = tmp_path / "many.yaml"
    sweep.write_text("model: gpt2-xl\ngpus: 8xA100\nseq: [" + ", ".join(map(str, range(64, 1024))) + "]\n")
    done = bash(f"planner sweep {sweep} -j 1 | head -1")
    assert done.returncode == 0 and done.stdout.count(b"\n") == 1 and b"cells done" not in done.stderr


@pytest.mark.parametrize("words", ["--debug recommend -m nope -g 8xA100", "recommend -m nope -g 8xA100 --debug"])
def test_debug_before_and_after_the_command(shell: Shell, words: str) -> None:
    """The traceback, the same screen below it, and the same exit code."""
    plain, result = shell(words.replace("--debug", "")), shell(words)
    assert result.code == plain.code == 2
    assert "Traceback" in result.err and result.err.endswith(plain.err)


def test_what_takes_long_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line with the plans and the seconds, taken away in the end; nothing where it is quick, quiet or no terminal."""

    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    def said(quiet: bool, patience: float) -> str:
        monkeypatch.setattr(screen, "PATIENCE", patience)
        monkeypatch.setattr(sys, "stderr", err := Screen())
        with screen.progress(quiet) as tick:
            if tick is not None:
                tick(1234)
            sleep(0.3)
        return err.getvalue()

    assert re.fullmatch(r"(\r1,234 plans, 0 s)+\r\x1b\[K", said(False, 0.01))
    assert said(False, 5.0) == said(True, 0.01) == ""
