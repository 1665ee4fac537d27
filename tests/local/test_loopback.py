"""Who can reach the local control plane? Only programs of this machine, and only with its token."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Project

LISTENING = "0A"
LOOPBACK = ("0100007F", "00000000000000000000000001000000")
"""127.0.0.1 and ::1, as /proc/net/tcp writes them on a machine that is little-endian."""


def listening(pid: int) -> list[str]:
    """The addresses on which a process waits for connections."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(str(descriptor.readlink()))
        except OSError:
            continue
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and f"socket:[{fields[9]}]" in inodes:
                found.append(fields[1].split(":")[0])
    return found


def test_every_port_of_the_plane_is_on_the_loopback(live: Project) -> None:
    found = listening(live.plane.pid)
    assert len(found) >= 2
    assert set(found) <= set(LOOPBACK)


def test_what_the_plane_keeps_is_its_owner_s(live: Project) -> None:
    state = live.root / ".modelctl" / "local"
    assert state.stat().st_mode & 0o077 == 0
    files = [file for file in state.iterdir() if file.is_file()]
    assert {f.name for f in files if f.stat().st_mode & 0o077} <= {".gitignore"}
