# The root Makefile's targets for what is deployed.

# The processor and the Python that packages are built for: those of the template's functions.
ARCH ?= arm64
PARLEY_PYTHON ?= 3.13
BUILD_DIR ?= .aws-sam/build
PACKAGES_DIR ?= .aws-sam/packages
PACKAGING := $(BIN)/python -P -m

.PHONY: build package e2e

# Never from SAM's cache, which does not see a change of uv.lock or of parley_packages.
build: .venv/.test ## Build what is deployed, and show its sizes (ARCH=arm64 or x86_64)
	@template=$$($(PACKAGING) parley_packages.project_template $(dir $(BUILD_DIR))) && \
		ARCH=$(ARCH) PARLEY_PYTHON=$(PARLEY_PYTHON) $(BIN)/sam build --template $$template \
		--build-dir $(BUILD_DIR) --no-cached --parallel \
		--parameter-overrides Architecture=$(ARCH)
	@$(PACKAGING) parley_packages.sizes $(BUILD_DIR)

package: build ## The zips as SAM uploads them
	@$(PACKAGING) parley_packages.zips $(BUILD_DIR) $(PACKAGES_DIR)

e2e: .venv/.test ## The packaged functions, unzipped, under the Lambda runtime
	@# The first test waits for the packages, and those perhaps for the network. The tests of one worker
	@# share functions and stores; those of what is installed have their own, and are the other's.
	$(BIN)/pytest tests/e2e --timeout=3000 -n 2 --dist loadfile
