"""How long tests wait for what has to come.

Only what hangs takes as long. It is no bound on how quick anything is: on a machine with
other work everything takes longer, and a test that is right must not fail for it.
"""

from typing import Final

PATIENCE_S: Final = 300.0
