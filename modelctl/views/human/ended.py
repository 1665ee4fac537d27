"""How does what became of a plan read? What failed, whole; then where each app is."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from modelctl.apply import NEEDS_PRUNE, Failure, Outcome, Result
from modelctl.plan import REFUSED, Action
from modelctl.views.human.changes import action_words
from modelctl.views.human.words import duration, printable, wrapped
from modelctl.views.paint import Paint

_COUNTED = {
    "applied": [(Result.DONE, False), (Result.DONE, True)],
    "failed": [(Result.FAILED, False), (Result.FAILED, True)],
    "held": [(Result.HELD, False), (Result.HELD, True)],
    "not started": [(Result.SKIPPED, False)],
    "not deleted": [(Result.SKIPPED, True)],
    "unchanged": [(Result.UNCHANGED, False)],
}
"""The word → how an app ended, and whether it was to be deleted."""


def outcomes(
    result: Sequence[Outcome], seconds: float, *, paint: Paint, width: int, options: str = ""
) -> str:
    """What failed, whole; then every app's URL; then one line that counts.

    `options` is what the command was told about where it applies: `--local`.
    """
    blocks = [_failure(o, paint, width, options) for o in result if o.result is Result.FAILED]
    urls = [o for o in result if o.result is Result.DONE and o.url]
    if urls:
        column = max(len(o.name) for o in urls) + 2
        blocks.append("\n".join(f"  {o.name:<{column}}{o.url}/v1" for o in urls))
    if left := [o for o in result if o.result is Result.SKIPPED and o.detail != NEEDS_PRUNE]:
        blocks.append("\n".join(_left(o, width) for o in left))
    failed = any(o.result is Result.FAILED for o in result)
    summary = f"{counts(result)} · {duration(seconds)}"
    blocks.append(paint(summary, "red" if failed else "green"))
    return "\n\n".join(blocks)


def counts(result: Sequence[Outcome]) -> str:
    """`2 applied, 1 failed, 34 unchanged`"""
    said = [
        f"{count} {word}"
        for word, kinds in _COUNTED.items()
        if (count := sum((o.result, o.action is Action.DELETE) in kinds for o in result))
    ]
    return ", ".join(said) or "nothing to do"


def _left(outcome: Outcome, width: int) -> str:
    """`  · embed  wave 2 was not begun: chat failed`."""
    return "\n".join(
        textwrap.wrap(
            printable(f"{outcome.name}  {outcome.detail}"),
            width,
            initial_indent="  · ",
            subsequent_indent="    ",
        )
    )


def outcome_line(
    outcome: Outcome, *, paint: Paint, column: int = 0, width: int | None = None
) -> str:
    """How an app ended: one line, or below it what does not fit beside it on a terminal.

    Names are `column` wide; without a `width` the line is whole, as long as it is.
    """
    marks = {Result.DONE: ("✔", "green"), Result.FAILED: ("✘", "red")}
    mark, colour = marks.get(outcome.result, ("·", "dim"))
    version = f" v{outcome.version}" if outcome.version and outcome.result is Result.DONE else ""
    detail = printable(outcome.detail)
    words = f"{outcome.name:<{column}}  {action_words(outcome.action)}{version}"
    took = f"  {outcome.seconds:.1f} s" if outcome.result in marks else ""
    below: list[str] = []
    if detail and (width is None or len(words) + len(detail) + len(took) + 6 <= width):
        words += f"  {detail}"
    elif detail and width is not None:
        below = textwrap.wrap(detail, max(20, width - 6), break_on_hyphens=False)
    return "\n".join([f"  {paint(mark, colour)} {words}{took}", *(f"      {b}" for b in below)])


def _failure(outcome: Outcome, paint: Paint, width: int, options: str) -> str:
    version = failed_version(outcome)
    # What is refused is no version that failed now: the one that lives may well serve.
    head = action_words(outcome.action) if outcome.action in REFUSED else version
    lines = [f"{paint('✘', 'red')} {paint(outcome.name, 'bold')}  {head}".rstrip()]
    lines += wrapped(printable(outcome.detail), width)
    if outcome.lines:
        lines.append(f"  last lines of {whose_lines(outcome)}:")
        for line in outcome.lines:
            lines += textwrap.wrap(
                printable(line), width, initial_indent="    ", subsequent_indent="      "
            )
    if said := next_step(outcome, options):
        lines += wrapped(f"next: {said}", width)
    return "\n".join(lines)


def failed_version(outcome: Outcome) -> str:
    """`v9`; what never became a version has no number: the one that lives serves on."""
    never = outcome.failure in {None, Failure.FETCH}
    failed = outcome.tried or (None if never else outcome.version)
    return f"v{failed}" if failed else ""


def whose_lines(outcome: Outcome) -> str:
    return (failed_version(outcome) or "its log") if outcome.failure else "the image's build"


def next_step(outcome: Outcome, options: str) -> str:
    """What a person, or the next run, does about it; "" where the sentence says it already."""
    again = " ".join(filter(None, ("modelctl apply", outcome.name, options)))
    if outcome.failure is not None and outcome.failure.condemns:
        return f"fix the spec and apply, or {again} --retry"
    if outcome.failure is None and outcome.lines:
        return f"fix the image, and {again}"
    if outcome.failure is not None or outcome.again:
        return f"{again}, which tries it again as it is"
    return ""
