# Each target does its own set-up. It takes make, any python3 (3.8 or newer)
# with pip, and a package index; uv, a Python that fits and the dependencies
# come from there, into .tools and .venv.

PYTHON ?= python3
# Two tests at a time: twice as quick on two cores, and each has memory enough. Each process takes
# half of the tests in order, so that few files' fixtures are made twice.
PYTEST_ARGS ?= -n 2 --dist worksteal

# What `make test-lowest` runs: everything, where nothing is named.
LOWEST_TESTS ?=

# A uv on the PATH will do if it knows dependency groups; else we install ours.
UV := $(shell uv pip install --help 2>/dev/null | grep -q -e --group && command -v uv || echo .tools/bin/uv)

# What a package lacks shows in these; the whole suite runs in a clone.
UNPACKED_TESTS = $(addprefix tests/test_,docs.py examples.py house.py packaging.py readme.py)

# Images of containers often set it, and each process that imports JAX then takes 8 s rather than 2.
unexport PYTHONDONTWRITEBYTECODE

# Pinned versions, checked against their hashes; -b: the build backend's too.
INSTALL = $(UV) pip install --python .venv -c constraints.txt -b constraints.txt

# pyenv's shims run only what .python-version names, so a search for a Python
# looks past them into pyenv's own folders.
WITH_PYENV = PATH="$$(printf '%s:' "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/*/bin)$$PATH"

# What leans most on draws, of which other rounding makes others.
ROUNDING_TESTS = $(addprefix tests/test_,calibrated_gap.py generalization_gap.py geometry.py model_error.py symmetry_level.py)

# What needs packages that `make test` does without.
ECOSYSTEM_TESTS = $(addprefix tests/test_,ase.py graphs.py ecosystem.py)

.PHONY: help demo test test-simulations test-rounding test-torch test-ecosystem test-lowest fuzz package check docs notebooks calibrate bench constraints clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /make \1: /p' Makefile

demo: .venv/.core ## run the demo
	.venv/bin/python -m equiprob demo

test: .venv/.test ## run the tests, two at a time; PYTEST_ARGS= for one
	.venv/bin/python -m pytest -m "not simulation" $(PYTEST_ARGS)

test-simulations: .venv/.test ## run the tests that simulate how often a statement comes true
	.venv/bin/python -m pytest -m simulation $(PYTEST_ARGS)

test-rounding: .venv/.test ## run the tests that lean most on draws with other draws and other kernels
	OPENBLAS_CORETYPE=Prescott XLA_FLAGS=--xla_cpu_max_isa=SSE4_2 EQUIPROB_DRAWS=1 \
	  .venv/bin/python -m pytest $(PYTEST_ARGS) $(ROUNDING_TESTS)

test-torch: .venv/.test .venv/.torch ## install PyTorch (5 GB) and run its tests
	.venv/bin/python -m pytest tests/test_torch*.py $(PYTEST_ARGS)

test-ecosystem: .venv-ecosystem/.installed ## install ASE, PyTorch Geometric, torchvision, Lightning ... (7 GB) and run the tests that need them
	.venv-ecosystem/bin/python -m pytest $(ECOSYSTEM_TESTS) $(PYTEST_ARGS)

test-lowest: .venv/pyvenv.cfg ## run the tests with the lowest versions that pyproject.toml declares, on Python 3.12 if there is one
	@$(WITH_PYENV); \
	py="$$($(UV) python find --no-project --system --no-python-downloads 'cpython>=3.12,<3.13')"; \
	$(UV) venv --no-project -q --clear -p "$${py:-.venv/bin/python}" .venv-lowest
	$(UV) pip install -q --python .venv-lowest --resolution lowest-direct -e . --group test
	.venv-lowest/bin/python -m pytest -W "ignore::DeprecationWarning" $(PYTEST_ARGS) $(LOWEST_TESTS)

fuzz: .venv/.test ## give 10,000 malformed inputs to functions, files and command lines
	EQUIPROB_FUZZ=10000 .venv/bin/python -m pytest tests/test_fuzz*.py $(PYTEST_ARGS)

package: .venv/.core ## build the wheel and the sdist; run tests of the unpacked sdist on the installed wheel
	rm -rf dist
	$(UV) build -q -b constraints.txt -o dist
	$(UV) venv --no-project -q --clear -p .venv/bin/python dist/venv
	$(UV) pip install -q --python dist/venv -c constraints.txt dist/*.whl pytest
	cd dist && venv/bin/equiprob --version && venv/bin/equiprob audit --help >/dev/null
	mkdir dist/unpacked && tar -xzf dist/*.tar.gz -C dist/unpacked --strip-components=1
	cd dist/unpacked && ../venv/bin/pytest -q $(UNPACKED_TESTS)

check: .venv/.check ## formatting, lint, types, and that all of the public API is typed
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/basedpyright
	@PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/basedpyright --verifytypes equiprob --ignoreexternal \
	  > .venv/types.txt || { cat .venv/types.txt; exit 1; }
	@grep 'completeness' .venv/types.txt

docs: .venv/.docs ## build the pages in docs/_build/html, running the notebooks
	.venv/bin/python -m sphinx -W --keep-going -n -b html docs docs/_build/html

notebooks: .venv/.docs ## run every notebook; an error or a warning in one fails
	.venv/bin/python docs/run_notebooks.py

calibrate: .venv/.test ## simulation-based calibration
	.venv/bin/python -m benchmarks.calibration
	.venv/bin/python -m benchmarks.certificates

bench: .venv/.test ## measure speed, precision and memory; writes docs/performance.md, docs/scale.md and docs/wall_time.md
	.venv/bin/python -m benchmarks.performance
	.venv/bin/python -m benchmarks.performance.wall

constraints: | $(UV) ## pin the newest versions in constraints.txt
	$(UV) pip compile -q --upgrade --universal --python-version 3.12 --no-python-downloads \
	  --generate-hashes --no-emit-index-url --custom-compile-command "make constraints" \
	  --group dev --group build -o constraints.txt pyproject.toml

clean: ## remove everything that make made
	rm -rf .venv .venv-ecosystem .venv-lowest .tools dist docs/_build docs/_notebooks docs/_api

# --- set-up: one .venv, and in it a stamp for each group that is installed ---

.venv/.core: pyproject.toml constraints.txt .venv/pyvenv.cfg
	$(INSTALL) -e .
	@touch $@

.venv/.%: .venv/.core
	$(INSTALL) --group $*
	@touch $@

.venv-ecosystem/.installed: pyproject.toml constraints.txt .venv/pyvenv.cfg
	$(UV) venv --no-project -q --clear -p .venv/bin/python .venv-ecosystem
	$(UV) pip install --python .venv-ecosystem -c constraints.txt -b constraints.txt -e . --group test --group ecosystem
	@touch $@

# The Python of .python-version if there is one, else any that has wheels of
# every dependency, else uv may download the first.
.venv/pyvenv.cfg: .python-version | $(UV)
	@rm -rf .venv; \
	$(WITH_PYENV); \
	want="cpython@$$(cat .python-version)"; \
	find() { $(UV) python find --no-project --system --no-python-downloads "$$1" 2>/dev/null; }; \
	if py="$$(find "$$want" || find 'cpython>=3.12,<3.15')"; then \
	  $(UV) venv --no-project -p "$$py" .venv; \
	else \
	  $(UV) venv --no-project -q -p "$$want" .venv 2>/dev/null || { \
	  echo "equiprob needs CPython 3.12, 3.13 or 3.14: none was found here and uv could download none;" \
	    "install one (such as python3.13 from your system or pyenv) and run make again." >&2; exit 1; }; \
	fi

# From outside the project, as a pyenv python3 obeys .python-version inside it
# and may not have that one. --target works where the system's Python is managed.
.tools/bin/uv: constraints.txt
	@mkdir -p .tools && sed -n '/^uv==/,/[^\\]$$/p' constraints.txt > .tools/uv.txt
	cd / && $(PYTHON) -m pip install -q --disable-pip-version-check --upgrade \
	  --target "$(CURDIR)/.tools" --require-hashes -r "$(CURDIR)/.tools/uv.txt"
	@touch $@
