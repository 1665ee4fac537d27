"""What is in a part of a file on the Hub? Asked over HTTP with a range, in the client's own words.

The client's own reader of safetensors (parse_safetensors_file_metadata) says neither how long a
header is, which tells whether a file was cut, nor does it stop where a mirror ignores ranges and
sends all of the weights.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SILENCE = 20.0
"""Seconds without a byte after which the Hub is said not to answer."""
SLOWEST = 32 * 2**10
"""Bytes a second; what comes slower than that is asked for again."""
MOST_SKIPPED = 64 * 2**20
"""What is read and thrown away where ranges are ignored."""


class TooSlow(Exception):
    """The text goes on after the Hub's name."""


def address(api: HfApi, repo: str, commit: str, path: str) -> str:
    from huggingface_hub import hf_hub_url

    return hf_hub_url(repo, path, revision=commit, endpoint=api.endpoint)


def read(url: str, start: int, end: int) -> bytes:
    """The bytes from `start` up to `end`. Raises what the client does, or TooSlow."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    wanted = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
    headers = {**build_hf_headers(), **wanted}
    begin = time.monotonic()
    deadline = begin + SILENCE + (end - start) / SLOWEST
    with get_session().stream("GET", url, headers=headers, timeout=SILENCE) as answer:
        if answer.status_code >= 400:
            answer.read()
            hf_raise_for_status(answer)
        skip = 0 if answer.status_code == 206 else start
        if skip > MOST_SKIPPED:
            raise ValueError("a range was asked for and all of a file came")
        found = bytearray()
        for part in answer.iter_bytes():
            found += part
            if skip and len(found) >= skip:
                del found[:skip]
                skip = 0
            if not skip and len(found) >= end - start:
                break
            if time.monotonic() > deadline:
                name = url.rpartition("/")[2]
                raise TooSlow(f"gave too little of {name} in {time.monotonic() - begin:.1f} s")
    return bytes(found[: end - start]) if not skip else b""
