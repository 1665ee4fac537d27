"""Which boots are in an app's log? What each ran, on which GPU, and what its engine said."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

from msgspec import Struct, field

from modelctl.loglines import Said
from modelctl.resolved import Resolved, Rooted, Unknown, Variant, Word

_STARTED = re.compile(r"\S+ on (?P<gpu>\S+): (?P<command>.+)")
_DIED = re.compile(r"the engine .*: so does this container")
_ADDRESS = ("--host", "--port", "--chat-template", "--chat-template-file", "--middleware")
_OF_HOSTS = ("--node-rank", "--master-addr", "--master-port")
_THREADS = ("--threads", "--threads-batch", "--n_threads", "--n_threads_batch")


class Boot(Struct):
    """One start of an engine in one container. `failed` where it, or what it became, ended badly.

    `gpu` is the key of the variant that the app chose, `lines` what the engine wrote from then on.
    """

    at: datetime
    gpu: str
    command: tuple[str, ...]
    lines: list[str] = field(default_factory=list)
    failed: bool = False


def boots_of(said: Iterable[Said]) -> list[Boot]:
    """In the order in which they began. Lines of containers that began before are left out."""
    found: list[Boot] = []
    running: dict[str, Boot] = {}
    for line in said:
        if line.who == "modelctl" and (started := _STARTED.fullmatch(line.text)):
            boot = Boot(line.at, started["gpu"], _words(started["command"]))
            running[line.container] = boot
            found.append(boot)
        elif boot_ := running.get(line.container):
            if line.who == "engine":
                boot_.lines.append(line.text)
            elif line.condemns or (line.who == "modelctl" and _DIED.fullmatch(line.text)):
                boot_.failed = True
    return found


def _words(command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError:  # a line that was cut
        return ()


def ran(boot: Boot, resolved: Resolved, variant: Variant) -> bool:
    """Whether it was started with the very words that this variant would be started with now.

    Those that only the container knows are left out: addresses, files that the app writes, threads
    (no more than there are cores), and the folder that a laptop's containers have in place of /.
    """
    argument = resolved.weights.argument
    if isinstance(argument, Unknown) or "--headless" in boot.command:
        return False
    count = len(resolved.command)
    if boot.command[:count] != resolved.command:
        return False
    words = boot.command[count:]
    root = next((word.removesuffix(argument) for word in words if word.endswith(argument)), None)
    if root is None:
        return False
    there = Counter(_settled(word.replace(root, "", 1) if root else word for word in words))
    flags = [_plain(word) for flag in variant.flags for word in flag]
    now = Counter(_settled([argument, *flags]))
    there.subtract(["--model"] if "--model" in there and "--model" not in now else [])
    return +there == +now


def _plain(word: Word) -> str:
    return f"{word.before}{word.path}{word.after}" if isinstance(word, Rooted) else word


def _settled(words: Iterable[str]) -> Iterator[str]:
    """Without the options that only the container knows, and their values."""
    rest = iter(words)
    for word in rest:
        if word in (*_ADDRESS, *_OF_HOSTS, *_THREADS):
            next(rest, None)
        else:
            yield word
