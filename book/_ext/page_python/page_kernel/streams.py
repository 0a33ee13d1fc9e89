"""What a cell prints, sent to the page line by line while the cell runs."""

import io
import time

from page_kernel import page

MOST_CHARACTERS = 200_000  # of one cell: a page cannot show what an endless loop prints
NO_MORE = "… what this cell prints from here on is not shown"
NOTHING = -1
# So many lines go at once. After them they go together, or they would keep the page from answering.
LINES_AT_ONCE = 100
SECONDS = 0.1


class Stream(io.TextIOBase):
    """A text stream of the page: ``stdout`` or ``stderr``."""

    def __init__(self, name, send=page.send, clock=time.monotonic):
        self.name = name
        self._send, self._clock = send, clock
        self._waiting = []
        self.begin()

    def begin(self):
        """Begin a new cell."""
        self.flush()
        self._left = MOST_CHARACTERS
        self._at_once = LINES_AT_ONCE

    def writable(self):
        """Say yes, as every stream for output."""
        return True

    def write(self, text):
        """Take a text; send what ends with a line, so that ``print`` is one message."""
        if not isinstance(text, str):
            raise TypeError(f"write takes a str, got {type(text).__name__}")
        if len(text) <= self._left:
            self._left -= len(text)
            self._waiting.append(text)
            if text.endswith("\n") and self._may_send():
                self.flush()
        elif self._left != NOTHING:
            self._waiting.append(f"{text[: self._left]}\n{NO_MORE}\n")
            self._left = NOTHING
            self.flush()
        return len(text)

    def _may_send(self):
        self._at_once -= 1
        return self._at_once >= 0 or self._clock() >= self._sent + SECONDS

    def flush(self):
        """Send what was written and not sent."""
        if self._waiting:
            text = "".join(self._waiting)
            self._waiting.clear()
            self._send("stream", name=self.name, text=text)
        self._sent = self._clock()
