"""The packages that pyproject.toml needs to run and to be tested.

versions: `name==version` of each that is installed, one a line.
lowest: `name==bound`, as constraints for pip.
tested: exits 1 unless constraints.txt has every version that is installed.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]


def requirements() -> list[str]:
    """The lines of the runtime and of the extra `test`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["test"]]


def installed() -> list[str]:
    """Those that are here, with their versions."""
    found = []
    for name in (re.split(r"[^\w-]", requirement)[0] for requirement in requirements()):
        try:
            found.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    if sys.argv[1] == "versions":
        print("\n".join(installed()))
    elif sys.argv[1] == "lowest":
        print("\n".join(requirement.replace(">=", "==", 1) for requirement in requirements()))
    else:
        tested = {line.split(";")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()}
        sys.exit(not set(installed()) <= tested)
