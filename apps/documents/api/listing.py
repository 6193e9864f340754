"""The query of `GET /jobs`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from api.states import PROMISE_STATES
from durable_lambda.function.bodies import wrong_fields
from durable_lambda.ids import JOB_ID

#: A job's id, or that of one of its later attempts.
_CURSOR = JOB_ID.rstrip("$") + r"(~\d+)?$"


def page(query: Mapping[str, str]) -> tuple[str | None, int, str | None]:
    """`state`, `limit` and `cursor`. Raises :class:`~durable_lambda.function.bodies.InvalidError`."""
    state, limit, cursor = query.get("state"), query.get("limit", "50"), query.get("cursor")
    wrong = []
    if state is not None and state not in PROMISE_STATES:
        wrong.append({"field": "state", "message": f"must be one of {', '.join(PROMISE_STATES)}"})
    if not re.fullmatch("[0-9]{1,3}", limit) or not 1 <= int(limit) <= 100:
        wrong.append({"field": "limit", "message": "must be a number from 1 to 100"})
    if cursor is not None and not re.fullmatch(_CURSOR, cursor):
        wrong.append({"field": "cursor", "message": "must be the cursor of an earlier answer"})
    if wrong:
        raise wrong_fields(wrong)
    return state, int(limit), cursor
