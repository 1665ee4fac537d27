"""How does a container of a cluster start here, where no private network has a name?

Run as a script in the container. Modal's runtime looks its own address up as `i6pn.modal.local`,
which only Modal's network knows: here it is the loopback, and everything else is looked up as ever.
"""

import runpy
import socket
import sys
from pathlib import Path
from typing import Any

_NAME = "i6pn.modal.local"


def main() -> None:
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any, **more: Any) -> Any:
        return look_up("::1" if host == _NAME else host, *rest, **more)

    socket.getaddrinfo = getaddrinfo
    sys.path[0] = str(Path.cwd())  # as with `python -m`, instead of this script's folder
    runpy.run_module("modal._container_entrypoint", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
