"""What does a container see? Its files, its environment and its arguments, laid out in a folder."""

import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from random import randrange

from modal_proto import api_pb2

from modelctl.local.keeping.content import Content, copy
from modelctl.local.keeping.definitions import handle_metadata, parsed
from modelctl.local.keeping.places import Places, volume_metadata
from modelctl.local.keeping.recipes import files, image_environment
from modelctl.local.keeping.records import Definition, Function
from modelctl.local.keeping.state import State
from modelctl.local.leftovers import MARK
from modelctl.local.running import isolation, read_only

# Below the kernel's ephemeral ports, so that no outgoing connection takes one from under us.
_PORTS = range(30_000, 32_768)
_FROM_HERE = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_WEB_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
_DEVICES = ("CUDA_", "NVIDIA_", "HIP_", "ROCR_")
# Containers share this machine's cores, and threads that spin for each other take them away from
# the next container. Two engines at once answer several times faster so; one alone takes a good
# third longer.
_SHARED = {"OMP_WAIT_POLICY": "passive"}
# An image's own values for these describe another machine's file system.
_NOT_FROM_IMAGE = frozenset({"PATH", "HOME", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR"})


class Unmountable(Exception):
    """A Volume cannot be where the app wants it; the sentence says why, and what to do."""


@dataclass(frozen=True)
class Launch:
    """A container ready to start."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: Path
    port: int
    isolated: bool  # in a network of its own
    insists: bool  # on the port that it declares, whatever MODELCTL_PORT says


class Launcher:
    """Lays out containers below `<state dir>/containers`."""

    def __init__(
        self,
        state: State,
        content: Content,
        places: Places,
        state_dir: Path,
        mark: str,
        short: Path,
    ) -> None:
        self._state = state
        self._content = content
        self._places = places
        self._mark = mark
        self._short = short
        self._root = state_dir / "containers"
        self._bin = state_dir / "bin"
        self._python_path = _where_modal_is()
        self.urls: Callable[[Function], Mapping[str, str]] = lambda _: {}
        """The URLs of another function of the same app."""
        self.reachable: tuple[int, ...] = ()
        """Ports of this machine that a container in a network of its own can reach."""
        remove_tree(self._root)  # left by a plane that was killed
        self._root.mkdir(exist_ok=True)
        self._claims: dict[str, socket.socket] = {}  # to the containers' ports

    def remove(self, task_id: str) -> None:
        remove_tree(self._root / task_id)
        self._temporary(task_id).unlink(missing_ok=True)
        if claim := self._claims.pop(task_id, None):
            claim.close()

    def lay_out(
        self,
        task_id: str,
        function: Function,
        definition: Definition,
        data: api_pb2.FunctionData,
        urls: Mapping[str, str],
        gpu: str,
        server_url: str,
    ) -> Launch:
        """Writes everything that the container needs.

        `gpu` is what it was placed on, `server_url` its own way to the plane.
        """
        app = self._state.app(function.app_id)
        spec = data.ranked_functions[0].function
        home = self._root / task_id
        root, scratch = home / "root", home / "tmp"
        workdir = root / "root"
        for folder in (workdir, scratch, home / "home"):
            folder.mkdir(parents=True)
        temporary = self._temporary(task_id)
        temporary.symlink_to(scratch, target_is_directory=True)
        binds = self._materialise(spec, root)
        arguments = api_pb2.ContainerArguments(
            task_id=task_id,
            function_id=function.id,
            app_id=app.id,
            function_def=spec,
            environment_name=self._state.environment_name(app.environment),
            app_layout=self._layout(function, definition, data, urls),
            serialized_params=function.params,
        )
        arguments_path = home / "arguments.bin"
        arguments_path.write_bytes(arguments.SerializeToString())
        port, self._claims[task_id] = claimed_port()
        environment = self._environment(spec)
        environment |= {
            "HOME": str(home / "home"),
            "TMPDIR": str(temporary),
            "PATH": f"{self._bin}:{os.environ.get('PATH', os.defpath)}",
            "PYTHONPATH": ":".join([str(workdir), *self._python_path]),
            "PYTHONUNBUFFERED": "1",
            "MODAL_IS_REMOTE": "1",
            "MODAL_TASK_ID": task_id,
            MARK: self._mark,
            "MODAL_IMAGE_ID": spec.image_id,
            "MODAL_ENVIRONMENT": self._state.environment_name(app.environment),
            "MODAL_CONTAINER_ARGUMENTS_PATH": str(arguments_path),
            "MODAL_SERVER_URL": server_url,
            "MODAL_DISABLE_API_PROXY": "1",  # the plane is not to be looked for on the web
            "MODAL_CONFIG_PATH": str(home / "home" / ".modal.toml"),
            "MODELCTL_GPU": gpu,  # what it was placed on; the GPU itself is not there
            "MODELCTL_HOST": "127.0.0.1",  # nobody reaches an engine past the proxy from outside
            "MODELCTL_PORT": str(port),
            "MODELCTL_MOUNT_ROOT": str(root),
        }
        supervisor = Path(__file__).with_name("supervise.py")
        container: tuple[str, ...] = (sys.executable, "-m", "modal._container_entrypoint")
        if spec._experimental_group_size:
            container = (sys.executable, str(Path(__file__).with_name("clustered.py")))
            environment["MODAL_CLOUD_PROVIDER"] = ""  # the runtime of a cluster asks for it
        if isolation.names_paths(data, self._state, self._content) and isolation.mounts_permitted():
            container = (*isolation.mounts_argv(root), *container)
        if binds:
            container = (*read_only.argv(binds), *container)
        insists = isolation.insists(data, self._state, self._content)
        isolated = insists and isolation.networks_permitted()
        if isolated:
            proxy = environment.get("HTTPS_PROXY", "")
            inside = isolation.declared_port(data)
            container = (*isolation.argv(port, inside, self.reachable, proxy), *container)
        argv = (sys.executable, "-I", "-S", str(supervisor), *container)
        return Launch(argv, environment, workdir, port, isolated, insists)

    def _temporary(self, task_id: str) -> Path:
        """Where a container finds its TMPDIR: engines make sockets there, whose paths are bounded
        (107 characters, on macOS 103), and a project's folder may be deep."""
        return self._short / task_id[-8:]

    def _materialise(self, spec: api_pb2.Function, root: Path) -> list[tuple[str, str, str]]:
        """Lays out its files and Volumes; answers what is to be bound: how, which folder, where.

        Nothing is written into a Volume: one inside another one needs a folder that is there.
        """
        binds = []
        for path, sha256, mode in files(self._state.images, self._state.mounts, spec):
            copy(self._content.path(sha256), root / path.lstrip("/"), mode)
        places: dict[PurePosixPath, Path] = {}  # where on this machine what lies that is mounted
        for mount in sorted(spec.volume_mounts, key=lambda mount: len(_inside(mount).parts)):
            where = _inside(mount)
            source = self._places.place(mount.volume_id, mount.sub_path)
            source.mkdir(parents=True, exist_ok=True)
            target = root / where.relative_to("/")
            bind = ("ro" if mount.read_only else "rw", str(source), str(target))
            outer = next((parent for parent in where.parents if parent in places), None)
            if outer is not None:
                _check_nested(where, outer, places[outer])
                binds.append(bind)
            elif mount.read_only and read_only.permitted():
                _make_place(where, target)
                target.mkdir()
                binds.append(bind)
            else:
                _make_place(where, target)
                target.symlink_to(source, target_is_directory=True)
            places[where] = source
        return binds

    def _environment(self, spec: api_pb2.Function) -> dict[str, str]:
        environment = _SHARED | {
            name: value
            for name, value in os.environ.items()
            if name in (*_FROM_HERE, *_CERTIFICATES) or name.startswith(_DEVICES)
        }
        environment |= _way_out()
        image = image_environment(self._state.images, spec.image_id)
        environment |= {k: v for k, v in image.items() if k not in _NOT_FROM_IMAGE}
        for secret_id in spec.secret_ids:
            if secret := self._state.secrets.get(secret_id):
                environment |= secret.env
        return environment

    def _layout(
        self,
        function: Function,
        definition: Definition,
        data: api_pb2.FunctionData,
        urls: Mapping[str, str],
    ) -> api_pb2.AppLayout:
        """The app as the container's runtime wants it, with every object it depends on."""
        app = self._state.app(function.app_id)
        # A variant goes by the name of its base: what it is comes with its parameters.
        base = self._state.functions[function.base_id] if function.base_id else function
        layout = api_pb2.AppLayout(
            function_ids=app.function_ids | {base.name: base.id}, class_ids=app.class_ids
        )
        own = layout.objects.add(object_id=base.id)
        own.function_handle_metadata.CopyFrom(handle_metadata(base, data, definition.id, urls))
        for other_id in set(layout.function_ids.values()) - {base.id}:
            other = self._state.functions[other_id]
            known = self._state.definitions[other.definition_id]
            handle = handle_metadata(other, parsed(known), known.id, self.urls(other))
            layout.objects.add(object_id=other_id).function_handle_metadata.CopyFrom(handle)
        for class_id in layout.class_ids.values():
            layout.objects.add(object_id=class_id).class_handle_metadata.SetInParent()
        there = {known.object_id for known in layout.objects}
        for dependency in data.ranked_functions[0].function.object_dependencies:
            if dependency.object_id in there:
                continue
            there.add(dependency.object_id)
            known_object = layout.objects.add(object_id=dependency.object_id)
            if volume := self._state.volumes.get(dependency.object_id):
                known_object.volume_metadata.CopyFrom(volume_metadata(volume))
            elif mount := self._state.mounts.get(dependency.object_id):
                known_object.mount_handle_metadata.content_checksum_sha256_hex = mount.digest
        return layout


def _inside(mount: api_pb2.VolumeMount) -> PurePosixPath:
    """The path in the container."""
    return PurePosixPath(os.path.normpath(f"/{mount.mount_path.lstrip('/')}"))


def _make_place(path: PurePosixPath, target: Path) -> None:
    """Makes sure that nothing is where a Volume comes, and that there is a folder around it."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(target):
            target.rmdir()
    except OSError:
        raise Unmountable(
            f"a Volume cannot be mounted at {path}, because the app's image has files there. Mount "
            "it at a path of its own."
        ) from None


def _check_nested(path: PurePosixPath, outer: PurePosixPath, source: Path) -> None:
    """Whether one may be mounted at a path inside another one, whose files lie in `source`."""
    inner = path.relative_to(outer)
    place = source / inner
    if not read_only.permitted():
        why = "this machine permits no mount namespaces. Mount them side by side."
    elif not place.is_dir() or place.resolve() != source.resolve() / inner:
        why = f"that one has no folder {inner}. Make the folder, or mount them side by side."
    else:
        return
    raise Unmountable(
        f"a Volume cannot be mounted at {path}, inside the one at {outer}, because {why}"
    )


def remove_tree(top: Path) -> None:
    """Also folders that nobody may write to, as Go makes those of its modules."""
    shutil.rmtree(top, ignore_errors=True)
    if not top.exists():
        return
    with suppress(OSError):
        top.chmod(0o700)
        for folder, names, _ in os.walk(top):
            for name in names:
                if not os.path.islink(path := os.path.join(folder, name)):  # noqa: PTH114, PTH118
                    os.chmod(path, 0o700)  # noqa: PTH101
    shutil.rmtree(top, ignore_errors=True)


def _way_out() -> dict[str, str]:
    """This machine's web proxies, for downloads; not those whose address holds a password."""
    proxies = {name: os.environ[name] for name in _WEB_PROXIES if name in os.environ}
    open_to_all = {name: value for name, value in proxies.items() if "@" not in value}
    if not open_to_all:
        return {}
    direct = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    direct = ",".join(filter(None, [direct, "127.0.0.1", "localhost"]))
    return open_to_all | {"NO_PROXY": direct, "no_proxy": direct}


def _where_modal_is() -> list[str]:
    """Folders to add for `import modal`; none where the interpreter finds it by itself."""
    spec = find_spec("modal")
    if spec is None or not spec.submodule_search_locations:
        return []
    folder = str(Path(spec.submodule_search_locations[0]).parent)
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [folder] if folder in inherited else []


def claimed_port() -> tuple[int, socket.socket]:
    """A port for an engine to listen on, and the claim to it, to be closed when it is given back.

    Between choosing a port and listening there an engine takes its time, and another container,
    perhaps another plane's, would be given the same one. So the port of the same number is held
    for UDP, where no engine listens; it is free again even if this process is killed.
    """
    for _ in _PORTS:
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        port = free_port()
        try:
            claim.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        return port, claim
    raise OSError(f"no free port between {_PORTS.start} and {_PORTS.stop - 1}")


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    first = randrange(len(_PORTS))  # noqa: S311 - spreads planes out, hides nothing
    for offset in range(len(_PORTS)):
        port = _PORTS[(first + offset) % len(_PORTS)]
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port between {_PORTS.start} and {_PORTS.stop - 1}")


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
