"""Measure how soon a page's Python answers: an exercise, a figure, a fit; and the second time.

``python bench/site/python.py`` opens chapter 3 of the built book in Chromium, with a cache that is
empty at first, and prints the seconds from the press to the result: of an exercise as the first
thing on a page, of the same again, of a cell that draws, and of one that imports SciPy; five
visits to a page that is not cached, and five to one that is. It prints, and judges nothing.
"""

import statistics
import sys
import tempfile
import time

from playwright.sync_api import sync_playwright
from widgets import ROOT, browsers, serving

VISITS = 5
SITE = ROOT / "_build" / "html"
EXERCISE = """
import numpy as np
from lmmath.exercises import check

def first_of_two(a, b):
    return 1 / (1 + np.exp(b - a))

check(first_of_two)
"""
CELLS = {
    "an exercise, from the press": EXERCISE,
    "the exercise again": EXERCISE,
    "a figure": (
        "from lmmath import figures\n"
        "figure, axes = figures.subplots()\n"
        "axes.plot([1, 2])\n"
        "figures.show(figure, 'A line.')"
    ),
    "SciPy's optimizers": "import scipy.optimize",
}


def seconds_of_a_visit(page, address):
    """Run the cells one after the other, and time each."""
    page.goto(f"{address}/03-attention.html")
    cell = page.locator(".runs").nth(1)
    cell.locator("[data-do=edit]").click()
    editor = cell.get_by_role("textbox")
    editor.wait_for()
    for name, code in CELLS.items():
        editor.focus()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(code)
        begin = time.perf_counter()
        cell.locator("[data-do=run]").click()
        page.wait_for_timeout(20)
        cell.and_(page.locator(":not([aria-busy=true])")).wait_for()
        yield name, time.perf_counter() - begin


def main():
    """Run the command, and return its exit code."""
    executable = browsers.find()
    if executable is None:
        print(browsers.HELP, file=sys.stderr)
        return 1
    with serving(SITE) as address, sync_playwright() as playwright:
        seconds = {visit: {name: [] for name in CELLS} for visit in ("first", "later")}
        for _ in range(VISITS):
            with tempfile.TemporaryDirectory() as folder:
                context = playwright.chromium.launch_persistent_context(
                    folder, executable_path=executable, args=["--no-sandbox"]
                )
                page = context.new_page()
                page.set_default_timeout(120_000)
                for visit in seconds:
                    for name, time_taken in seconds_of_a_visit(page, address):
                        seconds[visit][name].append(time_taken)
                context.close()
    print(f"{VISITS} times each, seconds: {'median':>18} {'worst':>8}")
    for visit, rows in seconds.items():
        for name, times in rows.items():
            median, worst = statistics.median(times), max(times)
            print(f"{visit} visit: {name:32}{median:7.2f} {worst:8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
