"""Where do the commands of a page run? A shell in a project, beside a local plane that is Modal."""

from __future__ import annotations

import os
import re
import select
import shlex
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import ROOT

PROJECT = """\
project: assistants
environments:
  staging: {}
  prod: {}
"""
CHAT = """\
name: chat
model: ../models/SmolLM2-135M-Instruct.Q4_1.gguf
backend: llama.cpp
context: 2048
max_sequences: 2
gpu: [T4, L4]
labels: {tier: canary}
environments: {prod: {keep_warm: 1}, staging: {keep_warm: 1}}
"""
_END = "\x1e"


class Shell:
    """One bash, as a person has it open: variables and folders stay from command to command."""

    def __init__(self, folder: Path, bin_: Path) -> None:
        bin_.mkdir(parents=True, exist_ok=True)
        python = shlex.quote(sys.executable)
        for name, words in (("modelctl", f"{python} -P -m modelctl"), ("python", python)):
            (bin_ / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            (bin_ / name).chmod(0o755)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MODAL_", "MODELCTL_"))}
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=folder,
            env={
                **kept,
                "PATH": f"{bin_}:{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "MODAL_CONFIG_PATH": "/nonexistent",
                "COLUMNS": "80",
                "USER": "you",
                "LOGNAME": "you",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, text: str, timeout: float = 240) -> tuple[int, str]:
        """The exit code of a command, and all that it wrote."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{{ {text}\n}} </dev/null; printf '{_END}%s{_END}' $?\n".encode())
        process.stdin.flush()
        said, until = b"", time.monotonic() + timeout
        while said.count(_END.encode()) < 2:
            ready, _, _ = select.select([process.stdout], [], [], 1)
            if ready:
                piece = os.read(process.stdout.fileno(), 65536)
                assert piece, f"the shell ended: {text}: {said.decode()}"
                said += piece
            assert time.monotonic() < until, f"{text} takes too long: {said.decode()}"
        output, code, _ = said.decode().split(_END)
        return int(code), output

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)


_SAME = [
    (r"(?s)last lines of v\d+:.*?(?=  next:)", ""),
    (r"(?m)^    \S+  (weights|deploying|image|placing|starting|booting|rolling back).*$", ""),
    (r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:PORT"),
    (r"\d{4}-\d\d-\d\d(?! \(|\))[ T]\d\d:\d\d(:\d\d)?Z?", "TIME"),
    (r"\d\d:\d\d:\d\d", "TIME"),
    (r"\b\d+(\.\d+)? (min|s|ms)\b( \d+ s)?", "SOME s"),
    (r"\S+@\S+", "SOMEBODY"),
]


def comparable(text: str) -> str:
    """Output without what differs from run to run: times, ports, who it was, the engine's own
    lines, steps that are only passed through, and spacing."""
    for pattern, word in _SAME:
        text = re.sub(pattern, word, text)
    return re.sub(r"\s+", " ", text).strip()
