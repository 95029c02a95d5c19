"""The array core: kernels over flat memory, from request line to reply.

How it is built, from the outside in:

- `core.ArrayCore` has the verbs of the contract and `execute`, which runs request lines.
  `lines` makes records of what `execute` did, `replay` applies records, `check` verifies.
- `store` and `queues` keep what is best kept in Python: names, errors, deaths, payloads
  too long for the arena. `fates` decides over retries, losses and deaths, `outcomes`
  applies them, `maturing` lets delayed jobs become ready, `moves` exports and restores.
- `memory` is one reservation of virtual memory with every table in it (`kernels.layout`),
  so tables grow without being copied and a kernel gets one array however many there are.
- `kernels` works on that memory. A job is a record of one cache line; its payload is in
  an arena of segments (`arena`); ids lead to records through pages (`index`); the ready
  jobs of a priority are a chain (`ready`), so that push and pull are O(1) and touch no
  other job; `oldest` knows the longest wait; leases and delays are heaps (`timers`).
  `scan`, `fields` and `request` read a line, `driver` and `verdicts` run it, `reply`
  answers; `many`, `leaving` and `restore` change many jobs at once, or out of turn.

A line is read whole and everything that could refuse it is looked at before anything
changes. What kernels do not do (errors, rare options, new queues, pulls that wait, queues
that somebody waits for, deaths) they leave to the caller, untouched, who takes that one
line through the verbs: so there is one implementation of each error text.
"""

from magicqueue_cores.array_core.core import ArrayCore

__all__ = ["ArrayCore"]
