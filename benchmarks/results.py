"""What asv stored, read back: one row a benchmark and its parameters, the cores as columns.

asv keeps a JSON file a commit and environment in `<results_dir>/<machine>/`. In it each
benchmark has one list of values, over the product of its parameters in order.
"""

import importlib
import itertools
import json
import sys
from dataclasses import dataclass
from pathlib import Path

NANO = 1e9


@dataclass(frozen=True)
class Row:
    """One measure: values by core, in `unit`."""

    benchmark: str
    params: tuple
    unit: str
    values: dict

    @property
    def ratio(self):
        """How many times better the array core is, or None."""
        python, array = self.values.get("python"), self.values.get("array")
        if not python or not array:
            return None
        return array / python if self.unit == "jobs/s" else python / array

    def param(self, name):
        """Give a parameter by its name."""
        return dict(self.params).get(name)


def find_results(results_dir):
    """Find the results file that `make bench` wrote last, or None."""
    files = Path(results_dir).glob("*/*-existing*.json")
    return max(files, key=lambda path: path.stat().st_mtime, default=None)


def newest_results(results_dir):
    """Find the results file written last; exits with a sentence if there is none."""
    found = find_results(results_dir)
    if found is None:
        sys.exit(f"no results in {results_dir}: run `make bench` first")
    return found


def read_rows(path):
    """Read a results file; time_ benchmarks become nanoseconds a job."""
    stored = json.loads(Path(path).read_text())
    columns = stored["result_columns"]
    rows = []
    for name, entry in sorted(stored["results"].items()):
        result = dict(zip(columns, entry, strict=False))
        if result.get("result"):
            rows += _rows_of(name, result["result"], result["params"])
    return rows


def machine_of(path):
    """Say what machine a results file is from."""
    about = json.loads((Path(path).parent / "machine.json").read_text())
    ram_gb = round(int(about.get("ram") or 0) / 2**30)
    return f"{about['num_cpu']} x {about['cpu']}, {ram_gb} GB"


def _rows_of(name, values, params):
    cls, method = _find(name)
    names = getattr(cls, "param_names", [])
    found = {}
    for value, chosen in zip(values, itertools.product(*params), strict=True):
        if value is None or value != value:  # noqa: PLR0124 - NaN: not applicable
            continue
        named = [(key, _plain(text)) for key, text in zip(names, chosen, strict=False)]
        core = dict(named).get("core", "array")
        rest = tuple(pair for pair in named if pair[0] != "core")
        found.setdefault(rest, {})[core] = value
    unit = getattr(method, "unit", getattr(cls, "unit", "unit"))
    if name.rpartition(".")[2].startswith("time_"):
        unit, scale = "ns/job", NANO / cls.jobs
    else:
        scale = 1
    return [
        Row(name, rest, unit, {core: value * scale for core, value in by_core.items()})
        for rest, by_core in found.items()
    ]


def _find(name):
    """Find a benchmark's class and method in this checkout, for its names and jobs."""
    module, cls_name, method = name.split(".")
    cls = getattr(importlib.import_module(f"benchmarks.{module}"), cls_name)
    return cls, getattr(cls, method)


def _plain(text):
    """Turn asv's repr of a parameter into the value."""
    try:
        return int(text)
    except ValueError:
        return text.strip("'\"")
