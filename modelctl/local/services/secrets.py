"""What do Secrets answer? Named ones, and the anonymous ones that an app carries."""

import time

from modal_proto import api_pb2

from modelctl.local.clock import Clock
from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.records import Secret
from modelctl.local.keeping.state import State
from modelctl.local.protobuf import Empty
from modelctl.local.rpc import Refused, Status
from modelctl.local.services.creation import OVERWRITE, Shelf


class Secrets:
    """Secrets by name, and the anonymous ones that `Secret.from_dict` and `env=` make.

    Values go to containers and are never given out.
    """

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self.shelf = Shelf("Secret", state, state.secrets, clock)

    def secret_get_or_create(
        self, request: api_pb2.SecretGetOrCreateRequest
    ) -> api_pb2.SecretGetOrCreateResponse:
        secret = self._named(request) if request.deployment_name else self._anonymous(request)
        missing = [key for key in request.required_keys if key not in secret.env]
        if missing:
            raise Refused(
                Status.FAILED_PRECONDITION,
                f"Secret '{secret.name}' is missing required keys: {', '.join(missing)}.",
            )
        return api_pb2.SecretGetOrCreateResponse(
            secret_id=secret.id, metadata=self._metadata(secret)
        )

    def _named(self, request: api_pb2.SecretGetOrCreateRequest) -> Secret:
        values = dict(request.env_dict)
        secret, _ = self.shelf.get_or_create(
            request,
            lambda environment, name: Secret(
                new_id("st"), environment, name, "", time.time(), values
            ),
        )
        if request.object_creation_type == OVERWRITE:
            secret.env = values
            self._state.save(secret)
        return secret

    def _anonymous(self, request: api_pb2.SecretGetOrCreateRequest) -> Secret:
        """The same values in the same app are the same secret: a redeploy changes nothing."""
        environment = self._state.environment(request.environment_name).id
        values = dict(request.env_dict)
        for secret in self._state.unnamed_secrets(request.app_id):
            if (secret.environment, secret.env) == (environment, values):
                return secret
        secret = Secret(new_id("st"), environment, "", request.app_id, time.time(), values)
        self._state.save(secret)
        return secret

    def _metadata(self, secret: Secret) -> api_pb2.SecretMetadata:
        return api_pb2.SecretMetadata(
            name=secret.name,
            environment_name=self._state.environment_name(secret.environment),
            keys=sorted(secret.env),
            creation_info=api_pb2.CreationInfo(created_at=secret.created_at, created_by="local"),
        )

    def secret_get_info(
        self, request: api_pb2.SecretGetInfoRequest
    ) -> api_pb2.SecretGetInfoResponse:
        secret = self.shelf.get(request.secret_id)
        return api_pb2.SecretGetInfoResponse(metadata=self._metadata(secret))

    def secret_update(self, request: api_pb2.SecretUpdateRequest) -> Empty:
        """Sets what has a value and takes out what has none; other keys stay."""
        secret = self.shelf.get(request.secret_id)
        values = dict(secret.env)
        for update in request.updates:
            if update.HasField("value"):
                values[update.key] = update.value
            else:
                values.pop(update.key, None)
        secret.env = values
        self._state.save(secret)
        return Empty()

    def secret_list(self, request: api_pb2.SecretListRequest) -> api_pb2.SecretListResponse:
        environment = self._state.environment(request.environment_name)
        response = api_pb2.SecretListResponse(environment_name=environment.name)
        for secret in self.shelf.newest(environment, request.pagination):
            response.items.add(
                label=secret.name,
                secret_id=secret.id,
                created_at=secret.created_at,
                environment_name=environment.name,
                metadata=self._metadata(secret),
            )
        return response

    def secret_delete(self, request: api_pb2.SecretDeleteRequest) -> Empty:
        self.shelf.remove(self.shelf.get(request.secret_id))
        return Empty()
