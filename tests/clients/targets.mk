# Clients that others wrote, which the front-end routes are tested with.

.PHONY: clients clean-clients

clean: clean-clients
clean-clients:
	rm -rf tests/clients/node_modules

clients: tests/clients/node_modules ## The clients of others that the front-end routes are tested with (Node 20)

tests/clients/node_modules: tests/clients/package-lock.json
	@if command -v npm >/dev/null; then \
		npm ci --prefix tests/clients --no-audit --no-fund --ignore-scripts && touch $@; \
	else \
		echo "SKIPPED: Node 20 is not installed, so no real client is tried on the front-end routes"; \
	fi
