"""What does a Modal object id look like?"""

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str) -> str:
    """A fresh id such as ``ap-`` and 22 characters; the SDK recognises apps by that very shape."""
    number, digits = secrets.randbits(22 * 6), []
    for _ in range(22):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return f"{prefix}-{''.join(digits)}"
