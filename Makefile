# make demo   install, replay a recorded incident, print where the post-mortem lies
# make test   everything: lint, types, layers, all tests (what is missing is named)
.PHONY: demo test check lock bench-diagnosis clean

PYTHON ?= python3
BIN := .venv/bin

demo: .venv/demo
	@$(BIN)/irkit demo

test: .venv/dev
	@$(BIN)/python tools/needs.py
	@$(MAKE) --no-print-directory check
	$(BIN)/pytest -n auto --dist worksteal

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/docs.py --check

lock: .venv/uv
	$(BIN)/uv pip compile -q --no-header --no-annotate --no-emit-index-url --universal \
	  --python-version 3.11 pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --no-header --no-annotate --no-emit-index-url --universal \
	  --python-version 3.11 -c requirements.lock --group dev pyproject.toml -o requirements-dev.lock

bench-diagnosis: .venv/dev
	$(BIN)/python benchmarks/diagnosis.py

.venv/uv:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("irkit needs Python 3.11 or newer; set PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv 2>/dev/null || true
	@touch $@

# uv is fast; where it is not to be had or may not fetch, pip does the same.
install = ($(BIN)/uv pip install -q --system-certs --compile-bytecode --python $(BIN)/python $(1) \
  2>/dev/null || $(BIN)/python -m pip install -q --disable-pip-version-check $(1))

.venv/demo: .venv/uv requirements.lock pyproject.toml
	@echo "installing irkit into .venv ..."
	@$(call install,-r requirements.lock)
	@$(call install,--no-deps -e .)
	@touch $@

.venv/dev: .venv/demo requirements-dev.lock
	@echo "installing what the tests need ..."
	@$(call install,-r requirements-dev.lock)
	@touch $@

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
