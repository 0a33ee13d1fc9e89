"""A real browser, a local server, and pages that may not leave it."""

import functools
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import browser as browsers  # tools/browser.py
import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
# The second keeps the browser's own services, which no page can see, from looking for a network.
ARGUMENTS = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
SITE = ROOT / "_build" / "html"


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def serving(folder):
    """Serve a folder on localhost, and give its address."""
    handler = functools.partial(_QuietHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session", name="serving")
def serving_fixture():
    """Serve any folder: ``with serving(folder) as address``."""
    return serving


@pytest.fixture(scope="session")
def chromium():
    path = browsers.find()
    if path is None:
        pytest.fail(browsers.HELP)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def site():
    """The address of the built book."""
    if not (SITE / "index.html").exists():
        pytest.fail("the site is not built: run `make book`")
    with serving(SITE) as address:
        yield address


@pytest.fixture
def new_page(chromium):
    """Make pages from which no request gets out.

    At the end of the test, any request to another site and any error on a page fails it.
    """
    contexts, problems = [], []

    def make(**options):
        context = chromium.new_context(**options)
        context.set_default_timeout(10_000)
        contexts.append(context)

        def gate(route):
            if route.request.url.startswith("http://127.0.0.1:"):
                route.continue_()
            else:
                problems.append(f"request to {route.request.url}")
                route.abort()

        context.route("**/*", gate)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on(
            "console",
            lambda m: problems.append(f"console: {m.text}") if m.type == "error" else 0,
        )
        page.on(
            "response",
            lambda r: problems.append(f"{r.status}: {r.url}") if r.status >= 400 else 0,
        )
        return page

    yield make
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def page(new_page):
    return new_page(viewport={"width": 1280, "height": 900})
