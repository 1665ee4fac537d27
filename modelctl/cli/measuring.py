"""What did the live apps of specs measure when they booted? Read from their logs, for the lock."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from modelctl.assess.fits import run_of
from modelctl.cli.boots import Boot, boots_of, ran
from modelctl.cli.exits import Exit
from modelctl.cli.locking import default_engines, measured_source
from modelctl.cli.options import Selection
from modelctl.cli.said import aside, say
from modelctl.engines.boot_report import GIB, BootReport, read
from modelctl.facts import gpus, tables
from modelctl.fit.measured import latest
from modelctl.fit.types import LlamaInputs
from modelctl.loglines import read as lines_of
from modelctl.platform.types import LiveApp, NotThere, Platform
from modelctl.render import render
from modelctl.rendered import TAG_DIGEST
from modelctl.resolved import Unknown, Variant
from modelctl.weights import lock as locks
from modelctl.weights.lock import Lock, LockedEngine
from modelctl.weights.measured import Measured

if TYPE_CHECKING:
    from modelctl.assess import Assessed
    from modelctl.cli.pipeline import Checked
    from modelctl.spec.wanted import ProjectFile, Wanted

LINES = 10_000
"""How many of an app's latest lines are read, as many as Modal gives at once."""


class Seen(Struct, frozen=True):
    """An app as it is now, with the boots since this version was deployed."""

    app: LiveApp
    digest: str
    boots: tuple[Boot, ...]


class At(Struct, frozen=True):
    """Which control plane was asked, in words, and for which project. `local` has no GPUs."""

    where: str
    root: Path
    local: bool


async def look(platform: Platform, names: list[str]) -> dict[str, Seen]:
    """The apps of these names that live, a few at a time. Raises a PlatformError."""
    await platform.open()
    live = await platform.observe()
    several = asyncio.Semaphore(8)

    async def one(app: LiveApp) -> Seen | None:
        async with several:
            try:
                said = [
                    line
                    async for entry in platform.logs(app, tail=LINES, follow=False)
                    for line in lines_of(entry)
                ]
                details = await platform.details(app)
            except NotThere:
                return None  # it went away in the meantime
        since = app.deployed_at
        boots = [boot for boot in boots_of(said) if since is None or boot.at >= since]
        return Seen(app, details.tags.get(TAG_DIGEST, ""), tuple(boots))

    found = await asyncio.gather(*(one(live.apps[name]) for name in names if name in live.apps))
    return {seen.app.name: seen for seen in found if seen is not None}


def take(
    wanted: Wanted, assessed: Assessed, seen: Seen | None, at: At, lock: Lock
) -> tuple[tuple[Measured, ...], tuple[str, ...]]:
    """The last boot of each variant as a row, and a sentence for each that is no measurement."""
    name = assessed.resolved.name
    if seen is None:
        return (), (f"no app {name} lives in the {at.where}",)
    if not seen.boots:
        why = (
            f"{name} has no boot in its logs: no engine started since v{seen.app.version} was "
            f"deployed, or {LINES:,} lines were written after it"
        )
        return (), (why,)
    last = {boot.gpu: boot for boot in seen.boots if not boot.failed}
    if not last:
        return (), (f"{name} did not come up: modelctl logs {name} says why",)
    source = measured_source(wanted, at.root)
    commit = lock.sources[source].commit if source in lock.sources else ""
    variants = {variant.key: variant for variant in assessed.resolved.variants}
    rows, reasons = [], []
    for gpu, boot in sorted(last.items()):
        variant = variants.get(gpu)
        found = (
            f"the spec has no {gpu} any more"
            if variant is None
            else _row(assessed, variant, boot, seen, at)
        )
        if isinstance(found, str):
            reasons.append(f"{name} on {'the CPU' if gpu == 'cpu' else gpu}: {found}")
        else:
            rows.append(replace(found, commit=commit))
    return tuple(rows), tuple(reasons)


def _row(assessed: Assessed, variant: Variant, boot: Boot, seen: Seen, at: At) -> Measured | str:
    """Only what surely ran as the spec says now, on what it says: else why not."""
    resolved, inputs = assessed.resolved, variant.memory
    card = gpus.gpus().get(variant.gpu or "")
    if variant.gpu is None and resolved.placement.gpus:
        return "a CPU in place of a GPU says nothing of the GPU"
    if variant.gpu is not None and at.local:
        return "the local control plane has no GPUs, so this ran on a CPU"
    if variant.gpu is None and resolved.engine == "vllm":
        return "on a CPU vLLM takes of its machine what is there, which says nothing of another"
    argument = resolved.weights.argument
    if isinstance(argument, Unknown):
        return f"where its model lies is not known: {argument.reason}"
    if isinstance(inputs, Unknown):
        return f"what its memory follows from is not known: {inputs.reason}"
    if not ran(boot, resolved, variant):
        return "it was started with other options than its spec has now: modelctl apply first"
    report = read(boot.lines, resolved.engine)
    wrong = _unusable(report, assessed, variant, seen)
    if wrong:
        return wrong
    run = run_of(resolved, variant, inputs)
    return Measured(
        engine=run.engine,
        version=run.version,
        gpu=run.gpu,
        inputs=run.digest,
        alike=run.alike(card),
        model=assessed.model.shape_digest,
        at=f"{boot.at.astimezone(UTC):%Y-%m-%d}",
        app=resolved.name,
        app_version=seen.app.version,
        weights=report.weights,
        cache=report.cache,
        tokens=report.tokens,
        graphs=report.graphs,
        compute=report.compute,
        run=run.shown(),
    )


def _unusable(report: BootReport, assessed: Assessed, variant: Variant, seen: Seen) -> str:
    """Why a report is no measurement of this variant; "" where it is one."""
    resolved = assessed.resolved
    if not report.ready:
        return "its start has not come to its end: try again when it serves"
    if report.version:
        if report.version.partition("+")[0] != resolved.engine_version.removeprefix("v"):
            there, here = report.version, resolved.engine_version
            return f"its engine was {there}, and the spec has {here}"
    elif seen.digest != render(resolved).digest:
        return (
            "its engine did not say its version, and the spec changed since: modelctl apply first"
        )
    if report.weights is None and report.cache is None:
        if resolved.server == "llama-server":
            return _QUIET
        return "its engine wrote nothing of its memory"
    if variant.gpu is not None and report.device != "gpu":
        return "its engine wrote nothing of a GPU's memory"
    if report.partly:
        return f"only {report.partly} are on the GPU"
    draft = variant.memory.draft if isinstance(variant.memory, LlamaInputs) else None
    if draft is not None and not draft.method.startswith("ngram"):
        return "a draft model's memory is not told apart from the model's own"
    return ""


_QUIET = (
    "llama-server writes what it allocates with backend.args {verbosity: 4} alone: add it, "
    "modelctl apply, measure, and take it away again"
)


def measure(chosen: Selection, project: ProjectFile) -> int:
    """Take what the live apps of the chosen specs measured into modelctl.lock."""
    from modelctl.cli.pipeline import check_all, one_environment, some_chosen
    from modelctl.cli.world import platform_for

    chosen = one_environment(chosen, project)
    checked = check_all(chosen, project, hashed=True)
    some_chosen(checked)
    platform = platform_for(chosen, project)
    names = [assessed.resolved.name for _, assessed in checked.specs]
    seen = asyncio.run(look(platform, names))
    at = At(platform.where, project.root, local=chosen.local)
    written = locks.read(project.root)
    before = written or locks.Lock(engines=_engines(project, checked))
    found: dict[str, list[Measured]] = {}
    for wanted, assessed in checked.specs:
        rows, reasons = take(wanted, assessed, seen.get(assessed.resolved.name), at, before)
        found.setdefault(measured_source(wanted, project.root), []).extend(rows)
        for row in rows:
            say(_line(row))
        for reason in reasons:
            aside(f"not measured: {reason}")
    count = sum(map(len, found.values()))
    if not count:
        aside(f"help: nothing was measured, and {locks.FILE} stays as it was")
        return Exit.TRY_AGAIN
    newest = {
        name: latest([*before.measured.get(name, ()), *rows])
        for name, rows in found.items()
        if rows
    }
    after = replace(before, measured={**before.measured, **newest})
    if after != written:
        locks.write(project.root, replace(after, facts=before.facts or tables.version()))
    say(f"{locks.FILE} has {count} measurement{'' if count == 1 else 's'} of these boots.")
    return Exit.DONE


def _engines(project: ProjectFile, checked: Checked) -> Mapping[str, LockedEngine]:
    """A lock that begins with measurements says what the defaults are, as any other."""
    from modelctl.cli.pipeline import load_chosen

    everything, _ = load_chosen(Selection(), project)
    return default_engines([*everything, *(wanted for wanted, _ in checked.specs)])


def _line(row: Measured) -> str:
    """`  + chat-8b on H100: weights 15.27 GiB, cache 54.63 GiB, 397,744 tokens`"""
    sizes = {"weights": row.weights, "cache": row.cache, "CUDA graphs": row.graphs}
    words = [f"{name} {size / GIB:.2f} GiB" for name, size in sizes.items() if size is not None]
    if row.tokens is not None:
        words.append(f"{row.tokens:,} tokens")
    place = "the CPU" if row.gpu == "cpu" else row.gpu
    return f"  + {row.app} v{row.app_version} on {place}: {', '.join(words)} ({row.at})"
