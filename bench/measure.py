"""How the benchmarks measure: one thread, one process, contenders in turn, medians.

Only ratios from one run mean anything. Other work on the machine slows down whatever runs at
that moment, so the contenders take turns, round after round, and each ratio is the median of
those of the rounds. Times are the process's own processor time.
"""

import os

# Before any library counts the processors.
os.environ |= dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"),
    "1",
)
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import gc
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import numpy as np


def compare(task, size_name, sizes, contenders, n_rounds=7):
    """Measure the first contender against the others, and describe the result as a table.

    Parameters
    ----------
    task : str
        What is done, for the heading.
    size_name : str
        What ``sizes`` count.
    sizes : list of numbers
        From the smallest to the largest.
    contenders : dict of str to function
        Each takes a size and prepares the work: it returns a function without arguments. None
        stands for a contender that is not installed.
    n_rounds : int

    Returns
    -------
    str
        Markdown.
    """
    seconds = {name: [] for name, prepare in contenders.items() if prepare}
    ratios = {name: [] for name in seconds}
    for size in sizes:
        rounds = _rounds({name: contenders[name](size) for name in seconds}, n_rounds)
        first = rounds[next(iter(rounds))]
        for name, times in rounds.items():
            seconds[name].append(median(times))
            pairs = zip(first, times, strict=True)
            ratios[name].append(median(mine / its for mine, its in pairs))
    return _table(task, size_name, sizes, contenders, seconds, ratios)


def exponent(sizes, seconds):
    """Give the power of the size with which the time grows: the slope of the logarithms.

    >>> round(exponent([1, 2, 4], [3.0, 12.0, 48.0]), 6)
    2.0
    """
    slope, _ = np.polyfit(np.log(sizes), np.log(seconds), 1)
    return float(slope)


def text():
    """Read the file that the variable TEXT names; without one, make 1.1 MB of Fable."""
    if path := os.environ.get("TEXT"):
        return Path(path).read_text(encoding="utf-8")
    from lmmath.fable import sample, to_text

    return to_text(sample(260_000, np.random.default_rng(0)))


def beginning(whole, share):
    """Cut off the first part of a text."""
    return whole[: round(len(whole) * share)]


def installed(*packages):
    """Tell whether all these packages are there."""
    try:
        return all(map(version, packages))
    except PackageNotFoundError:
        return False


def _rounds(work, n_rounds):
    seconds = {name: [] for name in work}
    for run in work.values():
        run()  # the first time loads and allocates
    gc.collect()
    for _ in range(n_rounds):
        for name, run in work.items():
            began = time.process_time()
            run()
            seconds[name].append(time.process_time() - began)
    return seconds


def _table(task, size_name, sizes, contenders, seconds, ratios):
    first = next(iter(seconds))
    rows = [[size_name, *contenders]]
    for i, size in enumerate(sizes):
        cells = [
            _cell(name == first, seconds[name][i], ratios[name][i])
            if name in seconds
            else "not installed"
            for name in contenders
        ]
        rows.append([f"{size:.3g}", *cells])
    powers = [
        f"{exponent(sizes, seconds[name]):.2f}" if name in seconds else ""
        for name in contenders
    ]
    rows.append(["grows with the power", *powers])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---" * len(rows[0]) + "|")
    return f"**{task}**\n\n" + "\n".join(lines) + "\n"


def _cell(is_first, seconds, ratio):
    shown = f"{1e3 * seconds:.3g} ms"
    return shown if is_first else f"{shown} ({ratio:.2f})"
