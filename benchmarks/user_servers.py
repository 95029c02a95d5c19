"""The servers of the user rows: each is started when it is first wanted, and stays."""

import contextlib
import importlib.util
import shutil
from pathlib import Path

from benchmarks import user_cases as names
from benchmarks import user_dialects as dialects
from benchmarks.processes import free_port, peer, server

_OURS = {
    names.ARRAY: ("array", "memory"),
    names.EVERYSEC: ("array", "everysec"),
    names.ALWAYS: ("array", "always"),
    names.PYTHON: ("python", "memory"),
}
_REDIS = {
    names.STREAMS: dialects.RedisStreams,
    names.SCRIPTS: dialects.RedisScripts,
    names.REDIS_ALWAYS: dialects.RedisList,
}


class Servers:
    """stack: ends them. folder: where logs go; it is of this run alone."""

    def __init__(self, stack, folder):
        self.folder = Path(folder)
        self._stack = stack
        self._running = {}
        self._recorded = {}

    def missing(self, name):
        """Say what has to be installed for a server, or give None."""
        if name == names.GREENSTALK:
            if importlib.util.find_spec("greenstalk") is None:
                return "greenstalk is not installed"
            name = names.BEANSTALKD
        program = "redis-server" if name in _REDIS else None
        program = "beanstalkd" if name == names.BEANSTALKD else program
        gone = program is not None and shutil.which(program) is None
        return f"{program} is not installed" if gone else None

    def get(self, name):
        """Give (pid, port, dialect) of a server."""
        if name not in self._running:
            self._running[name] = self._start(name)
        return self._running[name]

    def recorded(self, port, steps):
        """Give what one of our servers replies to these steps; it is asked once."""
        key = tuple(steps)
        if key not in self._recorded:
            self._recorded[key] = dialects.record(port, steps)
        return self._recorded[key]

    @contextlib.contextmanager
    def another(self, name):
        """Run one that nobody used, and end it; gives (pid, port, dialect)."""
        with server(_OURS[name][0], "--log-level=error") as (pid, port):
            yield pid, port, dialects.MagicQueue()

    def _start(self, name):
        enter = self._stack.enter_context
        if name in _OURS:
            core, mode = _OURS[name]
            folder = self.folder / name.replace(" ", "-")
            log = ["--persist", f"--fsync={mode}", f"--data-dir={folder}"]
            words = ["--log-level=error", *(log if mode != "memory" else [])]
            return *enter(server(core, *words)), dialects.MagicQueue()
        port = free_port()
        if name == names.BEANSTALKD:
            words = ["beanstalkd", "-l", "127.0.0.1", "-p", str(port)]
            return *enter(peer(words, port)), dialects.Beanstalkd()
        words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        words += ["--appendonly", "no"]
        if name == names.REDIS_ALWAYS:
            folder = self.folder / "redis"
            folder.mkdir()
            words[-1] = "yes"
            words += ["--appendfsync", "always", "--dir", str(folder)]
        return *enter(peer(words, port)), _REDIS[name]()
