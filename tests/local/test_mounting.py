"""Files and Volumes are where an app names them, and nobody else sees them there."""

from pathlib import Path

import pytest

from modelctl.local.running import isolation
from tests.local.conftest import Client, until

pytestmark = pytest.mark.full

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


def test_a_volume_inside_another_one_leaves_nothing_in_it(client: Client) -> None:
    source = (
        APP.partition("@app.function")[0]
        + """
@app.function(volumes={"/outer-of-mounted/inner": inner, "/outer-of-mounted": outer})
def look() -> None:
    Path("/outer-of-mounted/inner/note").write_text("in the inner one")
    Path("/outer-of-mounted/note").write_text("in the outer one")

@app.local_entrypoint()
def main():
    if not outer.listdir("/"):
        with outer.batch_upload() as batch:
            batch.put_file("settings.ini", "/inner/hidden")
    look.remote()
    listed = [sorted(e.path for e in one.listdir("/", recursive=True)) for one in (outer, inner)]
    print("listed:", listed)
"""
    )
    source = source.replace(
        'app = modal.App("NAME", image=image)',
        """outer, inner = (
    modal.Volume.from_name(f"mounted-{name}", create_if_missing=True)
    for name in ("outer", "inner")
)
app = modal.App("NAME", image=image)""",
    )
    printed = client.modal("run", str(write(client, "mounted-nested", source)))
    assert "listed: [['inner', 'inner/hidden', 'note'], ['note']]" in printed


def refused_mount(client: Client, name: str, volumes: str) -> None:
    (client.folder / "settings.ini").write_text("[a]")
    image = "modal.Image.debian_slim().add_local_file('settings.ini', '/full-of-mounted/a')"
    client.deploy(name, f"image={image}, volumes={{{volumes}}}, min_containers=1,")


def test_a_volume_that_cannot_be_where_an_app_wants_it_is_an_error(client: Client) -> None:
    volume = "modal.Volume.from_name('mounted-NAME', create_if_missing=True)"
    full = volume.replace("NAME", "full")
    refused_mount(client, "mounted-full", f"'/full-of-mounted': {full}")
    said = (
        "could not be started: a Volume cannot be mounted at /full-of-mounted, because the app's "
        "image has files there. Mount it at a path of its own."
    )
    until(lambda: said in client.logs("mounted-full"))
    one, two = (volume.replace("NAME", name) for name in ("around", "within"))
    refused_mount(client, "mounted-within", f"'/a-of-mounted': {one}, '/a-of-mounted/b': {two}")
    said = (
        "could not be started: a Volume cannot be mounted at /a-of-mounted/b, inside the one at "
        "/a-of-mounted, because that one has no folder b. Make the folder, or mount them side by "
        "side."
    )
    until(lambda: said in client.logs("mounted-within"))
    assert client.modal("volume", "ls", "mounted-around", "--json").strip() == "[]"
