"""Which images have names? Publishing under ``name:tag`` in an environment, finding, listing."""

import time

from modal_proto import api_pb2

from modelctl.local.keeping.records import ImageName
from modelctl.local.keeping.state import State
from modelctl.local.protobuf import Empty
from modelctl.local.rpc import Refused, Status

_WHO = "local"
_PAGE = 100


class ImageNames:
    """The RPCs on names of images; a name remembers what it stood for before."""

    def __init__(self, state: State) -> None:
        self._state = state

    def _parts(self, tag: str, environment_name: str) -> tuple[str, str]:
        """The id of the environment, and the name with its tag in it."""
        prefix, slash, name = tag.rpartition("/")
        environment = self._state.environment(prefix if slash else environment_name)
        return environment.id, name if ":" in name else f"{name}:latest"

    def _found(self, tag: str, environment_name: str) -> ImageName:
        environment, name = self._parts(tag, environment_name)
        if known := self._state.image_names.get(f"{environment}/{name}"):
            return known
        where = self._state.environment_name(environment)
        raise Refused(Status.NOT_FOUND, f"Image '{name}' not found in environment '{where}'.")

    def image_publish(self, request: api_pb2.ImagePublishRequest) -> api_pb2.ImagePublishResponse:
        if request.image_id not in self._state.images:
            raise Refused(Status.NOT_FOUND, f"Image with id '{request.image_id}' not found.")
        environment, name = self._parts(request.tag, request.environment_name)
        key = f"{environment}/{name}"
        known = self._state.image_names.get(key) or ImageName(key, environment, name)
        known.revisions = [*known.revisions, [request.image_id, time.time()]]
        self._state.save(known)
        return api_pb2.ImagePublishResponse(
            image_id=request.image_id, revision_id=f"{key}/{len(known.revisions)}"
        )

    def image_get_by_tag(
        self, request: api_pb2.ImageGetByTagRequest
    ) -> api_pb2.ImageGetByTagResponse:
        found = self._found(request.tag, request.environment_name)
        return api_pb2.ImageGetByTagResponse(image_id=str(found.revisions[-1][0]))

    def image_list_tags(
        self, request: api_pb2.ImageListTagsRequest
    ) -> api_pb2.ImageListTagsResponse:
        environment = self._state.environment(request.environment_name)
        names = sorted(
            (
                name
                for name in self._state.image_names.values()
                if name.environment == environment.id
                and name.tag.startswith(request.tag_prefix)
                and request.image_id in ("", name.revisions[-1][0])
            ),
            key=lambda name: name.tag,
        )
        first, page, after = _page(len(names), request.page_token, request.max_objects)
        response = api_pb2.ImageListTagsResponse(
            environment_name=environment.name, next_page_token=after
        )
        for name in names[first : first + page]:
            response.items.add(
                tag=name.tag,
                image_id=str(name.revisions[-1][0]),
                revision_id=f"{name.id}/{len(name.revisions)}",
                created_at=float(name.revisions[0][1]),
                updated_at=float(name.revisions[-1][1]),
                last_published_by=_WHO,
            )
        return response

    def image_tag_revisions(
        self, request: api_pb2.ImageTagRevisionsRequest
    ) -> api_pb2.ImageTagRevisionsResponse:
        environment, tag = self._parts(request.tag, request.environment_name)
        known = self._state.image_names.get(f"{environment}/{tag}")
        revisions = list(reversed(known.revisions)) if known else []
        first, page, after = _page(len(revisions), request.page_token, request.max_objects)
        response = api_pb2.ImageTagRevisionsResponse(
            tag=tag,
            environment_name=self._state.environment_name(environment),
            next_page_token=after,
        )
        for image_id, at in revisions[first : first + page]:
            response.items.add(image_id=str(image_id), created_at=float(at), published_by=_WHO)
        return response

    def image_name_delete(self, request: api_pb2.ImageNameDeleteRequest) -> Empty:
        found = self._found(request.tag, "")
        del self._state.image_names[found.id]
        self._state.store.delete(found)
        return Empty()


def _page(count: int, token: str, wanted: int) -> tuple[int, int, str]:
    """Where the page begins, how long it is at most, and how the next one is asked for."""
    first = int(token) if token.isdecimal() else 0
    page = wanted or _PAGE
    return first, page, str(first + page) if first + page < count else ""
