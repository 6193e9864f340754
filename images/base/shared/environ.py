"""Settings out of environment variables, each with the sentence that a user needs when it is wrong."""

from collections.abc import Mapping


class SettingError(ValueError):
    """A variable has a value that cannot be used; the message names variable, value and what is expected."""


def number(environ: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    """Raises SettingError."""
    raw = environ.get(name, "").strip()
    try:
        value = float(raw) if raw else default
    except ValueError:
        raise SettingError(f"{name}={raw!r} is not a number; expected {low:g} to {high:g}") from None
    if not low <= value <= high:
        raise SettingError(f"{name}={raw!r} is out of range; expected {low:g} to {high:g}")
    return value


def choice(environ: Mapping[str, str], name: str, default: str, *choices: str) -> str:
    """One of `choices`, in their spelling, whatever the case it was written in. Raises SettingError."""
    value = environ.get(name, "").strip() or default
    for one in choices:
        if value.lower() == one.lower():
            return one
    raise SettingError(f"{name}={value!r} is unknown; expected one of {', '.join(filter(None, choices))}")
