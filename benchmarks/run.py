"""Run asv on this checkout as it is, then print the table and draw the plots.

    python -m benchmarks.run            what `make bench` does
    python -m benchmarks.run --quick    what `make bench-quick` does

asv runs in the environment that runs this (`--python=same`), and the results are stored
under the commit that is checked out. Quick results are kept apart, and drawn nowhere.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.processes import ROOT

_QUICK_NOTE = """
Quick figures: small sizes, one or two samples. They show that everything runs and roughly
where it stands; the same code compared with itself may differ by half. To compare two
commits or two cores, use make bench."""


def config_file(*, quick):
    """Give asv's config; for quick runs a copy that stores results elsewhere."""
    path = ROOT / "asv.conf.json"
    if not quick:
        return path
    config = json.loads(path.read_text())
    for name in ("repo", "benchmark_dir", "env_dir"):
        config[name] = str(ROOT / config[name])
    config["results_dir"] = str(ROOT / ".asv" / "quick")
    copy = ROOT / ".asv" / "quick.conf.json"
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(json.dumps(config))
    return copy


def run_asv(*, quick, names):
    """Run asv; exits with its code if it failed."""
    config = config_file(quick=quick)
    head = ["git", "rev-parse", "HEAD"]
    commit = subprocess.check_output(head, cwd=ROOT, text=True).strip()
    asv = [sys.executable, "-m", "asv"]
    environment = os.environ | {"MAGICQUEUE_BENCH": "quick" if quick else "full"}
    subprocess.run(
        [*asv, "machine", "--yes", "--config", str(config)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    command = [*asv, "run", "--config", str(config), "--python=same"]
    command += ["--set-commit-hash", commit, "--show-stderr"]
    command += [word for name in names for word in ("--bench", name)]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if done.returncode:
        sys.exit(f"asv ended with {done.returncode}: see above for what failed")


def run_users(*, quick):
    """Run the user rows, whose sizes are chosen as theirs are here."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.users",
        *(["--no-pauses"] if quick else []),
    ]
    subprocess.run(command, cwd=ROOT, check=True)


def main(arguments=None):
    """Run, then show."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--bench", action="append", default=[], help="names, a regexp")
    options = parser.parse_args(arguments)
    os.environ["MAGICQUEUE_BENCH"] = "quick" if options.quick else "full"
    run_asv(quick=options.quick, names=options.bench)

    # the sizes are chosen on import, by the variable set above
    from benchmarks import table  # noqa: PLC0415
    from benchmarks.results import newest_results  # noqa: PLC0415

    results = newest_results(ROOT / ".asv" / ("quick" if options.quick else "results"))
    table.main([str(results.relative_to(Path.cwd()) if Path.cwd() == ROOT else results)])
    if not options.bench:
        run_users(quick=options.quick)
    if options.quick:
        print(_QUICK_NOTE)
    else:
        from benchmarks import page, plot  # noqa: PLC0415

        plot.main([str(results)])
        page.main()


if __name__ == "__main__":
    main()
