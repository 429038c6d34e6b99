# make nightly   sets up everything and runs the main job on the embedded default
# make test      sets up everything, checks and tests
# make docs      writes the reference pages from the code and builds the documentation into site/
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup nightly test test-slow test-label-studio check format docs clean

setup: .venv/.ready

# One file of exact versions, installed as it stands; torch brings what it needs for CUDA. The stamp comes last, so
# that an interrupted setup is taken up again.
.venv/.ready: constraints.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --requirement constraints.txt "setuptools>=77"
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -qq -j 0 .venv/lib || true  # on all cores, unlike pip; some packages carry newer syntax
	touch .venv/.ready

nightly: setup
	$(BIN)/earmark demo

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not label_studio" --durations 12

test-slow: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow and not label_studio" --timeout 7200

# The annotation server in an environment of its own: its packages and earmark's don't go together. About 1 GB; a first
# start takes half a minute on an idle machine. The browser test runs where a Chromium is found.
STUDIO := .label-studio
$(STUDIO)/.ready:
	test -x $(STUDIO)/bin/python || $(PYTHON) -m venv $(STUDIO)
	$(STUDIO)/bin/python -m pip install --quiet --no-compile "label-studio==1.23.2"
	touch $@

test-label-studio: setup $(STUDIO)/.ready
	OMP_NUM_THREADS=1 LABEL_STUDIO=$(CURDIR)/$(STUDIO)/bin/label-studio \
		CHROMIUM="$$(command -v chromium || command -v chromium-browser || command -v google-chrome)" \
		$(BIN)/python -m pytest -m label_studio --timeout 1800

# The site builder in an environment of its own, so that earmark's pins stay as they are. A link or an anchor that leads
# nowhere fails the build.
DOCS := .docs
$(DOCS)/.ready: constraints-docs.txt
	$(PYTHON) -m venv --clear $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --no-compile --no-deps --requirement constraints-docs.txt
	touch $@

docs: setup $(DOCS)/.ready
	$(BIN)/python -m flows.reference docs
	$(DOCS)/bin/zensical build --clean --strict

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .label-studio .docs site .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
