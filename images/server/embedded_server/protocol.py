"""The protocol 2026-04-01: the requests, as types with their rules, and the shape of an answer.

The types bear the official names, so that they can be read beside the published specification
(github.com/resonatehq/resonate, `src/types.rs` at v0.9.8). `msgspec` decodes and checks a request in one
pass; only a request that fails is looked at again, by `explain`, which finds the very words v0.9.8 answers
with. A constraint's `description` is its message.
"""

from typing import Annotated, Any, Literal

from msgspec import DecodeError, Meta, Raw, Struct, ValidationError, field
from msgspec.json import Decoder, Encoder

from . import PROTOCOL

type I64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
type PromiseState = Literal["pending", "resolved", "rejected", "rejected_canceled", "rejected_timedout"]
type TaskState = Literal["pending", "acquired", "suspended", "halted", "fulfilled"]
type SettleState = Literal["resolved", "rejected", "rejected_canceled"]
type Tags = dict[str, str]

type PromiseId = Annotated[str, Meta(min_length=1, description="Promise ID is required")]
type TaskId = Annotated[str, Meta(min_length=1, description="Task ID is required")]
type ScheduleId = Annotated[str, Meta(min_length=1, description="Schedule ID is required")]
type AwaitedId = Annotated[str, Meta(min_length=1, description="Awaited promise ID is required")]
type AwaiterId = Annotated[str, Meta(min_length=1, description="Awaiter promise ID is required")]
type ListenerAddress = Annotated[str, Meta(min_length=1, description="Address is required")]
type ProcessId = Annotated[str, Meta(min_length=1, description="Process ID is required")]
type CronText = Annotated[str, Meta(min_length=1, description="Cron expression is required")]
type IdTemplate = Annotated[str, Meta(min_length=1, description="Promise ID template is required")]
type TimeoutAt = Annotated[
    int, Meta(ge=0, le=2**63 - 1, description="TimeoutAt must be a non-negative integer")
]
type Duration = Annotated[
    int, Meta(ge=0, le=2**63 - 1, description="Promise timeout must be a non-negative integer")
]
type Version = Annotated[int, Meta(ge=0, le=2**63 - 1, description="Version must be a non-negative integer")]
type Ttl = Annotated[int, Meta(ge=1, le=2**63 - 1, description="TTL must be a positive integer")]
type Limit = Annotated[int, Meta(ge=1, le=2**63 - 1, description="Limit must be a positive integer")]


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
    id: PromiseId


class PromiseCreateData(Struct):
    id: PromiseId
    timeoutAt: TimeoutAt
    param: PromiseValue = field(default_factory=PromiseValue)
    tags: Tags = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "\0" in self.id:
            raise ValueError("Promise ID must not contain null bytes")


class PromiseSettleData(Struct):
    id: PromiseId
    state: SettleState
    value: PromiseValue = field(default_factory=PromiseValue)


class PromiseRegisterCallbackData(Struct):
    awaited: AwaitedId
    awaiter: AwaiterId

    def __post_init__(self) -> None:
        if self.awaited == self.awaiter:
            raise ValueError("Awaited and awaiter must be different promises")


class PromiseRegisterListenerData(Struct):
    awaited: AwaitedId
    address: ListenerAddress


class PromiseSearchData(Struct):
    state: PromiseState | None = None
    tags: Tags | None = None
    limit: Limit | None = None
    cursor: str | None = None


class TaskGetData(Struct):
    id: TaskId


class TaskCreateAction(Struct):
    kind: str
    head: Any
    data: PromiseCreateData


class TaskCreateData(Struct):
    pid: ProcessId
    ttl: Ttl
    action: TaskCreateAction

    def __post_init__(self) -> None:
        if "resonate:target" not in self.action.data.tags:
            raise ValueError("Action must have a resonate:target tag")


class TaskAcquireData(Struct):
    id: TaskId
    version: Version
    pid: ProcessId
    ttl: Ttl


class TaskReleaseData(Struct):
    id: TaskId
    version: Version


class TaskSuspendAction(Struct):
    kind: str
    head: Any
    data: PromiseRegisterCallbackData


class TaskSuspendData(Struct):
    id: TaskId
    version: Version
    actions: Annotated[
        list[TaskSuspendAction], Meta(min_length=1, description="Actions array cannot be empty")
    ]

    def __post_init__(self) -> None:
        for action in self.actions:
            if action.data.awaiter != self.id:
                raise ValueError("All action awaiter IDs must match the task ID")
            if action.data.awaited == self.id:
                raise ValueError("Action awaited promise must not equal the task ID")


class TaskFulfillActionData(Struct):
    id: PromiseId
    state: SettleState
    value: PromiseValue = field(default_factory=PromiseValue)


class TaskFulfillAction(Struct):
    kind: str
    head: Any
    data: TaskFulfillActionData


class TaskFulfillData(Struct):
    id: TaskId
    version: Version
    action: TaskFulfillAction

    def __post_init__(self) -> None:
        if self.action.data.id != self.id:
            raise ValueError("Action ID must match the task ID")


class TaskFenceActionData(Struct):
    kind: str
    data: Raw
    head: Any = None


class FencedId(Struct):
    """Of a fenced action, what the fence itself looks at."""

    id: Any = None


class TaskFenceData(Struct):
    id: TaskId
    version: Version
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
    pid: ProcessId
    tasks: list[TaskHeartbeatTask]


class TaskHaltData(Struct):
    id: TaskId


class TaskContinueData(Struct):
    id: TaskId


class TaskSearchData(Struct):
    state: TaskState | None = None
    limit: Limit | None = None
    cursor: str | None = None


class ScheduleGetData(Struct):
    id: ScheduleId


class ScheduleCreateData(Struct):
    id: ScheduleId
    cron: CronText
    promiseId: IdTemplate
    promiseTimeout: Duration
    promiseParam: PromiseValue = field(default_factory=PromiseValue)
    promiseTags: Tags = field(default_factory=dict)


class ScheduleDeleteData(Struct):
    id: ScheduleId


class ScheduleSearchData(Struct):
    tags: Tags | None = None
    limit: Limit | None = None
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

_TYPES: list[type[Struct]] = [*REQUESTS.values(), PromiseCreateData, PromiseSettleData]
ENVELOPE = Decoder(RequestEnvelope)
FENCED = Decoder(FencedId)
DECODERS: dict[type[Struct], Decoder[Any]] = {kind: Decoder(kind) for kind in _TYPES}
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


def decode[T: Struct](kind: type[T], data: Raw | bytes, prefix: str = "Invalid request") -> T:
    """The data of a request; a `Refusal` with status 400 and v0.9.8's message where it is not valid."""
    try:
        return DECODERS[kind].decode(data)  # type: ignore[no-any-return]
    except (ValidationError, DecodeError, UnicodeDecodeError, RecursionError):
        from .explain import explain

        return explain(kind, data, prefix)


def envelope(kind: str, corr: str, status: int, data: str) -> bytes:
    """An answer; `kind` and `corr` are JSON strings, `data` is JSON."""
    return (
        f'{{"kind":{kind},"head":{{"corrId":{corr},"status":{status},"version":"{PROTOCOL}"}},"data":{data}}}'
    ).encode()
