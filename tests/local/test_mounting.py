"""Files and Volumes are where an app names them, and nobody else sees them there."""

from pathlib import Path

from modelctl.local.running import isolation
from tests.local.conftest import Client

# A machine that permits no mounts has none of this: its apps ask MODELCTL_MOUNT_ROOT.
__test__ = isolation.mounts_permitted()

APP = """
import os
from pathlib import Path
import modal

data, cache, scratch = (
    modal.Volume.from_name(f"mounted-{name}", create_if_missing=True)
    for name in ("data", "cache", "scratch")
)
image = (
    modal.Image.debian_slim()
    .add_local_file("settings.ini", "/root/copied.ini", copy=True)
    .add_local_dir("assets", "/opt/copied-of-mounted", copy=True)
    .add_local_file("settings.ini", "/root/settings.ini")
    .add_local_dir("assets", "/assets-of-mounted")
)
app = modal.App("NAME", image=image)

@app.function(
    volumes={"/of-mounted": data, "/root/.cache/of-mounted": cache, "/tmp/of-mounted": scratch}
)
def look(name: str) -> dict[str, object]:
    Path("/of-mounted/deep").mkdir(exist_ok=True)
    for place in ("/of-mounted/deep", "/root/.cache/of-mounted", "/tmp/of-mounted"):
        Path(f"{place}/{name}").write_text(f"written to {place}")
    return {
        "cwd": os.getcwd(),
        "settings": Path("settings.ini").read_text(),
        "copied": Path("/root/copied.ini").read_text() + os.listdir("/opt/copied-of-mounted")[0],
        "asset": Path("/assets-of-mounted/logo.txt").read_text(),
        "machine": Path("/etc/passwd").exists() and "mounted" not in os.listdir("/"),
    }

@app.local_entrypoint()
def main(name: str):
    print("looked:", look.remote(name))
"""


def write(client: Client, name: str, source: str = APP) -> Path:
    (client.folder / "settings.ini").write_text("[a]")
    (client.folder / "assets").mkdir(exist_ok=True)
    (client.folder / "assets" / "logo.txt").write_text("a logo")
    path = client.folder / f"{name.replace('-', '_')}.py"
    path.write_text(source.replace("NAME", name))
    return path


def test_what_an_app_mounts_is_at_its_paths(client: Client) -> None:
    printed = client.modal("run", str(write(client, "mounted")), "--name", "one")
    assert (
        "looked: {'cwd': '/root', 'settings': '[a]', 'copied': '[a]logo.txt', 'asset': 'a logo', "
        "'machine': True}"
    ) in printed
    for volume, path, place in (
        ("data", "deep/one", "/of-mounted/deep"),
        ("cache", "one", "/root/.cache/of-mounted"),
        ("scratch", "one", "/tmp/of-mounted"),
    ):
        written = client.modal("volume", "get", f"mounted-{volume}", path, "-")
        assert written.startswith(f"written to {place}")


def test_nobody_else_sees_it_there(client: Client) -> None:
    client.modal("run", str(write(client, "mounted-apart")), "--name", "two")
    for path in ("/of-mounted", "/tmp/of-mounted", "/assets-of-mounted", "/opt/copied-of-mounted"):
        assert not Path(path).exists()


def test_a_read_only_volume_hides_what_this_machine_has_there(client: Client) -> None:
    source = (
        APP.partition("@app.function")[0]
        + """
locked = data.with_mount_options(read_only=True)

@app.function(volumes={"/usr/share": locked, "/of-mounted/locked": cache})
def look() -> list[object]:
    try:
        Path("/usr/share/new").write_text("x")
    except OSError as error:
        return [os.listdir("/usr/share"), error.strerror]

@app.local_entrypoint()
def main():
    with data.batch_upload(force=True) as batch:
        batch.put_file("settings.ini", "/kept")
    print("looked:", look.remote())
"""
    )
    printed = client.modal("run", str(write(client, "mounted-locked", source)))
    assert "kept" in printed.partition("looked: ")[2]
    assert "python3" not in printed.partition("looked: ")[2]
    assert "'Read-only file system']" in printed


def test_an_app_that_asks_for_the_root_of_its_mounts_sees_this_machine(client: Client) -> None:
    source = (
        APP.partition("@app.function")[0]
        + """
@app.function(volumes={"/of-mounted": data})
def look() -> list[object]:
    root = Path(os.environ["MODELCTL_MOUNT_ROOT"])
    return [(root / "of-mounted").is_dir(), Path("/of-mounted").exists()]

@app.local_entrypoint()
def main():
    print("looked:", look.remote())
"""
    )
    assert "looked: [True, False]" in client.modal(
        "run", str(write(client, "mounted-root", source))
    )
