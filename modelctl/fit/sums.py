"""Which sum is more than there is, in words? One sentence for every engine."""

from __future__ import annotations

from collections.abc import Mapping

from modelctl.fit.types import Interval


def too_much(
    parts: Mapping[str, Interval], there_is: float, *, doubtful: bool = False, where: str = ""
) -> str:
    """`weights 15.3 + one request 4.5 + other 1.9 = 21.7, usable 20.3 GiB per GPU`, all in GiB.

    The sum of what is expected; in doubt that of the most of all, since it alone is too much.
    `where` says whose memory it is, with `{}` for how much there is.
    """
    sizes = {name: part.high if doubtful else part.value for name, part in parts.items()}
    total, most = sum(sizes.values()), "up to " if doubtful else ""
    digits = digits_apart(total, there_is)
    said = " + ".join(f"{name} {size:.{digits}f}" for name, size in sizes.items())
    if len(sizes) > 1:
        said += f" = {most}{total:.{digits}f}"
    there = f"{there_is:.{digits}f} GiB"
    return f"{said}, {where.format(there) or f'usable {there} per GPU'}"


def digits_apart(one: float, other: float) -> int:
    """Decimals: one, and more where two sizes would look alike."""
    return next((n for n in range(1, 9) if f"{one:.{n}f}" != f"{other:.{n}f}"), 9)
