"""Compare this tree with another commit: what a job costs the server, in turn.

    python -m benchmarks.against COMMIT [--rounds 9] [--cores array,python]

Both trees run as servers at once, each over loopback, and every workload is sent to one and
the other, the first of them changing with the round. What counts is the server's CPU time a
job: the ratio is the median of the rounds' own ratios, in brackets what half of them lie
within. Compare a commit with itself first: that shows what this machine can tell apart.

Pushes go into memory in use (`loadgen --warm`): servers of late give back what was not
needed for a second, and the other tree's turn is longer. What that costs when it is needed
again is another question (`--cold` asks it).
"""

import argparse
import contextlib
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from statistics import median, quantiles

from benchmarks.processes import ROOT, server
from benchmarks.rounds import run_load

WORKLOADS = ["push", "drain", "mixed", "singles"]
ROUNDS = 9
RATIO_MAX = 1.02
"""What code that is not used may cost."""


@contextlib.contextmanager
def tree_of(commit):
    """Unpack a commit into a folder of its own; gives the folder."""
    packed = subprocess.run(
        ["git", "archive", commit, "client", "cores", "server"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if packed.returncode:
        sys.exit(f"{commit}: {packed.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


def paired(pairs, workload, rounds, *, cold):
    """Run a workload on two servers in turn; gives [(CPU ns here, CPU ns there)]."""
    found = []
    for number in range(rounds):
        order = pairs if number % 2 == 0 else pairs[::-1]
        cpu = {
            pid: run_load(workload, "magicqueue", pid, port, warm=not cold)["server_cpu_ns"]
            for pid, port in order
        }
        found.append(tuple(cpu[pid] for pid, _ in pairs))
    return found


def told(title, found):
    """Give whether a workload is within the bound, and the line about it."""
    ratios = [here / there for here, there in found]
    ratio = median(ratios)
    low, _, high = quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    here, there = (median(column) for column in zip(*found, strict=True))
    verdict = "" if ratio <= RATIO_MAX else f"  over {RATIO_MAX}"
    figures = f"{here:9,.0f} {there:9,.0f}   x{ratio:.3f} [{low:.3f}, {high:.3f}]{verdict}"
    return not verdict, f"{title:18}{figures}"


def main(arguments):
    """Print a line for each core and workload; gives how many are over the bound."""
    parser = argparse.ArgumentParser(prog="benchmarks.against", description=__doc__)
    parser.add_argument("commit")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--cores", default="array,python")
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--cold", action="store_true")
    asked = parser.parse_args(arguments)
    print(f"server CPU ns a job: here, at {asked.commit}, ratio [quartiles]")
    over = 0
    with tree_of(asked.commit) as there:
        for core in asked.cores.split(","):
            with server(core, tree=ROOT) as here_at, server(core, tree=there) as there_at:
                for workload in asked.workloads.split(","):
                    found = paired(
                        [here_at, there_at], workload, asked.rounds, cold=asked.cold
                    )
                    within, line = told(f"{core} {workload}", found)
                    over += not within
                    print(line, flush=True)
    return over


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
