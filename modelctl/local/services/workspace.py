"""Whose workspace is this? Its name, settings, members and tokens, as the SDK asks for them."""

import time

from modal_proto import api_pb2

from modelctl.local.keeping.records import ProxyToken, Workspace
from modelctl.local.keeping.state import IMAGE_BUILDER_VERSION, State
from modelctl.local.keeping.workspaces import new_token
from modelctl.local.protobuf import Empty
from modelctl.local.rpc import Refused, Status
from modelctl.local.services.environments import USER, USER_ID, check_builder_version


class Account:
    """The RPCs on the caller's own workspace."""

    def __init__(self, state: State) -> None:
        self._state = state

    @property
    def _own(self) -> Workspace:
        return self._state.workspace

    @property
    def _builder_version(self) -> str:
        return self._own.image_builder_version or IMAGE_BUILDER_VERSION

    def client_hello(self, _: Empty) -> api_pb2.ClientHelloResponse:
        return api_pb2.ClientHelloResponse(image_builder_version=self._builder_version)

    def workspace_name_lookup(self, _: Empty) -> api_pb2.WorkspaceNameLookupResponse:
        """The SDK takes the user's name for the workspace's."""
        name = self._own.name
        return api_pb2.WorkspaceNameLookupResponse(workspace_name=name, username=name)

    def workspace_members_list(self, _: Empty) -> api_pb2.WorkspaceMembersListResponse:
        response = api_pb2.WorkspaceMembersListResponse()
        response.members.add(
            user_id=USER_ID,
            member_displayname=USER,
            member_role=api_pb2.MEMBER_ROLE_OWNER,
            joined_at=self._own.created_at,
        )
        return response

    # -- settings

    def workspace_settings(self, _: Empty) -> api_pb2.WorkspaceSettingsResponse:
        return api_pb2.WorkspaceSettingsResponse(
            default_environment_name=self._state.environment("").name,
            image_builder_version=self._builder_version,
        )

    def workspace_set_default_environment(
        self, request: api_pb2.WorkspaceSetDefaultEnvironmentRequest
    ) -> Empty:
        self._own.default_environment = self._state.environment(request.environment_name).id
        self._state.save(self._own)
        return Empty()

    def workspace_set_image_builder_version(
        self, request: api_pb2.WorkspaceSetImageBuilderVersionRequest
    ) -> api_pb2.WorkspaceSetImageBuilderVersionResponse:
        check_builder_version(request.new_image_builder_version)
        self._own.image_builder_version = request.new_image_builder_version
        self._state.save(self._own)
        return api_pb2.WorkspaceSetImageBuilderVersionResponse(
            image_builder_version=self._builder_version
        )

    # -- the token

    def token_info_get(self, _: api_pb2.TokenInfoGetRequest) -> api_pb2.TokenInfoGetResponse:
        response = api_pb2.TokenInfoGetResponse(
            token_id=self._own.token_id,
            workspace_id=self._own.id,
            workspace_name=self._own.name,
            user_identity=api_pb2.UserIdentity(user_id=USER_ID, username=USER),
        )
        response.created_at.FromSeconds(int(self._own.created_at))
        return response

    def tokens_list(self, _: Empty) -> api_pb2.TokensListResponse:
        response = api_pb2.TokensListResponse()
        response.tokens.add(
            token_id=self._own.token_id,
            created_at=self._own.created_at,
            workspace_id=self._own.id,
            user_id=USER_ID,
            member_displayname=USER,
        )
        return response

    # -- proxy tokens

    def webhook_token_create(
        self, request: api_pb2.WebhookTokenCreateRequest
    ) -> api_pb2.TokenCreateResponse:
        token_id, secret = new_token("w")
        self._state.save(ProxyToken(token_id, self._own.id, secret, time.time(), request.name))
        return api_pb2.TokenCreateResponse(token_id=token_id, token_secret=secret)

    def _proxy_token(self, token_id: str) -> ProxyToken:
        token = self._state.proxy_tokens.get(token_id)
        if token is None or token.workspace != self._own.id:
            raise Refused(Status.NOT_FOUND, f"Proxy token '{token_id}' not found.")
        return token

    def webhook_token_list(self, _: Empty) -> api_pb2.WebhookTokenListResponse:
        tokens = self._state.proxy_tokens.values()
        own = [_shown(token) for token in tokens if token.workspace == self._own.id]
        return api_pb2.WebhookTokenListResponse(tokens=own)

    def webhook_token_list_for_environment(
        self, request: api_pb2.WebhookTokenListForEnvironmentRequest
    ) -> api_pb2.WebhookTokenListResponse:
        """All of them: each is good for every environment of its workspace."""
        self._state.environment(request.environment_name)
        return self.webhook_token_list(Empty())

    def webhook_token_update(
        self, request: api_pb2.WebhookTokenUpdateRequest
    ) -> api_pb2.WebhookToken:
        token = self._proxy_token(request.token_id)
        if request.HasField("name"):
            token.name = request.name
            self._state.save(token)
        return _shown(token)

    def webhook_token_delete(self, request: api_pb2.TokenDeleteRequest) -> Empty:
        token = self._proxy_token(request.token_id)
        del self._state.proxy_tokens[token.id]
        self._state.store.delete(token)
        return Empty()

    def webhook_token_environment_add(
        self, request: api_pb2.WebhookTokenEnvironmentAddRequest
    ) -> Empty:
        raise self._unscoped(request.token_id)

    def webhook_token_environment_remove(
        self, request: api_pb2.WebhookTokenEnvironmentRemoveRequest
    ) -> Empty:
        raise self._unscoped(request.token_id)

    def _unscoped(self, token_id: str) -> Refused:
        return Refused(
            Status.FAILED_PRECONDITION,
            f"Proxy token '{self._proxy_token(token_id).id}' is not scoped: it is good for all "
            "environments of its workspace. To end its access, delete it.",
        )


def _shown(token: ProxyToken) -> api_pb2.WebhookToken:
    return api_pb2.WebhookToken(
        token_id=token.id,
        created_at=token.created_at,
        name=token.name,
        created_by=api_pb2.UserIdentity(user_id=USER_ID, username=USER),
    )
