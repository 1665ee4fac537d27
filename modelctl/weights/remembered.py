"""What was read of a local model earlier in the same command, and is it still what lies there?"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from modelctl.weights.facts import ModelFacts

MOST = 128
"""Models. A project with more of them on one disk reads some of them again."""


class Remembered:
    """What the headers of models said, by real path and by the state of each file.

    One belongs to one command: what is put in its place while it runs is another file.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._found: dict[Hashable, ModelFacts] = {}

    def of(
        self, path: Path, files: Sequence[Path], file: str | None, read: Callable[[], ModelFacts]
    ) -> ModelFacts:
        """What `read` gave, or gives now. `file` is the glob of the one that is meant."""
        folder = path if path.is_dir() else path.parent
        states = tuple(_state(one, folder) for one in files)
        key = (os.path.realpath(path), file, states)
        if key not in self._found:
            while len(self._found) >= self._most:
                del self._found[next(iter(self._found))]
            self._found[key] = read()
        return self._found[key]


def _state(file: Path, folder: Path) -> tuple[str, int, int, int]:
    now = file.stat()
    return file.relative_to(folder).as_posix(), now.st_size, now.st_mtime_ns, now.st_ino
