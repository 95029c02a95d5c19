"""Where an option's value comes from: flag, then environment, then file, then default.

A value keeps its source, so that `--print-config` and the start can say why it is what it
is. A wrong value, or an unknown name in the config file, is a `ConfigError` that names the
place.

Not every variable of the right name is a setting. Kubernetes, and `docker run --link`, tell
each container where others listen, in variables named after them: beside a service called
"magicqueue" there is MAGICQUEUE_PORT=tcp://10.96.0.12:6789.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from magicqueue.wire.limits import ERROR_CHARS_MAX, Limits
from magicqueue_cores.contract import CoreOptions
from magicqueue_cores.line_contract import WireDefaults
from magicqueue_cores.policies import PolicyOptions
from magicqueue_server.columns import JobDefaults
from magicqueue_server.listener import Bounds
from magicqueue_server.options import OPTIONS, Option, port_number
from magicqueue_server.tls import TlsFiles
from magicqueue_server.turns import STEP_JOBS

_ORIGINAL_SOCKET: Final = "magic-queue.sock"
_SERVICE: Final = re.compile(r"(?:tcp|udp|sctp)://\S+:\d+")
"""What an orchestrator says of a service's port."""


class ConfigError(Exception):
    """An option has a value that it cannot have; the text says where and what to do."""


class Setting(msgspec.Struct, frozen=True):
    """A value, as the program uses it and as the user wrote it, and its source.

    The text has no secrets in it, unlike the value.
    """

    value: Any
    text: str
    source: str


class HttpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What it is told once."""

    place: str
    """HOST:PORT or unix:PATH."""
    socket_mode: int
    socket_group: str
    only_here: bool
    any_host: bool
    body_bytes_max: int
    input_bytes_max: int
    metrics_queues: int


class Config:
    """The settings in force, and the structs that the server's parts take."""

    def __init__(self, settings: Mapping[str, Setting]) -> None:
        self.settings = dict(settings)

    def __getitem__(self, name: str) -> Any:
        return self.settings[name].value

    @property
    def limits(self) -> Limits:
        """What the wire codec keeps to."""
        return Limits(
            line_bytes_max=self["max_line"],
            job_bytes_max=self["max_job"],
            queue_name_bytes_max=self["max_queue_name"],
            push_jobs_max=self["max_push"],
            pull_jobs_max=self["max_pull"],
            reply_payload_bytes_max=self["max_reply"],
            result_bytes_max=self["max_result"],
        )

    @property
    def policy_options(self) -> PolicyOptions:
        """What the policies above a core are told."""
        return PolicyOptions(
            req_key_ttl_ms=self["req_key_ttl"],
            req_keys_max=self["req_keys"],
            windows_max=self["max_windows"],
            result_bytes_max=self["max_result"],
            results_max=self["max_results"],
            results_bytes_max=self["max_results_memory"],
            step_jobs=STEP_JOBS,
        )

    @property
    def core_options(self) -> CoreOptions:
        """What a core is told."""
        return CoreOptions(
            jobs_max=self["max_jobs"],
            memory_bytes_max=self["max_memory"],
            queues_max=self["max_queues"],
            lost_max=self["max_lost"],
            backoff_ms_max=self["max_backoff"],
            dead_jobs_max=self["max_dead"],
            dead_bytes_max=self["max_dead_memory"],
            step_jobs=STEP_JOBS,
        )

    @property
    def wire_defaults(self) -> WireDefaults:
        """What a core that executes lines is told of the protocol."""
        limits = self.limits
        return WireDefaults(
            line_bytes_max=limits.line_bytes_max,
            job_bytes_max=limits.job_bytes_max,
            push_jobs_max=limits.push_jobs_max,
            pull_jobs_max=limits.pull_jobs_max,
            reply_payload_bytes_max=limits.reply_payload_bytes_max,
            error_chars_max=ERROR_CHARS_MAX,
            lease_ms=self["lease"],
            max_attempts=self["max_attempts"],
        )

    @property
    def job_defaults(self) -> JobDefaults:
        """What holds for jobs that do not say."""
        return JobDefaults(max_attempts=self["max_attempts"], lease_ms=self["lease"])

    @property
    def http(self) -> HttpOptions | None:
        """What the HTTP server is told, if there is one."""
        if not self["http"]:
            return None
        return HttpOptions(
            place=self["http"],
            socket_mode=self["socket_mode"],
            socket_group=self["socket_group"],
            only_here=self.is_open and not self["insecure"],
            any_host=not self.is_open or self["insecure"],
            body_bytes_max=self["max_line"],
            input_bytes_max=self["max_input"],
            metrics_queues=self["metrics_queues"],
        )

    @property
    def is_open(self) -> bool:
        """Whether anybody who comes may do everything: nothing has to be shown."""
        return not (self["tokens"] or self["tls_client_ca"])

    @property
    def tls_files(self) -> TlsFiles | None:
        """What TLS is made of, if it is to be spoken."""
        if not self["tls_cert"]:
            return None
        return TlsFiles(
            cert=self["tls_cert"],
            key=self["tls_key"],
            client_ca=self["tls_client_ca"],
            least=self["tls_min"],
        )

    @property
    def bounds(self) -> Bounds:
        """What the listener enforces."""
        return Bounds(
            line_bytes_max=self["max_line"],
            input_bytes_max=self["max_input"],
            output_bytes_max=self["max_output"],
        )

    def socket_path(self, temp_folder: Callable[[], str]) -> Path | None:
        """Where the Unix socket is to be, or None for TCP.

        temp_folder: called only if the socket is to be in it: a container may have none.
        """
        text = self["unix_socket"]
        if text.lower() in {"", "0", "false", "no", "off"}:
            return None
        if text.lower() in {"1", "true", "yes", "on"}:
            return Path(temp_folder()) / _ORIGINAL_SOCKET
        return Path(text)

    def chosen_elsewhere(self) -> list[str]:
        """Name what the environment and the config file set: whoever starts may not know.

        Each as "port = 7000 (environment PORT)".
        """
        return [
            f"{name} = {setting.text or repr('')} ({setting.source})"
            for name, setting in self.settings.items()
            if not setting.source.startswith(("default", "flag"))
        ]

    def printed(self) -> str:
        """Show every setting as a config file would have it, with its source."""
        lines = ["# magicqueue serve: the settings in force, and where each comes from"]
        for option in OPTIONS:
            setting = self.settings[option.name]
            line = f"{option.name} = {_toml(option, setting)}"
            lines.append(f"{line:<44} # {setting.source}")
        return "\n".join(lines)


def load(
    flags: Mapping[str, str | None], environ: Mapping[str, str], path: Path | None
) -> Config:
    """Find every option's value; raises ConfigError.

    flags: options given on the command line, None where not. path: the config file.
    """
    in_file = _read_file(path) if path is not None else {}
    settings: dict[str, Setting] = {}
    for option in OPTIONS:
        text, source = option.default, "default"
        if option.name in in_file:
            text, source = in_file[option.name], f"file {path}"
        for variable in reversed(option.variables):
            if variable in environ and not _set_by_others(option, environ[variable]):
                text, source = environ[variable], f"environment {variable}"
        given = flags.get(option.name)
        if given is not None:
            text, source = given, f"flag --{option.name.replace('_', '-')}"
        try:
            value = option.value_of(text)
        except ValueError as error:
            raise ConfigError(
                f"{option.name} {error} (not {option.shown(text)!r}, from {source})"
            ) from None
        settings[option.name] = Setting(value, option.shown(text), source)
    _refuse_lone_tls(settings)
    _refuse_other_modes(settings)
    return Config(settings)


def _refuse_lone_tls(settings: Mapping[str, Setting]) -> None:
    """Raise ConfigError where somebody thinks that TLS is spoken, and it is not."""
    for name in ("tls_key", "tls_client_ca"):
        if settings[name].value and not settings["tls_cert"].value:
            raise ConfigError(f"{name} ({settings[name].source}) needs a tls_cert")


def _refuse_other_modes(settings: dict[str, Setting]) -> None:
    """Have a log in PostgreSQL safe before each reply; raises ConfigError if not wanted."""
    fsync = settings["fsync"]
    if not settings["log"].value or fsync.value == "always":
        return
    if not fsync.source.startswith("default"):
        raise ConfigError(
            f"fsync is {fsync.value} ({fsync.source}), and a log in PostgreSQL knows only"
            " always: a reply means that PostgreSQL has it; leave fsync out"
        )
    settings["fsync"] = Setting("always", "always", "default of a log in PostgreSQL")


def log_format(flags: Mapping[str, str | None], environ: Mapping[str, str]) -> str:
    """Give the form for what is said before the settings are known."""
    asked = flags.get("log_format") or environ.get("MAGICQUEUE_LOG_FORMAT")
    return "json" if asked == "json" else "text"


def _set_by_others(option: Option, text: str) -> bool:
    """Whether a variable's value was not meant for this option.

    An empty host would open the server to everybody; in the environment that is what a
    template leaves whose value is missing. As a flag or in a file it means what it says.
    """
    if option.read is port_number:
        return _SERVICE.fullmatch(text.strip()) is not None
    return option.name == "host" and not text.strip()


def _read_file(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read the config file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the config file {path} is not valid TOML: {error}") from None
    known = {option.name for option in OPTIONS}
    values: dict[str, str] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in known:
            raise ConfigError(
                f"the config file {path} has an unknown option {key!r}:"
                " `magicqueue serve --print-config` lists them"
            )
        values[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return values


def _toml(option: Option, setting: Setting) -> str:
    if option.is_flag:
        return "true" if setting.value else "false"
    if isinstance(setting.value, int) and setting.text.strip().isdigit():
        return setting.text.strip()
    return msgspec.json.encode(setting.text).decode()
