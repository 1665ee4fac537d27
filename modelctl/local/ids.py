"""What does a Modal object id look like?"""

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str) -> str:
    """A fresh id such as ``ap-`` and 22 characters; the SDK recognises apps by that very shape."""
    return f"{prefix}-{''.join(secrets.choice(_ALPHABET) for _ in range(22))}"
