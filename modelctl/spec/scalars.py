"""What does an unquoted word mean? YAML 1.2's core schema, and where YAML 1.1 differs."""

from __future__ import annotations

import math
import re

from modelctl.spec.tree import Value

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_OLD_BOOL = {
    word: meaning
    for meaning, words in (("true", ("y", "yes", "on")), ("false", ("n", "no", "off")))
    for lower in words
    for word in (lower, lower.capitalize(), lower.upper())
}
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_OCTAL = re.compile(r"[-+]?0o?[0-7]+")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_UNDERSCORES = re.compile(r"[-+]?[0-9][0-9]*(?:_[0-9]+)+")

_WORD_STARTS = frozenset("0123456789+-.")
LARGEST = 2**63


class NotANumber(ValueError):
    """It is written as a number, and no computer word can hold it. The text says so to people."""


def resolve(raw: str) -> Value:
    """What a plain scalar means; NotANumber for numbers that are infinite or past 64 bits."""
    if raw in _NULL:
        return None
    if raw in _BOOL:
        return _BOOL[raw]
    if raw[0] not in _WORD_STARTS:
        return raw
    if _INT.fullmatch(raw):
        if len(raw) > 20 or abs(int(raw)) >= LARGEST:
            raise NotANumber("this number does not fit 64 bits")
        return int(raw)
    if _HEX.fullmatch(raw):
        if len(raw) > 18 or int(raw, 16) >= LARGEST:
            raise NotANumber("this number does not fit 64 bits")
        return int(raw, 16)
    if _FLOAT.fullmatch(raw):
        number = float(raw)
        if math.isinf(number):
            raise NotANumber("this number is too large")
        return number
    if _NOT_FINITE.fullmatch(raw):
        raise NotANumber(f"{raw} is not a number that can be worked with")
    return raw


def surprise(raw: str) -> tuple[str, str] | None:
    """What other readers make of a plain scalar, as (sentence, hint); None if they agree."""
    if raw in _OLD_BOOL:
        meaning = _OLD_BOOL[raw]
        return (
            f"{raw} is text here, and {meaning} to readers of YAML 1.1",
            f'write "{raw}" for the text, or {meaning}',
        )
    if not raw or raw[0] not in _WORD_STARTS:
        return None
    if ":" in raw and _SEXAGESIMAL.fullmatch(raw):
        number = 0
        for part in raw.replace("_", "").lstrip("+-").split(".")[0].split(":"):
            number = number * 60 + int(part[:18])
        return (
            f"{raw} is text here, and the number {number} to readers of YAML 1.1",
            f'write "{raw}" for the text',
        )
    if _UNDERSCORES.fullmatch(raw):
        return (
            f"{raw} is text here, and a number to readers of YAML 1.1",
            f'write {raw.replace("_", "")} for the number, or "{raw}" for the text',
        )
    return None


def ambiguous_octal(raw: str) -> tuple[str, str] | None:
    """`017` is 17 to one reader and 15 to the next: (sentence, hint), or None."""
    if (
        len(raw) > 20
        or not (_OCTAL.fullmatch(raw) or _LEADING_ZERO.fullmatch(raw))
        or raw.lstrip("+-") == "0"
    ):
        return None
    digits = raw.lstrip("+-").replace("o", "")
    sign = "-" if raw.startswith("-") else ""
    decimal = sign + (digits.lstrip("0") or "0")
    if not set(digits) <= set("01234567"):
        return (
            f"{raw} is {decimal} to some readers of YAML and text to others",
            f'write {decimal}, or "{raw}" for the text',
        )
    octal = f"{sign}{int(digits, 8)}"
    return (
        f"{raw} is {decimal} to some readers of YAML and {octal} to others"
        if "o" not in raw
        else f"{raw} is {octal} to some readers of YAML and text to others",
        f'write {octal} or {decimal}, or "{raw}" for the text'
        if "o" not in raw
        else f'write {octal}, or "{raw}" for the text',
    )
