"""The plugin's fixtures, as pytest loads them where the package is installed."""

from magicqueue_server.testing.plugin import magicqueue, magicqueue_server

__all__ = ["magicqueue", "magicqueue_server"]
