"""Measure the built site as a telephone sees it: mobile Lighthouse over a compressing server.

    npm install --global lighthouse
    python bench/site/lighthouse.py                     # every chapter, three runs each
    python bench/site/lighthouse.py 03-attention --runs 1

It prints the median of each score, and what a page weighs as it travels.
"""

import argparse
import functools
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
sys.path.insert(0, str(ROOT / "tools"))
import browser  # noqa: E402

SCORES = ["performance", "accessibility", "best-practices", "seo"]
COMPRESSED = {".html", ".css", ".js", ".svg", ".json", ".txt", ".ipynb", ".bin"}


@functools.cache
def _compressed(body):
    return gzip.compress(body, 6)


class CompressingHandler(SimpleHTTPRequestHandler):
    """Serve files compressed, as any web server for a published site does."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Send a file."""
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        body = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Cache-Control", "max-age=31536000")
        if path.suffix in COMPRESSED:
            body = _compressed(body)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


def main():
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "pages", nargs="*", help="names without .html; default: the chapters"
    )
    parser.add_argument(
        "--runs", type=int, default=3, help="how often each (default 3)"
    )
    arguments = parser.parse_args()
    program, chromium = shutil.which("lighthouse"), browser.find()
    if program is None:
        sys.exit(
            "Lighthouse is not installed: npm install --global lighthouse (it needs Node)."
        )
    if chromium is None:
        sys.exit(browser.HELP)
    pages = arguments.pages or sorted(path.stem for path in SITE.glob("[01]*-*.html"))
    if not pages:
        sys.exit("The site is not built: make book")
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        print(
            f"{'page':18}{''.join(f'{score:>16}' for score in SCORES)}{'KiB':>8}{'shift':>8}"
        )
        for page in pages:
            runs = [
                measure(program, chromium, f"{address}/{page}.html")
                for _ in range(arguments.runs)
            ]
            scores, sizes, shifts = zip(*runs, strict=True)
            medians = [
                statistics.median(column) for column in zip(*scores, strict=True)
            ]
            print(
                f"{page:18}{''.join(f'{median:16.0f}' for median in medians)}"
                f"{statistics.median(sizes):8.0f}{max(shifts):8.3f}",
                flush=True,
            )
        server.shutdown()


def _handler(*arguments):
    return CompressingHandler(*arguments, directory=SITE)


def measure(program, chromium, url):
    """Run Lighthouse once: its scores out of 100, KiB transferred, layout shift."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        subprocess.run(
            [program, url, "--quiet", "--output=json", f"--output-path={report}",
             "--chrome-flags=--headless=new --no-sandbox --disable-gpu"],
            env=os.environ | {"CHROME_PATH": str(chromium)},
            check=True,
        )  # fmt: skip
        found = json.loads(report.read_text("utf-8"))
    scores = [100 * found["categories"][score]["score"] for score in SCORES]
    audits = found["audits"]
    return (
        scores,
        audits["total-byte-weight"]["numericValue"] / 1024,
        audits["cumulative-layout-shift"]["numericValue"],
    )


if __name__ == "__main__":
    main()
