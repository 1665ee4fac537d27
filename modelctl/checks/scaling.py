"""Do the numbers of containers, requests and seconds go together, and does Modal take them?"""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.checks.case import Case, Rule, wrong
from modelctl.engines.base import Finding
from modelctl.spec.models import Concurrency
from modelctl.spec.wanted import Path_

# app.server of modal 1.6.4 refuses what is outside; seconds.
_IDLE = (2, 3600)
_DRAIN = (0, 3600)
# The app gives up five seconds before Modal does, and needs some before that.
_LEAST_STARTUP = 10


def keep_warm_above_max(case: Case) -> Iterator[Finding]:
    warm, most = case.resolved.scaling.min_containers, case.resolved.scaling.max_containers
    if most is not None and warm > most:
        yield wrong(
            ("keep_warm",),
            "scaling/keep-warm-above-max",
            f"keep_warm {warm} is more than scaling.max {most}",
            f"keep_warm: {most}, or scaling: {{max: {warm}}}",
        )


def target_above_max(case: Case) -> Iterator[Finding]:
    asked: list[tuple[Path_, Concurrency | None]] = [(("concurrency",), case.spec.concurrency)]
    asked += [(("gpu", index, "concurrency"), e.concurrency) for index, e, _, _ in case.entries]
    for path, concurrency in asked:
        if concurrency and concurrency.target and concurrency.max is not None:
            target, most = concurrency.target, concurrency.max
            if target > most:
                yield wrong(
                    (*path, "target"),
                    "concurrency/target-above-max",
                    f"a target of {target} requests is more than the max of {most}",
                    f"concurrency: {{target: {most}, max: {most}}}",
                )


def of_one_entry(case: Case) -> Iterator[Finding]:
    for index, entry, _, _ in case.entries:
        said = entry.concurrency
        limits = (("target", said.target), ("max", said.max)) if said else ()
        for name, value in limits:
            if value is not None:
                yield wrong(
                    ("gpu", index, "concurrency", name),
                    "concurrency/of-entry",
                    f"Modal has one concurrency.{name} an endpoint, whatever GPU it gets",
                    f"concurrency.{name} beside gpu; max_sequences may differ from entry to entry",
                )


def windows(case: Case) -> Iterator[Finding]:
    said, endpoint = case.spec.scaling, case.spec.endpoint
    idle = said.idle_timeout if said else None
    if idle is not None and not _IDLE[0] <= idle <= _IDLE[1]:
        yield wrong(
            ("scaling", "idle_timeout"),
            "scaling/window",
            f"an idle_timeout of {_seconds(idle)}: Modal takes 2s to 1h",
            f"idle_timeout: {'2s' if idle < _IDLE[0] else '1h'}",
        )
    scaleup = said.scaleup_window if said else None
    if scaleup is not None and scaleup <= 0:
        yield wrong(
            ("scaling", "scaleup_window"),
            "scaling/window",
            "a scaleup_window of 0s: Modal takes 1s or more",
            "scaleup_window: 1s, or leave it out",
        )
    drain = endpoint.drain if endpoint else None
    if drain is not None and not _DRAIN[0] <= drain <= _DRAIN[1]:
        yield wrong(
            ("endpoint", "drain"),
            "scaling/window",
            f"a drain of {_seconds(drain)}: Modal takes 0s to 1h",
            "drain: 1h",
        )
    startup = endpoint.startup_timeout if endpoint else None
    if startup is not None and startup < _LEAST_STARTUP:
        yield wrong(
            ("endpoint", "startup_timeout"),
            "scaling/window",
            f"a startup_timeout of {_seconds(startup)} is too short for any model",
            f"startup_timeout: {case.engine.startup_timeout // 60}m, or leave it out",
        )


def metrics(case: Case) -> Iterator[Finding]:
    said = case.spec.metrics
    if said and said.interval == 0 and said.enabled is not False:
        yield wrong(
            ("metrics", "interval"),
            "metrics/interval",
            "metrics every 0 seconds are none",
            "metrics: {enabled: false} for no lines, or an interval such as 60s",
        )


def _seconds(value: float) -> str:
    for unit, size in (("h", 3600), ("m", 60)):
        if value >= size and value % size == 0:
            return f"{value / size:g}{unit}"
    return f"{value:g}s"


RULES: tuple[Rule, ...] = (keep_warm_above_max, target_above_max, of_one_entry, windows, metrics)
