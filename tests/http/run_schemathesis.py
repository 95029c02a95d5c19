"""Have schemathesis ask a server all that its OpenAPI document offers: `make test-api`.

Pulls are left out: they wait. That a request which fits its schema may be refused is no
fault: no schema says "this or that field", or what numbers a time may be.
"""

import subprocess
import sys

from server.process import ServerProcess


def main() -> int:
    """Run it; gives its exit code."""
    with ServerProcess("--core", "python", "--http", "127.0.0.1:0") as server:
        (place,) = (
            line.removeprefix("HTTP at ")
            for line in server.announced
            if line.startswith("HTTP at ")
        )
        return subprocess.run(
            [
                *(sys.argv[1], "run", f"http://{place}/v1/openapi.json", *sys.argv[2:]),
                *("--exclude-path-regex", "pull", "--request-timeout", "20"),
                *("--exclude-checks", "positive_data_acceptance"),
            ],
            check=False,
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
