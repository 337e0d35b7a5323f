"""One parallel configuration, or a million of them: the same record, with numbers or with arrays of one length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache, reduce
from math import isqrt, prod
from operator import mul
from typing import TYPE_CHECKING, Any, Generic, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

Num: TypeAlias = "float | Floats"
"""A float or an array of float64: cost functions take both and use operators and np.minimum/maximum/where only,
so that one plan and a batch of plans go through the same code and give the same bits. Integers count as floats, in
arrays too."""

Ints: TypeAlias = NDArray[np.int_]

Mask: TypeAlias = NDArray[np.bool_]

Truth: TypeAlias = "bool | np.bool_ | Mask"
"""Whether something holds: of one plan, or of each of many."""

Index: TypeAlias = "int | slice | Mask | Ints"
"""Which of many plans."""

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Number = TypeVar("Number", bound=Num, covariant=True, default=Num)
else:
    from typing import TypeVar

    Number = TypeVar("Number")

NONE: Any = 0
ONE: Any = 1
"""Numbers that may stand where arrays do: `Plan` is of numbers or arrays, `Plan[int]` of numbers."""


@dataclass(frozen=True, slots=True)
class Plan(Generic[Number]):
    """Degrees of parallelism, batch split and memory policies of one training step.

    Attributes, each a number or an array [n], or, in a grid of plans, columns [g, 1] and [1, i] that broadcast:
        tp, cp, ep, pp, dp: tensor, context, expert, pipeline, data parallel degree; tp*cp*pp*dp accelerators.
        etp: ranks that split one expert; ep*etp ranks are carved out of dp*cp*tp (`planner.mesh`).
        dp_replicate: of the dp ranks, groups that each hold all sharded states (HSDP); 1: one set over dp*cp.
        v: virtual stages (model chunks) per pipeline rank.
        b: micro-batch size in sequences; m: micro-batches per pipeline and step.
        sp: sequence parallelism (Korthikanti 2022, section 4.2.2), 0 or 1.
        zero: ZeRO stage 0..3 (Rajbhandari 2020; 3 is FSDP).
        recompute_layers: k, layers recomputed in full per model chunk; 0: none, all of the chunk's: full.
        head: layers that the LM head counts for when layers are laid over ranks; the last rank gets so many less.

    Attributes that hold for the whole batch of plans:
        schedule: name of the pipeline schedule.
        modules: parts of a layer that are recomputed, by Megatron-LM's names (`planner.cost.recompute`): core_attn is
            the attention core (Korthikanti 2022, section 5).
        dispatcher: how tokens reach their experts (`planner.cost.dispatch`).
        overlap: traffic of experts runs beside the computation of another micro-batch.
        layout: what every stage holds, in the order in which a micro-batch meets them, in Megatron-LM's letters: E
            embedding, t layer, m prediction (MTP), L head and loss. It holds for plans of as many stages, pp*v; None,
            and other plans: layers are split as evenly as can be.
    """

    tp: Number = ONE
    cp: Number = ONE
    ep: Number = ONE
    etp: Number = ONE
    pp: Number = ONE
    v: Number = ONE
    dp: Number = ONE
    dp_replicate: Number = ONE
    b: Number = ONE
    m: Number = ONE
    sp: Number = NONE
    zero: Number = NONE
    recompute_layers: Number = NONE
    head: Number = NONE
    schedule: str = "1f1b"
    modules: tuple[str, ...] = ()
    dispatcher: str = "alltoall"
    overlap: bool = False
    layout: tuple[str, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """() of one plan, (n,) of rows, (g, i) of a grid: in it tp has as many rows, v as many columns."""
        shape = np.shape(self.tp)
        return shape if len(shape) < 2 else (shape[0], np.shape(self.v)[1])

    def __len__(self) -> int:
        return prod(self.shape)

    def __getitem__(self, index: Index) -> Plan:
        """The plan at a position (numbers), or those under a mask or slice (arrays); a grid counts row by row."""
        shape = self.shape
        if len(shape) < 2:
            columns = {name: getattr(self, name) for name in INTEGERS}
            return self._with({name: value[index] if np.ndim(value) else value for name, value in columns.items()})
        if isinstance(index, np.ndarray) and index.dtype == bool:
            at = np.nonzero(index.reshape(shape))
        else:
            at = np.unravel_index(np.arange(len(self))[index], shape)
        return self._with({name: _picked(getattr(self, name), *at) for name in INTEGERS})

    def around(self, mask: Mask) -> tuple[Plan, Mask | tuple[Ints, ...]]:
        """The smallest grid with all the plans under a mask, and where it lies in this one; of rows, those alone."""
        if mask.ndim < 2:
            return self[mask], mask
        rows, columns = np.any(mask, axis=1), np.any(mask, axis=0)
        part = self._with({name: _cut(getattr(self, name), rows, columns) for name in INTEGERS})
        return part, np.ix_(rows, columns)

    def _with(self, columns: dict[str, Any]) -> Plan[Any]:
        """Other numbers, all of INTEGERS, in a batch of the same kind."""
        return Plan(**columns, **{name: getattr(self, name) for name in WHOLE})

    def scalar(self) -> OnePlan:
        """The same plan with Python ints, for printing."""
        return self._with({name: int(getattr(self, name)) for name in INTEGERS})

    def each(self) -> list[OnePlan]:
        """The plans of rows one by one, with Python ints."""
        columns = zip(*(np.asarray(getattr(self, name)).tolist() for name in INTEGERS), strict=True)
        return [self._with(dict(zip(INTEGERS, row, strict=True))) for row in columns]

    def floats(self) -> Plan:
        """The same plans in float64, in which bytes times ranks cannot overflow."""
        return self._with({name: np.asarray(getattr(self, name), dtype=np.float64)[()] for name in INTEGERS})

    @property
    def gpus(self) -> Number:
        """Accelerators that the plan occupies."""
        return reduce(mul, (self.tp, self.cp, self.pp, self.dp))

    @property
    def policy(self) -> tuple[str, tuple[str, ...], str, bool]:
        """What all plans of one record have in common, beside a layout."""
        return self.schedule, self.modules, self.dispatcher, self.overlap

    @property
    def placed(self) -> Truth:
        """Whether the layout is theirs: it has as many stages. A bool, or one for each of many plans."""
        found: Truth = np.asarray(self.pp) * self.v == len(self.layout or ())
        return found

    @property
    def degrees(self) -> dict[str, Any]:
        """All fields by name, in printing order."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


OnePlan: TypeAlias = Plan[int]
"""A plan of numbers: what is launched, read, explained and printed."""


def largest_of(values: Iterable[Num]) -> Num:
    """The largest, plan by plan."""
    return reduce(np.maximum, values)


def least_of(values: Iterable[Num]) -> Num:
    """The least, plan by plan."""
    return reduce(np.minimum, values)


def _picked(column: Num, rows: Ints, columns: Ints) -> Floats:
    """Elements of a grid's column at some places."""
    column = np.atleast_2d(column)
    at = tuple(place if n > 1 else 0 for n, place in zip(column.shape, (rows, columns), strict=True))
    return np.full(np.shape(rows), column[at]) if column.size == 1 else column[at]


def _cut(column: Num, rows: Mask, columns: Mask) -> Floats:
    """A grid's column in some rows and columns only."""
    column = np.atleast_2d(column)
    column = column[rows] if len(column) > 1 else column
    return column[:, columns] if column.shape[1] > 1 else column


WHOLE = ("schedule", "modules", "dispatcher", "overlap", "layout")
"""Fields that hold for a whole batch of plans."""

INTEGERS = tuple(f.name for f in fields(Plan) if f.name not in WHOLE)


def rows_of(plans: Sequence[Plan]) -> Plan:
    """Plans of one policy as rows of one."""
    return plans[0]._with({name: np.array([getattr(plan, name) for plan in plans]) for name in INTEGERS})


@cache
def divisors(n: int) -> tuple[int, ...]:
    """All divisors of n, ascending."""
    small = [d for d in range(1, isqrt(n) + 1) if n % d == 0]
    return tuple(sorted({*small, *(n // d for d in small)}))


@dataclass(frozen=True, slots=True)
class Range:
    """Values that an option admits: a list, or everything between two bounds (None: open)."""

    low: int = 0
    high: int | None = None
    only: frozenset[int] | None = None

    def __contains__(self, value: int) -> bool:
        if self.only is not None:
            return value in self.only
        return self.low <= value and (self.high is None or value <= self.high)

    def describe(self) -> str:
        """As a user would write it: "4", "2..8", "1,2"."""
        if self.only is not None:
            return ",".join(map(str, sorted(self.only)))
        return str(self.low) if self.low == self.high else f"{self.low}..{'' if self.high is None else self.high}"

    def keep(self, values: Iterable[int]) -> list[int]:
        """The values inside, in order."""
        return [value for value in values if value in self]


ANY = Range()
