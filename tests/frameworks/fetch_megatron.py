"""Unpack a megatron-core wheel, training package and all, into a directory of its own.

Wheels from 0.17.0 on contain `megatron.training`, whose argument parser is the one users meet. They declare
Python >= 3.12; pip is therefore asked for the wheel as if for 3.12, without dependencies. Nothing in it that
parsing needs is compiled. Usage: `python -m tests.frameworks.fetch_megatron [DIRECTORY] [VERSION]`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

VERSION = "0.19.2"

WHEELS = Path(__file__).parents[2] / ".ci" / "wheels"


def home(version: str = VERSION) -> Path:
    """Where a version lies by default."""
    return WHEELS / f"megatron-core-{version}"


def fetch(directory: Path, version: str = VERSION) -> Path:
    """Unpack that version there, unless it is there already."""
    if not (directory / "megatron" / "training" / "arguments.py").exists():
        as_if = ["--python-version", "3.12", "--implementation", "cp", "--only-binary=:all:"]
        platforms = [f"--platform={name}_x86_64" for name in ("manylinux_2_28", "manylinux2014", "linux")]
        loose = ["--no-deps", "--ignore-requires-python", "--no-compile", "--upgrade"]
        pip = [sys.executable, "-m", "pip", "install", "--quiet", *loose, *as_if, *platforms]
        subprocess.run([*pip, "--target", str(directory), f"megatron-core=={version}"], check=True)
    return directory


if __name__ == "__main__":
    wanted = sys.argv[2] if len(sys.argv) > 2 else VERSION
    print(fetch(Path(sys.argv[1]) if len(sys.argv) > 1 else home(wanted), wanted).resolve())
