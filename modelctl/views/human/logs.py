"""How does a line of a log read? When, who, how serious, and its words; figures in plain units."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from modelctl.loglines import METRICS, Said
from modelctl.views.human.words import counted
from modelctl.views.paint import Paint

_COLOURS = {"ERROR": "red", "WARNING": "yellow", "DEBUG": "dim", METRICS: "cyan"}


def line(said: Said, *, paint: Paint) -> str:
    """`14:31:02 engine   WARNING chat template not found`, coloured by its level."""
    text = figures(said.text) if said.level == METRICS else said.text
    level = f"{said.level:<7}"
    colour = _COLOURS.get(said.level)
    if said.level == "ERROR":
        text = paint(text, "red")
    painted = paint(level, colour) if colour else level
    return f"{paint(f'{said.clock} {said.who:<8}', 'dim')} {painted} {text}".rstrip()


def figures(text: str) -> str:
    """`3 running, 1 waiting (25 %) · 412.0 tok/s · GPU 97 %, 68.4 of 79.6 GiB, 612 W, 64 °C`."""
    try:
        found = json.loads(text)
        return " · ".join([*_requests(found), *map(_gpu, found.get("gpu", ()))])
    except (ValueError, TypeError, AttributeError, KeyError):
        return text


def _requests(found: Mapping[str, Any]) -> list[str]:
    if "running" not in found:
        return []
    waiting = f"{found['waiting']} waiting ({found['waiting_share']:.0%})".replace("%", " %")
    return [
        f"{counted(found['running'], 'request')} running, {waiting}",
        f"{found['tokens_per_second']:,.1f} tok/s",
        f"{found['prompt_tokens_per_second']:,.1f} prompt tok/s",
    ]


def _gpu(gpu: Mapping[str, Any]) -> str:
    parts = []
    if gpu.get("utilization") is not None:
        parts.append(f"{gpu['utilization']:.0f} %")
    if gpu.get("memory_used_mib") is not None and gpu.get("memory_total_mib") is not None:
        used, total = gpu["memory_used_mib"] / 1024, gpu["memory_total_mib"] / 1024
        parts.append(f"{used:.1f} of {total:.1f} GiB")
    if gpu.get("power_w") is not None:
        parts.append(f"{gpu['power_w']:.0f} W")
    if gpu.get("temperature_c") is not None:
        parts.append(f"{gpu['temperature_c']:.0f} °C")
    return f"GPU {', '.join(parts)}"
