"""How does it look, what fills a GPU's memory? Bars, a table of speed and price, and ways out."""

from __future__ import annotations

from modelctl.assess.cost import HOURS_A_MONTH
from modelctl.assess.rows import Report, Row
from modelctl.fit.types import TYPICAL, Interval, Memory
from modelctl.resolved import Unknown
from modelctl.views.human import money
from modelctl.views.human.tables import table
from modelctl.views.human.words import printable, tokens, wrapped
from modelctl.views.paint import Paint

WEIGHTS, CACHE, OTHER, FREE = "▓", "▒", "░", "·"
_COLOUR = {"fits": "green", "may fit": "yellow", "does not fit": "red", "unknown": "cyan"}
_LEAST_BAR, _MOST_BAR = 12, 44


def report(found: Report, *, paint: Paint, width: int) -> str:
    """A title, what fills each GPU, how fast and how dear it is, and what could be done instead."""
    title = "\n".join(paint(line, "bold") for line in _title(found, width))
    parts = [title, _memory(found, paint, width)]
    if any(not isinstance(row.usd_per_hour, Unknown) for row in found.rows):
        parts.append(_prices(found, paint, width))
    notes = [line for note in _notes(found) for line in wrapped(printable(note), width + 2)]
    parts.append("\n".join(line.removeprefix("  ") for line in notes))
    return "\n\n".join(part for part in parts if part)


def _title(found: Report, width: int) -> list[str]:
    context = found.context
    length = "context unknown" if isinstance(context, Unknown) else f"context {context:,}"
    words = [found.name, found.model, found.dtype, length]
    if found.target is not None or found.most is not None:
        target = "any" if found.target is None else f"{found.target:g}"
        words.append(f"concurrency {target}" + (f" (max {found.most})" if found.most else ""))
    words += [f"{found.engine} {found.version}", found.environment]
    lines = [""]
    for word in map(printable, filter(None, words)):
        longer = f"{lines[-1]} · {word}" if lines[-1] else word
        lines = [*lines[:-1], longer] if len(longer) <= width else [*lines, word]
    return lines


def _memory(found: Report, paint: Paint, width: int) -> str:
    """One bar a GPU. The number after it is what CUDA reports of one card, in GiB."""
    length = "full" if isinstance(found.context, Unknown) else tokens(found.context)
    names = max(12, *(len(row.key) for row in found.rows))
    rest = names + 2 + 8 + 10 + 7 + 7 + 2 + len("does not fit")
    bar = max(_LEAST_BAR, min(_MOST_BAR, width - rest))
    head = f"{WEIGHTS} weights {CACHE} cache {OTHER} other"
    memories = [row.memory for row in found.rows if not isinstance(row.memory, Unknown)]
    if any(_cells(_free(memory), memory.usable, bar) for memory in memories):
        head += f" {FREE} free"
    room = max(bar + 8, len(head))
    over = " " * (names + 1) + "GiB per GPU".ljust(room) + " " * 10 + "requests at".rjust(14)
    lines = [
        over.rstrip(),
        f"{'GPU':<{names}} {head:<{room}}{'tokens':>10}{length:>7}{tokens(TYPICAL):>7}  verdict",
    ]
    shown = [paint(line, "dim") for line in lines]
    for row in found.rows:
        memory = row.memory
        if isinstance(memory, Unknown):
            colour = _COLOUR["unknown"]
            shown.append(f"{row.key:<{names}} {' ' * (room + 24)}  {paint('unknown', colour)}")
            continue
        drawn = f"{_bar(memory, bar)} {memory.usable:>6.1f}".ljust(room)
        verdict = paint(memory.verdict, _COLOUR[memory.verdict])
        verdict += " (measured)" if memory.measured else ""
        found_room = (memory.tokens, memory.full, memory.typical)
        if memory.verdict == "does not fit":
            counts = f"{'-':>10}{'-':>7}{'-':>7}"
        else:
            counts = "".join(
                f"{_count(n):>{w}}" for n, w in zip(found_room, (10, 7, 7), strict=True)
            )
        shown.append(f"{row.key:<{names}} {drawn}{counts}  {verdict}")
    return "\n".join(shown)


def _bar(memory: Memory, cells: int) -> str:
    """Each part's share of what the card has; what does not fit is cut off at the end."""
    other = sum(part.value for part in memory.other.values())
    other += max(0.0, memory.usable - memory.budget)
    weights = _cells(memory.weights.value, memory.usable, cells)
    rest = min(cells - weights, max(_cells(other, memory.usable, cells), 1 if other else 0))
    free = min(cells - weights - rest, _cells(_free(memory), memory.usable, cells))
    cache = cells - weights - rest - free
    return WEIGHTS * weights + CACHE * cache + OTHER * rest + FREE * free


def _free(memory: Memory) -> float:
    """GiB that stay empty: vLLM's cache takes all there is, llama.cpp's what the slots need."""
    other = sum(part.value for part in memory.other.values())
    return memory.budget - memory.weights.value - memory.cache.value - other


def _cells(part: float, whole: float, cells: int) -> int:
    return max(0, min(cells, round(part / whole * cells))) if whole else 0


def _prices(found: Report, paint: Paint, width: int) -> str:
    rows = [_price(row) for row in found.rows]
    heads = ["GPU", "tok/s*", "bound", "one alone*", "$/h warm", "$/month", "$/M tok*"]
    drawn = table(heads, rows, paint=paint, width=width, right=heads[1:], whole=True)
    machine = f"with {found.cores:g} cores and {found.memory_gib:g} GiB, by {found.prices}"
    speed = next((row.speed for row in found.rows if not isinstance(row.speed, Unknown)), None)
    if speed is None:
        return f"{drawn}\n{machine}"
    asked = speed.request
    said = (
        f"{machine}; * predicted {_how_far(found)} for {_at_once(speed.requests)}, "
        f"{asked.prompt:,} tokens in, {asked.output:,} out; bound: what the card's bandwidth and "
        "compute allow"
    )
    return drawn + "\n" + "\n".join(line.removeprefix("  ") for line in wrapped(said, width + 2))


def _how_far(found: Report) -> str:
    """What an engine reaches of a card was told from starts of vLLM alone."""
    if found.engine == "vLLM":
        return "within ± 25 %"
    return f"from what vLLM reaches of a card ({found.engine} was not measured)"


def _at_once(requests: int) -> str:
    return "one request" if requests == 1 else f"{requests} requests at once"


def _price(row: Row) -> list[str]:
    speed, price, million = row.speed, row.usd_per_hour, row.usd_per_million
    rates = ["?", "?", "?"]
    if not isinstance(speed, Unknown):
        rates = [_rounded(speed.predicted.value), _rounded(speed.bound)]
        rates.append(_rounded(speed.single.value))
    if isinstance(price, Unknown):
        return [row.key, *rates, "?", "?", "?"]
    month = f"{price * HOURS_A_MONTH:,.0f}"
    return [row.key, *rates, f"{price:.2f}", month, "?" if million is None else f"{million:.2f}"]


def _notes(found: Report) -> list[str]:
    notes = []
    for row in found.rows:
        if isinstance(row.memory, Unknown):
            notes.append(f"{row.key}: not checked: {row.memory.reason}.")
            continue
        if row.memory.verdict in ("does not fit", "may fit") and row.memory.reason:
            notes.append(f"{row.key}: {row.memory.reason}.")
        if row.memory.boot:
            what = "weights and cache as reported by"
            notes.append(f"{row.key}: {what} {row.memory.boot}.")
    notes += found.ways
    if found.cheapest is not None:
        notes.append(f"Cheapest that fits: {found.cheapest[0]}, ${found.cheapest[1]:.2f} an hour.")
    notes += _money(found)
    if any(not isinstance(row.memory, Unknown) for row in found.rows):
        notes.append(
            "Weights and cache are computed from what the lock knows of the model, the rest is "
            "estimated; a row says (measured) where modelctl lock --measured took them from a boot."
        )
    return notes


def _money(found: Report) -> list[str]:
    """What all of its containers cost, and whether keeping one warm is worth it."""
    notes = []
    if found.keep_warm and not isinstance(found.warm, Unknown):
        notes.append(
            f"keep_warm {found.keep_warm}: {money.hourly(*found.warm)}, "
            f"{money.monthly(*found.warm)}."
        )
    if found.containers and not isinstance(found.at_most, Unknown):
        notes.append(f"At its max of {found.containers}: {money.hourly(*found.at_most)}.")
    if found.break_even is not None:
        notes.append(
            f"Break-even at {found.break_even:.0%}: when requests keep a container busy for more "
            "of each hour than that, keeping it warm costs no more than starting it from zero "
            f"once an hour, which pays for a boot too ({found.boot_seconds:.0f} s, assumed) and "
            f"for idling before it stops ({found.idle_seconds} s, scaling.idle_timeout)."
        )
    return notes


def _count(found: Interval | None) -> str:
    if found is None:
        return "?"
    return _rounded(found.value) if found.value >= 1000 else f"{int(found.value)}"


def _rounded(value: float) -> str:
    """Three digits that mean something: 371,482 is 371,000."""
    if value < 10:
        return f"{value:.1f}"
    digits = len(str(int(value))) - 3
    return f"{round(value, -digits) if digits > 0 else round(value):,.0f}"
