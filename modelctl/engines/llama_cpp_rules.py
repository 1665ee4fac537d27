"""What may a spec not say to llama.cpp?"""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.engines.base import Finding, Setting


def find(setting: Setting) -> Iterator[Finding]:
    yield from ()
