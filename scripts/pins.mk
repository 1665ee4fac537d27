# Which versions are development, CI and the GitHub Action run with? Each file of requirements/ pins
# every package, those that others bring included, by version and hash, for all supported Pythons
# and platforms. `make pins` writes them from pyproject.toml and keeps what still fits;
# `make pins UPGRADE=--upgrade` takes what is newest.

UPGRADE ?=
COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
  --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
  --custom-compile-command 'make pins' $(UPGRADE)

.PHONY: pins audit
pins:  ## Write requirements/ from pyproject.toml (UPGRADE=--upgrade takes what is newest)
	@mkdir -p requirements
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(COMPILE) --output-file requirements/modelctl.txt
	$(COMPILE) --extra local --extra dev --constraint requirements/modelctl.txt \
	  --output-file requirements/development.txt
	echo uv | $(subst pyproject.toml,-,$(COMPILE)) --constraint requirements/development.txt \
	  --output-file requirements/publish.txt

audit: $(INSTALLED)  ## Ask whether a pinned package has a known vulnerability (needs the network)
	@$(BIN)/python scripts/audit.py $(STRICT) requirements/modelctl.txt requirements/development.txt

# With STRICT=--strict, what could not be asked is a failure.
STRICT ?=

.PHONY: dist
dist: $(INSTALLED)  ## Build sdist and wheel into dist/
	@rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist
