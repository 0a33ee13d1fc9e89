"""The source shown is the source that runs."""

from lmmath import attention
from lmmath.notebook import show_source


def function_without_docstring(x):
    return x


def function_with_short_docstring(x):
    """Give x back."""
    return x


def test_a_long_docstring_is_cut_to_its_first_line():
    shown = show_source(attention.softmax).source
    assert '    r"""Turn scores into positive weights that sum to one."""\n' in shown
    assert "Parameters" not in shown
    assert "return exponentials * (1 / " in shown


def test_the_rest_of_a_function_is_shown_as_it_is():
    assert show_source(function_without_docstring).source == (
        "def function_without_docstring(x):\n    return x\n"
    )
    assert show_source(function_with_short_docstring).source == (
        'def function_with_short_docstring(x):\n    """Give x back."""\n    return x\n'
    )


def test_what_is_shown_still_computes_the_same():
    namespace = dict(vars(attention))
    exec(show_source(attention.softmax, attention.attention_weights).source, namespace)
    x = attention.np.eye(3)
    expected = attention.attention_weights(x, x)
    assert (namespace["attention_weights"](x, x) == expected).all()


def test_notebooks_highlight_it_and_others_name_it():
    shown = show_source(attention.softmax, attention.causal_mask)
    assert shown._repr_markdown_() == f"```python\n{shown.source}```"
    assert repr(shown) == (
        "Source of lmmath.attention.softmax, lmmath.attention.causal_mask. "
        "More: help(softmax), help(causal_mask)"
    )
