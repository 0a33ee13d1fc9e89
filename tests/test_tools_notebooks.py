"""Cleaning keeps what nbval compares and drops what the build makes."""

import copy

import nbformat
import notebooks  # tools/notebooks.py
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output


@pytest.fixture
def notebook():
    picture = {"text/plain": "Figure: a", "text/html": "<svg/>", "image/png": "..."}
    return new_notebook(
        metadata={
            "widgets": {"state": {}},
            "kernelspec": {"name": "mine", "display_name": "My own"},
        },
        cells=[
            new_markdown_cell("# 3. A title"),
            new_code_cell("old", metadata={"tags": ["setup"]}, execution_count=7),
            new_code_cell(
                "figure",
                execution_count=9,
                metadata={"execution": {}, "scrolled": True, "tags": ["hide-input"]},
                outputs=[
                    new_output("stream", name="stdout", text="one\n"),
                    new_output("stream", name="stdout", text="two\n"),
                    new_output("stream", name="stderr", text="three\n"),
                    new_output("execute_result", picture, execution_count=9),
                ],
            ),
        ],
    )


def test_outputs_keep_their_text_and_lose_their_pictures(notebook):
    notebooks.clean(notebook, address="")
    first, second, third = notebook.cells[2].outputs
    assert (first.text, second.text) == ("one\ntwo\n", "three\n")
    assert third.data == {"text/plain": "Figure: a"}


def test_nothing_of_the_session_stays(notebook):
    notebooks.clean(notebook, address="")
    assert notebook.metadata == notebooks.KEPT_METADATA
    assert notebook.cells[2].metadata == {"tags": ["hide-input"]}
    assert [cell.execution_count for cell in notebook.cells[1:]] == [1, 2]
    assert notebook.cells[2].outputs[2].execution_count == 2
    nbformat.validate(notebook)


def test_cleaning_twice_changes_nothing_more(notebook):
    notebooks.clean(notebook, address="")
    once = copy.deepcopy(notebook)
    notebooks.clean(notebook, address="")
    assert notebook == once


def test_the_setup_cell_knows_the_address_if_there_is_one(notebook):
    notebooks.clean(notebook, address="https://example.org/someone/lmmath")
    assert "git+https://example.org/someone/lmmath" in notebook.cells[1].source
    notebooks.clean(notebook, address="")
    assert "http" not in notebook.cells[1].source
    assert "%pip" not in notebook.cells[1].source
    notebook.cells[1].source = "a fork's own"
    notebooks.clean(notebook, address=None)
    assert notebook.cells[1].source == "a fork's own"
