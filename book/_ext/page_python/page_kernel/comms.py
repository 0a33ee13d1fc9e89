"""The comms of Jupyter, between a widget in Python and its view on the page."""

import comm
from comm.base_comm import BaseComm
from page_kernel import page

# The page has these as files, and runs no others: a strict policy forbids what is not the site's.
_OF_THE_PAGE = {"_esm", "_css"}


class PageComm(BaseComm):
    """A comm whose messages go to the page."""

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        """Send a message: ``comm_open``, ``comm_msg`` or ``comm_close``."""
        data = dict(data or {})
        if "state" in data:
            state = data["state"]
            data["state"] = {
                name: state[name] for name in state if name not in _OF_THE_PAGE
            }
        page.send(msg_type, comm=self.comm_id, data=data, buffers=buffers)


def provide():
    """Make every widget from now on use such a comm."""
    comm.create_comm = PageComm


def receive(comm_id, data, buffers=()):
    """Pass a message from the page on to the widget that it is for, if that is still there."""
    target = comm.get_comm_manager().get_comm(comm_id)
    if target is not None:
        target.handle_msg({"content": {"data": data}, "buffers": list(buffers)})
