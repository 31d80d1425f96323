# make demo   train a small model by cross-entropy and by DCO, and look at pass@N (about four minutes)
# make test   the test suite
# make lint   ruff and mypy
# make vllm   the tests of the vLLM engine, on the CPU, in an environment of their own
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

.PHONY: demo test slow lint vllm

demo: $(INSTALLED)
	.venv/bin/passatn demo $(ARGS)

# Two processes, a file of tests in one of them.
test: $(INSTALLED)
	.venv/bin/python -m pytest -n 2 --dist loadfile --durations=15 $(ARGS)

slow: $(INSTALLED)
	.venv/bin/python -m pytest -m slow $(ARGS)

lint: $(INSTALLED)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

vllm: .venv-vllm/installed
	PYTHONPATH=src .venv-vllm/bin/python -m pytest tests/live_vllm $(ARGS)

# torch alone and first: what follows keeps to the build that is there.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("passatn needs Python 3.11 or newer: make PYTHON=...")'
	test -x .venv/bin/pip || $(PYTHON) -m venv .venv
	$(PIP) install $(PIP_ARGS) -c constraints.txt torch
	$(PIP) install $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	touch $(INSTALLED)

# vLLM's build for CPUs pins other versions than constraints.txt. torchvision and its kin have no builds for CPUs beside
# this torch, and importing vLLM would fail on them.
.venv-vllm/installed: requirements-vllm.txt Makefile
	test -x .venv-vllm/bin/pip || $(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip --disable-pip-version-check install $(PIP_ARGS) -c requirements-vllm.txt torch
	.venv-vllm/bin/python -m pip --disable-pip-version-check install $(PIP_ARGS) -r requirements-vllm.txt
	.venv-vllm/bin/python -m pip --disable-pip-version-check uninstall -y torchvision torchaudio torchcodec triton
	touch .venv-vllm/installed
