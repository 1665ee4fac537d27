"""Which parts of protobuf do we use? One door to a library that ships no types of its own."""

import hashlib

from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped, unused-ignore]
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped, unused-ignore]
from google.protobuf.message import Message  # type: ignore[import-untyped, unused-ignore]
from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped, unused-ignore]

__all__ = ["Empty", "Message", "MessageToDict", "Timestamp", "digest_of"]


def digest_of(message: Message) -> str:
    """The same for the same content, whatever order its maps were filled in."""
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()
