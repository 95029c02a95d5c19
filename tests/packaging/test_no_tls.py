"""What stands in for `ssl` in the executable without TLS says so where TLS is asked for."""

import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest

from magicqueue.errors import BadAddress
from magicqueue.tls import Tls, _context
from magicqueue_server.tls import BadTls, ServerTls, TlsFiles

STAND_IN = Path(__file__).parents[2] / "packaging" / "no_tls.py"


@pytest.fixture(autouse=True)
def without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("ssl")
    vars(module).update(runpy.run_path(str(STAND_IN)))
    monkeypatch.setitem(sys.modules, "ssl", module)
    _context.cache_clear()  # which another test may have filled with what `ssl` made


def test_the_server_says_what_to_do(tmp_path: Path) -> None:
    cert = tmp_path / "cert.pem"
    cert.write_text("x")
    with pytest.raises(BadTls, match="has no TLS: use the one whose name ends in -tls"):
        ServerTls(TlsFiles(cert=str(cert)))


def test_the_client_says_what_to_do() -> None:
    with pytest.raises(BadAddress, match="has no TLS: use the one"):
        Tls(ca="").context()
