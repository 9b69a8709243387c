# `make demo` and `make test` are all a newcomer needs; each installs what is missing first.
.DEFAULT_GOAL := help
.PHONY: help install dev demo lint check guests test zoo bench mutants clean

python := .venv/bin/python

help:
	@echo "make demo             migrate a real guest and boot it, from nothing"
	@echo "make install          the vmdk2kvm command at .venv/bin/vmdk2kvm"
	@echo "make check            linters and tests without an appliance (minutes)"
	@echo "make test             all tests, real guests booted (up to an hour)"
	@echo "make zoo [ROWS=GLOB]  every guest on every bus, resumable; verdicts in zoo.json"
	@echo "make bench            ratios against virt-v2v and qemu-img, measured side by side"
	@echo "make mutants [ONLY=GLOB]  errors put into formats/ and fixes/, and what no test notices (hours)"
	@echo "make clean            remove what was built in this folder"

install:
	scripts/bootstrap

dev:
	scripts/bootstrap --dev

demo: dev
	scripts/with-own-mounts scripts/demo

lint: dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

check: lint
	$(python) -m pytest -q -m "not appliance"

# Guests are made and proven before the tests, two at a time; later runs find them in the cache.
guests: dev
	scripts/with-own-mounts $(python) -m tests.guests prove all

test: lint guests
	$(python) -m pytest -q

zoo: guests
	$(python) -m tests.e2e.zoo $(if $(ROWS),'$(ROWS)')

bench: dev
	$(python) -m scripts.bench

mutants: dev
	$(python) -m scripts.mutants $(if $(ONLY),'$(ONLY)')

clean:
	rm -rf build dist out zoo.json bench.json .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
