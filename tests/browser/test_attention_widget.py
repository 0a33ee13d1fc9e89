"""The attention widget on the published chapter: by keyboard, by touch, with any text."""

import re

import pytest

from lmmath.widgets import AttentionWidget

BAD_TEXTS = {
    "empty": "",
    "spaces": " \t ",
    "500 words": "she saw the old boat " * 100,
    "10,000 letters": "x" * 10_000,
    "emoji": "🦊 👩‍👩‍👧 she 🏳️‍🌈",
    "script": "<script>document.body.textContent = 'gone'</script>",
    "markup": "<img src=x onerror=alert(1)><b>she</b> &amp;",
    "control characters": "a\x00b\x07\u202eshe",
}


def open_widget(page, site):
    # Without MathJax, which these tests do not need, a page opens in a third of the time.
    page.route("**/mathjax/**", lambda route: route.fulfill(body=""))
    page.goto(f"{site}/03-attention.html")
    page.locator("#try-it .live-widget").scroll_into_view_if_needed()
    page.locator("#try-it .live-widget[data-state=live]").wait_for()
    return page.locator("#try-it .live-widget-view")


@pytest.fixture
def view(page, site):
    return open_widget(page, site)


def word(view, text):
    return view.get_by_role("radio", name=re.compile(rf"^{text} \d"))


def shown(view):
    return view.locator(".lm-weight").all_inner_texts()


def expected(**traits):
    return [f"{weight:.2f}" for weight in AttentionWidget(**traits).row]


def test_first_state_is_pythons(view):
    assert shown(view) == expected()
    assert view.locator(".lm-word").all_inner_texts() == AttentionWidget().tokens
    assert (
        view.get_by_role("status")
        .inner_text()
        .startswith("“she” attends to “Anna” 0.69")
    )


@pytest.mark.parametrize("head", [0, 1])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scaled", [True, False])
def test_every_switch_shows_lmmaths_numbers(view, head, causal, scaled):
    view.get_by_role("radio", name=AttentionWidget().head_names[head]).check()
    view.get_by_role("checkbox", name="causal mask").set_checked(causal)
    view.get_by_role("checkbox", name="divide by").set_checked(scaled)
    for query, text in [(1, "lent"), (6, "she")]:
        word(view, text).check()
        assert shown(view) == expected(
            head=head, causal=causal, scaled=scaled, query=query
        )


def test_a_new_sentence_moves_the_attention(view):
    sentence = "Anna lent Tom the book because he had finished it."
    view.get_by_label("Sentence").fill(sentence)
    assert shown(view) == expected(text=sentence)
    assert (
        view.get_by_role("status").inner_text().startswith("“he” attends to “Tom” 0.69")
    )


def test_everything_by_keyboard(page, view):
    view.get_by_label("Sentence").focus()
    page.keyboard.press("End")
    page.keyboard.type(" Tom")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    assert shown(view) == expected(
        text=AttentionWidget().text + " Tom", head=1, causal=True, scaled=False, query=4
    )
    assert view.get_by_role("status").inner_text().startswith("“book” attends to")


def test_focus_is_visible(page, view):
    word(view, "because").focus()
    page.keyboard.press("ArrowRight")
    outline = view.locator("label:has(:focus-visible)").evaluate(
        "e => getComputedStyle(e).outline"
    )
    assert "3px" in outline


def test_by_touch_on_a_telephone(new_page, site):
    page = new_page(viewport={"width": 360, "height": 740}, has_touch=True)
    view = open_widget(page, site)
    word(view, "book").tap()
    assert shown(view) == expected(query=4)
    view.get_by_text("causal mask").tap()
    assert shown(view) == expected(query=4, causal=True)
    heat_map = view.locator("canvas")
    box = heat_map.bounding_box()
    row_of_tom = {"x": box["width"] / 2, "y": box["height"] * 2.5 / 11}
    heat_map.tap(position=row_of_tom, force=True)
    assert shown(view) == expected(query=2, causal=True)


@pytest.mark.parametrize("text", BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_any_text_is_text_and_the_page_stays_alive(new_page, site, text):
    page = new_page(viewport={"width": 360, "height": 740})
    view = open_widget(page, site)
    view.get_by_label("Sentence").fill(text)
    text = view.get_by_label("Sentence").input_value()
    assert (
        view.locator(".lm-word").all_text_contents()
        == AttentionWidget(text=text).tokens
    )
    if AttentionWidget(text=text).tokens:
        assert shown(view) == expected(text=text)
    else:
        assert (
            view.get_by_role("status").inner_text()
            == "Type a sentence to see its attention."
        )
    assert view.locator("script, img, b").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    view.get_by_label("Sentence").fill("Tom saw it.")
    assert shown(view) == expected(text="Tom saw it.")


def test_more_words_than_it_shows_are_counted(view):
    view.get_by_label("Sentence").fill("she " * 600)
    assert "the first 512 words; 88 more are left out" in view.inner_text()


def test_words_without_a_vector_are_named(view):
    view.get_by_label("Sentence").fill("Anna saw <b>Zorro</b>")
    assert "so all their features are zero: “b”, “Zorro”." in view.inner_text()


def test_it_waits_until_it_comes_into_view(page, site):
    page.goto(f"{site}/03-attention.html")
    assert page.locator("#try-it .live-widget").get_attribute("data-state") is None
    assert page.locator("#try-it .live-widget-picture").is_visible()


def test_print_shows_the_picture(page, view):
    page.emulate_media(media="print")
    assert page.locator("#try-it .live-widget-picture svg").is_visible()
    assert not view.is_visible()


def test_without_javascript_the_picture_says_what_it_shows(new_page, site):
    page = new_page(java_script_enabled=False)
    page.goto(f"{site}/03-attention.html")
    picture = page.locator("#try-it .live-widget-picture svg")
    assert picture.is_visible()
    assert "“she” attends most to “Anna”, with weight 0.69" in picture.get_attribute(
        "aria-label"
    )
