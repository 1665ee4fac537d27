"""What do images answer? Their recipes are kept; nothing is built here."""

from collections.abc import AsyncIterator

from modal_proto import api_pb2

from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.records import Image
from modelctl.local.keeping.state import IMAGE_BUILDER_VERSION, State
from modelctl.local.protobuf import digest_of
from modelctl.local.rpc import Refused, Status


class Images:
    """Images are kept as recipes; of what they say, containers here get the ENV lines only."""

    def __init__(self, state: State) -> None:
        self._state = state

    def image_get_or_create(
        self, request: api_pb2.ImageGetOrCreateRequest
    ) -> api_pb2.ImageGetOrCreateResponse:
        digest = digest_of(request.image)
        image = self._state.image_with(digest)
        if image is None:
            image = Image(
                new_id("im"),
                digest,
                request.builder_version or IMAGE_BUILDER_VERSION,
                request.image.SerializeToString(),
            )
            self._state.save(image)
        return api_pb2.ImageGetOrCreateResponse(
            image_id=image.id, result=_success(), metadata=_image_metadata(image)
        )

    async def image_join_streaming(
        self, request: api_pb2.ImageJoinStreamingRequest
    ) -> AsyncIterator[api_pb2.ImageJoinStreamingResponse]:
        image = self._image(request.image_id)
        yield api_pb2.ImageJoinStreamingResponse(
            result=_success(), eof=True, metadata=_image_metadata(image)
        )

    def image_from_id(self, request: api_pb2.ImageFromIdRequest) -> api_pb2.ImageFromIdResponse:
        image = self._image(request.image_id)
        return api_pb2.ImageFromIdResponse(image_id=image.id, metadata=_image_metadata(image))

    def _image(self, image_id: str) -> Image:
        if image := self._state.images.get(image_id):
            return image
        raise Refused(Status.NOT_FOUND, f"Image with id '{image_id}' not found.")


def _success() -> api_pb2.GenericResult:
    return api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_SUCCESS)


def _image_metadata(image: Image) -> api_pb2.ImageMetadata:
    return api_pb2.ImageMetadata(image_builder_version=image.builder_version)
