"""Cron expressions as v0.9.8 reads them: those of the Rust crate `cron` 0.12, in UTC.

Seconds and years are fields, days of the week count from 1 (Sunday), a day must match *both* day fields, and
years end in 2100. No Python library reads them so: see docs/decisions/0012-cron.md.
"""

import re
from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
LAST_YEAR = 2099
SHORTHANDS = {
    "@yearly": "0 0 0 1 1 * *",
    "@monthly": "0 0 0 1 * * *",
    "@weekly": "0 0 0 * * 1 *",
    "@daily": "0 0 0 * * * *",
    "@hourly": "0 0 * * * * *",
}


class Field(NamedTuple):
    least: int
    most: int
    names: Mapping[str, int] = MappingProxyType({})
    any: bool = False  # takes `?`


def _names(words: tuple[str, ...], extra: dict[str, int]) -> dict[str, int]:
    return {w: n for n, word in enumerate(words, 1) for w in (word, word[:3])} | extra


FIELDS = (
    Field(0, 59),
    Field(0, 59),
    Field(0, 23),
    Field(1, 31, any=True),
    Field(1, 12, _names(MONTHS, {})),
    Field(1, 7, _names(DAYS, {"tues": 3, "thurs": 5}), any=True),
    Field(1970, 2100),
)


class Schedule(NamedTuple):
    """The values that each field allows, in ascending order."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    years: tuple[int, ...]


# An item, blanks allowed around numbers and names: `*`, `?`, `3`, `3-5`, `mon`, `mon-fri`, each but the lone
# name with `/n`.
_ITEM = re.compile(
    r"(?:(?P<any>\?)|(?P<all>\*)|\s*(?P<from>\d+)\s*(?:-\s*(?P<to>\d+)\s*)?"
    r"|\s*(?P<name>[A-Za-z]+)\s*(?:-\s*(?P<last>[A-Za-z]+)\s*)?)(?P<step>/\s*(?P<by>\d+)\s*)?",
    re.ASCII,
)
_BLANK = re.compile(r"[ \t\r\n]*")


def _item(match: re.Match[str], field: Field) -> range | None:
    """The values of one item, or None where it is not allowed there."""
    least, most, names, takes_any = field
    if match["any"] and not takes_any:
        return None
    by = int(match["by"]) if match["step"] else 1
    if match["any"] or match["all"]:
        first, last = least, most
    elif match["from"]:
        first = int(match["from"])
        last = int(match["to"]) if match["to"] else (most if match["step"] else first)
    else:
        if match["step"] and not match["last"]:
            return None  # a lone name takes no step
        if match["name"].lower() not in names or (match["last"] and match["last"].lower() not in names):
            return None
        first = names[match["name"].lower()]
        last = names[match["last"].lower()] if match["last"] else first
    if by == 0 or not least <= first <= last <= most:
        return None
    return range(first, last + 1, by)


def _field(text: str, at: int, field: Field) -> tuple[tuple[int, ...], int] | None:
    """One field from `at` on: its values and where the next begins."""
    values: set[int] = set()
    at = _BLANK.match(text, at).end()  # type: ignore[union-attr]
    while True:
        match = _ITEM.match(text, at)
        found = _item(match, field) if match else None
        if match is None or found is None:
            return None
        values.update(found)
        at = match.end()
        if at >= len(text) or text[at] != ",":
            return tuple(sorted(values)), _BLANK.match(text, at).end()  # type: ignore[union-attr]
        at += 1


@lru_cache(maxsize=1024)
def parse(expression: str) -> Schedule | None:
    """The schedule, or None where v0.9.8 answers `Invalid cron expression`. Five fields begin with the
    minutes."""
    text = expression.strip()
    if len(text.split()) == 5:
        text = f"0 {text}"
    text = SHORTHANDS.get(text, text)
    at = 0
    fields = []
    for field in FIELDS:
        if field.least == 1970 and at >= len(text):
            fields.append(tuple(range(1970, 2101)))
            break
        found = _field(text, at, field)
        if found is None:
            return None
        values, at = found
        fields.append(values)
    return Schedule(*fields) if at >= len(text) else None


class _Bounds:
    """The least month, day, … still to be looked at: the start's own at first, then the first of its field.

    The crate takes the start's own for the first year it looks at, even where that is a later one, so that
    `0 0 0 1 1 ? 2050` has no occurrence when asked from September 2001. The embedded server has to answer the same.
    """

    def __init__(self, start: datetime) -> None:
        self._own = (start.month, start.day, start.hour, start.minute, start.second)
        self._first = [True] * 5

    def of(self, unit: int, values: tuple[int, ...], most: int) -> tuple[int, ...]:
        """The values of the unit (0 the month, 4 the second) to look at, up to `most`."""
        least = (1, 1, 0, 0, 0)[unit]
        if self._first[unit]:
            self._first[unit] = False
            least = self._own[unit]
        if least not in values:
            self.reset(unit)
        return values[bisect_left(values, min(least, most)) : bisect_right(values, most)]

    def reset(self, unit: int) -> None:
        """From this unit on, the first of each field."""
        self._first[unit:] = [False] * (5 - unit)


def _next(plan: Schedule, start: datetime) -> datetime | None:
    """The first occurrence that is not before `start`."""
    bounds = _Bounds(start)
    for year in plan.years[bisect_left(plan.years, start.year) :]:
        for month in bounds.of(0, plan.months, 12):
            for day in bounds.of(1, plan.days, monthrange(year, month)[1]):
                if (found := _on(plan, bounds, date(year, month, day))) is not None:
                    return found
            bounds.reset(0)
    return None


def _on(plan: Schedule, bounds: _Bounds, day: date) -> datetime | None:
    """The first occurrence on that day."""
    for hour in bounds.of(2, plan.hours, 23):
        for minute in bounds.of(3, plan.minutes, 59):
            for second in bounds.of(4, plan.seconds, 59):
                if day.isoweekday() % 7 + 1 not in plan.weekdays:
                    return None  # without a reset: as the crate's `continue 'day_loop`
                return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=UTC)
            bounds.reset(3)
        bounds.reset(2)
    bounds.reset(1)
    return None


def _stand_in(moment: datetime) -> datetime:
    """The same month, day, weekday and time in the latest year the expressions reach."""
    for year in range(LAST_YEAR, 1969, -1):
        try:
            other = moment.replace(year=year)
        except ValueError:  # 29 February
            continue
        if other.weekday() == moment.weekday():
            return other
    return moment


def following(expression: str, after: int) -> int:
    """The first occurrence later than `after`, both in ms since 1970; a minute later where there is none."""
    plan = parse(expression)
    try:
        moment = datetime.fromtimestamp(int(after / 1000) if after < 0 else after // 1000, UTC)
    except (OverflowError, ValueError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    near = moment if moment.year <= LAST_YEAR else _stand_in(moment)
    shift = int((moment - near).total_seconds())
    start = datetime.fromtimestamp(int(near.timestamp()) + 1, UTC)
    found = None if plan is None else _next(plan, start)
    if found is not None:
        return (int(found.timestamp()) + shift) * 1000
    return after + 60_000
