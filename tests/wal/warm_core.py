"""Imported once where servers are forked from: loads what the array core runs, if it can.

So that each of the servers need not, which takes half a second.
"""

import gc

from magicqueue_cores import make_core
from magicqueue_cores.contract import CoreOptions, NewJobs
from magicqueue_cores.records import Record

notes: list[Record] = []
try:
    core = make_core("array", CoreOptions(), record=notes.append)
except ImportError:
    pass
else:
    core.push("q", NewJobs(payloads=[b"1", b"2"], run_ats_ms=[0, 0]), 1)
    core.pull("q", 1, 100, 1000, 1, 1)
    core.ack([1], None, 2)
    other = make_core("array", CoreOptions())
    for record in notes:
        other.replay(record)
    del core, other
    gc.collect()
