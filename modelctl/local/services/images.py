"""What do images answer? Their recipes are kept; nothing is built, but a build may be told to last.

A new recipe counts as built at once, unless a fault has its build take time, print or fail.
"""

import asyncio
import time
from collections.abc import AsyncIterator

from modal_proto import api_pb2

from modelctl.local.clock import Clock
from modelctl.local.faults import FailBuild, Faults
from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.journal import STDERR, STDOUT, Journal
from modelctl.local.keeping.recipes import builder, chain
from modelctl.local.keeping.records import Image
from modelctl.local.keeping.state import IMAGE_BUILDER_VERSION, State
from modelctl.local.protobuf import digest_of
from modelctl.local.rpc import Refused, Status

BUILDING, BUILT, FAILED, TERMINATED = "building", "built", "failed", "terminated"
_LINES = "SELECT id, fd, ns, data FROM logs WHERE app_id = ? AND id > ? ORDER BY id LIMIT 1000"
_LONGEST_JOIN = 55.0  # seconds, where the client names none

_Result = api_pb2.GenericResult


class Images:
    """Images are kept as recipes; of what they say, containers here get the ENV lines only."""

    def __init__(self, state: State, journal: Journal, faults: Faults, clock: Clock) -> None:
        self._clock = clock
        self._state = state
        self._journal = journal
        self._faults = faults
        self._builds: dict[str, asyncio.Task[None]] = {}  # those that run, by the image's id
        for image in state.images.values():
            if image.state == BUILDING:  # its build ended with the plane that ran it
                image.state, image.digest = TERMINATED, ""
                state.save(image)

    def image_get_or_create(
        self, request: api_pb2.ImageGetOrCreateRequest
    ) -> api_pb2.ImageGetOrCreateResponse:
        digest = digest_of(request.image)
        image = self._state.image_with(digest)
        anew = request.force_build or request.ignore_cache
        if image is not None and image.id in self._builds:
            return api_pb2.ImageGetOrCreateResponse(image_id=image.id)  # both join one build
        if image is None or image.state != BUILT or anew:
            image = self._create(digest, image, request)
        response = api_pb2.ImageGetOrCreateResponse(image_id=image.id)
        if image.state == BUILT:
            response.result.CopyFrom(_result(image))
            response.metadata.CopyFrom(_metadata(image))
        return response

    def _create(
        self, digest: str, before: Image | None, request: api_pb2.ImageGetOrCreateRequest
    ) -> Image:
        if before is not None:
            before.digest = ""  # it is there, but no longer what its recipe stands for
            self._state.save(before)
        now = self._clock.time()
        image = Image(
            new_id("im"),
            digest,
            request.builder_version or IMAGE_BUILDER_VERSION,
            request.image.SerializeToString(),
            created_at=now,
            finished_at=now,
        )
        app = self._state.apps.get(request.app_id)
        slow, failing = self._faults.of_build(app.description if app else "")
        if slow is not None or failing is not None:
            image.state = BUILDING
            seconds = (slow.seconds if slow else 0.0) + (failing.seconds if failing else 0.0)
            build = asyncio.create_task(self._build(image, request.image, seconds, failing))
            self._builds[image.id] = build
        self._state.save(image)
        return image

    async def _build(
        self, image: Image, recipe: api_pb2.Image, seconds: float, failing: FailBuild | None
    ) -> None:
        steps = recipe.dockerfile_commands or ["RUN FUNCTION"]
        for number, step in enumerate(steps):
            self._print(image, STDOUT, f"=> Step {number}: {step}\n")
            await asyncio.sleep(seconds / len(steps))
        if failing is None:
            image.state = BUILT
            self._print(image, STDOUT, f"Built image {image.id} in {seconds:.2f}s\n")
        else:
            image.state, image.failure, image.digest = FAILED, failing.message, ""
            self._print(image, STDERR, f"{failing.message}\n")
        image.finished_at = self._clock.time()
        self._state.save(image)
        del self._builds[image.id]
        self._journal.wake(builder(image.id, "ap"))

    def _print(self, image: Image, fd: int, line: str) -> None:
        self._journal.write(builder(image.id, "ap"), "", builder(image.id, "ta"), fd, line)

    async def image_join_streaming(
        self, request: api_pb2.ImageJoinStreamingRequest
    ) -> AsyncIterator[api_pb2.ImageJoinStreamingResponse]:
        image = self._image(request.image_id)
        build = builder(image.id, "ap")
        seen = int(request.last_entry_id or 0)
        deadline = time.monotonic() + (request.timeout or _LONGEST_JOIN)
        while True:
            news = self._journal.news(build)
            over = image.id not in self._builds
            self._journal.flush()
            rows = self._state.store.execute(_LINES, [build, seen]).fetchall()
            if rows:
                seen = int(rows[-1][0])
                yield api_pb2.ImageJoinStreamingResponse(
                    task_logs=[
                        api_pb2.TaskLogs(
                            data=data, file_descriptor=fd, timestamp=ns / 1e9, timestamp_ns=ns
                        )
                        for _, fd, ns, data in rows
                    ],
                    entry_id=str(seen),
                )
                continue
            if over:
                yield api_pb2.ImageJoinStreamingResponse(
                    result=_result(image), eof=True, metadata=_metadata(image)
                )
                return
            try:
                await asyncio.wait_for(news.wait(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                return

    def image_from_id(self, request: api_pb2.ImageFromIdRequest) -> api_pb2.ImageFromIdResponse:
        image = self._image(request.image_id)
        return api_pb2.ImageFromIdResponse(image_id=image.id, metadata=_metadata(image))

    def image_build_chain_get(
        self, request: api_pb2.ImageBuildChainGetRequest
    ) -> api_pb2.ImageBuildChainGetResponse:
        response = api_pb2.ImageBuildChainGetResponse()
        for image in chain(self._state.images, self._image(request.image_id).id):
            step = response.build_steps.add(
                image_id=image.id,
                builder_app_id=builder(image.id, "ap"),
                builder_task_id=builder(image.id, "ta"),
            )
            # What was printed lies strictly between the two.
            step.started_at.FromSeconds(int(image.created_at))
            step.finished_at.FromSeconds(int(image.finished_at) + 1)
        return response

    def _image(self, image_id: str) -> Image:
        if image := self._state.images.get(image_id):
            return image
        raise Refused(Status.NOT_FOUND, f"Image with id '{image_id}' not found.")


def _result(image: Image) -> _Result:
    match image.state:
        case "built":
            return _Result(status=_Result.GENERIC_STATUS_SUCCESS)
        case "failed":
            return _Result(status=_Result.GENERIC_STATUS_FAILURE, exception=image.failure)
    return _Result(status=_Result.GENERIC_STATUS_TERMINATED)


def _metadata(image: Image) -> api_pb2.ImageMetadata:
    return api_pb2.ImageMetadata(image_builder_version=image.builder_version)
