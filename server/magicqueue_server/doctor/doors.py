"""Where a server would listen, and who may come in."""

import errno
import grp
import socket
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from magicqueue_server.acceptor import bound_socket
from magicqueue_server.clock import Clock
from magicqueue_server.config import Config
from magicqueue_server.doctor.finding import Finding, failed, ok, skipped, warning
from magicqueue_server.listening import is_loopback
from magicqueue_server.tls import BadTls, ServerTls
from magicqueue_server.tokens import BadTokens, read_tokens

_PATH_BYTES_MAX: Final = 107
_SOON_MS: Final = 14 * 86_400_000


def access(config: Config, clock: Clock) -> Iterator[Finding]:
    """Look at tokens and certificates, and whether strangers are kept out."""
    if config["tokens"]:
        yield from _tokens(Path(config["tokens"]), clock.now_ms())
    if config.tls_files is not None:
        try:
            yield ok("TLS", str(ServerTls(config.tls_files)))
        except BadTls as error:
            yield failed("TLS", str(error), "mend the file, or its rights")
        except ImportError as error:
            yield failed("TLS", f"there is none here: {error}", "use a Python that has ssl")
    outside = not config["unix_socket"] and not is_loopback(config["host"])
    if not config.is_open or not outside:
        return
    if config["insecure"]:
        yield warning(
            "access",
            "anyone who reaches this machine may do everything: insecure is set",
            "give it tokens (`magicqueue token new`), unless the network keeps others out",
        )
    else:
        yield failed(
            "access",
            f"with host {config['host'] or 'of all addresses'} the server will not start:"
            " it has no tokens",
            "make some (`magicqueue token new`), and set tokens; or host to 127.0.0.1",
        )


def _tokens(path: Path, now_ms: int) -> Iterator[Finding]:
    try:
        tokens = read_tokens(path)
    except BadTokens as error:
        yield failed("tokens", str(error), "mend the file, or its rights")
        return
    ends_ms = tokens.next_expiry_ms(now_ms)
    if not len(tokens):
        yield failed("tokens", f"{path} has none", "`magicqueue token new` makes its lines")
    elif ends_ms is not None and ends_ms - now_ms < _SOON_MS:
        day = datetime.fromtimestamp(ends_ms / 1000, UTC).date()
        yield warning("tokens", f"one of {path} ends on {day}", "make a new one by then")
    else:
        yield ok("tokens", f"{len(tokens)} in {path}")


def places(config: Config) -> Iterator[Finding]:
    """Look whether the server could listen where it is told to."""
    try:
        path = config.socket_path(tempfile.gettempdir)
    except FileNotFoundError:
        yield failed("socket", "there is no temp folder for it", "set TMPDIR")
        return
    if path is not None:
        yield from _unix_socket(path, config["socket_group"])
    else:
        yield from _tcp("port", config["host"], config["port"])
    if config["http"].startswith("unix:"):
        yield from _unix_socket(Path(config["http"].removeprefix("unix:")), "")
    elif config["http"]:
        host, _, port = config["http"].rpartition(":")
        yield from _tcp("http", host.strip("[]"), int(port))


def _unix_socket(path: Path, group: str) -> Iterator[Finding]:
    path = path.absolute()
    if len(str(path).encode()) > _PATH_BYTES_MAX:
        yield failed(
            "socket", f"{path} is too long for a socket", f"{_PATH_BYTES_MAX} bytes fit"
        )
    elif not path.parent.is_dir():
        yield failed("socket", f"there is no folder {path.parent}", "make it")
    elif path.exists():
        yield ok("socket", f"{path} is there: a server has it, or had it")
    else:
        yield ok("socket", f"{path} is free: no server is there")
    if (
        group
        and not group.isdecimal()
        and group not in {one.gr_name for one in grp.getgrall()}
    ):
        yield failed("socket", f"there is no group {group}", "make it, or set socket_group")


def _tcp(check: str, host: str, port: int) -> Iterator[Finding]:
    if not port:
        yield ok(check, "the system chooses one at each start")
        return
    try:
        found = socket.getaddrinfo(
            host or None, port, 0, socket.SOCK_STREAM, 0, socket.AI_PASSIVE
        )
    except OSError as error:
        yield failed(check, f"{host} is no address here: {error.strerror}", "mend it")
        return
    taken, usable = [], []
    for family, address in sorted({(int(f), str(at[0])) for f, *_, at in found}):
        try:
            bound_socket(family, address, port).close()
            usable.append(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                taken.append(address)
            elif error.errno == errno.EACCES:
                yield failed(
                    check,
                    f"{address}:{port} may not be listened at by this user",
                    "choose a port above 1023, or allow it (CAP_NET_BIND_SERVICE)",
                )
            elif family == socket.AF_INET:
                yield failed(check, f"{address}:{port}: {error.strerror}", "mend host")
    if taken:
        yield ok(check, f"somebody listens at port {port} of {' and '.join(taken)}")
    elif usable:
        yield ok(check, f"{port} of {' and '.join(usable)} is free: no server is there")
    else:
        yield skipped(check, f"none of the addresses of {host} can be looked at")
