"""For tests of code that uses MagicQueue: a server without sockets, threads or waiting.

    from magicqueue_server.testing import in_memory

    with in_memory() as magicqueue:
        welcome.push_sync("ada@example.org")
        magicqueue.run_all_sync(tasks)

With pytest the fixture `magicqueue` is that, and `magicqueue_server` a real server in a
process of its own; `plugin` has both. This stands in the server's package because it runs
the server's engine with a core, which the client may not import, as it is to be installed
and started without them.
"""

from magicqueue_server.testing.memory_server import InMemory, PushedJob, Ran, in_memory
from magicqueue_server.testing.server_process import ServerProcess

__all__ = ["InMemory", "PushedJob", "Ran", "ServerProcess", "in_memory"]
