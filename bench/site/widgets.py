"""Measure the widgets of the built site: how soon each answers a key, and how large they are.

``python bench/site/widgets.py`` opens the chapters in Chromium, moves every slider, radio button,
check box and point of every widget by keyboard, and prints for each widget the median and the
95th percentile of the work that one key makes, in milliseconds; then the sizes of their files.
``make book`` builds the site. It prints, and judges nothing.

How it is measured. The keys are real ones, sent by the browser's debugger, so that the browser
itself moves the control. The browser keeps a trace of what its main thread does. The work of a key
is the time in which the page hears of it, with all that the widget does at once, and the longest
frame before the next key: its scripts, style, layout and painting. The wait for the screen between
them, in which nothing is done, does not count: on an empty page it is most of a frame. What other
programs take from the processor does count, so measure on a quiet machine. The first row is an
empty page with a slider that writes its value, for comparison.

What is posted or awaited for later, such as the words for a screen reader or the work of a worker,
is not in these numbers. It cannot hold up the frame that the key caused.
"""

import argparse
import functools
import gzip
import json
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
CATEGORIES = ["devtools.timeline", "cc", "__metadata"]
LISTENING, FRAME = "EventDispatch", "ProxyMain::BeginMainFrame"
# Two frames later all that one frame had to do is done.
SETTLED = """
() => new Promise((settled) => requestAnimationFrame(() => requestAnimationFrame(settled)))
"""
EMPTY = """
<label class="live-widget">Value <input type="range" min="0" max="100"></label><p></p>
<script>
  const show = ({ target }) => (document.querySelector("p").textContent = target.value);
  document.querySelector("input").addEventListener("input", show);
</script>
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
    with serving(options.site) as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox"]
        )
        _print_empty_page(chromium, options.times)
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
def serving(folder, handler=None):
    """Serve a folder on this machine for a while, and give the address."""
    handler = functools.partial(handler or _QuietHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def _print_empty_page(chromium, times):
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.set_content(EMPTY)
    place = page.locator(".live-widget")
    _print_row("", "(an empty page)", _work(chromium, page, place, times))
    page.close()


def _print_page(chromium, address, times):
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address, wait_until="networkidle")
    chapter = Path(address).stem
    for place, name in zip(
        page.locator(".live-widget").all(), page.evaluate(NAMES), strict=True
    ):
        place.scroll_into_view_if_needed()
        place.and_(page.locator("[data-state]")).wait_for()
        if place.get_attribute("data-state") != "live":
            print(f"{chapter:22} {name:20} did not start")
            continue
        _print_row(chapter, name, _work(chromium, page, place, times))
    page.close()


def _print_row(chapter, name, work):
    numbers = (
        f"{len(work):5} {np.median(work):7.2f} {np.quantile(work, 0.95):7.2f}"
        if work
        else f"{0:5}"
    )
    print(f"{chapter:22} {name:20} {numbers}", flush=True)


def _work(chromium, page, place, times):
    """Give the milliseconds of work that each key made, over all controls of a widget."""
    work = []
    for kind, selector in CONTROLS.items():
        # What a control hides or shows is not known before: take each as its turn comes.
        for control in place.locator(selector).all():
            if control.is_visible():
                control.focus()
                page.evaluate(SETTLED)
                chromium.start_tracing(page=page, categories=CATEGORIES)
                for i in range(times):
                    page.keyboard.press(KEYS[kind][i % len(KEYS[kind])])
                    page.evaluate(SETTLED)
                work += _work_of_keys(json.loads(chromium.stop_tracing()))
    return work


def _work_of_keys(trace):
    """Add up, for each key in a trace, the listening and the longest frame, in milliseconds."""
    spans = [
        event
        for event in trace["traceEvents"]
        if event.get("ph") == "X" and event["name"] in (LISTENING, FRAME)
    ]
    keys = []
    end = 0.0
    for span in sorted(spans, key=lambda span: span["ts"]):
        if span["ts"] < end:
            continue  # within the span before: an event that a listener caused
        end = span["ts"] + span["dur"]
        if span["name"] == LISTENING and span["args"]["data"]["type"] == "keydown":
            keys.append({"listening": 0.0, "frames": [0.0]})
        if keys and span["name"] == LISTENING:
            keys[-1]["listening"] += span["dur"] / 1000
        elif keys:
            keys[-1]["frames"].append(span["dur"] / 1000)
    return [key["listening"] + max(key["frames"]) for key in keys]


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
