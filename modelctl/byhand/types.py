"""What was seen of the one app that a person speaks of, and how is it refused?"""

from __future__ import annotations

from msgspec import Struct

from modelctl.platform.types import Deployment, Details, LiveApp
from modelctl.record import AppRecord, Entry, Fields, Hold
from modelctl.resolved import Scaling


class Refusal(Exception):
    """It is not done, and nothing was changed. `hint` is the way out."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NotOurs(Refusal):
    """The app is left alone. `whose` is the sentence that says whose it is."""

    def __init__(self, name: str, whose: str) -> None:
        super().__init__(f"{name} is left alone: {whose}")
        self.whose = whose


class Found(Struct, frozen=True):
    """One live app of ours: what Modal says of it, and what is remembered.

    `entry` speaks of the version that lives, also where nothing was recorded of it. `history` has
    its versions, the newest first. `hold` is the one that holds now.
    """

    app: LiveApp
    details: Details
    entry: Entry
    record: AppRecord
    history: tuple[Deployment, ...]
    hold: Hold | None

    @property
    def scaling(self) -> Scaling:
        """What holds now, whoever set it."""
        return self.details.scaling or self.entry.scaling

    def fields(self, digest: str) -> Fields | None:
        """What was deployed under this digest, in its spec's words; None where nobody knows."""
        spoken = self.record.of(digest)
        return spoken.fields if spoken else None
