"""What went wrong when modelctl was run on one made project? Nothing may, but a refusal."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.cases import ORDINARY, ROOT, Case

LONGEST = 10.0
"""Seconds of one command."""
MOST_MEMORY = 500 * 2**20
"""Bytes that one command may take beside what the process has."""

COMMANDS: tuple[tuple[str, ...], ...] = (("validate",), ("render",))
SOMETIMES: tuple[tuple[str, ...], ...] = (
    ("validate", "--output", "json"),
    ("show", "specs/case.yaml"),
    ("fit", "specs/case.yaml"),
)
EXITS = {0, 1, 3, 64}

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_FRAME = re.compile(r'File "[^"]*/(modelctl/[^"]+)", line \d+, in (\w+)')
_LAST = re.compile(r"^(\w+(?:\.\w+)*(?:Error|Exception|Interrupt|Undefined|Iteration|\w+))(?::|$)")


class TooSlow(BaseException):
    """Passes every `except Exception` on its way out."""


@dataclass(frozen=True)
class Finding:
    """`signature` is the same for the same mistake; `detail` is the traceback, or what was seen."""

    kind: str
    signature: str
    command: tuple[str, ...]
    detail: str


@dataclass
class Watched:
    """What the interpreter was asked to do that reading a spec has no business with."""

    seen: list[str]
    folder: str
    on: bool = False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event in _NEVER:
            self.seen.append(f"{event} {args[:1]!r}")
        elif event == "open" and isinstance(args[0], str):
            path, flags = os.path.realpath(args[0]), args[2]
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            inside = f"{path}/".startswith(self.folder)
            if not inside and (writes or not path.startswith(_READABLE)):
                self.seen.append(f"{'writes' if writes else 'reads'} {path}")


_NEVER = {
    "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec", "os.fork",
    "os.posix_spawn", "pickle.find_class", "shutil.rmtree",
}  # fmt: skip
_READABLE = tuple(
    dict.fromkeys(
        os.path.realpath(path)
        for path in (ROOT, sys.prefix, sys.base_prefix, "/usr/share/zoneinfo", "/proc/self")
    )
)


class Attempts:
    """A project's folder in which one case after another is run. Changes this process for good."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._there: dict[str, bytes] = {}
        for name in [name for name in os.environ if name.startswith(("MODAL_", "MODELCTL_"))]:
            del os.environ[name]
        os.environ |= {
            "XDG_CACHE_HOME": str(self.folder / ".cache"),
            "HOME": str(self.folder / ".home"),
            "MODELCTL_DEBUG": "1",
            "COLUMNS": "100",
        }
        make_models(self.folder)
        os.chdir(self.folder)
        self.watched = Watched([], str(self.folder) + "/")
        sys.addaudithook(self.watched)

    def run(self, case: Case) -> tuple[list[Finding], dict[tuple[str, ...], int]]:
        """What is wrong with modelctl, and the exit code of each command."""
        self.place(case.files)
        more = (SOMETIMES[case.number % 12],) if case.number % 12 < len(SOMETIMES) else ()
        findings: list[Finding] = []
        codes: dict[tuple[str, ...], int] = {}
        for command in (*COMMANDS, *more):
            where = case.arguments or (("--env", "prod") if command[0] != "validate" else ())
            codes[command], found = self.once((*command, *where))
            findings += found
        return findings, codes

    def place(self, files: dict[str, bytes]) -> None:
        wanted = {**ORDINARY, **files}
        for name in self._there.keys() - wanted.keys():
            (self.folder / name).unlink()
        for name, content in wanted.items():
            if self._there.get(name) != content:
                file = self.folder / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        self._there = wanted

    def once(self, command: Sequence[str]) -> tuple[int, list[Finding]]:
        from modelctl.cli import run

        command = tuple(command)
        code, before = -1, _memory("VmRSS")
        _forget_peak()
        out, err = _stream("strict"), _stream("backslashreplace")
        findings: list[Finding] = []
        started = time.monotonic()
        self.watched.seen.clear()
        try:
            with _within(LONGEST), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                self.watched.on = True
                code = run(list(command))
        except TooSlow as slow:
            findings.append(_traced("slow", command, _trace(slow)))
        except BaseException as broke:
            findings.append(_traced("raised", command, _trace(broke)))
        finally:
            self.watched.on = False
        grown = _memory("VmHWM") - before
        said = [_written(out), _written(err)]
        if "Traceback (most recent call last)" in said[1]:
            findings.append(_traced("raised", command, said[1]))
        elif not findings and code not in EXITS:
            findings.append(Finding("exit", f"exit {code}", command, said[1][-2000:]))
        if grown > MOST_MEMORY:
            took = f"{grown / 2**20:.0f} MiB in {time.monotonic() - started:.1f} s"
            findings.append(Finding("memory", f"memory {command[0]}", command, took))
        if command[0] != "render":
            for text in said:
                odd = _UNPRINTABLE.search(text)
                if odd:
                    here = text[max(0, odd.start() - 200) : odd.end() + 50]
                    what = f"U+{ord(odd[0]):04X} in the output of {command[0]}"
                    findings.append(Finding("control", what, command, repr(here)))
        findings += [
            Finding("world", re.sub(r"\d+", "0", seen)[:80], command, seen)
            for seen in dict.fromkeys(self.watched.seen)
        ]
        return code, findings


def smaller(attempts: Attempts, case: Case, finding: Finding, *, seconds: float) -> Case:
    """The case with as little as possible in it that still shows the finding."""
    until = time.monotonic() + seconds

    def shows(files: dict[str, bytes]) -> bool:
        attempts.place(files)
        found = attempts.once(finding.command)[1]
        return any(one.signature == finding.signature for one in found)

    files = dict(case.files)
    for name in list(files):
        without = {other: content for other, content in files.items() if other != name}
        if shows(without):
            files = without
    for name in list(files):
        for unit in (b"\n", b""):
            files[name] = _shrunk(files, name, unit, shows, until)
    return replace(case, files=files)


def _shrunk(files: dict[str, bytes], name: str, unit: bytes, shows: Any, until: float) -> bytes:
    """Delta debugging: ever smaller pieces are left out, as long as the finding stays."""
    content = files[name]
    parts = content.splitlines(keepends=True) if unit else [bytes([byte]) for byte in content]
    size = max(1, len(parts) // 2)
    while parts and time.monotonic() < until:
        start, lost = 0, False
        while start < len(parts) and time.monotonic() < until:
            rest = parts[:start] + parts[start + size :]
            if shows({**files, name: b"".join(rest)}):
                parts, lost = rest, True
            else:
                start += size
        if size == 1 and not lost:
            break
        size = size if lost and size == 1 else max(1, size // 2)
    return b"".join(parts)


def make_models(folder: Path) -> None:
    """A GGUF file and a folder of safetensors, a few kilobytes each."""
    from tests.engines.sparse_ggufs import transformer, write
    from tests.hub.models import make_llama

    models = folder / "models"
    models.mkdir(parents=True, exist_ok=True)
    (folder / ".home").mkdir(exist_ok=True)
    (folder / "bad.jinja").write_text("{% for %}", encoding="utf-8")
    tiny = {"layers": 2, "hidden": 64, "heads": 4, "kv_heads": 2, "head": 16, "intermediate": 128}
    write(transformer("llama", vocabulary=256, **tiny), models / "tiny.gguf")
    make_llama(models / "st")


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Of processor time: what else the machine does is nobody's fault."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"after {seconds:.0f} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _stream(errors: str) -> io.TextIOWrapper:
    """As the interpreter opens its own: what cannot be encoded fails on standard output."""
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors=errors, write_through=True)


def _written(stream: io.TextIOWrapper) -> str:
    raw = stream.buffer
    assert isinstance(raw, io.BytesIO)
    return raw.getvalue().decode("utf-8", "replace")


def _trace(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error)[-40:])


def _traced(kind: str, command: tuple[str, ...], text: str) -> Finding:
    """Known again by its exception and the last place of ours that it came through."""
    frames = _FRAME.findall(text)
    lines = [line for line in text.rstrip().splitlines() if line and not line.startswith(" ")]
    name = next((m[1] for line in reversed(lines) if (m := _LAST.match(line))), "?")
    where = " in ".join(reversed(frames[-1])) if frames else "?"
    return Finding(kind, f"{kind}: {name} at {where}", command, text[-6000:])


def _memory(what: str) -> int:
    """Bytes of VmRSS (now) or VmHWM (the most since it was forgotten)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{what}:")[1].split()[0]) * 1024


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
