"""The protocol 2026-04-01: the requests, as types with their rules, and the shape of an answer.

The types have the official names, so that they can be read beside the published specification
(github.com/resonatehq/resonate, `src/types.rs` at v0.9.8). `decoding` makes them from the bytes of a request.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct, ValidationError, field
from msgspec.json import Decoder, Encoder

from . import PROTOCOL

type I64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
type PromiseState = Literal["pending", "resolved", "rejected", "rejected_canceled", "rejected_timedout"]
type TaskState = Literal["pending", "acquired", "suspended", "halted", "fulfilled"]
type SettleState = Literal["resolved", "rejected", "rejected_canceled"]
type Tags = dict[str, str]

type NonEmpty = Annotated[str, Meta(min_length=1)]
type NotNegative = Annotated[int, Meta(ge=0, le=2**63 - 1)]
type Positive = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class Refusal(Exception):
    """An answer other than success: `status` and its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class PromiseValue(Struct):
    headers: dict[str, str] | None = None
    data: str | None = None


class RequestHead(Struct):
    corrId: str
    version: str
    auth: str | None = None
    debug_time: I64 | None = field(name="resonate:debug_time", default=None)


class RequestEnvelope(Struct):
    kind: str
    head: RequestHead
    data: Raw


class PromiseGetData(Struct):
    id: NonEmpty


class PromiseCreateData(Struct):
    id: NonEmpty
    timeoutAt: NotNegative
    param: PromiseValue = field(default_factory=PromiseValue)
    tags: Tags = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "\0" in self.id:
            raise ValueError("Promise ID must not contain null bytes")


class PromiseSettleData(Struct):
    id: NonEmpty
    state: SettleState
    value: PromiseValue = field(default_factory=PromiseValue)


class PromiseRegisterCallbackData(Struct):
    awaited: NonEmpty
    awaiter: NonEmpty

    def __post_init__(self) -> None:
        if self.awaited == self.awaiter:
            raise ValueError("Awaited and awaiter must be different promises")


class PromiseRegisterListenerData(Struct):
    awaited: NonEmpty
    address: NonEmpty


class PromiseSearchData(Struct):
    state: PromiseState | None = None
    tags: Tags | None = None
    limit: Positive | None = None
    cursor: str | None = None


class TaskGetData(Struct):
    id: NonEmpty


class TaskCreateAction(Struct):
    kind: str
    head: Any
    data: PromiseCreateData


class TaskCreateData(Struct):
    pid: NonEmpty
    ttl: Positive
    action: TaskCreateAction

    def __post_init__(self) -> None:
        if "resonate:target" not in self.action.data.tags:
            raise ValueError("Action must have a resonate:target tag")


class TaskAcquireData(Struct):
    id: NonEmpty
    version: NotNegative
    pid: NonEmpty
    ttl: Positive


class TaskReleaseData(Struct):
    id: NonEmpty
    version: NotNegative


class TaskSuspendAction(Struct):
    kind: str
    head: Any
    data: PromiseRegisterCallbackData


class TaskSuspendData(Struct):
    id: NonEmpty
    version: NotNegative
    actions: Annotated[list[TaskSuspendAction], Meta(min_length=1)]

    def __post_init__(self) -> None:
        for action in self.actions:
            if action.data.awaiter != self.id:
                raise ValueError("All action awaiter IDs must match the task ID")
            if action.data.awaited == self.id:
                raise ValueError("Action awaited promise must not equal the task ID")


class TaskFulfillActionData(Struct):
    id: NonEmpty
    state: SettleState
    value: PromiseValue = field(default_factory=PromiseValue)


class TaskFulfillAction(Struct):
    kind: str
    head: Any
    data: TaskFulfillActionData


class TaskFulfillData(Struct):
    id: NonEmpty
    version: NotNegative
    action: TaskFulfillAction

    def __post_init__(self) -> None:
        if self.action.data.id != self.id:
            raise ValueError("Action ID must match the task ID")


class TaskFenceActionData(Struct):
    kind: str
    data: Raw
    head: Any = None


class FencedId(Struct):
    """The part of a fenced action that the fence itself checks."""

    id: Any = None


class TaskFenceData(Struct):
    id: NonEmpty
    version: NotNegative
    action: TaskFenceActionData

    def __post_init__(self) -> None:
        if self.action_id() == self.id:
            raise ValueError("Action ID must not equal the task ID")

    def action_id(self) -> str:
        """The fenced promise's id, "" where there is none."""
        try:
            found = FENCED.decode(self.action.data).id
        except ValidationError:  # the action's data is no object
            return ""
        return found if isinstance(found, str) else ""


class TaskHeartbeatTask(Struct):
    id: str
    version: I64


class TaskHeartbeatData(Struct):
    pid: NonEmpty
    tasks: list[TaskHeartbeatTask]


class TaskHaltData(Struct):
    id: NonEmpty


class TaskContinueData(Struct):
    id: NonEmpty


class TaskSearchData(Struct):
    state: TaskState | None = None
    limit: Positive | None = None
    cursor: str | None = None


class ScheduleGetData(Struct):
    id: NonEmpty


class ScheduleCreateData(Struct):
    id: NonEmpty
    cron: NonEmpty
    promiseId: NonEmpty
    promiseTimeout: NotNegative
    promiseParam: PromiseValue = field(default_factory=PromiseValue)
    promiseTags: Tags = field(default_factory=dict)


class ScheduleDeleteData(Struct):
    id: NonEmpty


class ScheduleSearchData(Struct):
    tags: Tags | None = None
    limit: Positive | None = None
    cursor: str | None = None


class DebugTickData(Struct):
    time: Any = None


class Nothing(Struct):
    """The data of a request that takes none."""


REQUESTS: dict[str, type[Struct]] = {
    "promise.get": PromiseGetData,
    "promise.create": PromiseCreateData,
    "promise.settle": PromiseSettleData,
    "promise.register_callback": PromiseRegisterCallbackData,
    "promise.register_listener": PromiseRegisterListenerData,
    "promise.search": PromiseSearchData,
    "task.get": TaskGetData,
    "task.create": TaskCreateData,
    "task.acquire": TaskAcquireData,
    "task.release": TaskReleaseData,
    "task.fulfill": TaskFulfillData,
    "task.suspend": TaskSuspendData,
    "task.fence": TaskFenceData,
    "task.heartbeat": TaskHeartbeatData,
    "task.halt": TaskHaltData,
    "task.continue": TaskContinueData,
    "task.search": TaskSearchData,
    "schedule.get": ScheduleGetData,
    "schedule.create": ScheduleCreateData,
    "schedule.delete": ScheduleDeleteData,
    "schedule.search": ScheduleSearchData,
    "debug.start": Nothing,
    "debug.stop": Nothing,
    "debug.reset": Nothing,
    "debug.snap": Nothing,
    "debug.tick": DebugTickData,
}

FENCED = Decoder(FencedId)
_encoder = Encoder(order="sorted")


def text(value: object) -> str:
    """`value` as compact JSON, keys sorted, as v0.9.8 writes it."""
    return _encoder.encode(value).decode()


def payload(value: PromiseValue) -> str:
    """A promise's `param` or `value` as JSON: what is absent is left out."""
    if value.headers is None:
        return '{"data":' + text(value.data) + "}" if value.data is not None else "{}"
    if value.data is None:
        return '{"headers":' + text(value.headers) + "}"
    return '{"data":' + text(value.data) + ',"headers":' + text(value.headers) + "}"


def envelope(kind: str, corr: str, status: int, data: str) -> bytes:
    """An answer; `kind` and `corr` are JSON strings, `data` is JSON."""
    return (
        f'{{"kind":{kind},"head":{{"corrId":{corr},"status":{status},"version":"{PROTOCOL}"}},"data":{data}}}'
    ).encode()
