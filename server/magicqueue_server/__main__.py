"""`python -m magicqueue_server serve`: the server's commands alone, without a client."""

import click

from magicqueue_server.about import version
from magicqueue_server.cli import serve
from magicqueue_server.cluster_command import cluster
from magicqueue_server.token_command import token
from magicqueue_server.wal.commands import backup, wal


@click.group()
@click.version_option(version(), prog_name="magicqueue")
def main() -> None:
    """Run the MagicQueue server."""


for command in (serve, wal, backup, cluster, token):
    main.add_command(command)

if __name__ == "__main__":
    main(prog_name="python -m magicqueue_server")
