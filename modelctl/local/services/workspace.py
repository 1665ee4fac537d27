"""Whose workspace is this? The environments, the names and the settings that the SDK asks for."""

import time

from modal_proto import api_pb2

from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.records import Environment
from modelctl.local.keeping.state import DEFAULT_ENVIRONMENT, IMAGE_BUILDER_VERSION, State
from modelctl.local.protobuf import Empty
from modelctl.local.rpc import Refused, Status

WORKSPACE = "local"


class Workspace:
    def __init__(self, state: State, token_id: str) -> None:
        self._state = state
        self._token_id = token_id

    def client_hello(self, _: Empty) -> api_pb2.ClientHelloResponse:
        return api_pb2.ClientHelloResponse(image_builder_version=IMAGE_BUILDER_VERSION)

    def workspace_name_lookup(self, _: Empty) -> api_pb2.WorkspaceNameLookupResponse:
        return api_pb2.WorkspaceNameLookupResponse(workspace_name=WORKSPACE, username=WORKSPACE)

    def workspace_settings(self, _: Empty) -> api_pb2.WorkspaceSettingsResponse:
        return api_pb2.WorkspaceSettingsResponse(
            default_environment_name=DEFAULT_ENVIRONMENT,
            image_builder_version=IMAGE_BUILDER_VERSION,
        )

    def token_info_get(self, _: api_pb2.TokenInfoGetRequest) -> api_pb2.TokenInfoGetResponse:
        return api_pb2.TokenInfoGetResponse(
            token_id=self._token_id, workspace_id="ac-local", workspace_name=WORKSPACE
        )

    def environment_get_or_create(
        self, request: api_pb2.EnvironmentGetOrCreateRequest
    ) -> api_pb2.EnvironmentGetOrCreateResponse:
        environment = self._state.environment(request.deployment_name)
        return api_pb2.EnvironmentGetOrCreateResponse(
            environment_id=environment.id,
            metadata=api_pb2.EnvironmentMetadata(
                name=environment.name,
                settings=api_pb2.EnvironmentSettings(image_builder_version=IMAGE_BUILDER_VERSION),
            ),
        )

    def environment_create(self, request: api_pb2.EnvironmentCreateRequest) -> Empty:
        if any(known.name == request.name for known in self._state.environments.values()):
            raise Refused(Status.ALREADY_EXISTS, f"Environment '{request.name}' already exists.")
        self._state.save(Environment(new_id("en"), request.name, time.time()))
        return Empty()

    def environment_list(self, _: Empty) -> api_pb2.EnvironmentListResponse:
        response = api_pb2.EnvironmentListResponse()
        for environment in self._state.environments.values():
            response.items.add(
                name=environment.name,
                environment_id=environment.id,
                created_at=environment.created_at,
                default=environment.name == DEFAULT_ENVIRONMENT,
                image_builder_version=IMAGE_BUILDER_VERSION,
            )
        return response
