"""Bring packages when they are first imported, so that nobody waits for what is not used."""

import importlib.abc
import importlib.machinery
import io
import os
import sys
import sysconfig
import zipfile


class LayerFinder(importlib.abc.MetaPathFinder):
    """Finds the modules of layers that have not come yet.

    It stands at the end of ``sys.meta_path``, so it is asked only for what is not there.

    Parameters
    ----------
    layers : list of dict
        As in the site's ``index.json``: ``name``, ``file``, ``size``, the packages (``modules``)
        that the layer has, the layers that it ``needs``, and the shared ``libraries`` in it.
    fetch : callable
        Gives the bytes of a layer's file, without waiting for anything else.
    load_library : callable
        Makes the shared library at a path known to those that need it.
    folder : str
        Where the layers are unpacked.
    on_load : callable
        Is told of each layer before it is fetched, and after it is there.
    """

    def __init__(self, layers, fetch, load_library, folder, on_load=None):
        self._layers = {layer["name"]: layer for layer in layers}
        self._owners = {
            module: layer["name"] for layer in layers for module in layer["modules"]
        }
        self._fetch, self._load_library, self._folder = fetch, load_library, folder
        self._on_load = on_load or (lambda layer, there: None)
        self._there = set()

    def find_spec(self, name, path=None, target=None):
        """Bring the layer that has a module, and find the module in it."""
        parts = name.split(".")
        above = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
        owner = next((self._owners[one] for one in above if one in self._owners), None)
        if owner is None or not self.bring(owner):
            return None
        return importlib.machinery.PathFinder.find_spec(name, path, target)

    def bring(self, name):
        """Unpack a layer after those that it needs; tell whether it was not there before."""
        if name in self._there:
            return False
        self._there.add(name)
        layer = self._layers[name]
        for other in layer["needs"]:
            self.bring(other)
        self._on_load(layer, False)
        try:
            _unpack(self._fetch(layer["file"]), self._folder)
        except BaseException:
            self._there.discard(name)  # the next import tries again
            raise
        for library in layer.get("libraries", ()):
            self._load_library(f"{self._folder}/{library}")
        self._look_again()
        self._on_load(layer, True)
        return True

    def _look_again(self):
        """Let imports see the new files; to look through the standard library again takes long."""
        for path, finder in list(sys.path_importer_cache.items()):
            if finder is not None and path.startswith(self._folder):
                finder.invalidate_caches()


def _unpack(content, folder):
    made = set()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            path = f"{folder}/{member.filename}"
            parent = path.rpartition("/")[0]
            if parent not in made:
                os.makedirs(parent, exist_ok=True)
                made.add(parent)
            with open(path, "wb") as file:
                file.write(archive.read(member))


def install(layers, fetch, load_library):
    """Let imports in this Python bring layers."""
    from page_kernel import page

    folder = sysconfig.get_path("purelib")

    def on_load(layer, there):
        if not there:
            page.send("loading", name=layer["name"], size=layer["size"])
        elif layer["name"] == "widgets":
            from page_kernel import comms

            comms.provide()

    finder = LayerFinder(layers, fetch, load_library, folder, on_load)
    sys.meta_path.append(finder)
