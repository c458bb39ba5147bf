# Everything starts here, with nothing installed but Python and make: `make help`.
# The environment in .venv is made on first use and again whenever pyproject.toml or constraints.txt change.

.DEFAULT_GOAL := help
.PHONY: help demo test check format soak mutants bench bench-matching bench-overload bench-http bench-settlement bench-finance clean

ARGS    ?=
TESTS   ?= tests
SEED    ?= 0
WORKERS ?= 2

READY  := .venv/ready
PEERS  := .venv/peers
FITTING := .venv/fitting
BIN    := .venv/bin
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: $(READY)  ## a neighbourhood trades, settles and is financed for a day; ARGS=--exit stops the server at the end
	@$(BIN)/jinsha simulate data/sample $(ARGS)

test: $(READY) $(FITTING)  ## all tests; TESTS=tests/matching for some, WORKERS=1 for one process, ARGS for pytest
	@$(PYTEST) $(TESTS) $(ARGS)

check: $(READY)  ## style, types, layers and house rules
	@echo "ruff check" && $(BIN)/ruff check .
	@echo "ruff format" && $(BIN)/ruff format --check .
	@echo "mypy" && $(BIN)/mypy
	@echo "lint-imports" && $(BIN)/lint-imports --no-logo --config .importlinter
	@echo "house rules" && $(BIN)/python -m tools.house_rules

format: $(READY)  ## lay out the code as `make check` wants it
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

soak: $(READY) $(FITTING)  ## the same tests with fifty times as many random cases, fifty kills of servers and databases, hours; SEED=1000 for other streams
	@HYPOTHESIS_PROFILE=soak SEED=$(SEED) $(PYTEST) --timeout 7200 $(TESTS) $(ARGS)

mutants: $(READY)  ## break the rules of matching one by one: does a test notice? ARGS=reference or compiled for half of it
	@$(BIN)/python -m tools.mutation $(ARGS)

bench: $(READY) $(PEERS)  ## benchmarks one by one, with their peers beside them
	@for each in bench/bench_*.py; do echo "== $$each"; PYTHONPATH=. $(BIN)/python "$$each" $(ARGS) || exit 1; done

bench-matching: $(READY) $(PEERS)  ## the auction engine beside reference and peers; ARGS="--rounds 1" for a shorter run
	@PYTHONPATH=. $(BIN)/python bench/bench_matching.py $(ARGS)

bench-overload: $(READY)  ## ten minutes of more than a market bears, its memory drawn; ARGS="--seconds 60" for a shorter run
	@PYTHONPATH=. $(BIN)/python bench/bench_overload.py $(ARGS)

bench-http: $(READY)  ## order entry over HTTP and on streams beside a handler that does nothing; ARGS="--rounds 1"
	@PYTHONPATH=. $(BIN)/python bench/bench_http.py $(ARGS)

bench-settlement: $(READY)  ## gas, commitments a second, cycles, restart, audit, proofs; ARGS="--only gas" for a part of it
	@PYTHONPATH=. $(BIN)/python bench/bench_settlement.py $(ARGS)

bench-finance: $(READY)  ## a period of 500,000 receivables closed, pages, auctions, scoring; ARGS="--only close --sellers 1000" for a part
	@PYTHONPATH=. $(BIN)/python bench/bench_finance.py $(ARGS)

clean:  ## remove the environment, caches and builds; no market's data
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt tools/environment.py
	@for python in python3.12 python3.11 python3 python; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then \
	    exec "$$python" tools/environment.py; \
	  fi; \
	done; \
	echo "make: no Python 3 found (tried python3.12, python3.11, python3, python); install one and try again" >&2; exit 1

$(FITTING): $(READY)
	@echo "installing what scorecards are fitted with, once"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  $$($(BIN)/python -c 'import tomllib; \
	    print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["score"])')
	@touch $(FITTING)

$(PEERS): $(READY)
	@echo "installing what benchmarks compare with, once"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  $$($(BIN)/python -c 'import tomllib; \
	    print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["bench"])')
	@touch $(PEERS)
