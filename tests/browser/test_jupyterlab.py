"""In a live JupyterLab, the page and Python show one and the same widget."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time

import nbformat
import pytest
from playwright.sync_api import expect

PATIENCE = 60  # seconds
CELLS = [
    'from lmmath.widgets import AttentionWidget\nwidget = AttentionWidget(subject="Fable")\nwidget',
    "widget",
]
FOLDERS = [
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
    "IPYTHONDIR",
]
IDLE = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
RUN = """async (code) => {
  const { kernel } = jupyterapp.shell.currentWidget.sessionContext.session;
  const future = kernel.requestExecute({ code });
  let printed = "";
  future.onIOPub = ({ content }) => {
    printed += content.text ?? content.traceback?.join("\\n") ?? "";
  };
  const reply = await future.done;
  return { status: reply.content.status, printed };
}"""
OPACITIES = """(canvas) => {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const row = (r) => Array.from({ length: width }, (_, c) => data[4 * (r * width + c) + 3] / 255);
  return Array.from({ length: height }, (_, r) => row(r));
}"""


def becomes(read, expected):
    """Read again and again until it is as expected, which it has to be in the end."""
    deadline = time.monotonic() + PATIENCE
    while (value := read()) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert value == expected


class View:
    """One display of the widget on the page."""

    def __init__(self, element):
        self.element = element
        self.story = element.get_by_label("Story")
        self.heads = element.get_by_role("group", name="Head").get_by_role("radio")
        self.causal = element.get_by_label("causal mask")
        self.words = element.get_by_role("radiogroup").get_by_role("radio")

    def state(self):
        return {
            "text": self.story.input_value(),
            "head": self._chosen(self.heads),
            "causal": self.causal.is_checked(),
            "query": self._chosen(self.words),
        }

    def weights_of_query(self):
        texts = self.element.locator(".lm-weight").all_text_contents()
        return [float(text) for text in texts]

    def weights(self):
        return self.element.get_by_role("img").evaluate(OPACITIES)

    @staticmethod
    def _chosen(radios):
        return radios.evaluate_all(
            "radios => radios.findIndex(({ checked }) => checked)"
        )


class Notebook:
    """A notebook open in JupyterLab, in which one widget is shown twice."""

    def __init__(self, page):
        self.page = page
        self.views = [
            View(page.locator(".lm-widget").nth(i)) for i in range(len(CELLS))
        ]
        self.cells = page.locator(".jp-Notebook-cell")

    def extensions(self):
        config = json.loads(self.page.locator("#jupyter-config-data").text_content())
        return [extension["name"] for extension in config["federated_extensions"]]

    def python(self, code):
        """Run code in the kernel, as a cell would."""
        result = self.page.evaluate(RUN, code)
        assert result["status"] == "ok", result["printed"]
        return result["printed"]

    def value(self, expression):
        return json.loads(self.python(f"import json; print(json.dumps({expression}))"))

    def state(self):
        return self.value(
            "{name: getattr(widget, name) for name in 'text head causal query'.split()}"
        )


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab that knows nothing of the user's: a notebook's address, and its folder."""
    home = tmp_path_factory.mktemp("jupyter")
    notebooks = tmp_path_factory.mktemp("notebooks")
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "IPYTHON"))
    }
    environment |= {name: str(home / name.lower()) for name in FOLDERS}
    environment["JUPYTER_TOKEN"] = token = secrets.token_hex()
    settings = home / "jupyterlab_settings_dir" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(
        json.dumps({"fetchNews": "false", "checkForUpdates": False}),
        "utf-8",
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": notebooks,
        "LabApp.expose_app_in_browser": True,
        "LabApp.extension_manager": "readonly",  # the other one asks PyPI
        # Should the test be killed, kernels and then the server end by themselves.
        "MappingKernelManager.cull_idle_timeout": 2 * PATIENCE,
        "MappingKernelManager.cull_interval": PATIENCE,
        "ServerApp.shutdown_no_activity_timeout": 2 * PATIENCE,
    }
    log = home / "log"
    with log.open("w", encoding="utf-8") as output:
        server = subprocess.Popen(
            [*command, *(f"--{name}={value}" for name, value in options.items())],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_for(port, server, log)
        path = "lab/workspaces/{0}/tree/{0}.ipynb"  # a workspace keeps the tabs
        yield f"http://127.0.0.1:{port}/{path}?token={token}", notebooks
    finally:
        server.terminate()  # and it ends its kernels
        try:
            server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()  # its kernels see that, and end
            server.wait()
            raise


def _wait_for(port, server, log):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"JupyterLab does not start:\n{log.read_text('utf-8')}")
            time.sleep(0.05)


@pytest.fixture
def notebook(lab, new_page, request):
    address, folder = lab
    name = request.node.name  # so each test has its own kernel and tabs
    content = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        cells=[nbformat.v4.new_code_cell(source) for source in CELLS],
    )
    nbformat.write(content, folder / f"{name}.ipynb")
    page = new_page(viewport={"width": 1280, "height": 2000})
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(address.format(name))
    page.wait_for_function(IDLE)
    page.evaluate("() => jupyterapp.commands.execute('notebook:run-all-cells')")
    notebook = Notebook(page)
    for view in notebook.views:
        view.element.wait_for()
    return notebook


def test_what_is_done_on_the_page_reaches_python_and_its_observers(notebook):
    view, keyboard = notebook.views[0], notebook.page.keyboard
    notebook.python("""
seen = []
observe = lambda change: seen.append([change.name, change.old, change.new])
widget.observe(observe, ["head", "causal"])
""")
    text = "Leka met Kali the dog."
    view.story.click()
    keyboard.press("ControlOrMeta+a")
    keyboard.type(text)
    becomes(view.words.count, 7)  # with the line break before it
    view.causal.uncheck()
    view.heads.nth(1).check()
    view.words.nth(6).focus()
    keyboard.press("ArrowLeft")
    done = {"text": text, "head": 1, "causal": False, "query": 5}
    assert view.state() == done
    becomes(notebook.state, done)
    assert sorted(notebook.value("seen")) == [["causal", True, False], ["head", 3, 1]]


def test_what_is_set_in_python_reaches_the_page(notebook):
    view = notebook.views[0]
    text = "Leka met Kali the dog."
    for head, causal, query in [(0, False, 3), (3, True, 4)]:
        notebook.python(f"widget.text, widget.query = {text!r}, {query}")
        notebook.python(f"widget.head, widget.causal = {head}, {causal}")
        done = {"text": text, "head": head, "causal": causal, "query": query}
        becomes(view.state, done)
    weights = notebook.value("widget.attention.tolist()")
    assert max(weights[4]) > 0.5
    assert view.weights_of_query() == pytest.approx(weights[4], abs=0.00501)
    shown = view.weights()
    assert len(shown) == len(weights)
    for shown_row, row in zip(shown, weights, strict=True):
        assert shown_row == pytest.approx(row, abs=0.501 / 255)


def test_two_views_load_with_the_modules_they_import_and_stay_in_step(notebook):
    assert "anywidget" in notebook.extensions()
    assert notebook.value("'const SOURCES = ' in widget._esm")
    first, second = notebook.views
    for view in notebook.views:
        becomes(view.state, notebook.state())
    first.story.fill("Leka met Kali.")
    for view in notebook.views:
        becomes(view.words.count, 5)
    first.words.nth(3).check()
    second.causal.uncheck()
    second.heads.nth(1).check()
    done = {"text": "Leka met Kali.", "head": 1, "causal": False, "query": 3}
    assert first.state() == second.state() == done
    becomes(notebook.state, done)
    notebook.python("widget.query = 1")
    for view in notebook.views:
        becomes(view.state, done | {"query": 1})
    assert first.weights() == second.weights()


def test_the_kernel_answers_for_the_real_model(notebook):
    notebook.python("widget.subject = 'SmolLM2'")
    view = notebook.views[0].element
    spoken = view.locator(".lm-status:visible [role=status]")
    patience = {"timeout": 1000 * PATIENCE}
    expect(spoken).to_contain_text("“it” attends to “cat” 0.48", **patience)
    assert view.get_by_role("button", name="Load the model").count() == 0
    own = "When Anna met Tom, he gave her a"
    view.get_by_role("textbox", name="Text").fill(own)
    words = view.locator(".lm-words:visible .lm-word")
    expect(words).to_have_text(["<|endoftext|>", *own.replace(",", " ,").split()])
    becomes(lambda: notebook.value("widget.sentence"), own)
    view.get_by_label("switch this head off").check()
    effect = view.locator(".lm-note", has_text="Without head 5 of layer 10")
    expect(effect).to_contain_text("nats per token, with it", **patience)
    view.get_by_role("textbox", name="Text").fill("")
    expect(spoken).to_contain_text("text", **patience)


def test_keys_pressed_in_the_widget_are_not_jupyterlabs(notebook):
    view, keyboard = notebook.views[0], notebook.page.keyboard
    view.heads.nth(0).focus()
    # In JupyterLab these go to the next cell, delete it, and add one.
    for key in ["ArrowDown", "d", "d", "b"]:
        keyboard.press(key)
    assert view.state()["head"] == 1
    assert notebook.cells.count() == len(CELLS)
    keyboard.press("Alt+Enter")  # to JupyterLab: run this cell and add one
    notebook.cells.nth(len(CELLS)).wait_for()
