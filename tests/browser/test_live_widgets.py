"""Widgets on pages that Sphinx builds from notebooks: alive, and without a kernel."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

EXTENSIONS = Path(__file__).parents[2] / "book" / "_ext"
SENTENCE = "Here is an interactive widget. It needs JavaScript."

CONF = """
extensions = ["myst_nb", "live_widgets"]
html_theme = "basic"
nb_execution_mode = "force"
nb_execution_raise_on_error = True
"""

WIDGETS = '''
import anywidget
from ipywidgets import IntSlider, Widget, jsdlink, jslink, widget_serialization
from traitlets import Any, Bytes, Instance, Int, Unicode


class Counter(anywidget.AnyWidget):
    _esm = """
    export default {
      render({ model, el }) {
        const button = document.createElement("button");
        button.className = "counter";
        const show = () => (button.textContent = `count ${model.get("count")}`);
        button.onclick = () => {
          model.set("count", model.get("count") + 1);
          model.save_changes();
        };
        model.off("change:count"); // ends nobody else's listening
        model.on("change:count", show);
        show();
        el.append(button);
      },
    };
    """
    _css = ".counter { color: rgb(1, 2, 3); }"
    count = Int(0).tag(sync=True)


class Pictured(Counter):
    mime, picture = "text/html", "<p>Picture of a counter</p>"

    def _repr_mimebundle_(self, **kwargs):
        data, metadata = super()._repr_mimebundle_(**kwargs)
        return data | {self.mime: self.picture}, metadata


class Drawn(Pictured):
    mime = "image/svg+xml"
    picture = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"/>'


class Broken(Drawn):
    _esm = "export default { render() { throw new Error('no luck'); } };"


class Unready(Drawn):
    _esm = "export default { initialize() { throw new Error('not ready'); } };"


class Binary(anywidget.AnyWidget):
    _esm = """
    const bytes = (view) => Array.from({ length: view.byteLength }, (_, i) => view.getUint8(i));
    function render({ model, el }) {
      const { shape, data } = model.get("rows")[0].array;
      el.textContent = `${model.get("label")} ${bytes(model.get("raw"))} | ${shape} ${bytes(data)}`;
      data.setUint8(0, 99); // the data are its own
    }
    export default { render };
    """
    raw = Bytes().tag(sync=True)
    rows = Any().tag(sync=True)
    label = Unicode().tag(sync=True)


class Made(anywidget.AnyWidget):
    _esm = """
    export default async () => ({
      sign: "!",
      initialize({ model }) {
        model.set("word", model.get("word") + this.sign);
        return { shout: () => model.get("word").toUpperCase() };
      },
      render({ model, el }) {
        const show = () => (el.textContent = model.get("word") + this.sign);
        model.on("change:word", show);
        show();
        return () => (el.textContent = "gone");
      },
    });
    """
    word = Unicode("made").tag(sync=True)


class Parent(anywidget.AnyWidget):
    _esm = """
    async function render({ model, el, host }) {
      const child = await host.getWidget(model.get("child"));
      const childModel = await host.getModel(model.get("child"));
      const place = document.createElement("p");
      const end = new AbortController();
      await child.render({ el: place, signal: end.signal });
      const button = document.createElement("button");
      button.textContent = child.exports.shout();
      button.onclick = () => {
        end.abort();
        childModel.set("word", "changed");
      };
      el.append(place, button);
    }
    export default { render };
    """
    child = Unicode().tag(sync=True)


class Reader(anywidget.AnyWidget):
    _esm = """
    async function render({ model, el }) {
      const id = model.get("other").slice("IPY_MODEL_".length);
      const other = await model.widget_manager.get_model(id);
      const show = () => (el.textContent = `reads ${other.get("count")}`);
      other.on("change:count", show);
      show();
    }
    export default { render };
    """
    other = Instance(Widget).tag(sync=True, **widget_serialization)


class Doubler(anywidget.AnyWidget):
    _esm = """
    function initialize({ model }) {
      model.on("change:count", () => model.set("double", 2 * model.get("count")));
    }
    export default { initialize };
    """
    count, double = Int(0).tag(sync=True), Int(0).tag(sync=True)


class Shadow(anywidget.AnyWidget):
    _esm = """
    function render({ el }) {
      el.attachShadow({ mode: "open" }).innerHTML = "<p>in the shadow</p>";
    }
    export default { render };
    """
'''
MODULES = 9  # one each for the classes above that have their own

SECTIONS = {
    "one": "counter = Counter()\ncounter",
    "two": "counter",
    "binary": """
        row = {"array": {"shape": [3], "data": memoryview(b"\\x01\\x02\\x03")}}
        for _ in range(2):
            binary = Binary(raw=b"\\xff\\x00", rows=[row, row], label="</script>&lt;")
            binary.rows = [row]
            display(binary)
    """,
    "jslink": """
        a, b = Counter(count=5), Counter()
        jslink((a, "count"), (b, "count"))
        display(a, b)
    """,
    "jsdlink": """
        c, d = Counter(count=5), Counter()
        jsdlink((c, "count"), (d, "count"))
        display(c, d)
    """,
    "between": """
        first, doubler, other_doubler, last = Counter(), Doubler(), Doubler(), Counter()
        jslink((first, "count"), (doubler, "count"))
        jslink((doubler, "double"), (other_doubler, "count"))
        jslink((other_doubler, "double"), (last, "count"))
        display(first, last)
    """,
    "made": "Made()",
    "reader": "Reader(other=counter)",
    "parent": 'Parent(child=f"anywidget:{Made().model_id}")',
    "html": "Pictured()",
    "svg": "Drawn()",
    "far": "Shadow()",
}


BROKEN = {
    "render": "Broken()",
    "initialize": """
        unready, counter = Unready(count=5), Counter()
        jslink((unready, "count"), (counter, "count"))
        display(unready, counter)
    """,
}


def notebook(sections):
    hidden = {"tags": ["remove-cell"]}
    cells = [nbformat.v4.new_code_cell(WIDGETS, metadata=hidden)]
    for title, code in sections.items():
        space = '<div style="height: 9000px"></div>\n\n' if title == "far" else ""
        cells += [
            nbformat.v4.new_markdown_cell(f"{space}# {title}"),
            nbformat.v4.new_code_cell(re.sub("^ {8}", "", code, flags=re.M).strip()),
        ]
    return nbformat.writes(nbformat.v4.new_notebook(cells=cells))


PAGES = {
    "index.md": "# Index\n\n```{toctree}\n:glob:\n*\n```\n",
    "live.ipynb": notebook(SECTIONS),
    "broken.ipynb": notebook(BROKEN),
    "slider.ipynb": notebook({"slider": "IntSlider()"}),
    "text-1.md": "# Text\n",
    "text-2.md": "# Text\n",
}


def build(source, folder, *options):
    """Build the project in a folder, and give what Sphinx says."""
    command = [sys.executable, "-m", "sphinx", "--no-color", "-w", folder / "warnings"]
    command += [*options, "-d", folder / "doctrees", source, folder / "html"]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(EXTENSIONS)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    for name, text in {"conf.py": CONF, **PAGES}.items():
        (folder / name).write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="module")
def built(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    build(source, folder)
    return folder


@pytest.fixture(scope="module")
def address(built, serving):
    with serving(built / "html") as address:
        yield address


@pytest.fixture
def live(new_page, address):
    page = new_page(viewport={"width": 1000, "height": 4000})
    page.goto(f"{address}/live.html")
    return page


def views(page, section):
    return page.locator(f"#{section} .live-widget-view")


def pictures(page, section):
    return page.locator(f"#{section} .live-widget-picture")


def test_views_of_one_model_stay_in_step(live):
    one, two = views(live, "one"), views(live, "two")
    expect(one).to_have_text("count 0")
    expect(two).to_have_text("count 0")
    one.locator("button").click()
    two.locator("button").click()
    expect(one).to_have_text("count 2")
    expect(two).to_have_text("count 2")


def test_a_widget_has_its_style(live):
    expect(views(live, "one").locator("button")).to_have_css("color", "rgb(1, 2, 3)")


def test_binary_data_arrive_and_belong_to_one_model(live):
    text = "</script>&lt; 255,0 | 3 1,2,3"
    expect(views(live, "binary")).to_have_text([text, text])


@pytest.mark.parametrize(
    ("link", "after_source", "after_target"),
    [
        ("jslink", ["count 6", "count 6"], ["count 7", "count 7"]),
        ("jsdlink", ["count 6", "count 6"], ["count 6", "count 7"]),
    ],
)
def test_linked_traits_follow_each_other(live, link, after_source, after_target):
    both = views(live, link)
    expect(both).to_have_text(["count 5", "count 5"])
    both.nth(0).locator("button").click()
    expect(both).to_have_text(after_source)
    both.nth(1).locator("button").click()
    expect(both).to_have_text(after_target)


def test_models_that_are_not_shown_work_between_those_that_are(live):
    both = views(live, "between")
    expect(both).to_have_text(["count 0", "count 0"])
    both.nth(0).locator("button").click()
    expect(both).to_have_text(["count 1", "count 4"])


def test_a_function_makes_a_widget_that_initializes_its_model(live):
    expect(views(live, "made")).to_have_text("made!!")


def test_a_widget_reads_the_model_that_it_refers_to(live):
    expect(views(live, "reader")).to_have_text("reads 0")
    views(live, "one").locator("button").click()
    expect(views(live, "reader")).to_have_text("reads 1")


def test_a_widget_renders_another_and_ends_it(live):
    parent = views(live, "parent")
    expect(parent.locator("p")).to_have_text("made!!")
    button = parent.get_by_role("button", name="MADE!", exact=True)
    button.click()
    expect(parent.locator("p")).to_have_text("gone")


@pytest.mark.parametrize("section", ["one", "html", "svg"])
def test_a_live_widget_takes_the_place_of_its_picture_but_not_on_paper(live, section):
    view, picture = views(live, section), pictures(live, section)
    expect(view).to_be_visible()
    expect(picture).to_be_hidden()
    live.emulate_media(media="print")
    expect(view).to_be_hidden()
    expect(picture).to_be_visible()


def test_a_widget_starts_when_it_comes_near(live):
    expect(views(live, "svg")).to_be_visible()
    expect(views(live, "far")).to_have_count(0)
    expect(pictures(live, "far")).to_have_text(SENTENCE)
    pictures(live, "far").scroll_into_view_if_needed()
    expect(views(live, "far").get_by_text("in the shadow")).to_be_visible()


def test_without_javascript_the_pictures_stand_there(new_page, address):
    page = new_page(java_script_enabled=False)
    page.goto(f"{address}/live.html")
    expect(page.locator(".live-widget-view")).to_have_count(0)
    for section in SECTIONS:
        expect(pictures(page, section).first).to_be_visible()
        if section not in ("html", "svg"):
            expect(pictures(page, section).first).to_have_text(SENTENCE)
    expect(pictures(page, "html")).to_have_text("Picture of a counter")
    image = pictures(page, "svg").locator("img")
    assert image.evaluate("image => image.naturalWidth") == 40


def test_a_widget_that_fails_says_so_beside_its_picture(new_page, address):
    page = new_page()
    page.add_init_script("logged = []; console.error = (e) => logged.push(e.message);")
    page.goto(f"{address}/broken.html")
    failed, unready = views(page, "render"), views(page, "initialize")
    expect(failed).to_have_text("This widget could not start: no luck")
    expect(unready).to_have_text(["This widget could not start: not ready", "count 5"])
    for section in BROKEN:
        expect(pictures(page, section).locator("img")).to_be_visible()
    assert sorted(page.evaluate("logged")) == ["no luck", "not ready"]


@pytest.mark.parametrize(
    "answer",
    [lambda route: route.fulfill(status=404), lambda route: route.abort()],
    ids=["not found", "no connection"],
)
def test_a_widget_whose_data_do_not_arrive_says_so(chromium, address, answer):
    context = chromium.new_context(viewport={"width": 1000, "height": 4000})
    page = context.new_page()
    page.route("**/*.bin", answer)
    page.goto(f"{address}/live.html")
    told = re.compile(
        r"^This widget could not start: its data did not arrive \([0-9a-f]{16}\.bin: .+\)$"
    )
    expect(views(page, "binary")).to_have_text([told, told])
    expect(pictures(page, "binary").first).to_be_visible()
    expect(views(page, "one")).to_have_text("count 0")  # the others live
    context.close()


def test_modules_styles_and_data_are_files_once(built):
    files = [path for path in (built / "html" / "_static" / "widgets").iterdir()
             if path.stem not in ("host", "modules")]  # fmt: skip
    contents = [path.read_bytes() for path in files]
    assert len(set(contents)) == len(files)
    assert sorted(path.suffix for path in files) == (
        [".bin"] * 2 + [".css"] + [".js"] * MODULES
    )
    assert b"\xff\x00" in contents
    assert b"\x01\x02\x03" in contents
    modules = json.loads(
        (built / "html/_static/widgets/modules.json").read_text("utf-8")
    )
    assert {entry["module"] for entry in modules.values()} <= {p.name for p in files}


def test_a_widget_that_cannot_be_hosted_is_the_only_warning(built):
    (warning,) = (built / "warnings").read_text("utf-8").splitlines()
    assert re.search("slider.ipynb.*: WARNING: the widget IntSlider of ", warning)


@pytest.mark.parametrize(
    ("name", "hosts"),
    [("live", True), ("broken", True), ("slider", False), ("text-1", False)],
)
def test_only_pages_with_live_widgets_load_the_host(built, name, hosts):
    html = (built / "html" / f"{name}.html").read_text("utf-8")
    for part in ("widgets/host.js", "widgets/host.css", 'id="live-widgets"'):
        assert (part in html) == hosts
    assert "vnd.jupyter.widget" not in html


def test_a_parallel_build_gives_the_same(built, source, tmp_path):
    said = build(source, tmp_path, "-j", "2")
    assert re.search(r"reading sources.* \.\. ", said)
    for name in ("html", "html/_static/widgets"):
        assert names(tmp_path / name) == names(built / name)
    for name in ("warnings", *(f"html/{Path(page).stem}.html" for page in PAGES)):
        assert numbered(tmp_path / name) == numbered(built / name)


def names(folder):
    return {path.name for path in folder.iterdir()}


def numbered(path):
    """Give a page's text, with the models' random names in their order of appearance."""
    seen = {}
    return re.sub(
        "[0-9a-f]{32}",
        lambda found: f"model-{seen.setdefault(found[0], len(seen))}",
        path.read_text("utf-8"),
    )
