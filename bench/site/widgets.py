"""Measure the widgets of the built site: how soon each answers a key, and how large they are.

``python bench/site/widgets.py`` opens the chapters in Chromium, moves every slider, radio button,
check box and point of every widget by keyboard, and prints for each widget the median and the
95th percentile of the work that one key makes, in milliseconds; then the sizes of their files.
``make book`` builds the site. It prints, and judges nothing.

How it is measured. The keys are real ones, sent by the browser's debugger, so that the browser
itself moves the control. The first listener on the page takes the time when the key arrives, asks
for the next frame, and posts a message to itself. The message arrives when the key's task is over,
with all that the widget did at once. The frame calls back before its other scripts, and posts a
second message, which arrives when its scripts, style, layout and painting are done. The work of a
key is the time to the first message and the time from the frame's beginning to the second; the
wait for the screen between the two, in which nothing is done, does not count. What other programs
take from the processor does, so measure on a quiet machine.

What is posted or awaited for later, such as the words for a screen reader or the work of a worker,
is not in these numbers. It cannot hold up the frame that the key caused.
"""

import argparse
import functools
import gzip
import sys
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))

import browser as browsers  # noqa: E402  (tools/browser.py)

# A radio group is one stop for the keyboard; of each, the button that is chosen takes the keys.
CONTROLS = {
    "slider": "input[type=range]",
    "radio": "input[type=radio]:checked, fieldset:not(:has(:checked)) input[type=radio]",
    "checkbox": "input[type=checkbox]",
    "point": "[role=slider]",
}
# There and back again, so that no key is in vain for long.
KEYS = {
    "slider": ("ArrowRight", "ArrowRight", "ArrowLeft", "PageUp", "PageDown"),
    "radio": ("ArrowDown", "ArrowUp"),
    "checkbox": ("Space",),
    "point": ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown"),
}
MEASURE = """
() => {
  const work = (window.work = []);
  const after = (task) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = task;
    port2.postMessage(null);
  };
  const measure = ({ type, target }) => {
    // A check box changes when the key is let go, all others when it is pressed.
    if ((type === "keyup") !== (target.type === "checkbox")) return;
    const begin = performance.now();
    let taskEnd;
    after(() => (taskEnd = performance.now()));
    requestAnimationFrame(() => {
      const frame = taskEnd === undefined ? begin : performance.now();
      const task = taskEnd === undefined ? 0 : taskEnd - begin;
      after(() => work.push(task + performance.now() - frame));
    });
  };
  for (const type of ["keydown", "keyup"]) {
    window.addEventListener(type, measure, { capture: true });
  }
}
"""
NAMES = """
() => {
  const page = document.getElementById("live-widgets");
  const models = page ? JSON.parse(page.textContent).models : {};
  return [...document.querySelectorAll(".live-widget")].map(
    ({ dataset }) => models[dataset.model].state._anywidget_id.split(".").at(-1),
  );
}
"""


def main(arguments=None):
    """Run the command, and return its exit code."""
    options = _parser().parse_args(arguments)
    pages = sorted(path.name for path in options.site.glob("[01]*.html"))
    executable = browsers.find()
    if not pages:
        print(f"no chapters in {options.site}: run `make book`", file=sys.stderr)
        return 1
    if executable is None:
        print(browsers.HELP, file=sys.stderr)
        return 1
    print(f"{'page':22} {'widget':20} {'keys':>5} {'median':>7} {'95 %':>7}  ms")
    with _serving(options.site) as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox"]
        )
        for name in pages:
            if options.only in name:
                _print_page(chromium, f"{address}/{name}", options.times)
        chromium.close()
    _print_sizes(options.site / "_static" / "widgets")
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="bench/site/widgets.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--site",
        type=Path,
        default=ROOT / "_build" / "html",
        help="the folder of the built site (default: %(default)s)",
    )
    parser.add_argument(
        "--times",
        type=int,
        default=40,
        help="how many keys each control gets (default: %(default)s)",
    )
    parser.add_argument(
        "--only", default="", help="measure only pages with this in their names"
    )
    return parser


@contextmanager
def _serving(folder):
    handler = functools.partial(_QuietHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def _print_page(chromium, address, times):
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address, wait_until="networkidle")
    page.evaluate(MEASURE)
    chapter = Path(address).stem
    for place, name in zip(
        page.locator(".live-widget").all(), page.evaluate(NAMES), strict=True
    ):
        place.scroll_into_view_if_needed()
        place.and_(page.locator("[data-state]")).wait_for()
        if place.get_attribute("data-state") != "live":
            print(f"{chapter:22} {name:20} did not start")
            continue
        work = _work(page, place, times)
        numbers = (
            f"{len(work):5} {np.median(work):7.2f} {np.quantile(work, 0.95):7.2f}"
            if work
            else f"{0:5}"
        )
        print(f"{chapter:22} {name:20} {numbers}", flush=True)
    page.close()


def _work(page, place, times):
    """Give the milliseconds of work that each key made, over all controls of a widget."""
    page.evaluate("work.length = 0")
    sent = 0
    for kind, selector in CONTROLS.items():
        # What a control hides or shows is not known before: take each as its turn comes.
        for control in place.locator(selector).all():
            if not control.is_visible():
                continue
            control.focus()
            for i in range(times):
                page.keyboard.press(KEYS[kind][i % len(KEYS[kind])])
                sent += 1
                page.wait_for_function("sent => work.length >= sent", arg=sent)
    return page.evaluate("work")


def _print_sizes(folder):
    """Print the sizes of all scripts and styles, and of the data that they fetch, gzipped."""
    sizes = {"scripts": [], "styles": [], "weights and other data": []}
    kinds = {".js": "scripts", ".css": "styles"}
    for file in sorted(folder.iterdir()):
        size = len(gzip.compress(file.read_bytes(), mtime=0))
        sizes[kinds.get(file.suffix, "weights and other data")].append(size)
    print()
    for kind, all_sizes in sizes.items():
        print(f"{kind:23} {len(all_sizes):3} files {_kilobytes(all_sizes)}")
    together = sizes["scripts"] + sizes["styles"]
    print(f"{'scripts and styles':23} {len(together):3} files {_kilobytes(together)}")


def _kilobytes(sizes):
    return f"{sum(sizes) / 1000:8.1f} kB gzipped"


if __name__ == "__main__":
    sys.exit(main())
