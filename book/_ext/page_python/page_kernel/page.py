"""The way from Python to the page: what the worker gives, and nothing else.

The worker registers a JavaScript module ``page_of_worker`` before it imports this package.
"""

import json

import page_of_worker


def send(event, /, **data):
    """Send the page an event, with data that JSON can hold.

    ``buffers``, a list of binary data, travels beside it.
    """
    buffers = [bytes(buffer) for buffer in data.pop("buffers", None) or []]
    page_of_worker.send(json.dumps({"event": event, **data}), buffers)
