"""The test's side of a worker: a process that answers one line of JSON with one line of JSON."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Any

from tests.frameworks.verdict import Verdict

ROOT = Path(__file__).parents[2]

CLEARED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "CUDA_DEVICE_MAX_CONNECTIONS")
"""What a launcher sets: a worker starts without it."""

QUIET = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "DS_BUILD_OPS": "0", "TOKENIZERS_PARALLELISM": "false"}


class WorkerDied(RuntimeError):
    """The process ended without an answer: a fault of the installation, not a verdict."""


class Worker:
    """One process of `python -m tests.frameworks.<name>`; it starts with the first question."""

    def __init__(self, name: str, *arguments: str, python: str = sys.executable, timeout: float = 300) -> None:
        self._command = [python, "-m", f"tests.frameworks.{name}", *arguments]
        self._timeout = timeout
        self._process: subprocess.Popen[str] | None = None
        self._errors: Any = None

    def ask(self, **question: Any) -> dict[str, Any]:
        """The answer to one question."""
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        watch = threading.Timer(self._timeout, process.kill)
        watch.start()
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watch.cancel()
        if not line:
            raise WorkerDied(f"{' '.join(self._command[1:])} gave no answer:\n{self._ended()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def judge(self, **question: Any) -> Verdict:
        """The answer as a verdict."""
        return Verdict(**self.ask(**question))

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._ended()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            kept = {name: value for name, value in os.environ.items() if name not in CLEARED}
            self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._errors}
            self._process = subprocess.Popen(self._command, cwd=ROOT, env=kept | QUIET, text=True, bufsize=1, **pipes)
            atexit.register(self.close)
        return self._process

    def _ended(self) -> str:
        """Close everything; the last of what was written to stderr."""
        process, self._process = self._process, None
        atexit.unregister(self.close)
        if process is None:
            return ""
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        self._errors.seek(0)
        said: str = self._errors.read()
        self._errors.close()
        return said[-3000:]


@cache
def worker(name: str, *arguments: str, python: str = sys.executable) -> Worker:
    """The worker of that name, shared by all tests of a session."""
    return Worker(name, *arguments, python=python)
