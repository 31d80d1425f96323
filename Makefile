# make demo   train a small model by cross-entropy and by DCO, and look at pass@N (about four minutes)
# make test   the test suite
# make lint   ruff and mypy
#
# Each installs into .venv first, once: again only when pyproject.toml or constraints.txt has changed.
#   make demo PIP_ARGS="--index-url URL"    options for pip, here an index with CPU builds of torch
#   make demo ARGS="--quick"                options for passatn demo; for pytest with make test
#   make test PYTHON=python3.12             another Python, 3.11 or newer

PYTHON = python3
PIP_ARGS =
ARGS =
PIP = .venv/bin/python -m pip --disable-pip-version-check
INSTALLED = .venv/installed

.PHONY: demo test slow lint

demo: $(INSTALLED)
	.venv/bin/passatn demo $(ARGS)

test: $(INSTALLED)
	.venv/bin/python -m pytest $(ARGS)

slow: $(INSTALLED)
	.venv/bin/python -m pytest -m slow $(ARGS)

lint: $(INSTALLED)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# torch alone and first: what follows keeps to the build that is there.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("passatn needs Python 3.11 or newer: make PYTHON=...")'
	test -x .venv/bin/pip || $(PYTHON) -m venv .venv
	$(PIP) install $(PIP_ARGS) -c constraints.txt torch
	$(PIP) install $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	touch $(INSTALLED)
