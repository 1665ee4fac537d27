"""Where do uploaded bytes lie? Files by their sha256, and uploads on their way there."""

import hashlib
import hmac
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_COPY_STEP = 64 << 20
_LATEST = float(1 << 33)  # that file systems can write down; a clock can be moved beyond it
PARTIAL = ".modelctl-part-"
"""How files are called that are still being written; listings leave them out."""


class Content:
    """The `files/` and `blobs/` folders of the state directory."""

    def __init__(self, state_dir: Path, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._files = state_dir / "files"
        self._blobs = state_dir / "blobs"
        self._files.mkdir(exist_ok=True)
        self._blobs.mkdir(exist_ok=True)

    def path(self, sha256_hex: str) -> Path:
        """Where the file with this content lies, if it is there."""
        if len(sha256_hex) != 64 or not all(c in "0123456789abcdef" for c in sha256_hex):
            raise ValueError(f"not a sha256: {sha256_hex!r}")
        return self._files / sha256_hex[:2] / sha256_hex

    def has(self, sha256_hex: str) -> bool:
        return self.path(sha256_hex).is_file()

    def put(self, sha256_hex: str, data: bytes) -> bool:
        """Keeps the bytes; False if they are not what the hash says."""
        if hashlib.sha256(data).hexdigest() != sha256_hex:
            return False
        target = self.path(sha256_hex)
        target.parent.mkdir(exist_ok=True)
        with arriving(target) as partial:
            partial.write_bytes(data)
        return True

    def blob(self, blob_id: str) -> Path:
        """Where an upload lies; the hash that its bytes had stands beside it."""
        if not blob_id.replace("-", "").isalnum():
            raise ValueError(f"not a blob id: {blob_id!r}")
        return self._blobs / blob_id

    def stamp(self, upload: Path) -> None:
        """Has it bear the plane's time, by which it is kept."""
        now = min(self._now(), _LATEST)
        os.utime(upload, (now, now))

    def adopt(self, sha256_hex: str, blob_id: str) -> bool:
        """Moves a finished upload to its place; False if it is missing or has other content."""
        blob = self.blob(blob_id)
        digest = blob.with_suffix(".sha256")
        if not digest.is_file() or digest.read_text() != sha256_hex:
            return self.has(sha256_hex)
        target = self.path(sha256_hex)
        target.parent.mkdir(exist_ok=True)
        blob.replace(target)
        digest.unlink()
        return True


def copy(source: Path, target: Path, mode: int) -> None:
    """Puts a copy at `target` in one step; file systems that can share the blocks do."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with arriving(target) as partial:
        _copy_bytes(source, partial)
        partial.chmod(mode or 0o644)


def _copy_bytes(source: Path, partial: Path) -> None:
    if not hasattr(os, "copy_file_range"):
        shutil.copyfile(source, partial)
        return
    with source.open("rb") as read, partial.open("wb") as write:
        try:
            while os.copy_file_range(read.fileno(), write.fileno(), _COPY_STEP):
                continue
        except OSError:  # not between these two file systems
            read.seek(0)
            write.seek(0)
            shutil.copyfileobj(read, write, 1 << 20)


@contextmanager
def arriving(target: Path) -> Iterator[Path]:
    """Where to write what becomes `target` at once, and only if it came whole.

    A name of its own for each writer, so that two of one file do not meet; the last one wins.
    """
    partial = target.with_name(f"{PARTIAL}{secrets.token_hex(8)}")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


class Signer:
    """Makes the URLs of uploads and downloads unguessable, as presigned URLs are."""

    def __init__(self, base_url: str, secret: str) -> None:
        self._base_url = base_url
        self._secret = secret.encode()

    def signature(self, path: str) -> str:
        return hmac.new(self._secret, path.encode(), "sha256").hexdigest()[:32]

    def url(self, path: str) -> str:
        """The URL of a path (already quoted) that only who was told it can know."""
        return f"{self._base_url}{path}?key={self.signature(path)}"

    def valid(self, path: str, key: str) -> bool:
        return hmac.compare_digest(self.signature(path).encode(), key.encode(errors="replace"))
