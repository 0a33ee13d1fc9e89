"""Figures take their ink from the page and say what they show."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from lmmath import figures


def a_figure():
    figure, axes = figures.subplots()
    axes.semilogy([1, 2, 3], [1, 10, 100], "o-", label="growth")
    axes.set_xlabel("x & <y>")
    axes.legend()
    return figure


@pytest.fixture
def svg():
    return figures.show(a_figure(), 'It "grows" from 1 to 100.').svg


def test_a_figure_is_well_formed_and_named(svg):
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'It "grows" from 1 to 100.'


def test_what_is_black_takes_the_pages_colour_and_nothing_else_is_grey(svg):
    assert "#000000" not in svg
    colours = set(re.findall(r"#[0-9a-f]{6}\b", svg))
    assert colours == {figures.BLUE}


def test_nothing_in_a_figure_styles_the_page_or_names_a_font(svg):
    assert "<style" not in svg
    assert "font-family" not in svg
    assert svg.count("style=") == 1  # the size of the whole


def test_a_figure_is_the_same_on_every_run_and_shares_no_id_with_another(svg):
    again = figures.show(a_figure(), 'It "grows" from 1 to 100.').svg
    other = figures.show(a_figure(), "Another figure.").svg
    assert again == svg
    ids = re.findall(r' id="([^"]+)"', svg)
    assert ids
    assert len(set(ids)) == len(ids)
    assert not set(ids) & set(re.findall(r' id="([^"]+)"', other))


def test_every_reference_inside_a_figure_resolves(svg):
    references = set(re.findall(r"(?:#)(\w+)(?:\)|\")", svg)) - {figures.BLUE[1:]}
    assert references <= set(re.findall(r' id="([^"]+)"', svg))


def test_without_pictures_the_alternative_text_is_shown():
    assert repr(figures.show(a_figure(), "It grows.")) == "Figure: It grows."


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_a_figure_without_alternative_text_is_refused(alt):
    with pytest.raises(ValueError, match="alt must say what the figure shows"):
        figures.show(a_figure(), alt)


def test_a_heat_map_shades_each_number_and_puts_row_0_on_top():
    _, axes = figures.subplots()
    values = np.asarray([[0.25, 1.0], [0.0, 0.5]])
    figures.heat_map(axes, values, ["a", "b"], ["c", "d"])
    shades = axes.collections[0].to_rgba(values.ravel())[:, 3]
    np.testing.assert_allclose(shades, values.ravel(), atol=1 / 256)
    assert axes.get_ylim() == (2.0, 0.0)


def contrast(colour, page):
    def luminance(rgb):
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb
        ]
        return np.dot([0.2126, 0.7152, 0.0722], linear)

    def rgb(text):
        return [int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]

    lighter, darker = sorted(
        [luminance(rgb(colour)), luminance(rgb(page))], reverse=True
    )
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("page", ["#ffffff", "#121212"])
@pytest.mark.parametrize(
    "colour", [figures.BLUE, figures.VERMILION, figures.GREEN, figures.PURPLE]
)
def test_every_colour_stands_out_from_both_pages(colour, page):
    assert contrast(colour, page) >= 3


def test_names_are_drawn_as_they_are_written():
    names = ["3.14159", "#000000", ' id="x_1"', ' style="a"', "<b>", "$x$"]
    figure, axes = figures.subplots()
    figures.heat_map(axes, np.eye(6), names, names)
    root = ElementTree.fromstring(figures.show(figure, "Odd names.").svg)
    drawn = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert drawn == names + names
