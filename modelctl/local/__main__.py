"""How is a plane started by hand? ``python -m modelctl.local --state-dir DIR``, until Ctrl-C."""

import argparse
import asyncio
import logging
import os
import sqlite3
import sys
from pathlib import Path

from modelctl.local.plane import hold_lock, serve

log = logging.getLogger("modelctl.local")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m modelctl.local",
        description="Serve a Modal-compatible control plane on this machine.",
    )
    parser.add_argument("--state-dir", type=Path, required=True, help="where its state lives")
    state_dir = parser.parse_args().state_dir.absolute()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # asyncio and grpclib report at INFO what only their authors need.
    for noisy in ("asyncio", "grpclib", "aiohttp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    os.umask(0o077)
    state_dir.mkdir(parents=True, exist_ok=True)
    state_dir.chmod(0o700)
    if hold_lock(state_dir) is None:
        log.error("A local control plane already runs in %s.", state_dir)
        return 1
    try:
        asyncio.run(serve(state_dir))
    except (OSError, sqlite3.Error) as error:
        log.error("The local control plane cannot work in %s: %s.", state_dir, error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
