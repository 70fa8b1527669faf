# What `make test` does in small, at length.

SCHEDULE_STEPS ?= 100000
SCHEDULE_SEED ?= 1

.PHONY: faults

faults: .venv/.test ## Random schedules of everything that can go wrong (SCHEDULE_STEPS=100000)
	PARLEY_SCHEDULE_STEPS=$(SCHEDULE_STEPS) $(BIN)/pytest tests/faults/state_machine \
		--hypothesis-seed=$(SCHEDULE_SEED)
