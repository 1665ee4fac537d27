"""How do the parts make a plane? Built, started, announced in plane.json, and ended in order."""

import asyncio
import fcntl
import json
import logging
import os
import resource
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from aiohttp import web
from grpclib.server import Server

from modelctl.local import engines, leftovers, tenancy
from modelctl.local.admin import Admin
from modelctl.local.calls import CallLog
from modelctl.local.clock import Clock
from modelctl.local.controls import Controls
from modelctl.local.faults import Faults
from modelctl.local.inventory import INVENTORY, parse_inventory
from modelctl.local.keeping.content import Content, Signer
from modelctl.local.keeping.function_calls import FunctionCalls
from modelctl.local.keeping.journal import Journal
from modelctl.local.keeping.ledger import Ledger
from modelctl.local.keeping.places import Places
from modelctl.local.keeping.state import State
from modelctl.local.keeping.store import Store
from modelctl.local.keeping.sweeping import sweep
from modelctl.local.keeping.workspaces import Workspaces
from modelctl.local.once import Once
from modelctl.local.rpc import Method, Router, methods_of
from modelctl.local.running.containers import Means
from modelctl.local.running.fleet import Fleet
from modelctl.local.running.launch import Launcher
from modelctl.local.running.orphans import Orphans
from modelctl.local.running.placement import Placement
from modelctl.local.running.proxy import Proxy
from modelctl.local.running.usage import Sampler
from modelctl.local.services.apps import Apps
from modelctl.local.services.billing import Billing
from modelctl.local.services.calls import Calls
from modelctl.local.services.classes import Classes
from modelctl.local.services.dicts import Dicts
from modelctl.local.services.environments import Environments
from modelctl.local.services.functions import Functions
from modelctl.local.services.image_names import ImageNames
from modelctl.local.services.images import Images
from modelctl.local.services.logs import Logs
from modelctl.local.services.metrics import Metrics
from modelctl.local.services.mounts import Mounts
from modelctl.local.services.queues import Queues
from modelctl.local.services.secrets import Secrets
from modelctl.local.services.statistics import Statistics
from modelctl.local.services.tasks import Tasks
from modelctl.local.services.volume_files import VolumeFiles
from modelctl.local.services.volumes import Volumes
from modelctl.local.services.work import Work
from modelctl.local.services.workspace import Account

log = logging.getLogger(__name__)

LOCK_PATIENCE = 1.0  # seconds; whoever asks whether a plane runs has the lock for a moment
END_GRACE = 10.0  # seconds that containers have for their exit hooks when the plane ends


async def serve(state_dir: Path) -> None:
    """Runs a plane until SIGTERM or SIGINT."""
    began = time.monotonic()
    _raise_file_limit()
    mark = leftovers.mark(state_dir)
    if left := leftovers.end(mark):
        log.warning("ended %d processes of a plane that was killed here", left)
    store = Store(state_dir / "state.db")
    state = State(store)
    workspaces = Workspaces(state)
    token = (workspaces.default.token_id, workspaces.default.token_secret)
    proxy_token = workspaces.proxy_token(workspaces.default.id)
    sockets = _sockets_folder(mark)

    grpc_listener = _listen(store, "grpc_port")
    admin_listener = _listen(store, "admin_port")
    url = f"http://127.0.0.1:{grpc_listener.getsockname()[1]}"
    admin_url = f"http://127.0.0.1:{admin_listener.getsockname()[1]}"

    clock = Clock(store)
    placement = Placement(_inventory(store))
    faults = Faults(placement.look_again)
    placement.blocked = lambda choice: faults.keeps_back(choice.type, str(choice))
    content = Content(state_dir, clock.time)
    signer = Signer(admin_url, token[1])
    journal = Journal(store, clock.time)
    ledger = Ledger(store, clock.time)
    places = Places(state, state_dir)
    methods: dict[str, Method] = {}
    means = Means(
        launcher=Launcher(state, content, places, state_dir, mark, sockets),
        journal=journal,
        router=lambda task_id: Router(
            methods, settle=store.commit, enter=workspaces.enter, task_id=task_id
        ),
        sockets=sockets,
        declared=Counter(),
        clock=clock,
        placement=placement,
        ledger=ledger,
        orphans=Orphans(mark),
        crash=lambda app_id, after: faults.of_container(state.app(app_id).description, after),
        boots=asyncio.Semaphore(max(2, os.cpu_count() or 1)),
    )
    proxy = Proxy(workspaces.proxy_opens, ledger, clock)
    fleet = Fleet(state, means, proxy, FunctionCalls(store))
    _tell_owners(workspaces, state, ledger, fleet.calls)
    means.launcher.urls = fleet.urls
    means.launcher.reachable = (admin_listener.getsockname()[1],)  # uploads and downloads
    sampler = Sampler(fleet, ledger, clock)
    apps = Apps(state, fleet, journal, clock)
    secret_values = Secrets(state, clock)
    dicts = Dicts(state, clock)
    queues = Queues(state, clock)
    volumes = Volumes(state, places, clock)
    named = (secret_values, dicts, queues, volumes)
    methods |= methods_of(
        apps,
        *named,
        VolumeFiles(volumes.shelf, content, signer, places),
        Functions(state, fleet),
        Classes(state),
        Calls(state, fleet, clock),
        Work(fleet),
        Tasks(state, fleet, ledger),
        Mounts(state, content, signer),
        Images(state, journal, faults, clock),
        ImageNames(state),
        Logs(state, journal, ledger, clock),
        Statistics(state, fleet, ledger, sampler, clock),
        Metrics(state, ledger, sampler, clock),
        Account(state),
        Environments(state, apps, [kind.shelf for kind in named]),
        Billing(state, ledger, clock),
    )
    call_log = CallLog(store)
    router = Router(
        methods,
        settle=store.commit,
        record=call_log.add,
        opens=workspaces.with_token,
        enter=workspaces.enter,
        faults=faults,
        once=Once(store),
    )
    store.commit()

    server = Server([router])
    await server.start(sock=grpc_listener)
    await proxy.start()
    found = engines.prepare(state_dir)
    announcement: dict[str, Any] = {
        "state_dir": str(state_dir),
        "pid": os.getpid(),
        "url": url,
        "admin_url": admin_url,
        "token_id": token[0],
        "token_secret": token[1],
        "proxy_token_id": proxy_token.id,
        "proxy_token_secret": proxy_token.secret,
        "workspace": workspaces.default.name,
        "started_at": time.time(),
        "engines": dict(found),
        "sockets": str(sockets),
        "instance": secrets.token_hex(8),
    }
    health = {"pid": os.getpid(), "instance": announcement["instance"]}
    capabilities: dict[str, Any] = {"engines": dict(found), "sdk": version("modal")}

    def look_for_engines() -> Mapping[str, str | None]:
        found = engines.prepare(state_dir)
        announcement["engines"] = capabilities["engines"] = dict(found)
        _announce(state_dir, announcement)
        return found

    controls = Controls(state, fleet, placement, clock, faults, look_for_engines, token[1])
    admin = Admin(content, places, signer, call_log, token[1], controls, health, capabilities)
    pages = admin.application()
    pages.router.add_routes(tenancy.routes(workspaces, store))
    runner = web.AppRunner(pages, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.SockSite(runner, admin_listener).start()

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await fleet.restore()
    apps.begin()
    sampler.start()
    _announce(state_dir, announcement)
    log.info("serving at %s after %.2f s", url, time.monotonic() - began)
    _sweep(state_dir, state, clock, began)

    await ended.wait()
    log.info("ending")
    (state_dir / "plane.json").unlink(missing_ok=True)
    server.close()
    sampler.end()
    await fleet.end(END_GRACE)
    await proxy.close()
    await runner.cleanup()
    ledger.flush()
    journal.flush()
    leftovers.end(mark)
    store.close()
    shutil.rmtree(sockets, ignore_errors=True)


def _sweep(state_dir: Path, state: State, clock: Clock, began: float) -> None:
    """Removes what nothing refers to while the plane serves; its end does not wait for that."""
    started_at = time.time() - (time.monotonic() - began)
    threading.Thread(
        target=sweep,
        args=(state_dir, state.volumes),
        kwargs={"began": started_at, "now": clock.time()},
        daemon=True,
    ).start()


def _tell_owners(
    workspaces: Workspaces, state: State, ledger: Ledger, calls: FunctionCalls
) -> None:
    """Containers and calls belong to the workspace of their app, after their end too."""

    def app_of_container(task_id: str) -> str | None:
        entry = ledger.container(task_id)
        return entry.app_id if entry else None

    def app_of_call(call_id: str) -> str | None:
        call = calls.get(call_id)
        function = state.functions.get(call.function_id) if call else None
        return function.app_id if function else None

    workspaces.know("ta", app_of_container)
    workspaces.know("fc", app_of_call)


def hold_lock(state_dir: Path) -> int | None:
    """The lock that says a plane runs here, held as long as this process lives; None if taken."""
    descriptor = os.open(state_dir / "plane.lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                return None
            time.sleep(0.005)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def _announce(state_dir: Path, announcement: dict[str, object]) -> None:
    partial = state_dir / "plane.json.part"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        json.dump(announcement, out, indent=1)
    partial.replace(state_dir / "plane.json")


def _raise_file_limit() -> None:
    """A listener a server and two connections a request need more than the usual 1024 files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1 << 16 if hard == resource.RLIM_INFINITY else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError) as error:
        log.warning("cannot raise the limit of open files: %s", error)


def _inventory(store: Store) -> dict[str, int] | None:
    known = store.get_meta(INVENTORY)
    return None if known is None else parse_inventory(known)


def _listen(store: Store, key: str) -> socket.socket:
    """A listener on the port remembered under `key`, or on one that the kernel picks."""
    known = store.get_meta(key)
    for port in (int(known), 0) if known else (0,):
        # Only where it is told the protocol does asyncio send each answer at once.
        listener = socket.socket(proto=socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            listener.close()
            continue
        listener.listen(1024)
        listener.setblocking(False)
        store.set_meta(key, str(listener.getsockname()[1]))
        return listener
    raise OSError("no port is free on the loopback")


def _sockets_folder(mark: str) -> Path:
    """A private folder with a short path for sockets, ours and those that engines make.

    It is always the same one, so that what a plane that was killed left in it goes.
    """
    base = tempfile.gettempdir()
    short = base if len(base) <= 20 else "/tmp"  # noqa: S108 - made private below
    folder = Path(short) / f"modelctl-{mark}"
    if folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == os.getuid():
        shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:  # somebody else's
        return Path(tempfile.mkdtemp(prefix="modelctl-", dir=short))
    return folder
