"""Where answers are written and what is read, when it is no regular file."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.kit import MEMORY, ask, cases, kept, weigh

DRAW = ("timeline", "1f1b", "--pp", "2", "-m", "3", "-q", "--format", "svg")
MODES = (0o600, 0o640, 0o644)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory that ends with what it began with and what the test names: no draft is left behind."""
    yield tmp_path
    assert not [path for path in tmp_path.rglob(".*")]


@pytest.fixture(scope="module")
def drawing() -> str:
    """What is to arrive."""
    return ask(DRAW).out


@pytest.mark.parametrize("mode", MODES)
def test_a_link_stays_a_link(place: Path, drawing: str, mode: int) -> None:
    """Its target is written, and keeps its permissions."""
    (place / "real").mkdir()
    target = place / "real" / "target.svg"
    target.write_text("before")
    target.chmod(mode)
    (place / "one.svg").symlink_to("real/target.svg")
    (place / "two.svg").symlink_to("one.svg")
    result = ask([*DRAW, "-o", str(place / "two.svg")])
    assert result.code == 0 and target.read_text() == drawing and stat.S_IMODE(target.stat().st_mode) == mode
    assert (place / "one.svg").is_symlink() and (place / "two.svg").is_symlink()


def test_a_link_to_nothing_yet(place: Path, drawing: str) -> None:
    """Makes the file it names; a link into no directory, or in a circle, is one screen."""
    (place / "link.svg").symlink_to(place / "new.svg")
    assert ask([*DRAW, "-o", str(place / "link.svg")]).code == 0 and (place / "new.svg").read_text() == drawing
    (place / "lost.svg").symlink_to(place / "nowhere" / "new.svg")
    (place / "a.svg").symlink_to("b.svg")
    (place / "b.svg").symlink_to("a.svg")
    for name, says in (("lost.svg", "no directory"), ("a.svg", "Too many levels")):
        result = ask([*DRAW, "-o", str(place / name)])
        kept(result)
        assert result.code == 2 and says in result.err and (place / name).is_symlink()


def test_a_pipe_stays_a_pipe(place: Path, drawing: str) -> None:
    """Its reader gets the drawing."""
    pipe, got = place / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    assert ask([*DRAW, "-o", str(pipe)]).code == 0
    reader.join(10)
    assert got == [drawing] and stat.S_ISFIFO(pipe.stat().st_mode)


def test_devices_stay_devices(drawing: str) -> None:
    """/dev/null takes everything, /dev/full nothing."""
    before = [os.stat(name).st_rdev for name in ("/dev/null", "/dev/full")]
    assert ask([*DRAW, "-o", "/dev/null"]).code == 0
    result = ask([*DRAW, "-o", "/dev/full"])
    kept(result)
    assert result.code == 2 and "No space left" in result.err
    assert [os.stat(name).st_rdev for name in ("/dev/null", "/dev/full")] == before


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "mine"])
def test_stdout_by_name(place: Path, drawing: str, name: str) -> None:
    """Into a pipe; and behind what a file holds already."""
    (place / "mine").symlink_to("/dev/stdout")
    command = [sys.executable, "-m", "planner", *DRAW, "-o", name]
    assert subprocess.run(command, capture_output=True, check=True, cwd=place).stdout.decode() == drawing
    log = place / "log"
    log.write_text("before\n")
    with log.open("a") as file:
        subprocess.run(command, stdout=file, check=True, cwd=place)
    assert log.read_text() == f"before\n{drawing}"
    assert Path("/dev/stdout").is_symlink()


def test_files_of_a_directory(place: Path) -> None:
    """A link in it is written through; where a pipe stands, nothing at all is written."""
    words = ["launch", "-m", "llama3-8b", "-g", "8xA100", "-f", "deepspeed", "-q", "-o"]
    job = place / "job"
    job.mkdir()
    (job / "run.sh").symlink_to("../elsewhere.sh")
    assert ask([*words, str(job)]).code == 0
    assert (job / "run.sh").is_symlink() and (place / "elsewhere.sh").read_text().startswith("#!")
    (job / "ds_config.json").unlink()
    os.mkfifo(job / "ds_config.json")
    (place / "elsewhere.sh").write_text("mine")
    result = ask([*words, str(job)])
    kept(result)
    assert result.code == 2 and "no regular file" in result.err and (place / "elsewhere.sh").read_text() == "mine"


READERS = (
    ["check", "FILE", "-g", "8xA100"],
    ["launch", "FILE"],
    ["recommend", "-m", "FILE/config.json", "-g", "8xA100"],
    ["recommend", "-m", "link.yaml", "-g", "8xA100"],
    ["recommend", "-m", "gpt2-xl", "-g", "link.yaml"],
    ["sweep", "FILE"],
    ["calibrate", "FILE"],
    ["validate", "FILE"],
    ["validate", "link.csv"],
)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/null", "sparse", "."])
@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_endless_input(place: Path, monkeypatch: pytest.MonkeyPatch, device: str, words: list[str]) -> None:
    """No more than a limit is read, whatever the size that is claimed."""
    if device == "sparse":
        (place / device).touch()
        os.truncate(place / device, 10 * 2**30)
    source = (place / device).resolve()
    for name in ("link.yaml", "link.csv"):
        (place / name).symlink_to(source)
    monkeypatch.chdir(place)
    result, peak = weigh([w.replace("FILE", str(source)).replace("link", str(place / "link")) for w in words])
    kept(result)
    assert result.code == 2 and peak < MEMORY


@given(st.binary(max_size=40), st.sampled_from(READERS))
@cases(40)
def test_any_file(data: bytes, words: list[str]) -> None:
    """Bytes of any encoding."""
    kept(ask([w.replace("FILE", "file") for w in words], files={"file": data, "link.yaml": data, "link.csv": data}))


NAMES = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), max_size=300)


@given(NAMES | st.sampled_from(("", ".", "/", "a/b", "~", "x" * 300, "/proc/self/mem", "/dev/tty")))
@cases(30)
def test_any_output(name: str) -> None:
    """One screen, or a file."""
    kept(ask([*DRAW, f"--out={name}"]))
