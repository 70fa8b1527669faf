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

# What `make test` does fewer times: see `at_length.py`.
at-length: .venv/.test ## The tests of which `make test` does less, with their full numbers
	PARLEY_TEST_AT_LENGTH=1 $(BIN)/pytest tests/faults/test_wakeups.py tests/faults/test_spending.py \
		tests/integration/stack/test_contract.py tests/integration/stack/test_open_streams.py $(AT_ONCE)
