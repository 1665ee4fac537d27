"""How may a text be that somebody saves as YAML? Written oddly, damaged, exploding, or no text."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from tests.fuzz.pieces import HOSTILE, LINES, TAGS, TOKENS

MOST = 1_100_000
"""Characters: a little past what is read at all."""


def written(value: Any, dice: Random, indent: int = 0) -> str:
    """YAML of plain data in mixed styles, with an anchor, an alias or a tag here and there."""
    before = dice.choice(TAGS) if dice.random() < 0.003 else ""
    if isinstance(value, dict) and value:
        if indent and dice.random() < 0.3:
            inner = ", ".join(f"{_key(k, dice)}: {_flow(v, dice)}" for k, v in value.items())
            return f"{before}{{{inner}}}"
        pad = "\n" + " " * indent
        lines = [f"{_key(k, dice)}: {written(v, dice, indent + 2)}" for k, v in value.items()]
        return before + pad + pad.join(lines)
    if isinstance(value, list) and value and dice.random() < 0.6:
        pad = "\n" + " " * indent
        return before + "".join(f"{pad}- {_flow(item, dice)}" for item in value)
    return before + _flow(value, dice)


def _flow(value: Any, dice: Random) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k, dice)}: {_flow(v, dice)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item, dice) for item in value) + "]"
    if isinstance(value, str):
        return _text(value, dice)
    if value is None:
        return dice.choice(("null", "~", ""))
    return json.dumps(value)


def _key(key: str, dice: Random) -> str:
    return key if key.replace("_", "").isalnum() and key.isascii() else _text(key, dice)


def _text(text: str, dice: Random) -> str:
    style = dice.random()
    if style < 0.35 and text and "\n" not in text:
        return text  # as somebody types it: often it is something else then
    if style < 0.5 and "\n" not in text:
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text, ensure_ascii=style < 0.85)


def damaged(text: str, others: list[str], dice: Random) -> str:
    """The text after a few accidents: letters, lines and pieces lost, doubled, moved, mixed up."""
    for _ in range(dice.choice((1, 1, 2, 3, 8))):
        start = dice.randint(0, len(text))
        stop = min(len(text), start + dice.choice((0, 1, 1, 2, 5, 20, 100)))
        lines = text.split("\n")
        number = dice.randrange(len(lines))
        match dice.randrange(9):
            case 0 | 1:
                text = text[:start] + dice.choice(TOKENS) + text[stop:]
            case 2:
                text = text[:start] + text[stop:]
            case 3:
                text = text[:stop] + text[start:stop] * dice.choice((1, 2, 50)) + text[stop:]
            case 4:
                lines[number] = " " * dice.choice((1, 2, 4, 9)) + lines[number]
                text = "\n".join(lines)
            case 5:
                lines.insert(dice.randrange(len(lines)), lines[number])
                text = "\n".join(lines)
            case 6:
                key, colon, _ = lines[number].partition(":")
                if colon:
                    lines[number] = f"{key}: {_text(dice.choice(HOSTILE), dice)}"
                text = "\n".join(lines)
            case 7:
                other = dice.choice(others).split("\n")
                cut = dice.randrange(len(other))
                lines[number:number] = other[cut : cut + dice.randint(1, 5)]
                text = "\n".join(lines)
            case 8:
                text = text[:start] + chr(dice.choice((dice.randrange(128), dice.randrange(65536))))
                text += text[stop:]
    return text[:MOST]


def exploding(dice: Random) -> str:
    """Much out of little, or simply much: depth, aliases, one long line, many keys."""
    size = dice.choice((10, 59, 60, 61, 400, 5_000, 60_000, 400_000))
    piece = dice.choice(LINES)
    match dice.randrange(10):
        case 0:
            width = dice.randint(2, 12)
            rows = [f"a0: &a0 [{', '.join(['x'] * width)}]"]
            rows += [
                f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]"
                for n in range(1, dice.randint(2, 30))
            ]
            return "\n".join(rows)
        case 1:
            return (piece * size)[:MOST]
        case 2:
            return ("name: case\nmodel: " + piece * size)[:MOST]
        case 3:
            return ('name: case\nmodel: "' + piece * size)[:MOST] + '"'
        case 4:
            return "".join(" " * min(n, 900) + "a:\n" for n in range(min(size, 1000)))
        case 5:
            keys = min(size, 60_000)
            field = dice.choice(("env", "labels", "secrets", "model", "volumes", "checks", "x"))
            return f"name: case\nmodel: hf://o/r\n{field}:\n" + "".join(
                f"  k{n}: {n}\n" for n in range(keys)
            )
        case 6:
            return "name: case\ngpu: [" + ", ".join(["H100"] * min(size, 60_000)) + "]"
        case 7:
            return "a: &a {b: *a}\nname: " + dice.choice(HOSTILE)
        case 8:
            count = min(size, 5_000)
            return "".join(f"{piece}{n}: {piece}\n" for n in range(count))[:MOST]
        case _:
            some = "".join(dice.choice(TOKENS) for _ in range(min(size, 3_000)))
            return some[:MOST]


def as_bytes(text: str, dice: Random) -> bytes:
    """As an editor saves it, mostly UTF-8."""
    match dice.randrange(40):
        case 0:
            encoding = dice.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"))
            return text.encode(encoding, "replace")
        case 1:
            return b"\xef\xbb\xbf" + text.encode("utf-8", "surrogatepass")
        case 2:
            return text.replace("\n", "\r\n").encode("utf-8", "surrogatepass")
        case 3:
            content = bytearray(text.encode("utf-8", "surrogatepass"))
            for _ in range(min(len(content), 3)):
                content[dice.randrange(len(content))] = dice.randrange(256)
            return bytes(content)
        case _:
            return text.encode("utf-8", "surrogatepass")
