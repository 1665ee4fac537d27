"""Where do uploaded bytes lie? Files by their sha256, and uploads on their way there."""

import hashlib
import hmac
import os
import shutil
from pathlib import Path

_COPY_STEP = 64 << 20


class Content:
    """The `files/` and `blobs/` folders of the state directory."""

    def __init__(self, state_dir: Path) -> None:
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
        partial = target.with_suffix(".part")
        partial.write_bytes(data)
        partial.replace(target)
        return True

    def blob(self, blob_id: str) -> Path:
        """Where an upload lies; the hash that its bytes had stands beside it."""
        if not blob_id.replace("-", "").isalnum():
            raise ValueError(f"not a blob id: {blob_id!r}")
        return self._blobs / blob_id

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
    partial = target.with_name(f".{target.name}.part")
    partial.unlink(missing_ok=True)
    if hasattr(os, "copy_file_range"):
        with source.open("rb") as read, partial.open("wb") as write:
            try:
                while os.copy_file_range(read.fileno(), write.fileno(), _COPY_STEP):
                    continue
            except OSError:  # not between these two file systems
                read.seek(0)
                write.seek(0)
                shutil.copyfileobj(read, write, 1 << 20)
    else:
        shutil.copyfile(source, partial)
    partial.chmod(mode or 0o644)
    partial.replace(target)


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
        return hmac.compare_digest(self.signature(path), key)
