# What `make test` does in small, at length: as many steps, in runs of their own seeds, some at a time.

SCHEDULE_STEPS ?= 100000
SCHEDULE_RUNS ?= 8
SCHEDULE_SEED ?= 1
SCHEDULE_AT_ONCE ?= 2

.PHONY: faults at-length

faults: .venv/.test at-length ## Random schedules of everything that can go wrong (SCHEDULE_STEPS=100000)
	@seq $(SCHEDULE_SEED) $$(($(SCHEDULE_SEED) + $(SCHEDULE_RUNS) - 1)) | \
	PARLEY_SCHEDULE_STEPS=$$(($(SCHEDULE_STEPS) / $(SCHEDULE_RUNS))) \
	xargs -P $(SCHEDULE_AT_ONCE) -I SEED sh -c \
		'said=$$($(BIN)/pytest tests/faults/state_machine --hypothesis-seed=SEED -p no:cacheprovider 2>&1); \
		status=$$?; echo "seed SEED"; echo "$$said"; exit $$status'

# All that `make test` does less of: see `parley_testing/run/at_length.py`.
at-length: .venv/.test tests/clients/node_modules ## Tests on embedded PostgreSQL with their full numbers
	PARLEY_TEST_AT_LENGTH=1 $(BIN)/pytest tests/faults tests/integration tests/e2e tests/unit/test_lean_imports.py \
		--timeout=3000 $(AT_ONCE)
