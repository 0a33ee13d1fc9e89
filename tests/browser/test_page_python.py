"""Code cells of the published page: changed, run, stopped and put back, without a kernel."""

import re
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

import lmmath.exercises
from lmmath.exercises import attention as solutions

SITE = Path(__file__).parents[2] / "_build" / "html"
LIMIT = 60_000  # milliseconds: other tests may be at work on the same machine
RIGHT = """\
import numpy as np
from lmmath.exercises import check

def first_of_two(a, b):
    return 1 / (1 + np.exp(b - a))

check(first_of_two)
"""


def find(page, text):
    """Find the cell whose published code has a text, however it changes later."""
    index = page.locator(".runs").evaluate_all(
        "(cells, text) => cells.findIndex((cell) => cell.querySelector('pre').textContent.includes(text))",
        text,
    )
    assert index >= 0
    return page.locator(".runs").nth(index)


def press(cell, action):
    cell.locator(f"[data-do={action}]").click()


def write(page, cell, code):
    """Put code into a cell, through its editor and the keyboard's paste."""
    if cell.locator("[data-do=edit]").count():
        press(cell, "edit")
    editor = cell.get_by_role("textbox")
    editor.wait_for(timeout=LIMIT)
    editor.focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(code)


def run(page, cell, code=None):
    """Run a cell, wait until it has run, and give what it shows."""
    if code is not None:
        write(page, cell, code)
    press(cell, "run")
    return wait(cell)


def wait(cell):
    """Wait until a cell does nothing any more, and give what it shows."""
    expect(cell.locator(".cell-bar")).to_have_attribute("data-ready", "", timeout=LIMIT)
    expect(cell).not_to_have_attribute("aria-busy", "true", timeout=LIMIT)
    return "\n".join(cell.locator(".cell_output").all_text_contents())


def any_cell(page):
    return find(page, "print(x.shape)")


@pytest.fixture
def chapter(page, strict_site):
    page.goto(f"{strict_site}/03-attention.html")
    return page


@pytest.fixture
def careless_page(chromium):
    """A page on which errors may happen, for they are what is tested."""
    page = chromium.new_page()
    yield page
    page.close()


def test_before_the_first_press_nothing_comes(page, strict_site):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{strict_site}/03-attention.html", wait_until="networkidle")
    page.mouse.wheel(0, 3000)
    page.wait_for_timeout(300)
    assert [url for url in asked if "/_static/py" in url] == [
        next(url for url in asked if "start.js" in url)
    ]


def test_the_bar_moves_nothing(page, strict_site):
    page.goto(f"{strict_site}/03-attention.html")
    heights = "document.querySelector('.runs .cell_input').offsetHeight"
    with_bar = page.evaluate(heights)
    page.evaluate("document.querySelector('.cell-bar').remove()")
    assert page.evaluate(heights) == with_bar


def test_an_exercise_answers_as_in_a_notebook(chapter):
    asked = []
    chapter.on("request", lambda request: asked.append(request.url))
    cell = find(chapter, "check(first_of_two)")
    wrong = RIGHT.replace("b - a", "a - b")
    shown = run(chapter, cell, wrong)
    names = {}
    exec(wrong.replace("check(first_of_two)", ""), names)
    assert shown.strip() == repr(lmmath.exercises.check(names["first_of_two"]))
    shown = run(chapter, cell, RIGHT)
    assert shown.strip() == repr(lmmath.exercises.check(solutions.first_of_two))
    # It draws nothing and fits nothing, so it waits for neither.
    assert not re.search(r"matplotlib|scipy|weights", " ".join(asked))
    assert cell.locator("[data-do=run]").inner_text() == "Check"


def test_an_answer_is_kept_until_it_is_taken_back(chapter):
    cell = find(chapter, "check(first_of_two)")
    write(chapter, cell, "# my answer")
    chapter.reload()
    cell = find(chapter, "check(first_of_two)")
    editor = cell.get_by_role("textbox")
    editor.wait_for()
    assert editor.inner_text().strip() == "# my answer"
    press(cell, "reset")
    assert cell.get_by_role("textbox").count() == 0
    assert "def first_of_two" in cell.locator("pre").first.inner_text()
    chapter.reload()
    chapter.wait_for_timeout(300)
    assert find(chapter, "check(first_of_two)").get_by_role("textbox").count() == 0


def test_a_cell_brings_what_it_needs_and_says_what_it_does(chapter):
    cell = find(chapter, 'she = words.index("she")')
    assert "Anna" in run(chapter, cell)
    above = any_cell(chapter)
    assert above.locator(".cell-status").inner_text().startswith("Ran in")
    assert above.locator(".cell_output").inner_text().strip() == "(10, 8)"
    later = find(chapter, 'print("she asks      "')
    assert later.locator(".cell-status").inner_text() == ""


def test_all_above_run_in_order(chapter):
    cell = find(chapter, "figures.heat_map(axes, x, words, handmade.FEATURES)")
    cell.locator("summary").first.click()
    start_cell = any_cell(chapter)
    run(chapter, start_cell, 'words = ["Tom"]\nx = 1')
    press(start_cell, "above")
    first = chapter.locator(".runs").first
    first.locator(".cell-status", has_text="Ran in").wait_for(timeout=LIMIT)
    assert start_cell.locator("[data-do=above]").count() == 0


def test_an_error_shows_the_line_of_the_reader_first(chapter):
    cell = any_cell(chapter)
    run(chapter, cell, "print('before')\ndef f(x):\n    return [][x]\n\nf(3)")
    lines = cell.locator(".cell_output").inner_text().split("\n")
    lines = [line for line in lines if line.strip()]
    assert lines[:3] == [
        "before",
        "Line 3: return [][x]",
        "IndexError: list index out of range",
    ]
    trace = cell.locator(".error details")
    assert not trace.get_attribute("open")
    trace.locator("summary").click()
    assert "running.py" not in trace.inner_text()
    run(chapter, cell, "x = <b>1</b>")
    assert "SyntaxError" in cell.locator(".error").text_content()
    assert cell.locator(".error b").count() == 0


def test_text_appears_while_the_cell_runs_and_a_stop_ends_it(chapter):
    cell = any_cell(chapter)
    run(chapter, cell, "kept = 1")
    write(
        chapter, cell, "i = 0\nwhile True:\n    i += 1\n    if i < 4: print('step', i)"
    )
    press(cell, "run")
    cell.get_by_text("step 3").wait_for(timeout=LIMIT)
    press(cell, "stop")
    cell.get_by_text("Stopped.").wait_for(timeout=2000)
    assert "has computed is gone" in cell.locator(".cell_output").inner_text().replace(
        "have", "has"
    )
    assert "NameError" in run(chapter, cell, "kept")  # the state went with it
    assert run(chapter, cell, "print(2)").strip() == "2"


def test_a_flood_of_text_leaves_the_page_in_hand(chapter):
    cell = any_cell(chapter)
    write(chapter, cell, "while True: print('x')")
    press(cell, "run")
    cell.get_by_text("from here on is not shown").wait_for(timeout=LIMIT)
    press(cell, "stop")
    cell.get_by_text("Stopped.").wait_for(timeout=5000)


@pytest.fixture
def serving_with(serving):
    """Serve the site with headers that depend on a request's path."""

    @contextmanager
    def serve(headers, is_lost=lambda path: False):
        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def end_headers(self):
                for name, value in headers(self.path).items():
                    self.send_header(name, value)
                super().end_headers()

            def do_GET(self):
                if is_lost(self.path):
                    self.send_error(404)
                else:
                    super().do_GET()

        with serving(SITE, Handler) as address:
            yield address

    return serve


def test_where_memory_is_shared_a_stop_keeps_the_state(page, serving_with):
    # The headers with which a page may share memory with its worker.
    headers = {
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",
    }
    with serving_with(lambda path: headers) as address:
        page.goto(f"{address}/03-attention.html")
        cell = any_cell(page)
        run(page, cell, "kept = 1")
        write(page, cell, "print('on')\nwhile True: pass")
        press(cell, "run")
        cell.get_by_text("on", exact=True).wait_for(timeout=LIMIT)
        press(cell, "stop")
        cell.get_by_text("Stopped.", exact=True).wait_for(timeout=5000)
        assert run(page, cell, "print(kept)").strip() == "1"


def test_a_widget_and_python_hold_the_same_state(chapter):
    cell = find(chapter, 'widget = AttentionWidget(subject="Fable")')
    run(chapter, cell)
    live = cell.locator(".live-widget[data-state=live]")
    live.wait_for(timeout=LIMIT)
    layers = live.get_by_role("group", name="Layer").get_by_role("radio")
    other = any_cell(chapter)
    code = "seen = []\nwidget.observe(lambda change: seen.append(change.new), 'layer')"
    run(chapter, other, f"{code}\nwidget.layer = 0")
    expect(layers.nth(0)).to_be_checked()
    layers.nth(0).focus()
    chapter.keyboard.press("ArrowRight")
    assert run(chapter, other, "print(widget.layer, seen)").strip() == "1 [0, 1]"


def test_a_widget_of_the_readers_own_says_why_it_cannot_live_here(chapter):
    cell = any_cell(chapter)
    run(
        chapter,
        cell,
        "import anywidget\nclass Own(anywidget.AnyWidget):\n    _esm = 'export default {}'\nOwn()",
    )
    cell.get_by_text("may only run the site's").wait_for(timeout=LIMIT)


def test_figures_html_and_source_appear_as_the_page_draws_them(chapter):
    cell = any_cell(chapter)
    run(chapter, cell, "import matplotlib.pyplot as plt\nplt.plot([1, 2]);")
    assert cell.locator(".cell_output svg").count() == 1
    html = '<p style="color: rgb(1, 2, 3)">a <b>b</b> style=c</p>'
    run(chapter, cell, f"from IPython.display import HTML\nHTML({html!r})")
    paragraph = cell.locator(".cell_output p")
    assert paragraph.inner_text() == "a b style=c"
    assert paragraph.evaluate("p => getComputedStyle(p).color") == "rgb(1, 2, 3)"
    shown = run(chapter, find(chapter, "show_source(softmax)"))
    assert "def softmax(x, axis=-1):" in shown
    keyword = find(chapter, "show_source(softmax)").locator(".cell_output .k").first
    keyword.wait_for()
    assert keyword.inner_text() == "def"


def test_html_of_the_readers_own_runs_no_script(careless_page, strict_site):
    page = careless_page
    page.goto(f"{strict_site}/03-attention.html")
    html = (
        "<script>document.title = 1</script>"
        "<img src=_static/favicon.svg onload='document.title = 2'>"
        "<p>shown</p>"
    )
    cell = any_cell(page)
    run(page, cell, f"from IPython.display import HTML\nHTML({html!r})")
    cell.locator(".cell_output p").wait_for()
    page.wait_for_timeout(300)
    assert "Attention" in page.title()


def test_names_are_completed_by_python(chapter):
    cell = any_cell(chapter)
    run(chapter, cell, "alphabet = 1")
    write(chapter, cell, "#")
    chapter.keyboard.press("Backspace")
    chapter.keyboard.type("alph")
    chapter.keyboard.press("Control+Space")
    chapter.locator(".cm-tooltip-autocomplete").wait_for()
    chapter.keyboard.press("Tab")
    assert cell.get_by_role("textbox").inner_text().strip() == "alphabet"


def test_what_needs_torch_or_the_real_model_says_so(chapter):
    for kind, name in {"torch": "PyTorch", "model": "the real model"}.items():
        cell = chapter.locator(f".needs-{kind}").first
        assert f"Needs {name}" in cell.locator(".cell-bar").text_content()
        assert cell.locator("button[data-do]").count() == 0
        link = cell.locator(".cell-bar a")
        target = link.get_attribute("href")
    link.click()
    chapter.wait_for_url(f"**/{target}")
    assert chapter.locator(":target").inner_text()


def test_a_reader_on_a_telephone_is_told_the_size_first(new_page, strict_site):
    page = new_page(
        viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True
    )
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{strict_site}/03-attention.html")
    cell = any_cell(page)
    cell.locator("[data-do=run]").tap()
    question = cell.get_by_text(
        re.compile(r"loads Python once: \d+ MB, and up to \d+ MB more")
    )
    question.wait_for()
    cell.get_by_role("button", name="Not now").tap()
    page.wait_for_timeout(300)
    assert not any("core." in url for url in asked)
    cell.locator("[data-do=run]").tap()
    cell.get_by_role("button", name="Load it").tap()
    assert wait(cell).strip() == "(10, 8)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.reload()
    any_cell(page).locator("[data-do=run]").tap()
    assert wait(any_cell(page)).strip() == "(10, 8)"  # asked once


def test_all_of_it_by_keyboard(chapter):
    cell = any_cell(chapter)
    cell.locator("[data-do=run]").focus()
    chapter.keyboard.press("Enter")
    wait(cell)
    assert chapter.evaluate("document.activeElement.dataset.do") == "run"
    chapter.keyboard.press("Tab")
    assert chapter.evaluate("document.activeElement.dataset.do") == "edit"
    chapter.keyboard.press("Enter")
    cell.get_by_role("textbox").wait_for()
    chapter.keyboard.press("Control+a")
    chapter.keyboard.type("print(41 + 1)")
    chapter.keyboard.press("Shift+Enter")
    cell.get_by_text("42", exact=True).wait_for(timeout=LIMIT)
    chapter.keyboard.press("Escape")
    chapter.keyboard.press("Tab")
    assert chapter.evaluate("document.activeElement.dataset.do") == "run"
    chapter.keyboard.press("Tab")
    chapter.keyboard.press("Enter")
    assert cell.get_by_role("textbox").count() == 0
    assert chapter.evaluate("document.activeElement.dataset.do") == "edit"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_cell_at_work_is_accessible(new_page, strict_site, theme):
    page = new_page(
        viewport={"width": 1000, "height": 900}, color_scheme=theme, bypass_csp=True
    )
    page.goto(f"{strict_site}/03-attention.html")
    cell = any_cell(page)
    run(page, cell, "print('a')\n1 / 0")
    found = Axe().run(page, context=".runs:nth-of-type(1), .runs:has(.error)")
    assert found.response["violations"] == []


def test_a_layer_that_is_missing_is_named_and_may_come_later(
    careless_page, serving_with
):
    page, lost = careless_page, ["/scipy."]

    def is_lost(path):
        return any(name in path for name in lost)

    with serving_with(lambda path: {}, is_lost) as address:
        page.goto(f"{address}/03-attention.html")
        cell = any_cell(page)
        run(page, cell, "import scipy")
        text = cell.locator(".error").inner_text()
        assert re.search(
            r"Line 1: import scipy\s+.*scipy\.\w+\.zip did not arrive: 404", text
        )
        lost.clear()
        code = "import scipy.special\nprint(scipy.special.gamma(5))"
        assert run(page, cell, code).strip() == "24.0"


def test_a_policy_that_forbids_webassembly_is_named(careless_page, serving_with):
    policy = {"Content-Security-Policy": "default-src 'self'"}
    with serving_with(lambda path: policy) as address:
        careless_page.goto(f"{address}/03-attention.html")
        cell = any_cell(careless_page)
        press(cell, "run")
        cell.get_by_text("WebAssembly may not run here").wait_for(timeout=LIMIT)


def test_the_second_visit_takes_all_from_the_cache(
    chromium, browser_path, serving_with, tmp_path
):
    served = []

    def headers(path):  # what the README tells a publisher to send
        served.append(path)
        hashed = re.search(r"_static/pyodide/(core\.|.*\.zip)", path)
        age = "public, max-age=31536000, immutable" if hashed else "no-cache"
        return {"Cache-Control": age}

    # A cache in memory, as other contexts have it, is too small for Python.
    context = chromium.browser_type.launch_persistent_context(
        tmp_path, executable_path=browser_path, args=["--no-sandbox"]
    )
    with serving_with(headers) as address:
        page = context.new_page()
        for _ in range(2):
            served.clear()
            page.goto(f"{address}/03-attention.html")
            run(page, any_cell(page))
    context.close()
    assert [path for path in served if "/pyodide/" in path] == [
        "/_static/pyodide/index.json"
    ]
