# Everything starts with `make setup`, and every target does it first where it is needed.
PY := .venv/bin/python
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup demo test test-kube check golden lab bench docs adr dist lock clean

help:            ## show what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile
setup:           ## install what is needed, into .venv and (as root) by apt
	@tools/setup
demo: setup      ## two clusters, one mesh, red stars: the whole story on this machine
	@.venv/bin/isthmus demo
test: setup      ## all tests, the lab's stories, what asks real API servers; says what it skipped and why
	@tools/tests
test-kube: setup ## what asks API servers, and stories, at upstream's: builds those once (KUBEBUILDER_ASSETS: yours)
	@export KUBEBUILDER_ASSETS=$$(tools/apiserver) && \
	$(PY) -m pytest -m kube --ignore=tests/e2e --asking-alone && \
	ISTHMUS_LAB_APISERVER=kube $(PY) -m pytest -m kube tests/e2e
check: setup     ## linters: ruff, mypy, import-linter, hadolint
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports
	@.venv/bin/hadolint Dockerfile
dist: setup      ## wheel, source, chart, bases of kustomize, bill of materials, into dist/: the same bytes anywhere
	@$(PY) tools/dist.py
golden: setup    ## write the goldens anew, to be looked at with git diff
	@$(PY) -m pytest tests/golden --golden-rewrite
lab: setup       ## bring up the two clusters and leave them running
	@.venv/bin/isthmus lab up
bench: setup     ## measure; results go to benchmarks/BASELINE.md
	@$(PY) benchmarks/run.py
docs: setup      ## write docs/reference anew, from the types that decode each kind
	@$(PY) tools/reference.py
	@$(PY) tools/dashboard.py
lock:            ## write requirements.lock anew, after constraints.txt
	@tools/lock
adr:             ## list the decisions
	@head -qn 1 docs/adr/*.md | sed 's|^# ||'
clean:           ## remove what setup made
	@rm -rf .venv .setup typings src/isthmus/envoy/descriptors.binpb.xz src/isthmus/envoy/types.pyi
