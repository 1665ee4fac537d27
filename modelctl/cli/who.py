"""Who does this, when, and from which commit? What records and leases are signed with."""

from __future__ import annotations

import datetime
import os
import subprocess
from pathlib import Path

from modelctl.lease import owner_of


def who() -> str:
    """`ana@laptop`, or the run, in CI."""
    return owner_of(os.environ)


def now() -> str:
    """`2026-11-21T19:40:05Z`."""
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"


def commit(root: Path) -> str:
    """`8f3ab1e`, with `+` where not everything is committed; "" where this is no checkout."""
    head = _git(root, "rev-parse", "--short=7", "HEAD")
    if head is None:
        return ""
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    return head + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", *arguments],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
