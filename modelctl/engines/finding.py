"""How does a rule of an engine say what it found?"""

from __future__ import annotations

from modelctl.diagnostics import Severity
from modelctl.engines.base import Finding
from modelctl.spec.wanted import Path_


def wrong(path: Path_, code: str, message: str, hint: str, *, key: bool = False) -> Finding:
    return Finding(path, Severity.ERROR, code, message, hint, key=key)


def doubtful(path: Path_, code: str, message: str, hint: str) -> Finding:
    return Finding(path, Severity.WARNING, code, message, hint)


def unsupported(path: Path_, message: str, hint: str) -> Finding:
    """A field that the engine has nothing for, at its key."""
    return wrong(path, "engine/unsupported-field", message, hint, key=True)
