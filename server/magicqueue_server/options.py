"""Every option of the server: its name, its kind, its default, and what it is for.

This table is the only list. The command line, the environment (MAGICQUEUE_* and the names
of the original), the config file and `--print-config` are all made from it.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec

from magicqueue.spans import span_ms
from magicqueue.wire.limits import ID_MAX
from magicqueue_cores import CORE_NAMES
from magicqueue_cores.contract import COUNT_MAX
from magicqueue_server.logs import FORMATS, LEVELS
from magicqueue_server.loop import LOOPS
from magicqueue_server.tls import VERSIONS
from magicqueue_server.wal.log import MODES

_SIZE: Final = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([KMGT]i?B|B|[KMGT])?\s*$", re.IGNORECASE)
_COUNT: Final = re.compile(r"^\s*[0-9]+(?:_[0-9]+)*\s*$")
_SIZE_POWERS: Final = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"", "0", "false", "no", "off"})
_PORT_MAX: Final = 65_535
ON_DISK_ERROR: Final = ("exit", "read-only")
_LOGS: Final = ("postgres://", "postgresql://")
LOG_DURABILITY: Final = ("quorum", "local")


def size_bytes(text: str) -> int:
    """Read "512MiB", "1.5 GB", "64K"; a plain number is bytes."""
    match = _SIZE.match(text)
    if not match:
        raise ValueError('must be a size such as "64KiB", "512MiB" or "2GB"')
    unit = (match[2] or "").lower()
    base = 1000 if unit.endswith("b") and "i" not in unit and unit != "b" else 1024
    return _whole(match[1], base ** _SIZE_POWERS[unit[:1]])


def count(text: str) -> int:
    """Read a whole number of 0 or more."""
    if not _COUNT.match(text):
        raise ValueError("must be a whole number, 0 or more")
    return _whole(text.replace("_", ""), 1)


def _whole(number: str, unit: int) -> int:
    """Multiply exactly, and round as people do."""
    value = int(Decimal(number) * unit + Decimal("0.5"))
    if value > ID_MAX:
        raise ValueError(f"must be at most {ID_MAX}")
    return value


def port_number(text: str) -> int:
    """Read a TCP port; 0 has the system choose."""
    number = count(text)
    if number > _PORT_MAX:
        raise ValueError(f"must be a port from 0 to {_PORT_MAX}")
    return number


def http_place(text: str) -> str:
    """Read HOST:PORT, a port alone, or unix:PATH."""
    text = text.strip()
    if not text or (text.startswith("unix:") and text != "unix:"):
        return text
    host, _, port = text.rpartition(":")
    try:
        number = port_number(port)
    except ValueError:
        number = -1
    bare = host.startswith("[") and host.endswith("]")
    if number < 0 or (":" in host and not bare):
        raise ValueError('must be HOST:PORT, as in "127.0.0.1:8080", or unix:PATH')
    return f"{host or '127.0.0.1'}:{number}"


def file_mode(text: str) -> int:
    """Read a file's permissions, as chmod takes them in digits."""
    if not re.fullmatch("[0-7]{3,4}", text.strip()):
        raise ValueError('must be permissions in octal digits, such as "660"')
    return int(text.strip(), 8) & 0o777


def flag(text: str) -> bool:
    """Read 1, true, yes, on, or their opposites."""
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError("must be true or false (1 or 0, yes or no, on or off)")
    return word in _TRUE


def log_place(text: str) -> str:
    """Read the address of a log beyond this machine."""
    text = text.strip()
    if text and not text.startswith(_LOGS):
        raise ValueError('must be "postgres://USER@HOST/DATABASE", or nothing')
    return text


def without_secrets(address: str) -> str:
    """Show an address without its passwords; nothing of one that is written wrongly."""
    if address.strip() and not address.strip().startswith(_LOGS):
        return "***"
    hidden = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", address, flags=re.DOTALL)
    return re.sub(r"(password=)[^&\s]*", r"\1***", hidden, flags=re.IGNORECASE)


class Choice(msgspec.Struct, frozen=True):
    """A reader that takes one of some names."""

    names: tuple[str, ...]

    def __call__(self, text: str) -> str:
        """Read a name."""
        if text not in self.names:
            raise ValueError(f"must be one of {', '.join(self.names)}")
        return text


_KINDS: Final[dict[Callable[[str], Any], str]] = {
    span_ms: "SPAN",
    size_bytes: "SIZE",
    count: "N",
    port_number: "PORT",
    file_mode: "MODE",
    http_place: "PLACE",
    log_place: "ADDRESS",
    str: "TEXT",
}


class Option(msgspec.Struct, frozen=True):
    """One option. `default` is as a user would write it; `read` makes the value of it."""

    name: str
    read: Callable[[str], Any]
    default: str
    help: str
    env: tuple[str, ...] = ()
    """Names the original's users know; MAGICQUEUE_<NAME> always works too."""
    least: int = 0
    """Smallest value of a number."""
    most: int = ID_MAX
    """Largest value of a number."""
    shown: Callable[[str], str] = str
    """Shows a value to people and logs, without what is secret."""

    def value_of(self, text: str) -> Any:
        """Read a value; raises ValueError with what it must be."""
        value = self.read(text)
        if self.least and value < self.least:
            raise ValueError(f"must be {self.least} or more")
        if isinstance(value, int) and value > self.most:
            raise ValueError(f"must be at most {self.most}")
        return value

    @property
    def variables(self) -> tuple[str, ...]:
        """Environment variables that set it, the first that is set wins."""
        return (f"MAGICQUEUE_{self.name.upper()}", *self.env)

    @property
    def kind(self) -> str:
        """What a value looks like, for the help."""
        if isinstance(self.read, Choice):
            return f"[{'|'.join(self.read.names)}]"
        return _KINDS.get(self.read, "NAME")

    @property
    def is_flag(self) -> bool:
        """Whether it is a switch."""
        return self.read is flag


OPTIONS: Final = (
    Option(
        "host",
        str,
        "127.0.0.1",
        'Address to listen on; "localhost" is IPv4 and IPv6, "::" or "" all addresses of'
        " both, 0.0.0.0 those of IPv4.",
    ),
    Option("port", port_number, "6789", "TCP port; 0 lets the system choose.", ("PORT",)),
    Option(
        "unix_socket",
        str,
        "",
        "Socket file to listen on instead of TCP; 1: magic-queue.sock in the temp folder.",
        ("UNIX_SOCKET",),
    ),
    Option("socket_mode", file_mode, "600", "Permissions of the Unix socket's file."),
    Option("socket_group", str, "", "Group of the Unix socket's file."),
    Option(
        "tokens",
        str,
        "",
        "TOML file of who may do what, see `magicqueue token`; read again on SIGHUP.",
    ),
    Option(
        "insecure",
        flag,
        "false",
        "Let everybody do everything, also from other machines, without tokens.",
    ),
    Option("tls_cert", str, "", "Certificate in PEM: TCP connections speak TLS then."),
    Option("tls_key", str, "", "Its key; if it is not in the same file."),
    Option("tls_client_ca", str, "", "Clients need a certificate that these signed."),
    Option("tls_min", Choice(VERSIONS), "1.3", "Oldest version of TLS that is spoken."),
    Option(
        "http",
        http_place,
        "",
        "Listen for HTTP too, at HOST:PORT or unix:PATH: REST, health, metrics.",
    ),
    Option("metrics_queues", count, "1000", "Queues with metrics of their own.", least=1),
    Option("core", Choice(CORE_NAMES), "auto", "Which core holds the jobs."),
    Option("loop", Choice(LOOPS), "auto", "Which event loop runs."),
    Option(
        "persist",
        flag,
        "false",
        "Keep jobs in a log, so they survive a restart.",
        ("PERSIST",),
    ),
    Option("data_dir", str, "magicqueue-data", "Folder of the log."),
    Option(
        "fsync",
        Choice(MODES),
        "everysec",
        "When the log is synced: before each reply, twice a second, or by the system.",
    ),
    Option(
        "on_disk_error",
        Choice(ON_DISK_ERROR),
        "exit",
        "When the log cannot be written: end, or answer questions only.",
    ),
    Option("segment_size", size_bytes, "64MiB", "Size of a file of the log."),
    Option(
        "log",
        log_place,
        "",
        "Keep the log in PostgreSQL instead: postgres://USER@HOST1,HOST2/DATABASE.",
        shown=without_secrets,
    ),
    Option(
        "log_durability",
        Choice(LOG_DURABILITY),
        "quorum",
        "What a reply means there: standbys have it, or the one server does.",
    ),
    Option(
        "log_lease",
        span_ms,
        "3s",
        "Another server may take that log over when this one is not heard of for so long.",
        least=100,
    ),
    Option(
        "log_give_up",
        span_ms,
        "30s",
        "How long PostgreSQL may give no clear answer before the log has failed.",
        least=100,
    ),
    Option(
        "lease",
        span_ms,
        "5m",
        "How long a pulled job is leased, unless PULL says.",
        least=1,
    ),
    Option("max_lost", count, "3", "A job lost more often than this is a dead letter."),
    Option(
        "max_attempts",
        count,
        "25",
        "Failures until a job is dead, unless it says; 0: any.",
        most=COUNT_MAX,
    ),
    Option("max_backoff", span_ms, "1h", "Longest wait before a retry."),
    Option("max_jobs", count, "0", "Live jobs the server holds; 0 is no bound."),
    Option("max_memory", size_bytes, "0", "Memory for jobs; 0 is no bound."),
    Option("max_queues", count, "100000", "Distinct queue names."),
    Option("max_dead", count, "100000", "Dead letters a queue keeps."),
    Option("max_dead_memory", size_bytes, "256MiB", "Bytes of dead letters a queue keeps."),
    Option(
        "req_key_ttl", span_ms, "24h", "How long a push may be repeated by its req_key."
    ),
    Option("req_keys", count, "100000", "Request keys that are known at a time."),
    Option("max_windows", count, "100000", "Keys held by unique_for at a time."),
    Option("max_result", size_bytes, "64KiB", "Largest result of one job.", least=1),
    Option("max_results", count, "100000", "Ends of jobs that are kept; 0 is no bound."),
    Option(
        "max_results_memory",
        size_bytes,
        "64MiB",
        "Bytes of ends of jobs that are kept; 0 is no bound.",
    ),
    Option("max_line", size_bytes, "64MiB", "Longest request line.", least=1),
    Option("max_job", size_bytes, "1MiB", "Largest data of one job.", least=1),
    Option("max_queue_name", count, "255", "Longest queue name in bytes.", least=1),
    Option("max_push", count, "100000", "Most jobs in one PUSHB.", least=1),
    Option("max_pull", count, "10000", "Most jobs in one reply.", least=1),
    Option(
        "max_reply",
        size_bytes,
        "16MiB",
        "Most data in one reply (one job always goes).",
        least=1,
    ),
    Option(
        "max_input",
        size_bytes,
        "256MiB",
        "Memory for lines that cannot run yet, over all.",
        least=1,
    ),
    Option(
        "max_output",
        size_bytes,
        "1GiB",
        "Memory for replies that clients do not read, over all.",
        least=1,
    ),
    Option(
        "max_connections",
        count,
        "16000",
        "Connections at once; further ones get an error line and are closed.",
        least=1,
    ),
    Option("shutdown_grace", span_ms, "1s", "How long a stop waits for jobs under way."),
    Option("log_level", Choice(LEVELS), "info", "What is logged."),
    Option(
        "log_file",
        str,
        "",
        "File that log lines are added to, not standard error; opened anew on SIGHUP.",
    ),
    Option("log_format", Choice(FORMATS), "text", "Log lines for people or for programs."),
)
