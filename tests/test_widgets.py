"""The widgets' Python side: traits, the model they hold, the static picture."""

import base64
import re

import numpy as np
import pytest
import traitlets

from lmmath import handmade
from lmmath.attention import attention_weights, causal_mask
from lmmath.widgets import AttentionWidget
from lmmath.widgets._base import Widget, module


class OneHead(dict):
    """A model of two words and one head, as traits."""

    def __init__(self, **changes):
        super().__init__(
            text="a b a",
            query=0,
            vocabulary=["a", "b"],
            embeddings=np.eye(2),
            head_names=["one"],
            w_q=np.ones((1, 2, 3)),
            w_k=np.arange(6.0).reshape(1, 2, 3),
        )
        self.update(changes)


def test_every_number_shown_is_a_synchronized_trait():
    keys = AttentionWidget().keys
    assert {
        "text",
        "query",
        "head",
        "causal",
        "scaled",
        "vocabulary",
        "head_names",
    } <= set(keys)
    assert {"embeddings", "w_q", "w_k"} <= set(keys)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("head", [0, 1])
def test_weights_are_the_formulas(causal, scaled, head):
    widget = AttentionWidget(text="Tom saw it", causal=causal, scaled=scaled, head=head)
    x = handmade.embed(["tom", "saw", "it"])
    expected = attention_weights(
        x @ handmade.W_Q[head],
        x @ handmade.W_K[head],
        mask=causal_mask(3) if causal else None,
        scale=0.5 if scaled else 1.0,  # vectors of length 4
    )
    np.testing.assert_allclose(widget.weights, expected, 1e-14)


@pytest.mark.parametrize(("query", "row"), [(1, 1), (9, 2)])
def test_the_row_shown_is_that_of_a_token_that_is_there(query, row):
    widget = AttentionWidget(text="Tom saw it", query=query)
    assert np.array_equal(widget.row, widget.weights[row])
    widget.text = ""
    assert widget.row.shape == (0,)


def test_an_even_row_names_no_favourite():
    assert "“saw” attends to all equally, with weight 0.33" in repr(
        AttentionWidget(text="Tom saw it", query=1)
    )


def test_a_model_cannot_be_changed_behind_the_widgets_back():
    embeddings = np.eye(2)
    widget = AttentionWidget(**OneHead(embeddings=embeddings))
    embeddings[0, 0] = 99
    assert np.array_equal(widget.embeddings, np.eye(2))
    with pytest.raises(ValueError, match="read-only"):
        AttentionWidget().embeddings[0, 0] = 99


def test_another_model_is_other_data():
    widget = AttentionWidget(**OneHead())
    keys = widget.w_k[0][[0, 1, 0]]
    expected = attention_weights(np.ones((3, 3)), keys)
    np.testing.assert_allclose(widget.weights, expected, 1e-14)


def test_arrays_reach_the_page_as_bytes_and_come_back():
    widget = AttentionWidget(**OneHead())
    sent = widget.get_state("w_k")["w_k"]
    assert sent["shape"] == [1, 2, 3]
    assert np.frombuffer(sent["data"], "<f8").tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    widget.set_state({"w_k": {"shape": [1, 2, 3], "data": memoryview(np.ones(6))}})
    assert np.array_equal(widget.w_k, np.ones((1, 2, 3)))


def test_the_page_can_set_a_trait_and_python_notices():
    widget, seen = AttentionWidget(), []
    widget.observe(lambda change: seen.append(change.new), "text")
    widget.set_state({"text": "Tom slept"})
    assert seen == ["Tom slept"]
    assert widget.tokens == ["Tom", "slept"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"embeddings": np.eye(3)[:, :2]},
            "one row for each word of vocabulary, got 3 rows and 2",
        ),
        (
            {"w_k": np.ones((2, 2, 3))},
            r"w_k must have shape .* = \(1, 2, 3\), got \(2, 2, 3\)",
        ),
        (
            {"w_q": np.ones((1, 5, 3))},
            r"w_q must have shape .* = \(1, 2, 3\), got \(1, 5, 3\)",
        ),
        ({"head": 1}, "head must be less than 1, got 1"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_at_once_and_later(changes, message):
    with pytest.raises(ValueError, match=message):
        AttentionWidget(**OneHead(**changes))
    widget = AttentionWidget(**OneHead())
    for name, value in changes.items():
        setattr(widget, name, value)
    with pytest.raises(ValueError, match=message):
        _ = widget.weights


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones(3), r"embeddings must have 2 axes, got shape \(3,\)"),
        (np.full((2, 2), np.nan), "embeddings must be finite, got NaN or infinity"),
        ("words", "embeddings must be an array of numbers, got str"),
    ],
)
def test_a_trait_takes_only_arrays_that_it_can_hold(value, message):
    widget = AttentionWidget(**OneHead())
    with pytest.raises(traitlets.TraitError, match=message):
        widget.embeddings = value
    assert np.array_equal(widget.embeddings, np.eye(2))


@pytest.mark.parametrize("text", ["", "🦊 <script> $\\frac$", "she " * 600])
def test_the_picture_says_what_it_shows_for_any_text(text):
    widget = AttentionWidget(text=text)
    picture = widget.picture()
    assert "<script>" not in picture.svg
    assert repr(widget) == f"AttentionWidget. Figure: {picture.alt}"
    data, _ = widget._repr_mimebundle_()
    assert data["text/html"] == picture._repr_html_()
    assert (
        data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    )


def test_a_widget_must_have_a_picture():
    with pytest.raises(NotImplementedError):
        Widget().picture()


def test_imported_modules_travel_inside_the_module():
    source = module("attention.js")
    assert 'from "./' not in source
    inside = re.findall(r'from "data:text/javascript;base64,([\w+/=]+)"', source)
    assert [base64.b64decode(text).decode() for text in inside] == [
        module("mathematics.js"),
        module("shared.js"),
    ]
