"""With which version of Modal's SDK was the plane tested, and is this another one?"""

TESTED = "1.6.4"


def other_version(version: str) -> str | None:
    """What to say about an SDK of this version; None if it is the tested one."""
    if version == TESTED:
        return None
    return (
        f"Modal's SDK has version {version}, and the local control plane was tested with {TESTED}: "
        "what differs between them may fail here."
    )


def other_sdk_installed() -> str | None:
    """The same about the SDK that this interpreter would import."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return other_version(version("modal"))
    except PackageNotFoundError:
        return "Modal's SDK is not installed for this Python: pip install modal"
