"""What shall go wrong? The faults that somebody asked for, and whom each of them meets.

Faults live in memory and end with the plane. Those on calls meet clients alone, never containers.
Standard library only: a command line uses this too.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from fnmatch import fnmatchcase
from typing import Any, ClassVar, TypeVar

STATUSES = (
    *("CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND"),
    *("ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"),
    *("ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"),
    "UNAUTHENTICATED",
)
"""With which a call can be refused: gRPC's, in its order."""
_DEFAULT_BUILD = 10.0  # seconds that a slow build takes


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that goes wrong `times` times, or until it is cleared."""

    KIND: ClassVar[str]
    id: str = ""
    times: int | None = None


@dataclass(frozen=True, kw_only=True)
class OnCalls(Fault):
    """The first `skip` calls that it would meet pass by."""

    skip: int = 0


@dataclass(frozen=True, kw_only=True)
class Latency(OnCalls):
    """A call waits so long: before it takes effect, or after it, so that only its answer is late.

    A stream waits before its beginning or before its end.
    """

    KIND = "latency"
    method: str = "*"
    seconds: float
    when: str = "before"


@dataclass(frozen=True, kw_only=True)
class Refuse(OnCalls):
    """A call is refused before it takes effect."""

    KIND = "refuse"
    method: str = "*"
    status: str = "UNAVAILABLE"
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class LoseAnswer(OnCalls):
    """A call takes effect and its answer is lost; streams have no one answer to lose."""

    KIND = "lose-answer"
    method: str = "*"


@dataclass(frozen=True, kw_only=True)
class Cut(OnCalls):
    """A stream breaks off: after its first message, or after so many seconds."""

    KIND = "cut"
    method: str = "*"
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class SlowBuild(Fault):
    """A new image of the app takes so long to build, and its build prints."""

    KIND = "slow-build"
    app: str = "*"
    seconds: float = _DEFAULT_BUILD


@dataclass(frozen=True, kw_only=True)
class FailBuild(Fault):
    """The build of a new image of the app prints and fails with this sentence."""

    KIND = "fail-build"
    app: str = "*"
    seconds: float = 0.0
    message: str = "The build failed on demand."


@dataclass(frozen=True, kw_only=True)
class NoCapacity(Fault):
    """A GPU cannot be had, whatever the inventory says."""

    KIND = "no-capacity"
    gpu: str = "*"


@dataclass(frozen=True, kw_only=True)
class Crash(Fault):
    """A container of the app exits with this code so long after it was started, or was ready."""

    KIND = "crash"
    app: str = "*"
    seconds: float = 0.0
    code: int = 1
    after: str = "ready"


@dataclass(frozen=True, kw_only=True)
class Revoke(OnCalls):
    """The token that clients show is good no longer."""

    KIND = "revoke"


KINDS: Mapping[str, type[Fault]] = {
    kind.KIND: kind
    for kind in (
        *(Latency, Refuse, LoseAnswer, Cut, Revoke),
        *(SlowBuild, FailBuild, NoCapacity, Crash),
    )
}

F = TypeVar("F", bound=Fault)


def made(kind: str, said: Mapping[str, Any]) -> Fault:
    """The fault that these words describe; raises ValueError with a sentence if they do not."""
    if kind not in KINDS:
        raise ValueError(f"there is no fault {kind}; there are {', '.join(KINDS)}")
    known = {found.name: found for found in fields(KINDS[kind]) if found.name != "id"}
    if kind == NoCapacity.KIND:
        del known["times"]  # who waits asks again and again: that is no number of times
    for name, value in said.items():
        if name not in known:
            takes = f"it takes {' and '.join(sorted(known))}" if known else "it takes nothing"
            raise ValueError(f"{kind} takes no {name}; {takes}")
        _check(name, value)
    for name, found in known.items():
        if found.default is MISSING and name not in said:
            raise ValueError(f"{kind} needs {name}")
    return KINDS[kind](**said)


def _check(name: str, value: Any) -> None:
    match name:
        case "seconds":
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 <= value < math.inf:
                raise ValueError(f"seconds must be a number of at least 0, not {value!r}")
        case "times":
            if type(value) is not int or value < 1:
                raise ValueError(f"times must be a whole number of at least 1, not {value!r}")
        case "skip":
            if type(value) is not int or value < 0:
                raise ValueError(f"skip must be a whole number of at least 0, not {value!r}")
        case "when":
            if value not in ("before", "after"):
                raise ValueError(f"when must be before or after, not {value!r}")
        case "code":
            if type(value) is not int or not 0 <= value <= 255:
                raise ValueError(f"code must be an exit code from 0 to 255, not {value!r}")
        case "status":
            if value not in STATUSES:
                raise ValueError(f"there is no status {value}; there are {', '.join(STATUSES)}")
        case "after":
            if value not in ("start", "ready"):
                raise ValueError(f"after must be start or ready, not {value!r}")
        case _:
            if not isinstance(value, str) or not value:
                raise ValueError(f"{name} must be a text that is not empty, not {value!r}")


@dataclass(frozen=True)
class Trouble:
    """What meets one call, in this order; the default is a call that nothing happens to."""

    late: Latency | None = None
    refusal: Refuse | Revoke | None = None
    lost: LoseAnswer | None = None
    cut: Cut | None = None


NO_TROUBLE = Trouble()


@dataclass
class _Wait:
    """How many calls a latency keeps waiting now, and whether that is over before its time."""

    fault: Latency
    calls: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Faults:
    """The faults that hold now, oldest first. `changed` is called when one comes or goes."""

    changed: Callable[[], None] = lambda: None
    _holding: dict[str, Fault] = field(default_factory=dict)
    _met: Counter[str] = field(default_factory=Counter)
    _passed: Counter[str] = field(default_factory=Counter)
    _waits: "dict[str, _Wait]" = field(default_factory=dict)
    _made: int = 0

    def add(self, fault: Fault) -> Fault:
        self._made += 1
        fault = replace(fault, id=f"f{self._made}")
        self._holding[fault.id] = fault
        self.changed()
        return fault

    def clear(self, fault_id: str | None = None) -> int:
        """Takes one back, or all; how many there were. The calls that they kept waiting go on."""
        there = self._all()
        gone = [fault_id] if fault_id is not None else list(there)
        for known in gone:
            self._holding.pop(known, None)
            if known in self._waits:
                self._waits[known].over.set()
        self.changed()
        return sum(known in there for known in gone)

    def listed(self) -> list[dict[str, Any]]:
        """All that hold, as JSON: their words, how often they were met, how many calls wait now."""
        return [self._described(fault) for fault in self._all().values()]

    def _all(self) -> dict[str, Fault]:
        """Those that will meet somebody, and those that still keep a call waiting."""
        waited_for = {
            fault_id: wait.fault
            for fault_id, wait in self._waits.items()
            if not wait.over.is_set() and fault_id not in self._holding
        }
        return {**waited_for, **self._holding}

    def _described(self, fault: Fault) -> dict[str, Any]:
        described = {"kind": fault.KIND, **asdict(fault), "met": self._met[fault.id]}
        if isinstance(fault, Latency):
            wait = self._waits.get(fault.id)
            described["waiting"] = wait.calls if wait else 0
        return described

    async def wait(self, late: Latency | None, when: str) -> None:
        """Lets a call wait, until its time is over or the fault is taken back."""
        if late is None or late.when != when:
            return
        wait = self._waits.setdefault(late.id, _Wait(late))
        wait.calls += 1
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(wait.over.wait(), late.seconds)
        finally:
            wait.calls -= 1
            if not wait.calls:
                del self._waits[late.id]

    def _take(self, kind: type[F], meets: Callable[[F], bool]) -> F | None:
        """The first of its kind that meets the case, which counts as one of its times."""
        for fault in self._holding.values():
            if isinstance(fault, kind) and meets(fault):
                if isinstance(fault, OnCalls) and self._passed[fault.id] < fault.skip:
                    self._passed[fault.id] += 1
                    continue
                self._met[fault.id] += 1
                if fault.times is not None and self._met[fault.id] >= fault.times:
                    del self._holding[fault.id]
                return fault
        return None

    # -- who may be met

    def of_call(self, method: str, *, streaming: bool) -> Trouble:
        if not self._holding:
            return NO_TROUBLE

        def named(fault: Latency | Refuse | LoseAnswer | Cut) -> bool:
            return fnmatchcase(method, fault.method)

        late = self._take(Latency, named)
        refusal = self._take(Revoke, lambda _: True) or self._take(Refuse, named)
        if refusal is not None:
            return Trouble(late, refusal)
        if streaming:
            return Trouble(late, cut=self._take(Cut, named))
        return Trouble(late, lost=self._take(LoseAnswer, named))

    def of_build(self, app: str) -> tuple[SlowBuild | None, FailBuild | None]:
        return (
            self._take(SlowBuild, lambda fault: fnmatchcase(app, fault.app)),
            self._take(FailBuild, lambda fault: fnmatchcase(app, fault.app)),
        )

    def of_container(self, app: str, after: str) -> Crash | None:
        return self._take(Crash, lambda fault: fault.after == after and fnmatchcase(app, fault.app))

    def keeps_back(self, *names: str) -> bool:
        """Whether a GPU that goes by these names (``L40S``, ``L40S:2``) cannot be had."""
        return any(
            fnmatchcase(name, fault.gpu.upper())
            for fault in self._holding.values()
            if isinstance(fault, NoCapacity)
            for name in names
        )
