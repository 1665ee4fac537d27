"""What does an exception of the SDK mean to a user? One sentence, and the way out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager

from modelctl.masked import mask
from modelctl.platform.types import (
    BuildFailed,
    CredentialsRefused,
    NotThere,
    PlatformError,
    Refused,
    Unreachable,
)

_SIGN_IN = "run modal setup, or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET"
_TOKEN = re.compile(r"\b(?:a[ks]|wk|ws)-[A-Za-z0-9]{8,}\b")


def without_tokens(text: str) -> str:
    """Hide anything in a message that is spelled like a Modal token, or another secret."""
    return mask(_TOKEN.sub("***", text))


def translated(error: Exception, doing: str) -> PlatformError:
    """The sentence for what the SDK raised while `doing` ("deploying chat-8b")."""
    import modal.exception as theirs
    from grpclib.exceptions import StreamTerminatedError

    said = without_tokens(str(error)).strip().splitlines()
    words = said[0].rstrip(".") if said else type(error).__name__
    match error:
        case PlatformError():
            return error
        case theirs.AuthError():
            return CredentialsRefused(f"Modal refused the credentials: {words}", _SIGN_IN)
        case theirs.PermissionDeniedError():
            return CredentialsRefused(
                f"these credentials may not do that ({doing}): {words}",
                "ask the workspace's owner for the right, or use another token",
            )
        case theirs.NotFoundError():
            return NotThere(f"{doing}: {words}")
        case theirs.ImageBuildError():
            why = f": {said[1]}" if words.endswith("with the exception:") and said[1:] else ""
            return BuildFailed(
                f"{doing}: its image could not be built{why}",
                f"modal image logs {error.image_id} shows the whole log",
            )
        case theirs.RemoteError():
            return BuildFailed(f"{doing}: {words}", "the build's log is in `modal app logs`")
        case FileNotFoundError() | PermissionError() if error.filename is not None:
            return Refused(f"{doing}: {error.filename}: {error.strerror}")
        case StreamTerminatedError():
            return Unreachable(f"Modal broke off while {doing}", "try again")
        case theirs.ResourceExhaustedError():
            return Unreachable(f"Modal asks to slow down while {doing}: {words}", "try again")
        case theirs.InternalError():
            return Unreachable(f"Modal itself failed while {doing}: {words}", "try again")
        case theirs.ConnectionError() | theirs.ServiceError() | OSError():
            return Unreachable(f"Modal did not answer while {doing}: {words}", "try again")
        case theirs.TimeoutError() | TimeoutError():
            return Unreachable(f"{doing} took too long: {words}", "try again")
        case _:
            return Refused(f"{doing}: {words}")


@contextmanager
def speaking_of(doing: str) -> Iterator[None]:
    """Turn whatever the SDK raises inside into a PlatformError that says what was being done.

    Who is cancelled meanwhile stays cancelled: the SDK may raise what its call ended with instead,
    and its iterations may just end.
    """
    import modal.exception as theirs
    from grpclib import GRPCError
    from grpclib.exceptions import StreamTerminatedError

    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    except (theirs.Error, GRPCError, StreamTerminatedError, OSError, TimeoutError) as error:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError from error
        raise translated(error, doing) from error
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
