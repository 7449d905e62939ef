# Plain POSIX sh and Go; `make` alone lists the targets.
SHELL = /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test race lint demo verify soak overload crash chaos chaos-full simulate mutate reliability bench microbench fuzz build sbom outdated generate

# Nothing here needs a C compiler, except for race.
export CGO_ENABLED = 0
# The same everywhere, tests that build the program included: other flags would compile everything again.
export GOFLAGS := $(shell go env GOFLAGS 2>/dev/null) -trimpath

# Tests share one throwaway PostgreSQL, unless TEST_DATABASE_URL names a server.
PGRUN = go run ./infra/database/databasetest/pgrun --
# What is tested: make test PKG=./domain/...
PKG = ./...
# How long each fuzz target runs.
FUZZTIME = 60s
# What make bench measures: make bench BENCH="-quick -only '^(sql|postgres)/'"; -h lists the flags.
BENCH =
# What make chaos does: make chaos CHAOS="-seed 7 -kills 20 -database sqlite"; -h lists the flags.
CHAOS =
# Events pile up while each broker is away, on each database, and drain when it is there.
DRAIN = $(PGRUN) go test -count=1 -v -timeout 120m -run '^TestF109_BacklogDrainsInOrder$$' ./cmd/florin
# How many histories make simulate runs.
N = 10000
SEED =
LINTER = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## start the server on 127.0.0.1:8080 with everything in ./data
	@echo 'Florin: building bin/florin. The first time everything is compiled: about 100 s on two cores. Later it takes seconds.'
	@sh cmd/florin/build.sh
	@exec bin/florin serve

test: ## run every test, on SQLite and on PostgreSQL
	@mkdir -p bin && go run ./infra/database/databasetest/pgrun -events bin/tests.jsonl -- go test -parallel 4 -timeout 40m $(PKG)

reliability: ## write docs/reliability.md from what the last make test has left
	@go run ./cmd/reliability

# One package at a time: the detector makes everything several times as slow, and time limits are of the real world.
race: ## run every test under the race detector; needs a C compiler
	@command -v $${CC:-cc} >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || command -v clang >/dev/null 2>&1 || \
		{ echo "make race: the race detector needs a C compiler (cc, gcc or clang), and none was found" >&2; exit 1; }
	@CGO_ENABLED=1 $(PGRUN) go test -race -p 1 -timeout 120m $(PKG)

lint: ## check formatting, generated files, vet, and the linters of .golangci.yml
	@unformatted=$$(gofmt -l cmd domain infra migrations pkg service webapi); \
		if [ -n "$$unformatted" ]; then echo "not formatted:" $$unformatted >&2; exit 1; fi
	@before=$$(git diff | cksum); go generate ./... || exit 1; \
		if [ "$$before" != "$$(git diff | cksum)" ]; then echo "generated files were stale: see git diff" >&2; exit 1; fi
	go vet ./...
	@if command -v golangci-lint >/dev/null 2>&1; then set -x; golangci-lint run ./...; \
		else echo "golangci-lint is not installed: building it, which takes some minutes the first time"; \
		set -x; go run $(LINTER) run ./...; fi

demo: ## tell the story of some payments against the running server, or one of its own
	@go run ./cmd/florin demo

verify: ## check the invariants of the books in DATABASE_URL
	@go run ./cmd/florin verify

soak: ## 64 clients on one account for 10 s on each database, with the bounds on memory and start
	@FLORIN_SOAK=10s $(PGRUN) go test -count=1 -v -run '^TestF95_Soak$$' ./cmd/florin

overload: ## five times what the server can do, for ten minutes on each database
	@FLORIN_OVERLOAD=10m $(PGRUN) go test -count=1 -v -timeout 40m -run '^TestF123_' ./cmd/florin

crash: ## kill the server at every crash point, again and again
	@FLORIN_CRASH_ROUNDS=10 $(PGRUN) go test -count=1 -timeout 60m -run '^Test((F3|F4|F12|F21|F22|F59|F60|F61|F75|F90|F107|F108)_|F121_Killed|CrashPlans)' ./cmd/florin

chaos: ## kill server and database under load, 100 and 10 times on each database, and check everything behind it
	@mkdir -p bin && go run ./cmd/chaos -json bin/chaos.json $(CHAOS)
	@go run ./cmd/simulate -n 10000
	@FLORIN_DRAIN=100000 $(DRAIN)

chaos-full: ## the same a hundred times over, with other seeds, and a report in bin/chaos-full.json: many hours
	@mkdir -p bin && go run ./cmd/chaos -runs 100 -json bin/chaos-full.json $(CHAOS)
	@go run ./cmd/simulate -n 1000000
	@FLORIN_DRAIN=1000000 $(DRAIN)

simulate: ## N seeded histories of the payment flow in one process; SEED=n runs one again with all its steps
	@go run ./cmd/simulate $(if $(SEED),-seed $(SEED),-n $(N))

mutate: ## take one guard at a time out of a copy of the tree and show that the rig goes red without it
	@go run ./cmd/mutate

microbench: ## measure the parts of a request that need no database
	@go test -run "^$$" -bench . -benchmem ./domain/... ./pkg/telemetry ./service/account ./infra/provider/mock ./webapi/...

bench: ## measure Florin beside plain SQL on the same PostgreSQL: docs/performance.md
	@go run ./cmd/bench $(BENCH)
	@$(PGRUN:--=-durable --) go test -run='^$$' -bench='^BenchmarkEvents' -benchtime=1x ./service/relay

fuzz: ## run each fuzz target for FUZZTIME
	@targets=$$(grep -rno --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' cmd domain infra pkg service webapi) || \
		{ echo "no fuzz targets found" >&2; exit 1; }; \
	printf '%s\n' "$$targets" | sed 's/:.*func /:/' | while IFS=: read -r file name; do \
		echo "== $$name ($$(dirname "$$file"))"; \
		go test -run='^$$' -fuzz="^$$name\$$" -fuzztime=$(FUZZTIME) "./$$(dirname "$$file")" || exit 1; \
	done

build: ## build bin/florin, one static binary, and bin/florin.cdx.json, what it is made of
	@echo 'Florin: building bin/florin. The first time everything is compiled: about 100 s on two cores. Later it takes seconds.'
	@sh cmd/florin/build.sh
	@go run ./cmd/parts sbom bin/florin bin/florin.cdx.json

sbom: build ## the same

outdated: ## check the modules' sums, and list the direct dependencies that are behind their newest
	@go mod verify
	@go run ./cmd/parts outdated

generate: ## regenerate what is generated
	go generate ./...
