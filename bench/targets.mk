# What is measured, not asserted: each prints its figures and leaves nothing behind.

STORE ?= sqlite
SESSIONS ?= 100000
STOP_AFTER ?= 10
TURNS ?= 100
ROUNDS ?= 5
MESSAGES ?= 10000000

# A bench sends faster than any person.
bench-%: export USER_TURNS_PER_MINUTE = 0
bench-%: export USER_MAX_OPEN_TURNS = 0

.PHONY: bench bench-cleanup bench-fairness bench-stream bench-page bench-prompt-cache bench-row-security bench-deployment-budget bench-init bench-restored bench-scale bench-cost bench-profile

bench: .venv/.bench ## All speeds beside those of others, into docs/performance.md: ten minutes
	PYTHONPATH=tests/support:. $(BIN)/python -m bench.performance

bench-profile: .venv/.test ## Where a request's processor time goes, by layer, into docs/performance.md
	PYTHONPATH=tests/support:. $(BIN)/python -m bench.layers

# What others build with, and what draws; nobody else needs it.
.venv/.bench: uv.lock pyproject.toml | $(BIN)/uv
	$(BIN)/uv sync --quiet --frozen --inexact --no-default-groups --group dev --group bench
	@touch $@ .venv/.run .venv/.test

bench-cleanup: .venv/.test ## A cleanup of many sessions (STORE=sqlite, SESSIONS=100000, STOP_AFTER=10)
	PYTHONPATH=tests/support $(BIN)/python -m bench.cleanup \
		--store $(STORE) --sessions $(SESSIONS) --stop-after $(STOP_AFTER)

bench-fairness: .venv/.test ## One user's wait behind another's turns in the background (TURNS=100)
	PYTHONPATH=tests/support $(BIN)/python -m bench.fairness --turns $(TURNS)

bench-stream: .venv/.test ## A streamed turn: first word, cost, readers (STORE=sqlite, TURNS=100)
	PYTHONPATH=tests/support $(BIN)/python -m bench.stream --store $(STORE) --turns $(TURNS)

bench-page: .venv/.test browser ## How soon the chat page shows a reply's first text (TURNS=100)
	PYTHONPATH=tests/support $(BIN)/python -m bench.page --turns $(TURNS)

bench-prompt-cache: .venv/.test ## How much of the input providers charge as cached (TURNS=300)
	PYTHONPATH=tests/support $(BIN)/python -m bench.prompt_cache --turns $(TURNS)

bench-row-security: .venv/.test ## What row-level security costs: the same statements with and without
	PYTHONPATH=tests/support:examples/tasks $(BIN)/python -m bench.row_security

bench-deployment-budget: .venv/.test ## What a budget of all users costs: its one row, with many users at once
	PYTHONPATH=tests/support:. $(BIN)/python -m bench.deployment_budget

bench-init: .venv/.test ## What a project adds to the init of each packaged function (ROUNDS=5)
	PYTHONPATH=tests/support $(BIN)/python -m bench.init --rounds $(ROUNDS)

bench-restored: .venv/.test ## What a first request takes after a restore from a snapshot, into docs/performance.md (ROUNDS=5)
	PYTHONPATH=tests/support:. $(BIN)/python -m bench.restored --rounds $(ROUNDS)

bench-scale: SESSIONS = 1000000
bench-scale: .venv/.test ## Large databases beside a small one, into docs/scale.md (SESSIONS=1000000, MESSAGES=10000000: 9 GB in TMPDIR)
	PYTHONPATH=tests/support:. $(BIN)/python -m bench.scale --sessions $(SESSIONS) --messages $(MESSAGES)

bench-cost: .venv/.bench ## What AWS charges for turns and for an idle month, into docs/cost.md
	PYTHONPATH=tests/support:. $(BIN)/python -m bench.cost
