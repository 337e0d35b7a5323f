"""stdin, stdout and stderr as they may be: closed, full, a pipe that nobody reads, an encoding with few letters."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, TextIO, cast

from planner.errors import PlannerError

PLAIN = str.maketrans("×·•●±≈≤≥−–—µ│├┤┌┐└┘┬┴┼─█▉▊▋▌▍▎▏→←‘’“”", "x.**~~<>---u|+++++++++-########><''''")
"""What is written for a character that the encoding of a stream lacks: as wide, so that columns stay."""

_HANDLER = "planner.plain"


class ReaderGone(BaseException):
    """Nobody reads stdout any more, so that going on serves no one. No mistake of anybody's."""


class Lost(PlannerError):
    """The answer could not be written."""


class Stream(io.TextIOBase):
    """A text stream over another one, which may be None, full or closed at the far end.

    A reader that has gone (`planner ... | head`) ends the writing, quietly: what was computed decides the exit code.

    Attributes:
        gone: nothing that is written arrives any more.
        lost: why, where it is an answer and nobody's wish.
    """

    def __init__(self, real: TextIO | None, name: str, must_arrive: bool) -> None:
        self.real, self.label, self.must_arrive = real, name, must_arrive
        self.gone = False
        self.lost: Lost | None = None
        if isinstance(real, io.TextIOWrapper):
            self._before = real.errors or "strict"
            real.reconfigure(errors=_HANDLER)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of the stream below."""
        return getattr(self.real, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """How characters are written that the encoding lacks."""
        return _HANDLER

    def isatty(self) -> bool:
        """Whether a person may be looking."""
        return self.real is not None and not self.real.closed and self.real.isatty()

    def fileno(self) -> int:
        """Of the stream below.

        Raises:
            OSError: it has none.
        """
        if self.real is None:
            raise io.UnsupportedOperation(f"{self.label} is closed")
        return self.real.fileno()

    def writable(self) -> bool:
        """True; whether it arrives is another matter."""
        return True

    def write(self, text: str) -> int:
        """All of the text, or nothing if nobody reads.

        Raises:
            Lost: it cannot be written, and it is the answer.
        """
        if not isinstance(text, str):
            raise TypeError("a text stream takes str")
        if text:
            self._hand(lambda real: real.write(text))
        return len(text)

    def flush(self) -> None:
        """Hand over what is written so far.

        Raises:
            Lost: it could not be written, now or before, and it is the answer.
        """
        if self.lost is not None:
            raise self.lost
        if self.real is not None:
            self._hand(lambda real: real.flush())

    def _hand(self, over: Callable[[TextIO], object]) -> None:
        if self.gone:
            return
        try:
            if self.real is None:
                raise OSError("closed")
            over(self.real)
        except (OSError, ValueError) as error:
            self._fail(error)

    def restore(self) -> None:
        """Leave the stream below as it was."""
        if isinstance(self.real, io.TextIOWrapper) and not self.real.closed:
            with suppress(OSError, ValueError):
                self.real.reconfigure(errors=self._before)

    def _fail(self, error: OSError | ValueError) -> None:
        """Write nothing more; what is still buffered is dropped, or the interpreter would try it again at its end."""
        self.gone = True
        with suppress(OSError, ValueError, AttributeError):
            cast(TextIO, self.real).close()
        if self.must_arrive and not isinstance(error, BrokenPipeError):
            reason = getattr(error, "strerror", None) or error
            self.lost = Lost(f"{self.label}: {reason}, the answer is lost", "give it a pipe, or a file that has room")
            raise self.lost from None


@contextmanager
def guarded() -> Iterator[None]:
    """stdout and stderr as Streams: an answer must arrive, talk need not."""
    codecs.register_error(_HANDLER, _stand_in)
    out, err = sys.stdout, sys.stderr
    answer, talk = Stream(out, "stdout", True), Stream(err, "stderr", False)
    sys.stdout, sys.stderr = cast(TextIO, answer), cast(TextIO, talk)
    try:
        yield
    finally:
        talk.flush()
        answer.restore()
        talk.restore()
        sys.stdout, sys.stderr = out, err


def stop_if_gone() -> None:
    """For a command that writes as it computes.

    Raises:
        ReaderGone: nobody reads stdout.
    """
    if getattr(sys.stdout, "gone", False):
        raise ReaderGone


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    """ASCII for characters that an encoding lacks; bytes of the command line that were no text, as \\xNN."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    plain = character.translate(PLAIN)
    return unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode() or "?"


def stdin() -> BinaryIO:
    """The bytes of stdin.

    Raises:
        PlannerError: it is closed.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise PlannerError("stdin is closed", "name a file instead of -")
    return sys.stdin.buffer


def has_input() -> bool:
    """Whether stdin is a file or a pipe: something may come without anybody typing."""
    return sys.stdin is not None and not sys.stdin.closed and not sys.stdin.isatty()
