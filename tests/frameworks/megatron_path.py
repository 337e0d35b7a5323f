"""Makes `megatron.training` importable from a directory, on any Python from 3.11 and without CUDA or Triton."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
import typing
from collections.abc import Sequence
from typing import Any

ARCH = {"major": 9}
"""Compute capability that torch.cuda is made to report; 9 is Hopper, 10 is Blackwell."""


class _Nothing:
    """Stands for any name of an absent module: a decorator returns what it decorates, all else returns this."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return args[0] if len(args) == 1 and callable(args[0]) and not options else self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self


class _Hollow(types.ModuleType):
    __version__ = "0"
    __path__: list[str] = []  # noqa: RUF012 (module attributes)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing()


class _HollowFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `triton` and everything under it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.split(".")[0] != "triton":
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Hollow(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        return None


def hollow_triton() -> None:
    """megatron-core from 0.18 on imports triton at once. torch must look for it first, and not find it."""
    if importlib.util.find_spec("triton") is not None:
        return
    for asks in ("torch._dynamo", "torch._inductor.compile_fx"):
        importlib.import_module(asks)
    from torch.utils import _triton

    _triton.has_triton_package()
    _triton.has_triton()
    sys.meta_path.append(_HollowFinder())


def pretend_device() -> None:
    """The two questions that argument checks ask of a device."""
    import torch

    def capability(*_: Any) -> tuple[int, int]:
        return ARCH["major"], 0

    def properties(*_: Any) -> types.SimpleNamespace:
        return types.SimpleNamespace(major=ARCH["major"], minor=0, name="pretended", total_memory=80 << 30)

    torch.cuda.get_device_capability = capability
    torch.cuda.get_device_properties = properties


def open_path(directory: str | None) -> None:
    """Let `import megatron` find that directory's package before an installed one."""
    if not hasattr(typing, "override"):
        import typing_extensions

        typing.override = typing_extensions.override  # type: ignore[attr-defined]
    if directory:
        sys.path.insert(0, directory)
    hollow_triton()
    pretend_device()
