"""Which environments are there? Made, changed and ended; nothing lives outside of one."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from modal_proto import api_pb2

from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.records import Environment
from modelctl.local.keeping.state import IMAGE_BUILDER_VERSION, State
from modelctl.local.protobuf import Empty
from modelctl.local.rpc import Refused, Status
from modelctl.local.services.apps import Apps
from modelctl.local.services.creation import FAIL_IF_EXISTS, IF_MISSING, Shelf

IMAGE_BUILDER_VERSIONS = ("2023.12", "2024.04", "2024.10", "2025.06", IMAGE_BUILDER_VERSION)
USER = "local"
USER_ID = "us-local"
_CONTRIBUTOR = api_pb2.ENVIRONMENT_ROLE_CONTRIBUTOR


class Environments:
    """The RPCs on environments. `shelves` hold all that can live in one beside apps."""

    def __init__(self, state: State, apps: Apps, shelves: Sequence[Shelf[Any]]) -> None:
        self._state = state
        self._apps = apps
        self._shelves = shelves

    def environment_get_or_create(
        self, request: api_pb2.EnvironmentGetOrCreateRequest
    ) -> api_pb2.EnvironmentGetOrCreateResponse:
        name, how = request.deployment_name, request.object_creation_type
        if how == FAIL_IF_EXISTS or (how == IF_MISSING and not self._state.find_environment(name)):
            self._make(name)
        environment = self._state.environment(name)
        return api_pb2.EnvironmentGetOrCreateResponse(
            environment_id=environment.id,
            metadata=api_pb2.EnvironmentMetadata(
                name=environment.name,
                settings=api_pb2.EnvironmentSettings(
                    image_builder_version=environment.image_builder_version
                    or self._state.workspace.image_builder_version
                    or IMAGE_BUILDER_VERSION,
                    webhook_suffix=environment.web_suffix,
                ),
            ),
        )

    def _make(self, name: str) -> Environment:
        self._check_free(name)
        workspace = self._state.workspace.id
        made = Environment(new_id("en"), name, time.time(), workspace, web_suffix=name)
        self._state.save(made)
        return made

    def _check_free(self, name: str) -> None:
        if not name:
            raise Refused(Status.INVALID_ARGUMENT, "An environment needs a name.")
        if self._state.find_environment(name):
            raise Refused(Status.ALREADY_EXISTS, f"Environment '{name}' already exists.")

    def environment_create(self, request: api_pb2.EnvironmentCreateRequest) -> Empty:
        environment = self._make(request.name)
        environment.restricted = request.is_managed
        self._state.save(environment)
        return Empty()

    def environment_update(
        self, request: api_pb2.EnvironmentUpdateRequest
    ) -> api_pb2.EnvironmentListItem:
        environment = self._state.environment(request.current_name)
        if request.HasField("image_builder_version"):
            version = request.image_builder_version
            if version:
                check_builder_version(version)
            environment.image_builder_version = version
        if request.HasField("name") and request.name.value != environment.name:
            self._check_free(request.name.value)
            environment.name = request.name.value
        if request.HasField("web_suffix"):
            environment.web_suffix = request.web_suffix.value
        self._state.save(environment)
        return self._item(environment)

    def environment_list(self, _: Empty) -> api_pb2.EnvironmentListResponse:
        return api_pb2.EnvironmentListResponse(
            items=[self._item(environment) for environment in self._state.own_environments()]
        )

    def _item(self, environment: Environment) -> api_pb2.EnvironmentListItem:
        return api_pb2.EnvironmentListItem(
            name=environment.name,
            webhook_suffix=environment.web_suffix,
            environment_id=environment.id,
            created_at=environment.created_at,
            default=environment.id == self._state.workspace.default_environment,
            is_managed=environment.restricted,
            image_builder_version=environment.image_builder_version or None,
        )

    async def environment_delete(self, request: api_pb2.EnvironmentDeleteRequest) -> Empty:
        """Ends what lives in it: apps are stopped, everything else is removed."""
        environment = self._state.environment(request.name)
        if environment.id == self._state.workspace.default_environment:
            raise Refused(
                Status.FAILED_PRECONDITION,
                f"Environment '{environment.name}' is the workspace's default one. Make another "
                "one the default first: `modal workspace settings set default-environment NAME`.",
            )
        environment.deleted_at = time.time()
        self._state.save(environment)
        for app in list(self._state.apps.values()):
            if app.environment == environment.id:
                self._apps.app_stop(api_pb2.AppStopRequest(app_id=app.id))
        ends = [end for shelf in self._shelves for end in shelf.leave(environment)]
        await asyncio.gather(*(end for end in ends if end is not None))
        return Empty()

    def environment_get_roles(
        self, request: api_pb2.EnvironmentGetRolesRequest
    ) -> api_pb2.EnvironmentGetRolesResponse:
        """One user, who may do everything."""
        environment = self._state.environments[request.environment_id]
        response = api_pb2.EnvironmentGetRolesResponse(
            name=environment.name, created_at=environment.created_at
        )
        response.principal_roles.add(
            user_id=USER_ID, user_name=USER, role=_CONTRIBUTOR, role_str="contributor"
        )
        return response


def check_builder_version(version: str) -> None:
    if version not in IMAGE_BUILDER_VERSIONS:
        raise Refused(
            Status.INVALID_ARGUMENT,
            f"There is no image builder version '{version}', only "
            f"{', '.join(IMAGE_BUILDER_VERSIONS)}.",
        )
