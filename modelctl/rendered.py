"""What is a rendered app? Its text, its digest, and what the platform must know to deploy it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import CodeType

from msgspec import Struct

from modelctl.resolved import Resolved

SERVER_CLASS = "Server"
"""The class of every rendered app; with the app's name it makes the URL."""

BOOT_FAILED = "modelctl: could not boot"
"""How the line begins that a rendered app prints when its engine does not come up."""

ANSWERED_WRONG = "modelctl: answered wrong"
"""How the line begins that it prints when one of the spec's checks is answered wrong."""

TAG_PROJECT = "modelctl-project"
TAG_DIGEST = "modelctl-digest"


class Rendered(Struct, frozen=True):
    """A Modal app as text.

    `digest` is 32 hexadecimal digits over the text without what the autoscaler changes in place;
    the same input gives the same digest on any machine. `module` is the file's name without `.py`.
    `tags` are the App's tags: the labels, the project's mark and the digest.
    """

    name: str
    module: str
    text: str
    digest: str
    tags: Mapping[str, str]
    resolved: Resolved


@lru_cache(maxsize=256)
def compiled(module: str, text: str) -> CodeType:
    """The app's code. A text is checked by it when it is rendered, and run when it is deployed.

    Raises SyntaxError or ValueError where the text is no Python.
    """
    return compile(text, f"{module}.py", "exec", dont_inherit=True)
