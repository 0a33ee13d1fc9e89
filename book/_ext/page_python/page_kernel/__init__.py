"""What runs a page's code cells, in the Python of the reader's browser.

``static/python/kernel.worker.js`` starts Pyodide and unpacks this package first. ``cells`` says
which earlier cells a cell needs, ``running`` runs one, ``display`` turns what it shows into data
for the page, ``comms`` keeps widgets in step, ``completion`` proposes names, and ``layers``
brings what is imported when it is imported.
"""
