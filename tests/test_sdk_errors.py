"""What does an exception of the SDK become: a sentence, or the cancellation that was meant?"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import modal.exception
import pytest

from modelctl.platform.errors import speaking_of, translated
from modelctl.platform.types import PlatformError, Unreachable


def test_who_is_cancelled_stays_cancelled_whatever_the_sdk_raises_for_it() -> None:
    """It waits for its call to end, and raises what that ended with instead."""

    async def call() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise modal.exception.ServiceError("the stream was reset") from None

    async def renew_for_ever() -> None:
        while True:
            try:
                with speaking_of("writing"):
                    await call()
            except PlatformError:
                continue

    async def end() -> bool:
        task = asyncio.create_task(renew_for_ever())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=5)
        return task.cancelled()

    assert asyncio.run(end())


def test_who_is_cancelled_stays_cancelled_although_the_sdk_s_iteration_just_ends() -> None:
    async def listed() -> list[int]:
        with speaking_of("reading"):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            return []

    async def end() -> bool:
        task = asyncio.create_task(listed())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=5)
        return task.cancelled()

    assert asyncio.run(end())


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            modal.exception.ResourceExhaustedError("slow down"),
            "Modal asks to slow down while listing the apps: slow down",
        ),
        (
            modal.exception.InternalError("oh"),
            "Modal itself failed while listing the apps: oh",
        ),
        (
            modal.exception.ServiceError("token hf_abcdefghijklmnopqrst"),
            "Modal did not answer while listing the apps: token hf_•••••••••••••••••••••",
        ),
    ],
)
def test_what_may_pass_is_unreachable(error: Exception, sentence: str) -> None:
    found = translated(error, "listing the apps")
    assert isinstance(found, Unreachable)
    assert found.message.rstrip("•") == sentence.rstrip("•")


def test_the_password_of_a_git_remote_is_not_told_to_modal() -> None:
    """The SDK sends the address of `origin` with each deployment, and Modal keeps it."""
    from modal_proto import api_pb2

    from modelctl.platform.git import _Once

    async def read() -> api_pb2.CommitInfo:
        return api_pb2.CommitInfo(repo_url="https://ci:a-password@git.example.com/team/x.git")

    found = asyncio.run(_Once(read)())
    assert found.repo_url == "https://git.example.com/team/x.git"
