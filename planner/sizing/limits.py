"""Limits as people write them: tokens, deadlines, budgets, prices, failure rates."""

from __future__ import annotations

import re
from datetime import date

from planner.errors import PlannerError, UnitError
from planner.frozen import frozen
from planner.sizing.failures import DAY, REPAIR, Failures
from planner.units import given

_NUMBER = r"(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MONEY = re.compile(rf"\$?\s*{_NUMBER}\s*([kKMB]?)\s*(\$|USD|usd)?")
_PRICE = re.compile(rf"\$?\s*{_NUMBER}\s*(?:\$|USD|usd)?\s*/\s*(\w+)")
_RATE = re.compile(rf"{_NUMBER}\s*/\s*(\d*)\s*node-?\s*days?")
_SCALE = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9}


@frozen
class Limits:
    """What the user holds an answer to; None: no such limit.

    Attributes:
        deadline: seconds; budget: US dollars.
    """

    deadline: float | None = None
    budget: float | None = None


def read_tokens(text: str | None) -> float | None:
    """A number of training tokens: "2e12", "300B", "15.6T"."""
    if text is None:
        return None
    value = given("--tokens", text, "count", "--tokens 2e12, --tokens 300B or --tokens 15.6T")
    if not 1 <= value <= 1e18:
        raise PlannerError(f"--tokens {text:.40} is no amount to train on", "--tokens 2e12")
    return value


def read_deadline(text: str | None, today: date) -> float | None:
    """Seconds until the deadline: "30d", "12h", or a date, which is met if training ends before it begins."""
    if text is None:
        return None
    if _DATE.fullmatch(text.strip()):
        return _until(text.strip(), today)
    value = given("--deadline", text, "second", "--deadline 30d, --deadline 12h or --deadline 2030-01-31")
    if value == 0:
        raise PlannerError(f"--deadline {text:.40} leaves no time", "--deadline 30d")
    return value


def _until(text: str, today: date) -> float:
    try:
        days = (date.fromisoformat(text) - today).days
    except ValueError:
        raise PlannerError(f"--deadline {text} is no date", "--deadline 2030-01-31 or --deadline 30d") from None
    if days <= 0:
        raise PlannerError(f"--deadline {text} is not in the future: today is {today}", "--deadline 30d")
    return days * DAY


def read_budget(text: str | None) -> float | None:
    """US dollars: "3M", "250000", "$310k", "3M USD"."""
    if text is None:
        return None
    match = _MONEY.fullmatch(text.strip())
    if match is None:
        raise UnitError(f"--budget {text!r:.40} is no amount in US dollars", "--budget 3M, --budget 250000")
    value = float(match[1]) * _SCALE[match[2]]
    if not 0 < value < 1e15:
        raise PlannerError(f"--budget {text:.40} buys nothing: it must be positive", "--budget 250000")
    return value


def read_price(text: str) -> tuple[str, float]:
    """Name and US dollars per accelerator and hour: "H100=2.5/h"."""
    name, equals, amount = (part.strip() for part in text.partition("="))
    usage = "--price H100=2.5/h: US dollars per GPU and hour"
    match = _PRICE.fullmatch(amount)
    if not equals or not name or match is None:
        raise UnitError(f"--price {text!r:.40} is not understood", usage)
    if match[2] not in ("h", "hour", "hr"):
        raise UnitError(f"--price {text!r:.40}: prices are per hour, not per {match[2]!r}", usage)
    value = float(match[1])
    if not 0 < value < 1e6:
        raise PlannerError(f"--price {text:.40} must be positive", usage)
    return name, value


def read_failures(rate: str | None, checkpoint: str | None, restart: str | None, repair: str | None) -> Failures | None:
    """A failure rate "4/1000node-days" with its times; None where no rate is given."""
    usage = "--failures 4/1000node-days --checkpoint 60s --restart 5m"
    if rate is None:
        if checkpoint or restart or repair:
            raise PlannerError("--checkpoint, --restart and --repair belong to --failures", usage)
        return None
    match = _RATE.fullmatch(rate.strip())
    per = int(match[2] or 1) if match else 0
    if match is None or per == 0 or not 0 < float(match[1]) / per <= 10:
        raise UnitError(f"--failures {rate!r:.40} is no rate of failures", usage)
    written = _duration("--checkpoint", checkpoint or "60s")
    if written == 0:
        raise PlannerError("--checkpoint must take some time", usage)
    away = REPAIR if repair is None else _duration("--repair", repair)
    return Failures(float(match[1]) / per / DAY, written, _duration("--restart", restart or "5min"), away)


def _duration(option: str, text: str) -> float:
    """Seconds; "5m" is five minutes, as everybody writes it where no length can be meant."""
    minutes = re.fullmatch(rf"{_NUMBER}\s*m", text.strip())
    return given(option, f"{minutes[1]}min" if minutes else text, "second", f"{option} 60s or {option} 5min")
