"""The files and the data that the Sphinx extension makes from the saved state of widgets."""

import base64
import hashlib
import json
import pickle
import re
from types import SimpleNamespace

import anywidget
import ipywidgets
import pytest
import traitlets
from live_widgets import keep
from live_widgets.assets import Assets, modules_within
from live_widgets.page import CannotHost, page_data

from lmmath.widgets.kit.base import module


class Plain(anywidget.AnyWidget):
    _esm = "export default { render() {} };"
    value = traitlets.Any().tag(sync=True)
    _view_box = traitlets.Unicode("0 0 1 1").tag(sync=True)


class Styled(Plain):
    _css = "p { color: red; }"


def saved():
    """Give the state of all widgets, as a notebook saves it."""
    state = ipywidgets.Widget.get_manager_state(drop_defaults=False)["state"]
    return json.loads(json.dumps(state))


def page_of(*widgets):
    assets = Assets()
    data = page_data(saved(), [widget.model_id for widget in widgets], assets)
    return data, assets.files


@pytest.fixture(autouse=True)
def no_other_widgets():
    yield
    ipywidgets.Widget.close_all()


def embedded(source):
    return '"data:text/javascript;base64,' + base64.b64encode(source.encode()).decode() + '"'  # fmt: skip


def imports(source):
    return re.findall(r'from "\./([0-9a-f]{16}\.js)";', source.decode())


# Files


def test_a_name_is_a_hash_of_the_content():
    assets = Assets()
    name = assets.add(b"content", ".bin")
    assert name == hashlib.sha256(b"content").hexdigest()[:16] + ".bin"
    assert assets.files == {name: b"content"}


def test_the_same_content_is_kept_once():
    assets = Assets()
    assert assets.add(b"same", ".bin") == assets.add(b"same", ".bin")
    assert assets.add(b"other", ".bin") != assets.add(b"same", ".bin")
    assert sorted(assets.files.values()) == [b"other", b"same"]


def test_embedded_modules_become_files_that_import_each_other():
    deep = "export const one = 1;"
    left = f"import {{ one }} from {embedded(deep)};\nexport const two = one + 1;"
    right = f"export * from {embedded(deep)};"
    assets = Assets()
    name = assets.add_module(
        f"import {{ two }} from {embedded(left)};\nimport * as r from {embedded(right)};"
    )
    files = dict(assets.files)
    assert len(files) == 4
    assert not any(b"data:" in source for source in files.values())
    left_name, right_name = imports(files[name])
    assert b"two = one + 1" in files[left_name]
    assert imports(files[left_name]) == imports(files[right_name])
    assert files[imports(files[left_name])[0]] == deep.encode()


@pytest.mark.parametrize(
    "source", ["const m = await import(@);", "import @;", "export*from@;"]
)
def test_every_form_of_import_is_one_of_a_file(source):
    assets = Assets()
    name = assets.add_module(source.replace("@", embedded("inner")))
    inner = hashlib.sha256(b"inner").hexdigest()[:16]
    assert assets.files[name].decode() == source.replace("@", f'"./{inner}.js"')


def test_a_bundle_becomes_files_that_lead_to_each_other():
    assets = Assets()
    source = module("real_model.js")
    name = assets.add_module(source)
    texts = {key: content.decode() for key, content in assets.files.items()}
    assert "const VIEWS" in texts[name]
    assert not any('"@' in text for text in texts.values())
    led_to = {
        n for text in texts.values() for n in re.findall(r'"\./([\w.]+\.js)"', text)
    }
    assert led_to == texts.keys() - {name}
    (worker,) = [key for key in texts if key.endswith(".worker.js")]
    assert "self.onmessage" in texts[worker]
    assert sum("export function fill" in text for text in texts.values()) == 1
    assert len(list(modules_within(source))) == len(texts)


def test_an_address_that_is_not_imported_stays():
    source = f"new Worker({embedded('postMessage(1)')});"
    assets = Assets()
    assets.add_module(source)
    assert list(assets.files.values()) == [source.encode()]


# Data


def test_a_model_has_its_module_style_and_own_traits():
    widget = Styled(value=[1, {"two": None}])
    data, files = page_of(widget)
    assert data["links"] == []
    (model,) = data["models"].values()
    assert files.pop(model["module"]).decode() == Plain._esm
    assert files.pop(model["css"]).decode() == Styled._css
    assert files == {}
    assert model["buffers"] == []
    assert model["state"] == {
        "value": [1, {"two": None}],
        "_view_box": "0 0 1 1",
        "_anywidget_id": f"{__name__}.Styled",
    }


def test_only_the_models_needed_are_kept():
    shown, _other, _slider = Plain(), Plain(), ipywidgets.IntSlider()
    data, _ = page_of(shown)
    assert set(data["models"]) == {shown.model_id}


@pytest.mark.parametrize("prefix", ["IPY_MODEL_", "anywidget:"])
@pytest.mark.parametrize(
    "wrap", [lambda x: x, lambda x: [0, x], lambda x: {"a": [{"b": [x, None]}]}]
)
def test_references_are_followed_however_deep(prefix, wrap):
    last = Plain()
    middle = Plain(value=wrap(prefix + last.model_id))
    first = Plain(value=wrap(prefix + middle.model_id))
    data, _ = page_of(first)
    assert set(data["models"]) == {w.model_id for w in (first, middle, last)}


def test_widgets_may_refer_to_each_other():
    one, two = Plain(), Plain()
    one.value, two.value = f"anywidget:{two.model_id}", f"anywidget:{one.model_id}"
    data, _ = page_of(one)
    assert set(data["models"]) == {one.model_id, two.model_id}


@pytest.mark.parametrize("text", ["see IPY_MODEL_1", "anywidget: a", "IPY_MODEL_"])
def test_a_text_that_only_looks_like_a_reference_is_a_text(text):
    widget = Plain(value=text)
    data, _ = page_of(widget)
    assert data["models"][widget.model_id]["state"]["value"] == text


@pytest.mark.parametrize(
    ("value", "path", "left"),
    [
        (b"\x00\xff", ["value"], ...),
        ({"shape": [2], "data": memoryview(b"\x00\xff")}, ["value", "data"], {"shape": [2]}),
        ([1, [{"deep": bytearray(b"\x00\xff")}]], ["value", 1, 0, "deep"], [1, [{}]]),
        ([b"\x00\xff"], ["value", 0], [None]),
    ],
)  # fmt: skip
def test_binary_data_is_a_file_with_its_place_in_the_state(value, path, left):
    widget = Plain(value=value)
    assert saved()[widget.model_id]["buffers"] == [
        {"path": path, "encoding": "base64", "data": "AP8="}
    ]
    data, files = page_of(widget)
    model = data["models"][widget.model_id]
    (buffer,) = model["buffers"]
    assert buffer["path"] == path
    assert buffer["file"].endswith(".bin")
    assert files[buffer["file"]] == b"\x00\xff"
    assert model["state"].get("value", ...) == left


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (None, ["a"]),
        (1, ["a"]),
        ({"a": 1}, ["a"]),
        (["a"], ["a"]),
        ([], [0]),
        ([1], [0]),
        ([1], [0, "a"]),
        ([], [0, "a"]),
        ({}, ["a", 0]),
    ],
)
def test_data_of_an_earlier_value_are_left_out(place, value):
    widget = Plain(value=value)
    buffer = {"path": ["value", *place], "encoding": "base64", "data": "AP8="}
    models = saved()
    models[widget.model_id]["buffers"] = [buffer]
    assets = Assets()
    data = page_data(models, [widget.model_id], assets)
    assert data["models"][widget.model_id]["buffers"] == []
    assert b"\x00\xff" not in assets.files.values()


def test_the_same_module_style_and_data_are_files_once():
    data, files = page_of(Styled(value=b"data"), Styled(value=[b"data"]))
    assert sorted(name.partition(".")[2] for name in files) == ["bin", "css", "js"]
    one, two = data["models"].values()
    assert (one["module"], one["css"]) == (two["module"], two["css"])
    assert one["buffers"][0]["file"] == two["buffers"][0]["file"]


@pytest.mark.parametrize(
    ("link", "both"), [(ipywidgets.jslink, True), (ipywidgets.jsdlink, False)]
)
@pytest.mark.parametrize("shown", [0, 1])
def test_a_link_brings_both_its_ends(link, both, shown):
    ends = Plain(), Plain()
    link((ends[0], "value"), (ends[1], "_view_box"))
    _elsewhere = link((Plain(), "value"), (Plain(), "value"))
    data, _ = page_of(ends[shown])
    assert set(data["models"]) == {end.model_id for end in ends}
    assert data["links"] == [
        {
            "source": [ends[0].model_id, "value"],
            "target": [ends[1].model_id, "_view_box"],
            "both": both,
        }
    ]


def test_what_pages_share_is_stored_once():
    environment = SimpleNamespace(live_widgets={})
    for page in range(5):
        content = bytes(bytearray(10_000))  # each its own
        keep(environment, f"page-{page}", {"n": page}, {"a.bin": content})
    assert environment.live_widgets["page-4"] == ({"n": 4}, {"a.bin": bytes(10_000)})
    assert len(pickle.dumps(environment)) < 20_000


# What cannot be hosted


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (ipywidgets.IntSlider, "IntSlider of @jupyter-widgets/controls"),
        (lambda: ipywidgets.VBox([Plain()]), "VBox of @jupyter-widgets/controls"),
        (lambda: Plain(value="IPY_MODEL_" + ipywidgets.Text().model_id), "Text of"),
    ],
)
def test_a_core_widget_is_named(make, name):
    with pytest.raises(CannotHost, match=rf"the widget {name}.* needs a kernel"):
        page_of(make())


def test_a_widget_linked_to_a_core_widget_names_it():
    widget = Plain()
    ipywidgets.jslink((widget, "value"), (ipywidgets.IntSlider(), "value"))
    with pytest.raises(CannotHost, match=r"the widget IntSlider of .* needs a kernel"):
        page_of(widget)


def test_a_widget_without_its_state_is_named():
    with pytest.raises(CannotHost, match="the widget abc0 was saved without its state"):
        page_data(saved(), ["abc0"], Assets())


OUTSIDE_MODULES = [
    "https://example.org/widget.js",
    "http://example.org/widget.js",
    'import { x } from "https://example.org/x.js";',
    "import x from 'http://example.org/x.js';",
    'import x from "//example.org/x.js";',
    'import{x}from"https://example.org/x.js";',
    'export * from "https://example.org/x.js";',
    'import "https://example.org/x.js";',
    'const x = await import("https://example.org/x.js");',
    "const x = await import( `https://example.org/${name}.js` );",
]


@pytest.mark.parametrize("module", OUTSIDE_MODULES)
def test_a_module_from_another_site_is_named(module):
    class Outside(anywidget.AnyWidget):
        _esm = module

    with pytest.raises(CannotHost, match="Outside loads JavaScript from another site"):
        page_of(Outside())


@pytest.mark.parametrize("module", OUTSIDE_MODULES[2:])
def test_a_module_inside_a_module_is_searched_too(module):
    middle = f"import {embedded(module)};"

    class Outside(anywidget.AnyWidget):
        _esm = f"import {embedded(middle)};"

    with pytest.raises(CannotHost, match="Outside loads JavaScript from another site"):
        page_of(Outside())


@pytest.mark.parametrize(
    "style",
    [
        "https://example.org/style.css",
        "http://example.org/style.css",
        '@import "https://example.org/style.css";',
        "@import url(https://example.org/style.css);",
        "@import url( '//example.org/style.css' );",
        "@IMPORT URL('HTTPS://example.org/style.css');",
        "p { background: url(//example.org/x.png); }",
        'p { background: URL( "https://example.org/x.png" ); }',
    ],
)
def test_a_style_from_another_site_is_named(style):
    class Outside(Plain):
        _css = style

    with pytest.raises(CannotHost, match="Outside loads styles from another site"):
        page_of(Outside())


def test_an_address_that_is_only_text_is_hosted():
    class Inside(anywidget.AnyWidget):
        _esm = """
            // see https://example.org and //example.org
            import { x } from "data:text/javascript,export const x = 1";
            const SVG = "http://www.w3.org/2000/svg";
            const link = "https://example.org";
            export default { render() {} };
        """
        _css = """
            /* see https://example.org */
            p { background: url("data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>"); }
        """

    data, files = page_of(Inside())
    (model,) = data["models"].values()
    assert files[model["module"]].decode() == Inside._esm
    assert files[model["css"]].decode() == Inside._css
