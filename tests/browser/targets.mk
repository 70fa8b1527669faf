# The root Makefile's targets for the pages.

.PHONY: browser pages pictures web-vendor

browser: ## Install the browser for the tests of the pages, where that may be done
	@tests/browser/install.sh

# What `make test` has made before it begins: it would begin others while this waited for that.
BROWSER := browser
pages: .venv/.test $(BROWSER) ## Tests of the pages, in a real browser
	$(BIN)/pytest tests/browser

pictures: .venv/.test browser ## Take the pictures of the pages that the docs show, from a real run
	PYTHONPATH=tests/support $(BIN)/python tests/browser/pictures.py docs/pictures

web-vendor: .venv/.test ## Fetch the pages' libraries anew from the npm registry, and compare them
	@$(PACKAGING) parley_packages.vendored web/vendor tests/browser/vendor
