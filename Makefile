# make demo: set up and run the main job, offline.   make test: set up and pass the tests.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV ?= .venv
PY := $(VENV)/bin/python
# The interpreter for the environment; any CPython 3.11 to 3.13.
PYTHON ?= $(shell for v in python3.12 python3.11 python3.13 python3; do command -v $$v >/dev/null 2>&1 && $$v -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && { command -v $$v; break; }; done)
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
export OPENBLAS_NUM_THREADS ?= 1
# Tests wait for processes that they start: one more worker than there are cores, five at most.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$(( n < 4 ? n + 1 : 5 )))
# Commands and tests start hundreds of processes; without Python's bytecode each compiles a thousand modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-slow cuda test-gpu check quick coverage lint format mutants bench fuzz soak requirements kernels docs site wheel clean

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.uv/bin/uv:
	@test -n "$(PYTHON)" || { echo "error: ReIDStream needs Python 3.11, 3.12 or 3.13 on the PATH" >&2; exit 1; }
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.ready: pyproject.toml requirements/dev.txt $(filter .uv/bin/uv,$(UV))
	@test -n "$(PYTHON)" || { echo "error: ReIDStream needs Python 3.11, 3.12 or 3.13 on the PATH" >&2; exit 1; }
	$(UV) venv --quiet --allow-existing --python "$(PYTHON)" $(VENV)
	$(UV) pip install --quiet --python $(PY) --require-hashes -r requirements/dev.txt
	$(UV) pip install --quiet --python $(PY) --no-deps --editable .
	$(PY) -c "import reidstream.cli.app, reidstream.pipeline, reidstream.search, reidstream.identities.review"
	@touch $@

setup: $(VENV)/.ready  ## Make the environment in .venv

demo: $(VENV)/.ready  ## Video to gallery on this machine, offline
	$(VENV)/bin/reidstream demo

test: $(VENV)/.ready  ## The tests that every machine can run
	$(PY) -m pytest -q -n $(WORKERS) --dist worksteal \
		-m "not slow and not shared and not gstreamer and not torch and not gpu"

cuda: $(VENV)/.ready  ## Add ONNX Runtime for NVIDIA GPUs to the environment
	PATH="$(dir $(UV)):$$PATH" $(VENV)/bin/reidstream setup cuda

test-slow: $(VENV)/.ready  ## What takes long, and what needs real videos (REIDSTREAM_SHARED); CI runs it behind make test
	$(PY) -m pytest -q -m "(slow or shared) and not gstreamer and not torch and not browser and not broker and not ray and not gpu"

test-gpu: $(VENV)/.ready  ## The tests that need an NVIDIA GPU, after `make cuda`
	$(PY) -m pytest -q -m gpu

# What is fast and wide: pure functions, the layout, the generated pages, the words of the command line.
CHECKED := tests/config tests/tracking tests/tracklets tests/inference/test_fingerprint.py tests/docs/test_generated_pages.py \
	tests/test_types.py tests/test_boxes.py tests/test_files.py tests/test_architecture.py tests/test_supervision.py \
	--ignore tests/config/test_secrets.py --ignore tests/tracklets/test_second_look.py

check: $(VENV)/.ready  ## Before every commit: lint and the fast tests, side by side; a quarter of a minute, longer the first time
	$(MAKE) --no-print-directory -j 2 lint quick

quick: $(VENV)/.ready  ## The fast tests
	$(PY) -m pytest -q -n 2 --dist loadfile -m "not slow and not shared" $(CHECKED)

coverage: $(VENV)/.ready  ## make test, counting lines and branches; the report is build/coverage/index.html
	$(PY) -m pytest -q -n $(WORKERS) --dist worksteal \
		-m "not slow and not shared and not gstreamer and not torch and not gpu" \
		--cov reidstream --cov-branch --cov-report term:skip-covered --cov-report html:build/coverage

lint: $(VENV)/.ready  ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.ready  ## Let ruff rewrite the code
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

SEED ?= 1
mutants: $(VENV)/.ready  ## A seeded sample of small faults in the code: which are noticed by tests? (SEED=1)
	$(PY) -m tests.mutants --seed $(SEED)

bench: $(VENV)/.ready  ## The benchmarks behind docs/performance.md
	$(PY) -m benchmarks

SECONDS_EACH ?= 10
fuzz: $(VENV)/.ready  ## Every reader of foreign bytes for a while (SECONDS_EACH=10); what fails is kept in tests/fuzz/corpus
	$(PY) -m tests.fuzz $(SECONDS_EACH) $(READERS)

MINUTES ?= 60
soak: $(VENV)/.ready  ## An hour of short runs in one process: does it grow? Then reviewers while cameras die, workers that are killed (MINUTES=60 CAMERAS="rtsp://...")
	$(PY) -m benchmarks.soak --minutes $(MINUTES) $(foreach camera,$(CAMERAS),--camera "$(camera)")
	$(PY) -m benchmarks.reviewers --minutes $(MINUTES) --kill 30
	$(PY) -m benchmarks.cluster --part kills --minutes $(MINUTES)

requirements:  ## Compile the pinned requirement files anew
	cd requirements && ./compile

KERNELS := src/reidstream/gpu/kernels
kernels:  ## Compile the GPU's kernels; needs nvcc of CUDA 13.0
	for each in $(KERNELS)/*.cu; do \
		nvcc -ptx -arch=compute_75 -fmad=false $$each -o $${each%.cu}.new && \
		{ echo "// $$(basename $$each) $$(sha256sum <$$each | cut -d' ' -f1)"; cat $${each%.cu}.new; } >$${each%.cu}.ptx && \
		rm $${each%.cu}.new || exit 1; \
	done

docs: $(VENV)/.ready  ## Write the generated pages of the documentation
	$(PY) docs/generate.py

SITE := .venv-site
$(SITE)/.ready: requirements/site.txt $(filter .uv/bin/uv,$(UV))
	$(UV) venv --quiet --allow-existing --python "$(PYTHON)" $(SITE)
	$(UV) pip install --quiet --python $(SITE)/bin/python --require-hashes -r requirements/site.txt
	@touch $@

site: $(SITE)/.ready  ## The documentation as pages in build/site, every link checked; building needs no network
	NO_MKDOCS_2_WARNING=1 $(SITE)/bin/mkdocs build --strict --quiet
	@echo "build/site/index.html"

wheel: $(VENV)/.ready  ## Build the wheel into dist/
	$(UV) build --wheel --quiet

clean:  ## Remove what make made
	rm -rf $(VENV) .uv dist build
