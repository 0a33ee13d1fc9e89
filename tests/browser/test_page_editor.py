"""The code editor of the pages: by keyboard and by touch, for all readers, under the strict policy."""

import json
import re
import shutil
from pathlib import Path

import axe_playwright_python
import myst_nb
import pydata_sphinx_theme
import pytest
import sphinx_book_theme
from IPython.lib.lexers import IPython3Lexer
from playwright.sync_api import expect
from pydata_sphinx_theme.pygments import get_pygments_stylesheet
from pygments.styles import get_style_by_name
from pygments.token import STANDARD_TYPES

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / "book" / "_ext" / "page_python" / "static" / "python"
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text("utf-8")
THEME = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme"
BOOK_THEME = Path(sphinx_book_theme.__file__).parent / "theme" / "sphinx_book_theme"
SHEETS = [
    THEME / "static" / "styles" / "pydata-sphinx-theme.css",
    BOOK_THEME / "static" / "styles" / "sphinx-book-theme.css",
    Path(myst_nb.__file__).parent / "static" / "mystnb.css",
]
LIGHT, DARK = "a11y-high-contrast-light", "a11y-high-contrast-dark"
CELL = """
<div class="cell docutils container"><div class="cell_input docutils container">
<div class="highlight-ipython3 notranslate"><div class="highlight"><pre>{}</pre></div></div>
</div></div>
"""
PAGE = """<!doctype html>
<html lang="en" data-theme="light" data-mode="light">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'self'">
<title>Cells</title>
{sheets}
</head>
<body><div class="bd-content"><main class="bd-article">
<h1>Cells</h1>
<section><section>{first}<p><button>After</button></p></section></section>
{second}
</main></div></body>
</html>
"""
CODE = "import numpy as np\nfor x in range(3):\n    print(x)  # each"
NAMES = ["argmax", "argmin", "argsort", "print", "property"]
# Keeps what the editor calls; the names of `names` go on from any word.
MOUNT = """
async ({ index, code, label, names, fails }) => {
  const { makeEditor } = await import("/python/editor.js");
  const heard = { changes: [], runs: 0, leaves: 0, asked: [] };
  const complete = async (text, position) => {
    heard.asked.push([text, position]);
    if (fails) return null;
    const before = [...text].slice(0, position).join("");
    const word = /\\w*$/.exec(before)[0];
    const options = names.filter((name) => name.startsWith(word)).map((label) => ({ label, type: "function" }));
    return { from: position - word.length, options };
  };
  const editor = makeEditor({
    place: document.querySelectorAll(".highlight-ipython3")[index],
    code,
    label,
    complete: names && complete,
    onChange: (text) => heard.changes.push(text),
    onRun: () => (heard.runs += 1),
    onLeave: () => (heard.leaves += 1),
  });
  (window.editors ??= []).push(editor);
  (window.heard ??= []).push(heard);
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A page with two cells that looks like the book's, and what it loads."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(ROOT / "book" / "_static", folder, dirs_exist_ok=True)
    shutil.copytree(PYTHON, folder / "python")
    for sheet in SHEETS:
        shutil.copy(sheet, folder)
    (folder / "pygments.css").write_text(get_pygments_stylesheet(LIGHT, DARK), "utf-8")
    names = [*(sheet.name for sheet in SHEETS), "pygments.css", "book.css"]
    links = "\n".join(f'<link rel="stylesheet" href="{name}">' for name in names)
    # What stands still in the first cell, and a cell without code.
    page = PAGE.format(sheets=links, first=CELL.format(CODE), second=CELL.format(""))
    (folder / "index.html").write_text(page, "utf-8")
    return folder


@pytest.fixture
def address(serving, folder):
    with serving(folder) as address:
        yield address


@pytest.fixture
def edit(page, address):
    """Put an editor on the page: ``box = edit("x = 1")``; ``heard()`` tells what it has called."""
    return editing(page, address)


def editing(page, address):
    page.goto(f"{address}/index.html")

    def edit(code="", index=0, label="Code of cell 1", names=None, fails=False):
        arguments = {"index": index, "code": code, "label": label, "names": names}
        page.evaluate(MOUNT, {**arguments, "fails": fails})
        box = page.get_by_role("textbox", name=label)
        box.focus()
        return box

    return edit


def code(page, index=-1):
    return page.evaluate("(i) => editors.at(i).code", index)


def heard(page, index=-1):
    return page.evaluate("(i) => heard.at(i)", index)


def names(page):
    """The list that completes a word."""
    return page.get_by_role("listbox")


def to_end(page):
    page.keyboard.press("Control+End")


# Writing


def test_a_block_goes_on_where_it_is_indented(page, edit):
    edit()
    page.keyboard.type("def f(x):\nif x:\nreturn [\n1,\n2]\n")
    page.keyboard.press("Backspace")
    page.keyboard.type("else:\nreturn 0")
    assert code(page) == (
        "def f(x):\n    if x:\n        return [\n            1,\n            2]\n"
        "    else:\n        return 0"
    )


def test_undo_and_redo(page, edit):
    edit("a = 1")
    to_end(page)
    page.keyboard.type("234")
    assert code(page) == "a = 1234"
    page.keyboard.press("Control+z")
    assert code(page) == "a = 1"
    page.keyboard.press("Control+y")
    assert code(page) == "a = 1234"


def test_tab_indents_and_shift_tab_takes_it_back(page, edit):
    edit("a\nb")
    to_end(page)
    page.keyboard.press("Tab")
    assert code(page) == "a\n    b"
    page.keyboard.press("Control+a")
    page.keyboard.press("Tab")
    assert code(page) == "    a\n        b"
    for _ in range(3):
        page.keyboard.press("Shift+Tab")
    assert code(page) == "a\nb"


def test_lines_become_comments(page, edit):
    edit("a\nb")
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+/")
    assert code(page) == "# a\n# b"


@pytest.mark.parametrize("keys", ["Shift+Enter", "Control+Enter"])
def test_keys_that_run_the_code(page, edit, keys):
    edit("a")
    page.keyboard.press(keys)
    assert heard(page)["runs"] == 1
    assert code(page) == "a"
    assert heard(page)["changes"] == []


def test_brackets_that_belong_together_are_shown(page, edit):
    box = edit("f([1])")
    page.keyboard.press("Control+Home")
    page.keyboard.press("ArrowRight")
    expect(box.locator(".cm-matchingBracket")).to_have_text(["(", ")"])


# Leaving


def test_escape_then_tab_leaves(page, edit):
    box = edit("a")
    page.keyboard.press("Escape")
    page.wait_for_timeout(2500)  # nobody is hurried
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="After")).to_be_focused()
    assert heard(page)["leaves"] == 1
    assert code(page) == "a"
    page.keyboard.press("Shift+Tab")
    expect(box).to_be_focused()
    page.keyboard.press("Tab")  # who comes back writes again
    assert code(page) == "    a"


def test_after_another_key_tab_indents_again(page, edit):
    box = edit()
    page.keyboard.press("Escape")
    page.keyboard.type("b")
    page.keyboard.press("Tab")
    expect(box).to_be_focused()
    assert code(page) == "    b"
    assert heard(page)["leaves"] == 0


def test_it_is_said_how_to_leave(page, edit):
    box = edit()
    description = box.evaluate(
        "(e) => e.getRootNode().getElementById(e.getAttribute('aria-describedby')).textContent"
    )
    assert "Escape, then Tab leaves" in description
    assert box.get_attribute("aria-multiline") == "true"


def test_keys_that_type_are_no_shortcuts_of_the_page(page, edit):
    edit()
    page.evaluate("""() => {
        window.shortcuts = [];
        document.addEventListener("keydown", (event) => {
            shortcuts.push(event.key);
            event.preventDefault();
        });
    }""")
    page.keyboard.type("a/b")
    page.keyboard.press("Control+z")  # the editor has done it
    page.keyboard.press("Control+k")
    assert code(page) == ""
    assert page.evaluate("shortcuts") == ["Control", "Control", "k"]
    page.keyboard.type("/")
    assert code(page) == "/"


# Completion


def test_tab_takes_the_first_name(page, edit):
    edit(names=NAMES)
    page.keyboard.type("np.ar")
    expect(names(page)).to_be_visible()
    page.keyboard.press("Tab")
    assert code(page) == "np.argmax"
    expect(names(page)).to_have_count(0)


def test_enter_takes_a_name_only_from_who_has_moved_into_the_list(page, edit):
    edit(names=NAMES)
    page.keyboard.type("ar")
    expect(names(page)).to_be_visible()
    page.wait_for_timeout(200)
    page.keyboard.press("Enter")
    assert code(page) == "ar\n"
    expect(names(page)).to_have_count(0)
    page.keyboard.type("ar")
    expect(names(page)).to_be_visible()
    page.wait_for_timeout(200)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert code(page) == "ar\nargmin"


def test_escape_closes_the_list_and_no_more(page, edit):
    box = edit(names=NAMES)
    page.keyboard.type("ar")
    expect(names(page)).to_be_visible()
    page.keyboard.press("Escape")
    expect(names(page)).to_have_count(0)
    page.keyboard.press("Tab")
    expect(box).to_be_focused()
    assert code(page) == "    ar"


def test_the_reader_may_ask_for_names(page, edit):
    box = edit(names=NAMES)
    page.keyboard.press("Control+Space")
    expect(names(page).get_by_role("option")).to_have_text(NAMES)
    first = names(page).get_by_role("option", name="argmax")
    expect(first).to_have_attribute("aria-selected", "true")
    assert box.get_attribute("aria-activedescendant") == first.get_attribute("id")
    page.wait_for_timeout(200)
    page.keyboard.press("Enter")
    assert code(page) == "argmax"


@pytest.mark.parametrize(
    "text", ["a", "12.", "3e", "# ar", '"ar', "def ar", "import", "for pr", "f(1, "]
)
def test_nothing_is_offered_where_no_name_is_looked_for(page, edit, text):
    edit(names=[*NAMES, "import_it"] if text != "import" else NAMES)
    page.keyboard.type(text)
    page.wait_for_timeout(400)
    expect(names(page)).to_have_count(0)
    if text != "import":
        assert heard(page)["asked"] == []


@pytest.mark.parametrize("text", ["np.", "f(x).", "x[0].", '"a".', 'f"{ar', "x = ar"])
def test_names_are_offered_after_a_dot_and_two_letters(page, edit, text):
    edit(names=NAMES)
    page.keyboard.type(text)
    expect(names(page)).to_be_visible()


def test_names_are_asked_for_in_characters_of_python(page, edit):
    edit("a = '𝔸😀'; ", names=NAMES)
    to_end(page)
    page.keyboard.type("ar")
    expect(names(page)).to_be_visible()
    assert heard(page)["asked"][-1] == ["a = '𝔸😀'; ar", 12]
    page.keyboard.press("Tab")
    assert code(page) == "a = '𝔸😀'; argmax"


def test_without_names_tab_indents(page, edit):
    edit(names=NAMES, fails=True)
    page.keyboard.type("np.ar")
    page.wait_for_timeout(400)
    expect(names(page)).to_have_count(0)
    page.keyboard.press("Tab")
    assert code(page) == "    np.ar"


def test_no_box_cuts_the_list_off(page, edit):
    """A cell and its section contain what they paint, for speed."""
    edit(names=NAMES)
    page.evaluate("document.querySelector('main').classList.add('in-use')")
    page.keyboard.type("ar")
    last = names(page).get_by_role("option").last
    expect(last).to_be_visible()
    page.wait_for_timeout(200)
    last.click(timeout=2000)  # nothing lies above it
    assert code(page) == "argsort"


# Its code is text


def test_the_page_reads_and_writes_the_code(page, edit):
    edit("a\r\nb")
    assert code(page) == "a\nb"
    page.evaluate("editors[0].code = 'c\\r\\nd'")
    assert code(page) == "c\nd"
    assert heard(page)["changes"] == []
    page.keyboard.press("Control+z")
    assert code(page) == "a\nb"
    assert heard(page)["changes"] == ["a\nb"]


def test_text_is_text(page, edit):
    text = "'<img src=x onerror=alert(1)>' </pre><script>x</script> &amp; ${1}"
    box = edit(text)
    page.keyboard.type(text)
    assert code(page) == text * 2
    assert box.locator("img, script").count() == 0
    assert box.inner_text() == text * 2
    inside = "(code) => import('/python/highlight.js').then(({ highlight }) => [...highlight(code).querySelectorAll(':not(span)')].length)"
    assert page.evaluate(inside, text) == 0


PASTE = """
(box, text) => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/plain", text);
  clipboardData.setData("text/html", "<b>other</b>");
  box.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}
"""


def test_pasted_lines_are_indented_by_spaces(page, edit):
    box = edit()
    box.evaluate(PASTE, "def f():\r\n\tif x:\r\n\t  \treturn 'a\tb'\r\n")
    assert code(page) == "def f():\n    if x:\n          return 'a\tb'\n"


def test_writing_of_all_directions(page, edit):
    text = "שלום = 'مرحبا'  # 你好 é 👩‍👩‍👧"
    edit()
    page.keyboard.insert_text(text)
    assert code(page) == text
    page.keyboard.press("Backspace")
    assert code(page) == text.removesuffix("👩‍👩‍👧")
    page.keyboard.press("Home")
    page.keyboard.type("x")
    assert code(page).startswith("xשלום")


def test_signs_that_nobody_sees_are_shown(page, edit):
    box = edit("a = '\u202eb\u200b'")
    expect(box.locator(".cm-specialChar")).to_have_count(2)


# Its size


def test_a_very_long_line_scrolls_within_its_box(page, edit):
    box = edit(f"x = [{'1, ' * 5000}1]")
    to_end(page)
    page.keyboard.type(" + y")
    assert code(page).endswith("1] + y")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    scroller = box.locator("xpath=..")
    assert scroller.evaluate("(e) => e.scrollLeft > 10_000") is True
    assert scroller.evaluate("(e) => e.getBoundingClientRect().right") <= 1280


def test_five_hundred_lines_are_coloured_as_they_are_seen(page, edit):
    lines = [f"def f{i}(x): return '{i}'  # {i}" for i in range(500)]
    box = edit("\n".join(lines))
    to_end(page)
    page.keyboard.type("!")
    assert code(page) == "\n".join(lines) + "!"
    expect(box.locator(".cm-line").last.locator(".nf")).to_have_text("f499")
    assert box.locator(".cm-line").count() < 200


def test_a_string_over_the_edge_of_what_is_seen_is_coloured(page, edit):
    box = edit('x = """\n' + "text\n" * 400 + '"""')
    to_end(page)
    expect(box.locator(".cm-line").nth(-2).locator(".s2")).to_have_text("text")


def test_two_editors_know_nothing_of_each_other(page, edit):
    edit("a", names=NAMES)
    edit("b", index=1, label="Code of cell 2", names=NAMES)
    to_end(page)
    page.keyboard.type(" = ar")
    expect(names(page)).to_have_count(1)
    assert [code(page, 0), code(page, 1)] == ["a", "b = ar"]
    assert heard(page, 0)["changes"] == []
    page.evaluate("editors[1].destroy()")
    expect(names(page)).to_have_count(0)
    page.get_by_role("textbox", name="Code of cell 1").focus()
    page.keyboard.type("1")
    assert code(page, 0) == "1a"


LISTENERS = """
const heard = new Map();
window.listening = () => [...heard].filter(([, count]) => count > 0).map(([name]) => name);
const { addEventListener, removeEventListener } = EventTarget.prototype;
const named = (target, type) => (target === window || target === document || target instanceof MediaQueryList) && `${target} ${type}`;
const count = (name, by) => name && heard.set(name, (heard.get(name) ?? 0) + by);
EventTarget.prototype.addEventListener = function (type, ...rest) {
  count(named(this ?? window, type), 1);
  return addEventListener.call(this ?? window, type, ...rest);
};
EventTarget.prototype.removeEventListener = function (type, ...rest) {
  count(named(this ?? window, type), -1);
  return removeEventListener.call(this ?? window, type, ...rest);
};
"""


def test_nothing_is_left_of_it(page, address):
    page.add_init_script(LISTENERS)
    edit = editing(page, address)
    before = page.evaluate("document.body.innerHTML")
    edit(CODE, names=NAMES)
    page.keyboard.type("ar")
    expect(names(page)).to_be_visible()
    assert page.evaluate("listening()") != []
    page.evaluate("editors[0].destroy()")
    assert page.evaluate("listening()") == []
    left = page.evaluate("document.body.innerHTML")
    assert left.replace(' style=""', "") == before
    assert page.evaluate("document.adoptedStyleSheets.length") == 0
    assert page.locator("style").count() == 0


# Its look


def test_nothing_moves_when_an_editor_comes(page, edit):
    measure = """(element) => {
        const { left, top, width, height } = element.getBoundingClientRect();
        const { fontFamily, fontSize, color, backgroundColor } = getComputedStyle(element);
        return [[left, top, width, height], fontFamily, fontSize, color, backgroundColor];
    }"""
    after = page.get_by_role("button", name="After")
    words = """(root) => {
        const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
        while (!texts.nextNode().data.includes("print"));
        const range = document.createRange();
        range.setStart(texts.currentNode, texts.currentNode.data.indexOf("print"));
        range.setEnd(texts.currentNode, range.startOffset + 5);
        const { left, top, width, height } = range.getBoundingClientRect();
        return [left, top, width, height];
    }"""
    still = page.locator("pre").first
    expected = [still.evaluate(measure), still.evaluate(words), after.bounding_box()]
    box = edit(CODE)
    editor = page.locator(".page-editor .cm-editor")
    found = [editor.evaluate(measure), box.evaluate(words), after.bounding_box()]
    assert found[0][0] == pytest.approx(expected[0][0], abs=0.1)
    assert found[0][1:] == expected[0][1:]
    assert found[1] == pytest.approx(expected[1], abs=0.1)
    assert found[2] == pytest.approx(expected[2], abs=0.1)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_for_all_readers(page, edit, theme):
    box = edit(
        '@f\nclass A:\n    def f(self): return None, 1.5, f"{x}"  # c', names=NAMES
    )
    page.evaluate("(theme) => (document.documentElement.dataset.theme = theme)", theme)
    to_end(page)
    page.keyboard.type("\nprint(ar")
    page.keyboard.press("Control+Space")
    expect(names(page)).to_be_visible()
    page.evaluate(AXE)
    found = page.evaluate("""async () => {
        const { violations, passes } = await axe.run({
            runOnly: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] },
        });
        const contrast = passes.find(({ id }) => id === "color-contrast");
        return [violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), contrast.nodes.map(({ html }) => html)];
    }""")
    assert found[0] == []
    looked_at = " ".join(found[1])
    for kind in ("k", "nd", "nf", "nc", "mf", "s2", "c1", "nb", "bp"):
        assert f'class="{kind}"' in looked_at
    style = get_style_by_name(LIGHT if theme == "light" else DARK)
    for kind in ("k", "nf", "c1", "s2"):
        token = next(t for t, name in STANDARD_TYPES.items() if name == kind)
        red, green, blue = bytes.fromhex(style.style_for_token(token)["color"])
        expect(box.locator(f".{kind}").first).to_have_css("color", f"rgb({red}, {green}, {blue})")  # fmt: skip


def test_what_has_the_focus_is_outlined_once(page, edit):
    edit()
    accent = page.evaluate(
        "getComputedStyle(document.body).getPropertyValue('--pst-color-accent')"
    )
    editor = page.locator(".page-editor .cm-editor")
    red, green, blue = bytes.fromhex(accent.strip().removeprefix("#"))
    expect(editor).to_have_css("outline", f"rgb({red}, {green}, {blue}) solid 3px")
    outline = "(e) => getComputedStyle(e).outlineStyle"
    assert page.locator(".page-editor").evaluate(outline) == "none"
    assert page.get_by_role("textbox").evaluate(outline) == "none"


def test_on_a_telephone(new_page, address):
    page = new_page(
        viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True
    )
    edit = editing(page, address)
    box = edit(f"{CODE}\n{'long = ' * 20}1\n", names=[*NAMES, "argument_" * 12])
    box.tap()
    to_end(page)
    assert box.evaluate("(e) => parseFloat(getComputedStyle(e).fontSize)") >= 16
    page.keyboard.type("ar")
    option = names(page).get_by_role("option").first
    expect(option).to_be_visible()
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    frame = names(page).bounding_box()
    assert frame["x"] >= 0
    assert frame["x"] + frame["width"] <= 360
    assert option.bounding_box()["height"] >= 24
    option.tap()
    assert code(page).endswith("\nargmax")


# Its colours are those of the book


def cells():
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                yield "".join(cell["source"])


TRICKY = '''\
@decorated.by(thing)
async def __init__(self, *args: int, key=None, **others) -> "A":
    """Text."""
    global x; x @= y @ z; x.print = f"{x!r:>{width}} {{}} {y=}", rb'\\n', 0x1f, 0b1, 1_000, 1e-3, .5
    from . import a as b
    lambda x: not x is y and z in w
    match x:
        case [1, *most] | {"a": b}: ...
    while True: raise ValueError(self.__class__.__name__) from None
class Error(Exception): pass
broken = (1, "
'''


def test_code_has_the_colours_that_pygments_gives_it(page, address):
    page.goto(f"{address}/index.html")
    sources = [*cells(), TRICKY]
    marked = page.evaluate(
        """async (sources) => {
            const { highlight } = await import("/python/highlight.js");
            const marks = ({ className, textContent }) => [className ?? "", textContent];
            return JSON.stringify(sources.map((code) => [...highlight(code).childNodes].map(marks)));
        }""",
        sources,
    )
    style = get_style_by_name(LIGHT)
    colours = {
        name: style.style_for_token(token)["color"]
        for token, name in STANDARD_TYPES.items()
    }
    other, total = [], 0
    for source, marks in zip(sources, json.loads(marked), strict=True):
        assert "".join(text for _, text in marks) == source
        found = [colours[kind] for kind, text in marks for _ in text]
        lexer = IPython3Lexer(stripnl=False, ensurenl=False)
        expected = [
            colours[STANDARD_TYPES[token]]
            for token, text in lexer.get_tokens(source)
            for _ in text
        ]
        for i, sign in enumerate(source):
            total += not sign.isspace()
            if not sign.isspace() and found[i] != expected[i]:
                other.append(source[max(0, i - 20) : i + 20])
    assert total > 100_000
    # Pygments leaves the j of 1j black.
    assert [text for text in other if not re.search(r"\dj", text)] == []


def test_what_python_writes_looks_like_the_book(page, address):
    page.goto(f"{address}/index.html")
    page.evaluate("""async () => {
        const { highlight } = await import("/python/highlight.js");
        document.querySelectorAll("pre")[1].append(highlight("def f():\\n    return 1"));
    }""")
    name = page.locator("pre").nth(1).locator(".nf")
    expect(name).to_have_text("f")
    expect(name).to_have_css("color", "rgb(0, 91, 130)")
