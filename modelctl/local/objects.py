"""What do images, mounts, secrets and dicts answer? Images are not built here."""

import hashlib
import time
from collections.abc import AsyncIterator

from modal_proto import api_pb2

from modelctl.local.content import Content, Signer
from modelctl.local.dockerfile import env_lines
from modelctl.local.ids import new_id
from modelctl.local.protobuf import Empty, Message
from modelctl.local.records import Dict, Image, Mount, Secret
from modelctl.local.rpc import Refused, Status
from modelctl.local.state import DEFAULT_ENVIRONMENT, IMAGE_BUILDER_VERSION, State, find_named

FAIL_IF_EXISTS = api_pb2.OBJECT_CREATION_TYPE_CREATE_FAIL_IF_EXISTS
OVERWRITE = api_pb2.OBJECT_CREATION_TYPE_CREATE_OVERWRITE_IF_EXISTS
IF_MISSING = api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING
ONLY_EXISTING = api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED


def digest_of(message: Message) -> str:
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()


class Files:
    """Mounts: files by content, uploaded inline or as a blob from 4 MiB."""

    def __init__(self, state: State, content: Content, signer: Signer) -> None:
        self._state = state
        self._content = content
        self._signer = signer

    def mount_batched_check_existence(
        self, request: api_pb2.MountBatchedCheckExistenceRequest
    ) -> api_pb2.MountBatchedCheckExistenceResponse:
        missing = [sha for sha in request.sha256_hex_hashes if not self._content.has(sha)]
        return api_pb2.MountBatchedCheckExistenceResponse(missing_sha256_hex_hashes=missing)

    def mount_put_file(self, request: api_pb2.MountPutFileRequest) -> api_pb2.MountPutFileResponse:
        match request.WhichOneof("data_oneof"):
            case "data":
                there = self._content.put(request.sha256_hex, request.data)
            case "data_blob_id":
                there = self._content.adopt(request.sha256_hex, request.data_blob_id)
            case _:
                return api_pb2.MountPutFileResponse(exists=self._content.has(request.sha256_hex))
        if not there:
            raise Refused(
                Status.INVALID_ARGUMENT,
                f"The uploaded bytes do not have the sha256 {request.sha256_hex}.",
            )
        return api_pb2.MountPutFileResponse(exists=True)

    def mount_get_or_create(
        self, request: api_pb2.MountGetOrCreateRequest
    ) -> api_pb2.MountGetOrCreateResponse:
        files: list[list[str | int]] = sorted(
            [file.filename, file.sha256_hex, file.mode] for file in request.files
        )
        seed = repr((request.deployment_name, files))
        digest = hashlib.sha256(seed.encode()).hexdigest()
        mount = self._state.mount_with(digest)
        if mount is None:
            # A named mount that nobody made (the SDK's own client and Python) is an empty one: the
            # containers here run with what this machine has installed.
            mount = Mount(new_id("mo"), digest, request.deployment_name, files)
            self._state.save(mount)
        return api_pb2.MountGetOrCreateResponse(
            mount_id=mount.id,
            handle_metadata=api_pb2.MountHandleMetadata(content_checksum_sha256_hex=digest),
        )

    def blob_create(self, _: api_pb2.BlobCreateRequest) -> api_pb2.BlobCreateResponse:
        blob_id = new_id("bl")
        url = self._signer.url(f"/blobs/{blob_id}")
        return api_pb2.BlobCreateResponse(
            blob_id=blob_id,
            blob_ids=[blob_id],
            upload_urls=api_pb2.UploadUrlList(items=[url]),
        )

    def blob_get(self, request: api_pb2.BlobGetRequest) -> api_pb2.BlobGetResponse:
        if not self._content.blob(request.blob_id).is_file():
            raise Refused(Status.NOT_FOUND, f"Blob '{request.blob_id}' not found.")
        return api_pb2.BlobGetResponse(download_url=self._signer.url(f"/blobs/{request.blob_id}"))


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


_INSERT_NEW = "INSERT OR IGNORE INTO entries VALUES (?, ?, ?)"
_INSERT_ANY = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?)"


class Dicts:
    """Dicts, good enough for locks: an update with `if_not_exists` has one winner."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._store = state.store

    def dict_get_or_create(
        self, request: api_pb2.DictGetOrCreateRequest
    ) -> api_pb2.DictGetOrCreateResponse:
        environment = self._state.environment(request.environment_name).name
        name = request.deployment_name
        found = find_named(self._state.dicts, environment, name) if name else None
        if found is None:
            if request.object_creation_type == ONLY_EXISTING:
                raise Refused(
                    Status.NOT_FOUND, f"Dict '{name}' not found in environment '{environment}'."
                )
            found = Dict(new_id("di"), environment, name, time.time())
            self._state.save(found)
            for entry in request.data:
                self._put(found.id, entry.key, entry.value)
        elif request.object_creation_type == FAIL_IF_EXISTS:
            raise Refused(Status.ALREADY_EXISTS, f"Dict '{name}' already exists.")
        return api_pb2.DictGetOrCreateResponse(dict_id=found.id, metadata=self._metadata(found))

    def _metadata(self, found: Dict) -> api_pb2.DictMetadata:
        return api_pb2.DictMetadata(
            name=found.name,
            creation_info=api_pb2.CreationInfo(created_at=found.created_at, created_by="local"),
        )

    def _put(self, dict_id: str, key: bytes, value: bytes, only_new: bool = False) -> bool:
        wanted = _INSERT_NEW if only_new else _INSERT_ANY
        done = self._store.execute(wanted, (dict_id, key, value))
        return done.rowcount > 0

    def _find(self, dict_id: str, key: bytes) -> bytes | None:
        if dict_id not in self._state.dicts:
            raise Refused(Status.NOT_FOUND, f"Dict with id '{dict_id}' not found.")
        row = self._store.execute(
            "SELECT value FROM entries WHERE dict_id = ? AND key = ?", (dict_id, key)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def dict_update(self, request: api_pb2.DictUpdateRequest) -> api_pb2.DictUpdateResponse:
        created = [
            self._find(request.dict_id, entry.key) is None
            and self._put(request.dict_id, entry.key, entry.value, only_new=True)
            for entry in request.updates
        ]
        if not request.if_not_exists:
            for entry in request.updates:
                self._put(request.dict_id, entry.key, entry.value)
        return api_pb2.DictUpdateResponse(created=any(created))

    def dict_get(self, request: api_pb2.DictGetRequest) -> api_pb2.DictGetResponse:
        value = self._find(request.dict_id, request.key)
        return api_pb2.DictGetResponse(found=value is not None, value=value)

    def dict_contains(self, request: api_pb2.DictContainsRequest) -> api_pb2.DictContainsResponse:
        return api_pb2.DictContainsResponse(
            found=self._find(request.dict_id, request.key) is not None
        )

    def dict_pop(self, request: api_pb2.DictPopRequest) -> api_pb2.DictPopResponse:
        value = self._find(request.dict_id, request.key)
        self._store.execute(
            "DELETE FROM entries WHERE dict_id = ? AND key = ?", (request.dict_id, request.key)
        )
        return api_pb2.DictPopResponse(found=value is not None, value=value)

    def dict_len(self, request: api_pb2.DictLenRequest) -> api_pb2.DictLenResponse:
        row = self._store.execute(
            "SELECT count(*) FROM entries WHERE dict_id = ?", (request.dict_id,)
        ).fetchone()
        return api_pb2.DictLenResponse(len=row[0])

    async def dict_contents(
        self, request: api_pb2.DictContentsRequest
    ) -> AsyncIterator[api_pb2.DictEntry]:
        rows = self._store.execute(
            "SELECT key, value FROM entries WHERE dict_id = ?", (request.dict_id,)
        ).fetchall()
        for key, value in rows:
            yield api_pb2.DictEntry(
                key=key if request.keys else b"", value=value if request.values else b""
            )

    def dict_list(self, request: api_pb2.DictListRequest) -> api_pb2.DictListResponse:
        environment = request.environment_name or DEFAULT_ENVIRONMENT
        before = request.pagination.created_before
        named = [
            found
            for found in self._state.dicts.values()
            if found.name
            and found.environment == environment
            and (not before or found.created_at < before)
        ]
        named.sort(key=lambda found: -found.created_at)
        response = api_pb2.DictListResponse(environment_name=environment)
        for found in named[: request.pagination.max_objects or len(named)]:
            response.dicts.add(
                name=found.name,
                dict_id=found.id,
                created_at=found.created_at,
                metadata=self._metadata(found),
            )
        return response

    def dict_clear(self, request: api_pb2.DictClearRequest) -> Empty:
        self._store.execute("DELETE FROM entries WHERE dict_id = ?", (request.dict_id,))
        return Empty()

    def dict_delete(self, request: api_pb2.DictDeleteRequest) -> Empty:
        found = self._state.dicts.pop(request.dict_id, None)
        if found is None:
            raise Refused(Status.NOT_FOUND, f"Dict with id '{request.dict_id}' not found.")
        self._store.execute("DELETE FROM entries WHERE dict_id = ?", (found.id,))
        self._store.delete(found)
        return Empty()


def image_environment(images: dict[str, Image], image_id: str) -> dict[str, str]:
    """The variables that an image's ENV lines set, those of its base images first."""
    record = images.get(image_id)
    if record is None:
        return {}
    image = api_pb2.Image.FromString(record.image)
    values: dict[str, str] = {}
    for base in image.base_images:
        values |= image_environment(images, base.image_id)
    return values | env_lines(image.dockerfile_commands)
