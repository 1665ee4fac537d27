"""What do mounts and blobs answer? Files by content, uploaded inline or as a blob from 4 MiB."""

import hashlib

from modal_proto import api_pb2

from modelctl.local.keeping.content import Content, Signer
from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.records import Mount
from modelctl.local.keeping.state import State
from modelctl.local.rpc import Refused, Status


class Mounts:
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
