"""Does this shell send what is meant for Modal to a local control plane?"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

SHELL_WAY_OUT = (
    "this shell points at the local control plane (MODAL_SERVER_URL): open a new one, or unset it"
)


def points_here() -> bool:
    """Whether MODAL_SERVER_URL is an address of this machine."""
    try:
        host = urlsplit(os.environ.get("MODAL_SERVER_URL", "")).hostname
    except ValueError:
        return False
    return host in ("127.0.0.1", "localhost", "::1")
