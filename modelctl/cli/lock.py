"""modelctl lock: which commit is each model at, and which files has it? Written down, once."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from modelctl.cli.exits import Exit
from modelctl.cli.options import Selection, selection

if TYPE_CHECKING:
    from modelctl.cli.locking_volumes import InVolume
    from modelctl.weights.hub import Found
    from modelctl.weights.lock import Lock, Locked


_NO_DEFAULT = "no spec needs its default version any more"


@click.command("lock")
@selection
@click.option(
    "--upgrade", is_flag=True, help="Take the newest commits, and the newest default engines."
)
@click.option(
    "--check", is_flag=True, help="Write nothing; exit with 1 where the lock is not complete."
)
@click.option(
    "--measured", is_flag=True, help="Take what live apps measured when they booted; nothing else."
)
def command(
    what: tuple[str, ...],
    env: str | None,
    local: bool,
    labels: tuple[str, ...],
    upgrade: bool,
    check: bool,
    measured: bool,
) -> int:
    """Write down each model's commit, files and hashes, its headers, and the engines' versions.

    What modelctl.lock has keeps its commit; --upgrade moves it. Commit the file: from then on
    validate and plan need no network, and every machine deploys the same. --check alone asks
    nobody. --measured reads the logs of the apps that run in one environment: fit and validate
    believe what an engine reported there before what is computed.
    """
    if measured and (upgrade or check):
        raise click.UsageError("--measured goes with neither --upgrade nor --check")
    from modelctl.cli import locking_volumes as volumes
    from modelctl.cli.locking import (
        ask_all,
        default_engines,
        incomplete,
        measured_source,
        named_sources,
        unlocked,
    )
    from modelctl.cli.pipeline import load_chosen, project_here
    from modelctl.cli.said import aside, say
    from modelctl.diagnostics import Rejected, error, has_errors
    from modelctl.facts import tables
    from modelctl.weights import lock as locks

    project = project_here()
    chosen = Selection(what, env, local, labels)
    if measured:
        from modelctl.cli.measuring import measure

        return measure(chosen, project)
    specs, diagnostics = load_chosen(chosen, project)
    unread = [d for d in diagnostics if d.is_error]
    if wrong := [d for d in unread if d.place is None]:  # names, labels, the environment
        raise Rejected(wrong)
    if not specs:
        raise Rejected(unread or [error("spec/none-chosen", "there is no spec to lock here")])
    named_volumes = volumes.volumes_named(specs)
    written = locks.read(project.root)
    before = written or locks.Lock()
    named, engines = named_sources(specs), default_engines(specs)
    missing, partly = unlocked(named, before), incomplete(named, before)
    # What nobody names any more goes, but only where all specs were read, in all environments.
    whole = chosen.everything and not chosen.overlays and not has_errors(diagnostics)
    still = {**named, **named_volumes}
    gone = [name for name in before.sources if name not in still] if whole else []
    kept = {name: was for name, was in before.engines.items() if name in engines or not whole}
    if check and not upgrade:
        new = [name for name in engines if name not in before.engines and written is not None]
        lines = [
            *(f"  + {name}  not in {locks.FILE}" for name in [*new, *missing]),
            *(f"  ~ {name}  its weights' headers are not in {locks.FILE}" for name in partly),
            *(f"  - {name}  no spec names it any more" for name in gone),
            *(f"  - {name}  {_NO_DEFAULT}" for name in before.engines if name not in kept),
        ]
        _say_each(lines)
        say(_check_line(len(named), bool(lines)))
        return Exit.REJECTED if lines else Exit.DONE
    found = ask_all(named if upgrade else {**missing, **partly})
    stale = named_volumes if upgrade else volumes.unread(named_volumes, before)
    found |= _in_volumes(stale, chosen)
    after = _after(before, found, gone)
    after = replace(after, engines={**kept, **engines} if upgrade else {**engines, **kept})
    boots = {measured_source(wanted, project.root) for wanted in specs} if whole else None
    after = replace(after, measured=locks.still_measured(after, boots))
    changes = [*_changed_engines(before, after), *_changes(before, after)]
    _say_each([*changes, *_boots_gone(before, after)])
    for name, answer in found.items():
        _renamed(name, answer)
    changed = (after.sources, after.engines) != (before.sources, before.engines)
    if check:
        say(_check_line(len(named), changed))
        return Exit.REJECTED if changed else Exit.DONE
    if changed or written is None or after.measured != before.measured:
        locks.write(project.root, replace(after, facts=tables.version()))
        say(f"{locks.FILE} written: {_count(len(after.sources), 'source')}.")
    else:
        say(f"{locks.FILE} is up to date: {_count(len(after.sources), 'source')}.")
    if unread:
        aside("some specs could not be read and were left out: modelctl validate says why")
        return Exit.REJECTED
    return Exit.DONE


def _in_volumes(named: Mapping[str, InVolume], chosen: Selection) -> dict[str, Found]:
    """What lies in Volumes, environment by environment; one that cannot be read is no failure."""
    from modelctl.cli.locking_volumes import read_all
    from modelctl.cli.pipeline import project_here
    from modelctl.cli.said import aside
    from modelctl.cli.world import platform_for

    found: dict[str, Found] = {}
    for environment in sorted({item.environment for item in named.values()}):
        here = {name: item for name, item in named.items() if item.environment == environment}
        where = Selection((), environment or None, chosen.local, ())
        read, problems = read_all(here, platform_for(where, project_here()))
        found |= read
        for name, problem in problems.items():
            aside(f"warning: {name} is not read: {problem}")
            aside("help: nothing needs it to deploy; without it fit and context are not checked")
    return found


def _after(before: Lock, found: Mapping[str, Found], gone: Collection[str]) -> Lock:
    """What is locked with what was found, and without what is gone."""
    from modelctl.cli.locking import with_facts_of

    stays = {name: entry for name, entry in before.sources.items() if name not in gone}
    new = {
        name: with_facts_of(before.sources.get(name), answer.locked)
        for name, answer in found.items()
    }
    return replace(before, sources={**stays, **new})


def _changed_engines(before: Lock, after: Lock) -> list[str]:
    """`  ~ vllm  0.32.0 → 0.33.0`, one line an engine whose default changed."""
    lines = []
    for name in sorted({*before.engines, *after.engines}):
        was, now = before.engines.get(name), after.engines.get(name)
        if now is None:
            lines.append(f"  - {name}  {_NO_DEFAULT}")
        elif was is None:
            lines.append(f"  + {name}  {now.version}, where a spec names no version")
        elif was != now:
            same = was.version == now.version
            lines.append(
                f"  ~ {name}  " + (f"{now.image}" if same else f"{was.version} → {now.version}")
            )
    return lines


def _changes(before: Lock, after: Lock) -> list[str]:
    """`  ~ hf://org/repo  b968826 → 8fa2e11, 2 of 14 files`, one line a source that changed."""
    names = sorted({*before.sources, *after.sources})
    changed = [name for name in names if before.sources.get(name) != after.sources.get(name)]
    columns = max((len(name) for name in changed), default=0)
    lines = []
    for name in changed:
        was, now = before.sources.get(name), after.sources.get(name)
        if now is None:
            sign, words = "-", "no spec names it any more"
        elif was is None:
            size = f"{now.size / 1e9:,.1f} GB" if now.size >= 1e8 else f"{now.size / 1e6:,.1f} MB"
            sign, words = "+", f"{now.commit[:7]}, {_count(len(now.files), 'file')}, {size}"
        else:
            sign, words = "~", _moved(was, now)
        lines.append(f"  {sign} {name:<{columns}}  {words}")
    return lines


def _boots_gone(before: Lock, after: Lock) -> list[str]:
    """`  - hf://org/repo  2 measurements of what it was`, one line a source that lost some."""
    lines = []
    for name, rows in sorted(before.measured.items()):
        gone = len(rows) - len(after.measured.get(name, ()))
        if gone:
            lines.append(f"  - {name}  {_count(gone, 'measurement')} of what it was")
    return lines


def _moved(was: Locked, now: Locked) -> str:
    files: Mapping[str, object] = {file.path: file for file in was.files}
    other = sum(files.get(file.path) != file for file in now.files)
    other += len(files.keys() - {file.path for file in now.files})
    if was.commit == now.commit and was.files == now.files:
        return f"{now.commit[:7]}, read again: the same files, and more known of them"
    if was.commit == now.commit:
        return f"{now.commit[:7]}, read again: {_count(other, 'file')} differ"
    return f"{was.commit[:7]} → {now.commit[:7]}, {_count(other, 'file')} changed"


def _renamed(name: str, answer: Found) -> None:
    from modelctl.cli.said import aside
    from modelctl.weights.sources import parse

    parsed = parse(name.partition("@")[0])
    asked = parsed.where
    if parsed.kind == "hub" and answer.name != asked:
        aside(f"warning: {asked} is called {answer.name} now")
        aside(f"help: write hf://{answer.name}: an old name may be given to another repository")


def _say_each(lines: Sequence[str]) -> None:
    """One line each on a wide terminal; what is longer goes on below."""
    from modelctl.cli.said import say
    from modelctl.views.paint import for_stream

    _, width = for_stream()
    for line in lines:
        wrapped = textwrap.wrap(
            line, width, subsequent_indent=" " * 6, break_long_words=False, break_on_hyphens=False
        )
        say("\n".join(wrapped))


def _check_line(count: int, stale: bool) -> str:
    from modelctl.weights.lock import FILE

    if stale:
        return f"{FILE} is not what the specs need: run modelctl lock"
    return f"{FILE} has all of {_count(count, 'source')}."


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")
