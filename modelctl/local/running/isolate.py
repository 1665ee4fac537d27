"""How does an app that insists on its port have it to itself? In a network of its own.

Runs between the supervisor and a container (``python -I -S isolate.py OUTSIDE INSIDE THROUGH PROXY
ARGV...``), enters a new network namespace, in which it is alone, and becomes the container. Two
relays stay beside it until the supervisor ends them: one takes connections on port OUTSIDE of this
machine to port INSIDE, as soon as somebody listens there; the other one is the way out: to ports
THROUGH of this machine, and to the web by an HTTP proxy.

Linux only, and only where namespaces are permitted: `python -I -S isolate.py` without arguments
exits with 0 there. Standard library only: it is started without site-packages.
"""

import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn
from urllib.parse import urlsplit

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_RELAY = b"modelctl-relay"  # by this name the supervisor knows that one of them has ended
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK, _SIOCSIFNAME = 0x8914, 0x8916, 0x891C, 0x8923
_IFF_UP = 1
_INTERFACE, _ADDRESS = b"eth0", "10.0.0.2"
_LISTENING = "0A"  # of /proc/net/tcp
_POLL = 0.02
_LOOK = 0.1
_MOMENT = 0.01  # in which the kernel has closed all sockets of a process that was killed
_CONNECT_TIMEOUT = 30.0
_LONGEST_HEAD = 64 << 10


def _unshare() -> None:
    """Into a network namespace of our own; in a user namespace too, where we are not privileged."""
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if uid == 0 and libc.unshare(_CLONE_NEWNET) == 0:
        return
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1")):
        _write(f"/proc/self/{name}", text)
    _write("/proc/self/gid_map", f"{gid} {gid} 1")


def _write(path: str, text: str) -> None:
    with open(path, "w") as out:  # noqa: PTH123 - pathlib takes long to import
        out.write(text)


def _network_up() -> None:
    """The one interface, by the name and with an address of its own that Modal's runtime looks for.

    Who listens on 127.0.0.1 only is not found at that address: neither is he on Modal.
    """
    with socket.socket() as control:

        def set_to(request: int, name: bytes, value: bytes) -> None:
            fcntl.ioctl(control, request, struct.pack("16s24s", name, value))

        def address(dotted: str) -> bytes:
            return struct.pack("HH4s", socket.AF_INET, 0, socket.inet_aton(dotted))

        set_to(_SIOCSIFNAME, b"lo", _INTERFACE)
        set_to(_SIOCSIFFLAGS, _INTERFACE, struct.pack("H", _IFF_UP))
        set_to(_SIOCSIFADDR, _INTERFACE, address(_ADDRESS))
        set_to(_SIOCSIFNETMASK, _INTERFACE, address("255.255.255.255"))
        set_to(_SIOCSIFADDR, _INTERFACE + b":lo", address("127.0.0.1"))
    with suppress(OSError):  # containers of Modal's run as root: any port may be listened on
        _write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")


def _beside(work: Callable[[], None]) -> None:
    """Does the work in a process that is the supervisor's child and ends with it."""
    supervisor = os.getppid()
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return
    if os.fork():
        os._exit(0)
    try:
        while os.getppid() != supervisor:
            time.sleep(0.001)
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_NAME, _RELAY)
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(1)
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)
        work()
    finally:
        os._exit(1)


# -- relaying


def _nothing() -> None:
    """What is to be done at most ends."""


def _pump(
    source: socket.socket, target: socket.socket, at_end: Callable[[], None] = _nothing
) -> None:
    """Passes on what comes, then that no more comes; a break on either side breaks both."""
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        at_end()
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _relay(
    near: socket.socket, far: socket.socket, at_end_of_far: Callable[[], None] = _nothing
) -> None:
    for end in (near, far):
        end.settimeout(None)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with near, far:
        back = threading.Thread(target=_pump, args=(far, near, at_end_of_far), daemon=True)
        back.start()
        _pump(near, far)
        back.join()


def _serve(listener: socket.socket, handle: Callable[[socket.socket], None]) -> None:
    def guarded(connection: socket.socket) -> None:
        with connection, suppress(OSError, ValueError):
            handle(connection)

    while True:
        try:
            connection, _ = listener.accept()
        except OSError as error:
            if error.errno == errno.EINVAL:  # it was shut down
                return
            time.sleep(_POLL)  # a client left, or there are too many: they wait meanwhile
            continue
        try:
            threading.Thread(target=guarded, args=(connection,), daemon=True).start()
        except RuntimeError:  # no thread is to be had
            connection.close()


def _to(
    host: str, port: int, at_end: Callable[[], None] = _nothing
) -> Callable[[socket.socket], None]:
    def handle(near: socket.socket) -> None:
        _relay(near, socket.create_connection((host, port), _CONNECT_TIMEOUT), at_end)

    return handle


def _listened_to(port: int) -> bool:
    """Whether somebody listens on the port in this namespace, on whatever address."""
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        with suppress(OSError), open(table) as lines:  # noqa: PTH123
            for line in lines:
                fields = line.split()
                if fields[3] == _LISTENING and fields[1].endswith(f":{port:04X}"):
                    return True
    return False


def _way_in(entrance: socket.socket, port: int) -> None:
    """The port outside accepts as long as the one inside does.

    Whoever was given an answer that ends with its connection looks whether its engine still lives:
    so the way in is closed before the end of a killed one is passed on. One that is killed while
    nobody is connected is noticed soon after.
    """

    lock, serving = threading.Lock(), False

    def close_with_the_engine() -> None:
        nonlocal serving
        with lock:  # a socket that is shut down while it does not listen is spoilt for good
            if serving and not _listened_to(port):
                serving = False
                entrance.shutdown(socket.SHUT_RDWR)  # which wakes who accepts

    def close_in_a_moment() -> None:
        time.sleep(_MOMENT)
        close_with_the_engine()

    def look() -> None:
        while True:
            time.sleep(_LOOK)
            close_with_the_engine()

    threading.Thread(target=look, daemon=True).start()
    while True:
        while not _listened_to(port):
            time.sleep(_POLL)
        with lock:
            entrance.listen(1024)
            serving = True
        _serve(entrance, _to("localhost", port, close_in_a_moment))


# -- the way out


def _way_out(listeners: Sequence[socket.socket], ports: Sequence[int], proxy: str) -> None:
    """The first listener is the web proxy's; the others are for ports of this machine."""
    handle: Callable[[socket.socket], None] = _proxied
    if proxy:
        place = urlsplit(proxy)
        handle = _to(place.hostname or "", place.port or 80)
    for listener, port in zip(listeners[1:], ports, strict=True):
        arguments = (listener, _to("127.0.0.1", port))
        threading.Thread(target=_serve, args=arguments, daemon=True).start()
    _serve(listeners[0], handle)


def _proxied(near: socket.socket) -> None:
    """One request to the web proxy: CONNECT, or one with a whole URL."""
    near.settimeout(_CONNECT_TIMEOUT)
    head = b""
    while b"\r\n\r\n" not in head:
        more = near.recv(1 << 16)
        if not more or len(head) > _LONGEST_HEAD:
            return
        head += more
    line, _, rest = head.partition(b"\r\n")
    method, url, version = line.decode("latin-1").split(" ")
    place = urlsplit(f"//{url}" if method == "CONNECT" else url)
    try:
        address = (place.hostname or "", place.port or (443 if method == "CONNECT" else 80))
        far = socket.create_connection(address, _CONNECT_TIMEOUT)
    except OSError:
        near.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return
    if method == "CONNECT":
        near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        far.sendall(rest.partition(b"\r\n\r\n")[2])
    else:
        # One request a connection: the next one may be for another host.
        fields, _, body = rest.partition(b"\r\n\r\n")
        kept = [
            field
            for field in fields.split(b"\r\n")
            if not field.lower().startswith((b"connection:", b"proxy-"))
        ]
        path = (place.path or "/") + (f"?{place.query}" if place.query else "")
        start = f"{method} {path} {version}".encode("latin-1")
        far.sendall(b"\r\n".join([start, *kept, b"Connection: close"]) + b"\r\n\r\n" + body)
    _relay(near, far)


def _environment(proxy_port: int, inside: int) -> dict[str, str]:
    address = f"http://127.0.0.1:{proxy_port}"
    direct = ",".join(filter(None, [os.environ.get("NO_PROXY", ""), "127.0.0.1,localhost"]))
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    return dict.fromkeys(names, address) | {
        "NO_PROXY": direct,
        "no_proxy": direct,
        "MODELCTL_PORT": str(inside),
    }


def _listener(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


def main(arguments: list[str]) -> int:
    return become(arguments) if arguments else probe()


def probe() -> int:
    """Whether namespaces are permitted here, as an exit status."""
    try:
        _unshare()
        _network_up()
    except OSError:
        return 1
    return 0


def become(arguments: list[str]) -> NoReturn:
    outside, inside = int(arguments[0]), int(arguments[1])
    through = [int(port) for port in arguments[2].split(",") if port and int(port) != inside]
    entrance = _listener(outside)
    ours, theirs = socket.socketpair()

    def way_out() -> None:
        ours.close()
        entrance.close()
        count = len(through) + 1
        _, received, _, _ = socket.recv_fds(theirs, 1, count)
        listeners = [socket.socket(fileno=number) for number in received]
        _way_out(listeners, through, arguments[3])

    _beside(way_out)
    theirs.close()
    _unshare()
    _network_up()
    proxy = _listener(0)
    listeners = [proxy, *(_listener(port) for port in through)]
    for listener in listeners:
        listener.listen(128)
    socket.send_fds(ours, [b"."], [one.fileno() for one in listeners])
    environment = os.environ | _environment(proxy.getsockname()[1], inside)
    ours.close()
    for listener in listeners:
        listener.close()
    _beside(lambda: _way_in(entrance, inside))
    entrance.close()
    argv = arguments[4:]
    os.execvpe(argv[0], argv, environment)  # noqa: S606 - there is no shell to want


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
