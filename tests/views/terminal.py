"""What stands on a terminal? A program in a pseudo-terminal, and the screen that it draws."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pyte


def on_a_terminal(
    arguments: Sequence[str],
    cwd: Path,
    width: int,
    until: Callable[[str], bool] = lambda _: False,
    variables: Mapping[str, str] | None = None,
) -> str:
    """The screen when Python with these arguments is over, or as soon as it is what is waited for.

    The program sees a terminal of this width; the screen could show more, so that a line that is
    too long is seen as one.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MODAL_", "MODELCTL_"))}
    kept |= {"MODAL_CONFIG_PATH": "/nonexistent", "TERM": "xterm", "NO_COLOR": "1"}
    kept |= {"GITHUB_RUN_ID": "1842"}  # who does it, on every machine
    for name in ("COLUMNS", "GITHUB_ACTIONS"):
        kept.pop(name, None)
    kept |= variables or {}
    running = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd, env=kept, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    screen = pyte.Screen(4 * width, 400)
    stream = pyte.ByteStream(screen)
    shown = ""
    with suppress(OSError):  # its other end is closed
        while read := os.read(ours, 65536):
            stream.feed(read)
            shown = "\n".join(line.rstrip() for line in screen.display).rstrip()
            if until(shown):
                running.kill()
                break
    os.close(ours)
    running.wait(60)
    return shown
