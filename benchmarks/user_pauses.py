"""The longest pause that another connection sees, as `pauses` measures it, with targets."""

from benchmarks import pauses
from benchmarks.targets import Outcome
from benchmarks.workloads import sized

WORST_MS = {"array": 20, "python": 50}
P999_MS = 10
DIVISOR = sized(1, 100, 1000)


def measure_pauses(cores=tuple(WORST_MS)):
    """Measure what `make bench-pauses` does; gives a row with its target for each."""
    outcomes = []
    for core in cores:
        for name, found in pauses.measure(core, "", DIVISOR).items():
            p999, worst = found["p99.9"], found["worst"]
            met = p999 <= P999_MS and worst <= WORST_MS[core]
            outcomes.append(
                Outcome(
                    f"a PING beside {name}: {core}, p99.9 and worst",
                    f"at most {P999_MS} and {WORST_MS[core]} ms",
                    f"{p999:.1f} and {worst:.1f} ms",
                    met,
                )
            )
    return outcomes
