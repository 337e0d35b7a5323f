"""Every answer on terminals of all widths: nothing cropped, no line too long, the plan always there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

from planner.units import format_seconds
from tests.accuracy.samples import row
from tests.cli.run import Shell, exit_code, run
from tests.cli.test_calibrate import LAYOUTS, write

WIDTHS = (60, 80, 100, 120, 200)
SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "train_13b.sh"
SERVED = Path(__file__).parents[2] / "benchmarks" / "measured-serving" / "nvidia-nim.csv"
GIB = 2**30

Terminal = Callable[..., str]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """`terminal(80, "recommend ...")`: what a terminal of 80 columns is sent."""
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "COLORTERM", "PLANNER_PROFILES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")

    def ask(width: int, command: str) -> str:
        main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        pieces: list[bytes] = []
        reader = Thread(target=_drain, args=(main, pieces))
        reader.start()
        with os.fdopen(side, "w", encoding="utf-8") as out, monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", out)
            patched.setattr(sys, "__stdout__", out)
            assert exit_code(command.split()) in (0, 1)
        reader.join()
        os.close(main)
        return b"".join(pieces).decode()

    yield ask


def _drain(source: int, pieces: list[bytes]) -> None:
    """Everything up to the hanging up, which Linux calls an error."""
    try:
        while piece := os.read(source, 65536):
            pieces.append(piece)
    except OSError:
        return


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Four layouts that were measured."""
    rows = [row(id=f"r-{n}", tp=tp, pp=pp, value=f"{9 + n}", sweep_group="g") for n, (tp, pp) in enumerate(LAYOUTS)]
    return write(tmp_path / "runs.csv", rows)


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved ranking."""
    path = tmp_path_factory.mktemp("saved") / "a.json"
    words = ["recommend", "-m", "llama70b", "-g", "8x8xA100", "--json", "-q", "--top", "2"]
    path.write_text(run(words).out, encoding="utf-8")
    return path


COMMANDS = {
    "recommend -m llama3-8b -g 8xH100": "tp pp dp step fullest",
    "recommend -m mixtral-8x7b -g 64xH100 --seq 4096": "tp ep etp pp dp step fullest",
    "recommend -m llama70b -g 8xA100": "tp pp dp step fullest short",
    "recommend -m llama70b -g 8xA100 --exact": "nearest short",
    "recommend -m llama3-8b -g 8xH100..32xH100": "GPUs step layout Scaling",
    "size -m llama3-8b --gpu H100,A100-80GB --tokens 1T --max-gpus 32": "GPUs time cost layout",
    "size -m llama3-8b --gpu H100 --serve --requests 20/s --input 1000 --output 200 --ttft 1s": "GPUs TTFT TPOT layout",
    "serve -m llama70b -g 8xH100 --input 1000 --output 200 --users 32 --ttft 2s": "tp pp dp TTFT TPOT tok/s/GPU memory",
    "compare -m llama3-8b -g 8xA100,8xH100,16xH100": "layout step memory",
    "explain --serve -m llama3-8b -g 2xH100 --input 1000 --output 200 --users 8": "MEMORY TIME SOURCES",
    "help exit-codes": "70",
    "help clusters": "8xA100",
    "diff {answer} 2": "what differs first second change total",
    "explain -m llama3-8b -g 16xH100 --pp 4": "PARAMETERS MEMORY TIME SOURCES SENSITIVITY",
    "show models": "llama3.1-70b",
    "show nodes": "dgx-h100",
    "show accelerator a100-sxm4-80gb": "memory",
    f"check {SCRIPT} --gpus 2x8xA100": "plan fits step",
    "validate {runs}": "runs median p90",
    f"validate --serve {SERVED}": "mean",
    "calibrate {runs} --out mine": "measured before after",
    "timeline --compare gpipe,1f1b,interleaved:2 --pp 4 -m 8": "makespan",
    "timeline --model llama70b -g 64xA100": "makespan",
}
"""Every command that prints more than a line, and words of its answer that no width takes away."""


@pytest.mark.parametrize("command", COMMANDS)
def test_fits(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, runs: Path, answer: Path, command: str) -> None:
    """No line wider than the terminal, no cell cropped; what was asked for stays, what left is named."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(runs.parent)
    for width in WIDTHS:
        words = command.format(runs=runs.name, answer=answer)
        out = terminal(width, f"{words}{'' if command.startswith(('show', 'help')) else ' -q'}")
        assert "…" not in out and "\x1b" not in out
        assert max(map(len, out.splitlines())) <= width, width
        assert set(COMMANDS[command].split()) <= set(re.split(r"[\s,:;]+", out)), width


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("recommend") and ".." not in c][:3])
def test_every_plan_is_whole(terminal: Terminal, shell: Shell, command: str) -> None:
    """Degrees, step time and memory of every plan, as JSON has them, in a row or in a block."""
    plans = shell(f"{command} --json -q").json["plans"]
    names = ["tp", *(["ep", "etp"] if "mixtral" in command else []), "pp", "v", "dp", "micro_batch"]
    for width in WIDTHS[:3]:
        out = re.sub(r"\x1b\[[0-9;]*m", "", terminal(width, f"{command} -q"))
        for n, plan in enumerate(plans, start=1):
            degrees = "".join(rf"\s+(?:[a-z]+ )?{plan[name]}\b" for name in names)
            found = re.search(rf"^(?:# )? *{n}{degrees}(?:.*\n    )*?.*GiB", out.replace("\r", ""), flags=re.M)
            assert found, (width, n)
            assert format_seconds(plan["step_time_s"]) in found[0]
            assert re.search(rf"\b{plan['memory_bytes']['total'] / GIB:.1f} (±|of) ", found[0])


def test_colours(terminal: Terminal, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, unless it is dumb or nobody wants them; elsewhere on request. The letters are the same."""
    command = "timeline 1f1b --pp 2 -m 4"
    painted, piped = terminal(80, command), shell(command).out
    assert "\x1b[1m" in painted and "48;5;" in painted and "48;2;" not in painted and "\x1b" not in piped
    monkeypatch.setenv("COLORTERM", "truecolor")
    assert "48;2;0;114;178m" in terminal(80, command)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1m" in shell(command).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in terminal(80, command) + shell(command).out
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.delenv("FORCE_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    plain = terminal(80, command)
    assert "\x1b" not in plain and plain.splitlines() == re.sub(r"\x1b\[[0-9;]*m", "", painted).splitlines()


def test_nor_when_columns_have_left(terminal: Terminal) -> None:
    """Where what tells rows apart would leave, rows become blocks."""
    out = re.sub(r"\x1b\[[0-9;]*m|\r", "", terminal(60, "recommend -m llama70b -g 8xA100 -f any -q"))
    blocks = re.findall(r"^# \d+((?:.*\n    .*)*)", out, flags=re.M)
    assert len(blocks) == 10 and all(" relaxed " in one for one in blocks)
    told = {re.sub(r" step .*?(?= zero| relaxed)", "", one.replace("\n    ", "  "), flags=re.S) for one in blocks}
    assert len(told) == 10


def test_no_two_rows_look_alike(shell: Shell) -> None:
    """What tells rows apart is shown where rows differ in it, and only there."""
    pinned = "recommend -m llama70b -g 8x8xH100 -q --tp 8 --pp 4 --framework any --schedule 1f1b,zb-h1"
    for command in (pinned, "recommend -m llama3-8b -g 8xH100 -q", "recommend -m mixtral-8x7b -g 64xH100 -q"):
        out = shell(command).out.splitlines()
        head = next(n for n, line in enumerate(out) if line.lstrip().startswith("#"))
        rows = [re.split(r"\s{2,}", line.strip()) for line in out[head + 1 : out.index("", head)]]
        step = next(n for n, name in enumerate(out[head].split()) if name == "step")
        assert len({tuple(" ".join(row).split()[1:step]) for row in rows}) == len(rows)
        assert (" sp " in out[head] and " schedule " in out[head]) == (command == pinned)
