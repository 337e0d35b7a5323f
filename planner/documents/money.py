"""Where prices come from."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

from planner.documents.values import Above, Positive


class Instance(TypedDict):
    """So many nodes of a type."""

    type: str
    provider: str
    count: Positive


class Given(TypedDict):
    """A price that the user gave."""

    source: Literal["given"]


class Listed(TypedDict):
    """The price of an instance, as its provider lists it."""

    instance: str
    instances: Positive
    provider: str
    usd_per_hour_each: Above
    region: str
    date: str
    source: str


Price = Given | Listed
