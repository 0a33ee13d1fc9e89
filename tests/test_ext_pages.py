"""What the extensions of the site do to a page: styles, scripts, mathematics, descriptions, names."""

import doctest
import os
from types import SimpleNamespace

import cards
import mathml
import names
import pytest
import scripts
import sources
import stylesheet
from docutils.core import publish_doctree
from sphinx.highlighting import PygmentsBridge


@pytest.mark.parametrize("module", [cards, mathml, scripts, sources, stylesheet])
def test_the_examples_are_right(module):
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize(
    ("css", "left"),
    [
        (".used{a:b} .unused{a:b}", ".used{a:b}"),
        ("#used, .used.unused {a:b}", "#used{a:b}"),
        (".used:not(.unused) {a:b}", ".used:not(.unused){a:b}"),
        (":is(.unused, .used) p {a:b}", ":is(.unused, .used) p{a:b}"),
        ("@media print { .unused {a:b} }", ""),
        (
            "@supports (a:b) { @media print { p {a:b} } }",
            "@supports (a:b) {@media print {p{a:b}}}",
        ),
        ("@font-face {src: url(../vendor/fontawesome/x.woff2)}", ""),
        ("@keyframes turn {from {a:b}}", "@keyframes turn {from {a:b}}"),
        ("/* .used */ p /* x */ {a: /* y */ b}", "p{a: b}"),
    ],
)
def test_a_rule_stays_if_something_may_need_it(css, left):
    assert "".join(stylesheet.used_rules(css, {"used"})) == left


def test_styles_of_elements_become_rules():
    page = '<p style="color: red">x</p><p data-style="color: red" style="italic">y</p>'
    assert stylesheet.style_rules([page]) == ['[data-style="color: red"]{color: red}']


def script(filename, **attributes):
    return SimpleNamespace(filename=filename, attributes=attributes)


def test_scripts_in_files_wait_and_others_go():
    at_once, ordinary = script("_static/mode.js"), script("_static/a.js")
    module, data = (
        script("_static/b.js", type="module"),
        script(None, type="application/json", body="{}"),
    )
    context = {
        "script_files": [at_once, ordinary, script(None, body="x = 1"), module, data]
    }
    scripts.defer(None, "page", "page.html", context, None)
    assert context["script_files"] == [at_once, ordinary, module, data]
    assert ordinary.attributes == {"defer": "defer"}
    assert "defer" not in at_once.attributes | module.attributes


def test_a_formula_keeps_its_number_out_of_the_mathematics():
    shown = mathml.equation(r"y = x \tag{3.1}")
    assert shown.count("<math") == 1
    assert '<span class="eqno">(3.1)</span>' in shown
    assert "3.1" not in shown.partition("<math")[2].partition("</math>")[0]


@pytest.mark.parametrize("latex", [r"\frac{1}{", r"\nosuchcommand", r"\left( x"])
def test_a_formula_with_an_error_says_so(latex):
    with pytest.raises(mathml.BadLatex, match=r"\w+"):
        mathml.mathml(latex)


def test_a_description_ends_with_a_whole_word():
    text = cards.describe(publish_doctree("word " * 100))
    assert text == " ".join(["word"] * 36) + " …"


def test_addresses_are_whole_or_absent():
    without = cards.tags("A < B", "x", "Book")
    assert "og:url" not in without
    assert "og:image" not in without
    assert "A &lt; B" in without
    with_address = cards.tags("A", "x", "Book", "https://example.org/book/", "a.html")
    assert 'content="https://example.org/book/a.html"' in with_address
    assert 'content="https://example.org/book/_static/card.png"' in with_address


def test_the_card_is_a_picture(tmp_path):
    cards.draw("The mathematics of large language models", tmp_path / "card.png")
    assert (tmp_path / "card.png").read_bytes()[:4] == b"\x89PNG"


def test_parts_of_a_page_are_called_what_they_are():
    summary = '<summary aria-label="Toggle hidden content">Solution</summary>'
    context = {"body": summary + '<div role="doc-biblioentry">Book</div>'}
    names.correct(None, "page", "page.html", context, None)
    assert (
        context["body"] == '<summary>Solution</summary><div role="listitem">Book</div>'
    )


def test_a_source_page_is_written_again_only_if_something_changed(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(sources, "FILES", sources.FILES[:3])
    newest_template = 0.0
    templates = SimpleNamespace(newest_template_mtime=lambda: newest_template)
    builder = SimpleNamespace(templates=templates, highlighter=PygmentsBridge())
    app = SimpleNamespace(outdir=tmp_path, pages_have_changed=False, builder=builder)

    def written():
        return [name for name, _, _ in sources.pages(app)]

    names = [sources.page_name(path) for path in sources.FILES]
    assert written() == names
    pages = [tmp_path / f"{name}.html" for name in names]
    for page in pages:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.touch()
    assert written() == []
    os.utime(pages[1], (1, 1))
    assert written() == [names[1]]
    newest_template = pages[0].stat().st_mtime + 1
    assert written() == names
    newest_template = 2.0
    app.pages_have_changed = True
    assert written() == names
