"""How nbval compares the chapters: by what they print."""

MADE_BY_THE_BUILD = (
    "text/html",
    "text/markdown",
)  # pictures and sources, not committed

# A browser's Python runs these, and finds there what they import.
collect_ignore = ["_ext/page_python/page_kernel"]


def pytest_collection_modifyitems(items):
    for parent in {item.parent for item in items}:
        # A module with doctests has nothing to compare.
        if hasattr(parent, "skip_compare"):
            parent.skip_compare += MADE_BY_THE_BUILD
