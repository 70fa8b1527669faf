# The root Makefile's targets for the pages.

.PHONY: browser pages web-vendor

browser: ## Install the browser for the tests of the pages, where that may be done
	@tests/browser/install.sh

pages: .venv/.test browser ## Tests of the pages, in a real browser
	$(BIN)/pytest tests/browser

web-vendor: .venv/.test ## Fetch the pages' libraries anew from the npm registry, and compare them
	@$(PACKAGING) parley_packages.vendored web/vendor tests/browser/vendor
