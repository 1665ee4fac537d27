"""What does a page draw of a GPU's memory? Parts of a bar, their figures, and how sure they are."""

from __future__ import annotations

from msgspec import Struct

from modelctl.assess.rows import Report, Row
from modelctl.fit.types import TYPICAL, Interval, Memory
from modelctl.resolved import Unknown
from modelctl.views.human.words import tokens
from modelctl.views.page.words import Figure, hourly

_TONES = {"fits": "good", "may fit": "some", "does not fit": "bad", "unknown": "calm"}
_SIGNS = {"fits": "✓", "may fit": "?", "does not fit": "×", "unknown": "?"}
_DIGITS = 3
"""How many digits of a GiB the JSON output has."""


class Part(Struct, frozen=True):
    """A piece of the bar: where it begins and how wide it is, in per cent of the drawing."""

    name: str
    at: float
    width: float


class Bar(Struct, frozen=True):
    """Places in per cent of the drawing, which is as wide as the card or what is asked of it.

    `card` is where the card ends, `budget` where the engine's share does. `missing` is what one
    request would take past that. `low` and `high` are the ends of where the cache begins, or, of an
    engine that takes no more than it needs, of where it ends. `request` is how far one request of
    the context reaches. `words` say the bar to who cannot see it.
    """

    parts: tuple[Part, ...]
    card: float
    budget: float | None
    missing: Part | None
    low: float
    high: float
    request: float | None
    words: str


class Amount(Struct, frozen=True):
    """GiB, and the ends that it may have, "" where there is but one."""

    name: str
    value: Figure
    ends: str


class Card(Struct, frozen=True):
    """One GPU of the list. `why` is said where nothing is known."""

    name: str
    verdict: str
    sign: str
    tone: str
    measured: bool
    why: str
    price: Figure | None
    bar: Bar | None = None
    usable: Figure | None = None
    amounts: tuple[Amount, ...] = ()
    tokens: Figure | None = None
    full: Figure | None = None
    typical: Figure | None = None


class Memories(Struct, frozen=True):
    """`title` is the model and how it is run; `length` and `short` head the counts of requests."""

    title: str
    length: str
    short: str
    cards: tuple[Card, ...]
    notes: tuple[str, ...]


def of_report(report: Report) -> Memories:
    context = report.context
    words = [report.model, report.dtype, f"{report.engine} {report.version}"]
    length = "" if isinstance(context, Unknown) else tokens(context)
    notes = [
        f"{row.key}: {row.memory.reason}."
        for row in report.rows
        if not isinstance(row.memory, Unknown) and row.memory.reason
        if row.memory.verdict in ("does not fit", "may fit")
    ]
    return Memories(
        title=" · ".join(word for word in words if word),
        length=length or "the whole context",
        short=tokens(TYPICAL),
        cards=tuple(_card(row) for row in report.rows),
        notes=(*notes, *report.ways),
    )


def _card(row: Row) -> Card:
    memory = row.memory
    price = None if isinstance(row.usd_per_hour, Unknown) else hourly(row.usd_per_hour)
    if isinstance(memory, Unknown):
        return Card(row.key, "unknown", "?", "calm", False, memory.reason, price)
    other = _summed(memory)
    fits = memory.verdict != "does not fit"
    return Card(
        name=row.key,
        verdict=memory.verdict,
        sign=_SIGNS[memory.verdict],
        tone=_TONES[memory.verdict],
        measured=memory.measured,
        why="",
        price=price,
        bar=_bar(memory, other),
        usable=_gib(memory.usable),
        amounts=(
            _amount("weights", memory.weights),
            _amount("other", other),
            _amount("cache", memory.cache),
            Amount("free", _gib(_free(memory, other)), ""),
        ),
        tokens=_count(memory.tokens, 0) if fits else None,
        full=_count(memory.full, 2) if fits else None,
        typical=_count(memory.typical, 2) if fits else None,
    )


def _summed(memory: Memory) -> Interval:
    found = Interval.exactly(0.0)
    for part in memory.other.values():
        found = found + part
    return found


def _free(memory: Memory, other: Interval) -> float:
    """What no part takes: most of it is what the engine is told to leave."""
    return max(0.0, memory.usable - memory.weights.value - other.value - max(0, memory.cache.value))


def _amount(name: str, found: Interval) -> Amount:
    low, high = max(0.0, found.low), max(0.0, found.high)
    same = f"{low:.1f}" == f"{high:.1f}"
    return Amount(name, _gib(max(0.0, found.value)), "" if same else f"{low:.1f} to {high:.1f}")


def _gib(value: float) -> Figure:
    return Figure(f"{value:.1f}", round(value, _DIGITS))


def _count(found: Interval | None, digits: int) -> Figure | None:
    """As many as there is room for: a part of a request is no request."""
    if found is None:
        return None
    value = max(0.0, found.value)
    return Figure(f"{int(value):,}", round(value, digits or None))


def _bar(memory: Memory, other: Interval) -> Bar:
    begins = memory.weights.value + other.value
    cache = max(0.0, memory.cache.value)
    needed = begins + memory.need
    whole = max(memory.usable, needed, 1e-9)

    def place(gib: float) -> float:
        return round(100 * min(max(gib, 0.0), whole) / whole, 3)

    parts, at = [], 0.0
    for name, size in (("weights", memory.weights.value), ("other", other.value), ("cache", cache)):
        end = min(at + size, memory.usable)
        parts.append(Part(name, place(at), round(place(end) - place(at), 3)))
        at = end
    fills = abs(begins + memory.cache.value - memory.budget) < 0.01
    used = memory.weights + other
    low, high = used.low, used.high
    if fills:  # what weights and the rest leave of the engine's share
        low, high = memory.budget - memory.cache.high, memory.budget - memory.cache.low
    elif cache:
        low, high = low + memory.cache.low, high + memory.cache.high
    missing = None
    if needed > memory.budget + 1e-6 and memory.verdict != "fits":
        start = max(at, min(begins, memory.usable))
        missing = Part("missing", place(start), round(place(needed) - place(start), 3))
    least = "one request of the whole context"
    if memory.states:
        least = f"a state for each of {memory.states:,} sequences"
    words = (
        f"{memory.usable:.1f} GiB: weights {memory.weights.value:.1f}, other {other.value:.1f}, "
        f"cache {cache:.1f}, free {_free(memory, other):.1f}; {least} takes {memory.need:.1f}: "
        f"{memory.verdict}"
    )
    return Bar(
        parts=tuple(parts),
        card=place(memory.usable),
        budget=place(memory.budget) if memory.budget < memory.usable - 0.05 else None,
        missing=missing,
        low=place(low),
        high=place(high),
        request=place(needed) if missing is None and fills else None,
        words=words,
    )
