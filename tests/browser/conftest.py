"""A real browser, a local server, and pages that may not leave it."""

import base64
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
# What the README tells a publisher to send, so no page needs more; and what a worker may, too.
POLICY = "default-src 'self'"
WORKER_POLICY = f"{POLICY}; script-src 'self' 'wasm-unsafe-eval'"
SITE = ROOT / "_build" / "html"
WIDGETS = ROOT / "lmmath" / "widgets"
# A widget alone on a page, with a model that has what anywidget's front end asks for.
MOUNT = """
async ({ module, css, state, theme }) => {
  const revive = (value) => {
    if (value === null || typeof value !== "object") return value;
    if ("base64" in value) {
      return new DataView(Uint8Array.from(atob(value.base64), (c) => c.charCodeAt(0)).buffer);
    }
    for (const key of Object.keys(value)) value[key] = revive(value[key]);
    return value;
  };
  const traits = revive(state);
  const listeners = [];
  const model = {
    get: (name) => traits[name],
    set(name, value) {
      if (Object.is(traits[name], value)) return;
      traits[name] = value;
      for (const { event, react } of [...listeners]) if (event === `change:${name}`) react();
    },
    save_changes() {},
    on: (event, react) => listeners.push({ event, react }),
    off(event, react) {
      const left = listeners.filter((one) => one.event !== event || one.react !== react);
      listeners.splice(0, Infinity, ...left);
    },
  };
  const style = document.createElement("style");
  style.textContent = css;
  document.head.replaceChildren(style);
  document.documentElement.dataset.theme = theme;
  Object.assign(document.body.style, { font: "16px system-ui", margin: "16px" });
  if (theme === "dark") Object.assign(document.body.style, { background: "#14181e", color: "#ced6dd" });
  const el = document.createElement("div");
  document.body.replaceChildren(el);
  const view = new AbortController();
  const address = URL.createObjectURL(new Blob([module], { type: "text/javascript" }));
  const { default: widget } = await import(address);
  const given = { model, el, signal: view.signal };
  await widget.initialize?.({ model, signal: view.signal });
  await widget.render(given);
  Object.assign(window, { model, listeners, close: () => view.abort() });
}
"""


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class _StrictHandler(_QuietHandler):
    def end_headers(self):
        is_worker = self.path.endswith(".worker.js")
        self.send_header(
            "Content-Security-Policy", WORKER_POLICY if is_worker else POLICY
        )
        super().end_headers()


@contextmanager
def serving(folder, handler=_QuietHandler):
    """Serve a folder on localhost, and give its address."""
    handler = functools.partial(handler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        # How often it asks whether to stop, which it does at the end of each test.
        serve = functools.partial(server.serve_forever, poll_interval=0.01)
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session", name="serving")
def serving_fixture():
    """Serve any folder: ``with serving(folder) as address``."""
    return serving


@pytest.fixture(scope="session")
def browser_path():
    path = browsers.find()
    if path is None:
        pytest.fail(browsers.HELP)
    return path


@pytest.fixture(scope="session")
def chromium(browser_path):
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=browser_path, args=ARGUMENTS
        )
        yield running
        running.close()


@pytest.fixture(scope="session")
def site():
    """The address of the built book."""
    if not (SITE / "index.html").exists():
        pytest.fail("the site is not built: run `make book`")
    with serving(SITE) as address:
        yield address


@pytest.fixture(scope="session")
def strict_site(site):
    """The same, served as strictly as the README proposes.

    There ``page.wait_for_function``, which evaluates text, does not work either.
    """
    with serving(SITE, _StrictHandler) as address:
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


@pytest.fixture
def call(page, serving):
    """Call an exported function of a widget's module: ``call("engines/mathematics.js", "dot", a, b)``."""
    with serving(WIDGETS) as address:
        page.goto(f"{address}/kit/shared.css")  # any page of that server will do

        def call(module, name, *arguments):
            script = "async ([m, n, a]) => (await import(m))[n](...a)"
            return page.evaluate(script, [f"/{module}", name, arguments])

        yield call


@pytest.fixture
def mount(page, serving):
    """Show a widget by itself on the test's page, without a kernel: ``view = mount(widget)``.

    ``page.evaluate("model.get('text')")`` reads a trait, ``model.set("text", ...)`` sets it,
    ``close()`` takes the view away, and ``listeners`` are those that the model has.
    """
    with serving(WIDGETS) as address:

        def mount(widget, theme="light"):
            page.goto(f"{address}/kit/shared.css")
            state = widget.get_state()
            module, css = state.pop("_esm"), state.pop("_css")
            state.pop("layout", None)
            page.evaluate(
                MOUNT,
                {
                    "module": module,
                    "css": css,
                    "state": _without_buffers(state),
                    "theme": theme,
                },
            )
            return page.locator(".lm-widget")

        yield mount


def _without_buffers(value):
    """Write bytes, however deep, as text that ``MOUNT`` turns back."""
    if isinstance(value, memoryview | bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: _without_buffers(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_buffers(inner) for inner in value]
    return value
