# Two commands: `make demo` and `make test`. Either sets everything up in .venv first; both may be run again.
SHELL := /bin/bash
.DEFAULT_GOAL := help
XVFB := xvfb-run -a -s "-screen 0 1600x1000x24"
VENV := .venv/.ready
# What share of the lines and branches the tests run.
COVERAGE := --cov=napari_radcnn --cov-branch --cov-report= --cov-fail-under=90

# Processes that the tests run in; each takes up to 2 GB.
WORKERS ?= 2
PYTEST := $(XVFB) .venv/bin/python -m pytest -n $(WORKERS) --dist worksteal
# Compiled files are kept: else each process, and each program that a test starts, compiles all it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-slow test-older coverage lint docs docs-pictures benchmarks benchmark-interactive benchmark-models benchmark-suitability cards clean

help:
	@echo "make demo           outline the brain in a real head scan; SHOW=1 opens the result in napari"
	@echo "make test           run the linters and the tests, those of the viewer under a virtual display"
	@echo "make lint           run the linters, the type checker and the contracts of imports"
	@echo "make test-slow      run the tests that make test leaves out, and the viewer's on napari 0.9"
	@echo "make coverage       run the tests, and say what share of the lines and branches they run"
	@echo "make docs           build the documentation, build/docs/index.html; a warning is an error"
	@echo "make docs-pictures  take the README's screenshots from the real program; those of the reading room with DATA=folder"
	@echo "make benchmarks     measure what docs/figures.md quotes"
	@echo "make benchmark-interactive DATA=folder   measure interactive segmentation on scans with label maps"
	@echo "make benchmark-models DATA=folder   recompute every figure of the model cards; fails where a card says otherwise"
	@echo "make benchmark-suitability DATA=folder   count how scans of all sorts are judged with every model"
	@echo "make cards          write the model cards from their prose and figures"

$(VENV): pyproject.toml constraints.txt scripts/setup.sh
	@bash scripts/setup.sh

demo: $(VENV)
	@bash scripts/demo.sh $(if $(SHOW),--show)

test: lint
	@bash scripts/system_packages.sh
	$(PYTEST)

test-slow: $(VENV)
	@bash scripts/system_packages.sh
	$(PYTEST) -m slow
	$(MAKE) test-older

test-older: $(VENV)
	$(XVFB) bash scripts/older_napari.sh

coverage: $(VENV)
	@bash scripts/system_packages.sh
	$(PYTEST) $(COVERAGE)

lint: $(VENV)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python -m codespell_lib src tests docs scripts README.md CHANGELOG.md CONTRIBUTING.md
	.venv/bin/python -m npe2 validate src/napari_radcnn/napari.yaml
	.venv/bin/python -m npe2 validate napari-radcnn

docs: $(VENV)
	.venv/bin/python -m sphinx -b html -q -W --keep-going docs build/docs
	@echo "written: build/docs/index.html"

docs-pictures: $(VENV)
	@bash scripts/system_packages.sh
	$(XVFB) .venv/bin/python docs/make_pictures.py $(DATA)

benchmarks: $(VENV)
	@bash scripts/system_packages.sh
	$(XVFB) .venv/bin/python -m benchmarks

benchmark-interactive: $(VENV)
	@bash scripts/system_packages.sh
	$(XVFB) .venv/bin/python -m benchmarks.interactive --accuracy --latency --event-loop $(if $(DATA),--data "$(DATA)")

benchmark-models: $(VENV)
	.venv/bin/python -m benchmarks models --data "$(DATA)" $(if $(ONLY),--only $(ONLY))
	.venv/bin/python -m benchmarks robustness --data "$(DATA)" $(if $(ONLY),--only $(ONLY))

benchmark-suitability: $(VENV)
	.venv/bin/python -m benchmarks.suitability --data "$(DATA)" --packages .venv/lib/python3*/site-packages $(PACKAGES) --sealed --write

cards: $(VENV)
	.venv/bin/python docs/make_cards.py

clean:
	rm -rf .venv demo build dist .coverage .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
