"""Cron expressions; every expected time was answered by the official server v0.9.8."""

from datetime import UTC, datetime

import pytest

from embedded_server import cron


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("* * * * *", "2026-11-22T16:30:00", "2026-11-22T16:31:00"),
        ("*/5 * * * *", "2026-11-22T16:59:59", "2026-11-22T17:00:00"),
        ("30 4 * * mon-fri", "2026-11-22T16:30:00", "2026-11-23T04:30:00"),
        ("0 0 * * 1", "2026-11-22T16:30:00", "2026-11-29T00:00:00"),  # 1 is Sunday
        ("15 10 * * 2", "2026-11-22T16:30:00", "2026-11-23T10:15:00"),
        ("0 0 29 2 *", "2026-11-22T16:30:00", "2028-02-29T00:00:00"),
        ("@hourly", "2026-11-22T16:30:00", "2026-11-22T17:00:00"),
        ("10 0 0 1 1 ? 2030", "2029-12-31T23:59:59", "2030-01-01T00:00:10"),
        ("0 0 13 * fri", "2026-11-22T16:30:00", "2027-08-13T00:00:00"),  # both day fields must match
    ],
)
def test_following(expression: str, after: str, expected: str) -> None:
    assert cron.following(expression, at(after)) == at(expected)


@pytest.mark.parametrize("expression", ["0 0 0 1 1 ? 2050", "0 0 31 2 *"])
def test_without_an_occurrence_a_minute_later(expression: str) -> None:
    # The first has one, but v0.9.8 does not find it from September on.
    assert cron.following(expression, at("2001-09-09T01:46:40")) == at("2001-09-09T01:47:40")


def test_beyond_2099_the_calendar_goes_on() -> None:
    assert cron.following("0 0 * * *", at("2500-06-15T12:00:00")) == at("2500-06-16T00:00:00")


INVALID = (
    "", "x", "* * * *", "60 * * * *", "* * * * 0", "* * * * 8", "*/0 * * * *", "5-1 * * * *", "@never", "mon/2 * * * *",
    "1,,2 * * * *", "? * * * *", "* * * * * * * *", "99999999999 * * * *", "1.5 * * * *", "@hourly @daily",
)  # fmt: skip


@pytest.mark.parametrize("expression", INVALID)
def test_invalid(expression: str) -> None:
    assert cron.parse(expression) is None


def test_a_step_goes_on_from_its_start() -> None:
    plan = cron.parse("5/20 * * * *")
    assert plan is not None
    assert plan.minutes == (5, 25, 45)
    assert plan.seconds == (0,)
