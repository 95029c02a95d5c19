"""Fetch what the dashboard takes from others, at pinned versions, and check it.

`python packaging/vendor_ui.py` runs `npm pack`, compares each archive with the SHA-512 that
it was published with, and copies the few files that the page loads, with their licences, to
`server/magicqueue_server/http/ui/vendor/`. The results are committed, so a build needs no
network, and a user's page loads nothing from elsewhere.
"""

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

TARGET: Final = (
    Path(__file__).parents[1] / "server" / "magicqueue_server" / "http" / "ui" / "vendor"
)


class Vendored(NamedTuple):
    """A package, what its archive must be, and the files that are taken from it."""

    name: str
    version: str
    sha512: str
    files: dict[str, str]
    """Where each stands in the archive, and what it is called here."""


PACKAGES: Final = (
    Vendored(
        "lit-html",
        "3.3.3",
        "el8M6jK2o3RXBnrSHX3ZKrsN8zEV63pSExTO1wYJz7QndGYZ8353e2a5PPX+qHe2aGayfnchQmkAojaWAREOIA==",
        {
            "lit-html.js": "lit-html.js",
            "directive.js": "directive.js",
            "directive-helpers.js": "directive-helpers.js",
            "directives/repeat.js": "directives/repeat.js",
            "directives/live.js": "directives/live.js",
            "LICENSE": "lit-html.LICENSE",
        },
    ),
    Vendored(
        "uplot",
        "1.6.32",
        "KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
        {
            "dist/uPlot.iife.min.js": "uPlot.iife.min.js",
            "dist/uPlot.min.css": "uPlot.min.css",
            "LICENSE": "uPlot.LICENSE",
        },
    ),
)
_SOURCE_MAP: Final = b"\n//# sourceMappingURL="


def main() -> None:
    """Copy all of them."""
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            _take(package, Path(folder))


def _take(package: Vendored, folder: Path) -> None:
    named = f"{package.name}@{package.version}"
    npm = shutil.which("npm") or "npm"
    subprocess.run([npm, "pack", "--silent", named], cwd=folder, check=True)
    archive = folder / f"{package.name}-{package.version}.tgz"
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != package.sha512:
        raise SystemExit(f"{named} is not what was pinned: its SHA-512 is {digest}")
    with tarfile.open(archive) as tar:
        for inside, name in package.files.items():
            member = tar.extractfile(f"package/{inside}")
            assert member is not None, inside
            path = TARGET / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # source maps are not taken along: without this line no browser asks for them
            path.write_bytes(member.read().split(_SOURCE_MAP)[0].rstrip() + b"\n")


if __name__ == "__main__":
    main()
