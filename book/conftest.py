"""How nbval compares the chapters: by what they print."""

MADE_BY_THE_BUILD = (
    "text/html",
    "text/markdown",
)  # pictures and sources, not committed


def pytest_collection_modifyitems(items):
    for parent in {item.parent for item in items}:
        # A module with doctests has nothing to compare.
        if hasattr(parent, "skip_compare"):
            parent.skip_compare += MADE_BY_THE_BUILD
