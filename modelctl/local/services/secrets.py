"""What do Secrets answer? Named ones, and the anonymous ones that an app carries."""

import time

from modal_proto import api_pb2

from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.records import Secret
from modelctl.local.keeping.state import DEFAULT_ENVIRONMENT, State, find_named
from modelctl.local.protobuf import Empty
from modelctl.local.rpc import Refused, Status
from modelctl.local.services.creation import FAIL_IF_EXISTS, ONLY_EXISTING, OVERWRITE


class Secrets:
    """Secrets by name, and the anonymous ones that `Secret.from_dict` and `env=` make."""

    def __init__(self, state: State) -> None:
        self._state = state

    def secret_get_or_create(
        self, request: api_pb2.SecretGetOrCreateRequest
    ) -> api_pb2.SecretGetOrCreateResponse:
        environment = self._state.environment(request.environment_name).name
        values = dict(request.env_dict)
        if request.deployment_name:
            secret = self._named(request, environment, values)
        else:
            secret = self._anonymous(request.app_id, environment, values)
        missing = [key for key in request.required_keys if key not in secret.env]
        if missing:
            raise Refused(
                Status.FAILED_PRECONDITION,
                f"Secret '{secret.name}' is missing required keys: {', '.join(missing)}.",
            )
        return api_pb2.SecretGetOrCreateResponse(
            secret_id=secret.id, metadata=self._metadata(secret)
        )

    def _named(
        self, request: api_pb2.SecretGetOrCreateRequest, environment: str, values: dict[str, str]
    ) -> Secret:
        name, how = request.deployment_name, request.object_creation_type
        secret = find_named(self._state.secrets, environment, name)
        if secret is None:
            if how == ONLY_EXISTING:
                raise Refused(
                    Status.NOT_FOUND,
                    f"Secret '{name}' not found in environment '{environment}'.",
                )
            secret = Secret(new_id("st"), environment, name, "", time.time(), values)
            self._state.save(secret)
        elif how == FAIL_IF_EXISTS:
            raise Refused(Status.ALREADY_EXISTS, f"Secret '{name}' already exists.")
        elif how == OVERWRITE:
            secret.env = values
            self._state.save(secret)
        return secret

    def _anonymous(self, app_id: str, environment: str, values: dict[str, str]) -> Secret:
        """The same values in the same app are the same secret: a redeploy changes nothing."""
        for secret in self._state.secrets.values():
            if not secret.name and secret.app_id == app_id and secret.env == values:
                return secret
        secret = Secret(new_id("st"), environment, "", app_id, time.time(), values)
        self._state.save(secret)
        return secret

    def _metadata(self, secret: Secret) -> api_pb2.SecretMetadata:
        return api_pb2.SecretMetadata(
            name=secret.name,
            environment_name=secret.environment,
            keys=sorted(secret.env),
            creation_info=api_pb2.CreationInfo(created_at=secret.created_at, created_by="local"),
        )

    def secret_list(self, request: api_pb2.SecretListRequest) -> api_pb2.SecretListResponse:
        environment = request.environment_name or DEFAULT_ENVIRONMENT
        items = [
            api_pb2.SecretListItem(
                label=secret.name,
                secret_id=secret.id,
                created_at=secret.created_at,
                environment_name=environment,
                metadata=self._metadata(secret),
            )
            for secret in self._state.secrets.values()
            if secret.name and secret.environment == environment
        ]
        before = request.pagination.created_before
        items = [item for item in items if not before or item.created_at < before]
        items.sort(key=lambda item: -item.created_at)
        limit = request.pagination.max_objects or len(items)
        return api_pb2.SecretListResponse(items=items[:limit], environment_name=environment)

    def secret_delete(self, request: api_pb2.SecretDeleteRequest) -> Empty:
        secret = self._state.secrets.pop(request.secret_id, None)
        if secret is None:
            raise Refused(Status.NOT_FOUND, f"Secret with id '{request.secret_id}' not found.")
        self._state.store.delete(secret)
        return Empty()
