"""Volumes of a plane, made and looked into by tests."""

from pathlib import Path

from tests.local.conftest import Client

BLOCK = 8 << 20


def made(client: Client, name: str, version: int = 1) -> str:
    """The id of a Volume of that name."""
    return str(
        client.sdk(
            f"result = modal.Volume.from_name({name!r}, create_if_missing=True, "
            f"version={version}).hydrate().object_id"
        )
    )


def folder_of(client: Client, volume_id: str) -> Path:
    """Where the Volume lies on this machine, as containers see it."""
    return client.plane.state_dir / "volumes" / volume_id


def listed(client: Client, name: str, path: str = "/", recursive: bool = True) -> list[str]:
    paths: list[str] = client.sdk(
        f"""
        entries = modal.Volume.from_name({name!r}).listdir({path!r}, recursive={recursive})
        result = [entry.path for entry in entries]
        """
    )
    return paths
