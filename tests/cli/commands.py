"""Commands that tests start, meet in the middle, kill, stop and continue."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelctl.local import lifecycle
from tests.conftest import Project, Ran
from tests.local.conftest import Client, until

LONG = 60.0


@dataclass
class Command:
    """One modelctl that was started, in a process group of its own."""

    pid: int
    files: Path
    _poll: Callable[[int], int | None]
    code: int | None = None

    @property
    def over(self) -> bool:
        if self.code is None:
            self.code = self._poll(self.pid)
        return self.code is not None

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        until(lambda: self.over)

    def said(self, which: str = "err") -> str:
        file = self.files.with_suffix(f".{which}")
        return file.read_text() if file.exists() else ""

    def end(self, timeout: float = LONG) -> Ran:
        until(lambda: self.over, timeout)
        assert self.code is not None
        out, err = self.said("out"), self.said("err")
        assert "Traceback (most recent call last)" not in out + err, err
        return Ran(self.code, out, err)


@dataclass
class Commands:
    """Starts commands against one plane; each costs a fork, not an import of everything."""

    project: Project
    folder: Path
    worker: subprocess.Popen[str]
    client: Client
    variables: Mapping[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def _asked(self, **request: Any) -> Any:
        assert self.worker.stdin is not None and self.worker.stdout is not None
        self.worker.stdin.write(json.dumps(request) + "\n")
        self.worker.stdin.flush()
        return json.loads(self.worker.stdout.readline())

    def start(self, *words: str, folder: Path | None = None, **variables: str) -> Command:
        prefix = self.folder / str(next(self._numbers))
        pid = self._asked(
            start=words,
            env={**self.variables, **variables},
            to=str(prefix),
            **{"in": str(folder or self.project.root)},
        )
        return Command(pid, prefix, lambda pid: self._asked(poll=pid))

    def run(self, *words: str, folder: Path | None = None, **variables: str) -> Ran:
        return self.start(*words, folder=folder, **variables).end()

    # -- the plane

    def fault(self, kind: str, **how: Any) -> str:
        return lifecycle.add_fault(self.project.plane, kind, **how)

    def clear_latency(self) -> None:
        """Let the calls that wait go on, and leave the other faults."""
        for fault in self.faults():
            if fault["kind"] == "latency":
                lifecycle.clear_faults(self.project.plane, fault["id"])

    def faults(self) -> list[dict[str, Any]]:
        return lifecycle.faults(self.project.plane)

    def clear(self) -> None:
        lifecycle.clear_faults(self.project.plane)


@contextmanager
def commands(project: Project, folder: Path, **variables: str) -> Iterator[Commands]:
    """Commands of this project and of others on its plane, and the SDK beside them."""
    work = folder / "work"
    work.mkdir(parents=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MODAL_", "MODELCTL_"))}
    own = {**kept, "MODAL_CONFIG_PATH": "/nonexistent", **lifecycle.environ(project.plane)}
    tests = Path(__file__).parent.parent
    with ExitStack() as stack:

        def begun(script: Path) -> subprocess.Popen[str]:
            begun = subprocess.Popen(
                [sys.executable, "-P", str(script)],
                env=own,
                cwd=work,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            return stack.enter_context(begun)

        worker = begun(tests / "cli" / "worker.py")
        client = Client(project.plane, work, begun(tests / "local" / "sdk_worker.py"))
        try:
            yield Commands(project, folder, worker, client, variables)
        finally:
            lifecycle.clear_faults(project.plane)
