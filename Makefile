# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The wgtools authors

# The two that matter: `make demo` and `make test`. `make help` lists all.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.NOTPARALLEL:

export GOFLAGS := -trimpath -buildvcs=false
GO := go
LDFLAGS := -s -w
TOOLS := $(GO) tool -modfile=tools/go.mod

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' Makefile

.PHONY: build
build: bin/wg bin/wg-quick ## build bin/wg and bin/wg-quick: static, stripped, reproducible

.PHONY: bin/wg bin/wg-quick bin/fakewg bin/bench bin/empty
bin/wg bin/wg-quick:
	CGO_ENABLED=0 $(GO) build -ldflags '$(LDFLAGS)' -o $@ ./cmd/$(@F)
bin/fakewg bin/bench:
	CGO_ENABLED=0 $(GO) build -ldflags '$(LDFLAGS)' -o $@ ./test/$(@F)
bin/empty:
	CGO_ENABLED=0 $(GO) build -ldflags '$(LDFLAGS)' -o $@ ./test/bench/empty

PREFIX := /usr/local
UNITS := $(PREFIX)/lib/systemd/system

.PHONY: install
install: build ## install the commands and what belongs to them below $(DESTDIR)$(PREFIX)
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin bin/wg bin/wg-quick
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 man/wg.8 man/wg-quick.8
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/bash-completion/completions completions/bash/wg completions/bash/wg-quick
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/zsh/site-functions completions/zsh/_wg completions/zsh/_wg-quick
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d completions/fish/wg.fish completions/fish/wg-quick.fish
	install -d $(DESTDIR)$(UNITS)
	for unit in systemd/wg-quick@.service systemd/wg-quick-watch@.service systemd/wg-quick.target; do \
		sed 's,/usr/bin/,$(PREFIX)/bin/,' $$unit >$(DESTDIR)$(UNITS)/$${unit##*/}; done

.PHONY: demo
demo: build ## a real tunnel between two namespaces, up, pinged through, down
	@test/demo.sh bin

.PHONY: test
test: deps clean-tally lint check fuzz-briefly cross demo test-kernel ## everything the tests can tell; installs what they need
	@echo; $(SUMMARY)

# The verdicts of all tests of a run, wherever they ran.
SUMMARY := $(GO) run ./test/summary -tally .cache/tally

.PHONY: clean-tally
clean-tally:
	@mkdir -p .cache; rm -f .cache/tally

# The packages that tests run beside ours or look with, and a C compiler for the
# race detector. Nothing is installed that is there already.
DEPS := ca-certificates gcc libc6-dev bash iproute2 iputils-ping wireguard-tools wireguard-go nftables iptables procps util-linux systemd bash-completion mandoc
KERNEL_DEPS := qemu-system-x86 busybox-static cpio kmod xz-utils zstd
BENCH_DEPS := ca-certificates bash iproute2 wireguard-tools wireguard-go nftables procps time iperf3

.PHONY: deps bench-deps
deps: PACKAGES := $(DEPS) $(KERNEL_DEPS)
bench-deps: PACKAGES := $(BENCH_DEPS)
deps: ## install the Debian packages that the tests need (root)
deps bench-deps:
	@missing=$$(for p in $(PACKAGES); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
		command -v apt-get >/dev/null || { echo "not a Debian; what is needed:" $$missing; exit 1; }; \
		[ "$$(id -u)" = 0 ] || { echo "to be installed by root:" $$missing; exit 1; }; \
		echo "installing" $$missing; \
		apt-get update -qq; \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
	@$(GO) mod download

.PHONY: check
check: ## unit, script and namespace tests, with the race detector
	@mkdir -p .cache
	@$(SUMMARY) -- $(GO) test -race -count=1 -timeout 40m -json ./...
	@$(SUMMARY) -- test/unprivileged.sh

.PHONY: lint
lint: ## gofmt, go vet, staticcheck
	@bad=$$(gofmt -l cmd internal test); if [ -n "$$bad" ]; then echo "gofmt: $$bad"; exit 1; fi
	$(GO) vet ./...
	GOFLAGS=-buildvcs=false $(TOOLS) staticcheck ./...

.PHONY: vuln
vuln: ## known vulnerabilities in what is linked (needs the database on the net)
	GOFLAGS=-buildvcs=false $(TOOLS) govulncheck ./...

PLATFORMS := linux/amd64 linux/arm64 linux/arm linux/mips linux/riscv64 \
	darwin/amd64 darwin/arm64 freebsd/amd64 openbsd/amd64 windows/amd64

.PHONY: cross
cross: bin/wg ## wg for every platform; its size on Linux
	@for p in $(PLATFORMS); do \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -ldflags '$(LDFLAGS)' \
			-o dist/wg-$${p%/*}-$${p#*/} ./cmd/wg; echo "built wg for $$p"; done
	@size=$$(stat -c %s bin/wg); echo "bin/wg: $$size bytes, at most 4000000 wanted"; [ $$size -le 4000000 ]

FUZZTIME := 30s

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME each
	@mkdir -p .cache; n=0; \
	for f in $$(grep -rlE '^func Fuzz' --include='*_test.go' internal cmd); do \
		for t in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9]+)\(.*/\1/p' $$f); do \
			echo "fuzz $$(dirname $$f) $$t"; n=$$((n + 1)); \
			$(GO) test ./$$(dirname $$f) -run '^$$' -fuzz "^$$t$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 50x >.cache/fuzz.log 2>&1 || { cat .cache/fuzz.log; exit 1; }; \
		done; done; \
	[ $$n -gt 0 ]

.PHONY: fuzz-briefly
fuzz-briefly:
	@$(MAKE) --no-print-directory fuzz FUZZTIME=3000x

.PHONY: fuzz-diff
fuzz-diff: ## 100,000 generated files: do we take them as Debian's wg setconf does?
	$(GO) test ./cmd/wg -count=1 -run LikeOriginal -v -timeout 60m -args -files 100000

.PHONY: test-kernel
test-kernel: bin/wg bin/wg-quick ## the suites that need a kernel with WireGuard, in an emulated machine
	@mkdir -p .cache
	@$(SUMMARY) -- test/kernel.sh

.PHONY: confs
confs: bin/wg bin/wg-quick ## DIR=...: what becomes of other people's *.conf there, as a table (root; hooks aren't run)
	@[ -n "$(DIR)" ] || { echo "make confs DIR=directory"; exit 2; }
	@$(GO) run ./test/confs -bin bin $(DIR)

.PHONY: bench
bench: bench-deps bin/wg bin/wg-quick bin/fakewg bin/bench bin/empty ## times beside the originals', as tables (root; 10 minutes; SHORT=-short: 3)
	@bin/bench $(SHORT)
	@echo
	@bin/bench -quick $(SHORT)

RUNS := 5

.PHONY: leak
leak: bin/wg-quick ## packets in clear around up, reload and down, beside the original's, as a table (root)
	@$(GO) test ./cmd/wg-quick -run '^TestLeak$$' -v -count=1 -timeout 30m -args -leak-runs $(RUNS) -leak-bin $(CURDIR)/bin | sed -n 's/^ *|/|/p; /^ *[a-z_]*_test.go:/p; /^--- \|^FAIL\|^ok/p'

.PHONY: stream
stream: ## 1,000 packets a second, both ways, for 30 s through a tunnel that is reloaded without end (root)
	@$(GO) test ./cmd/wg-quick -run '^TestReloadStream$$' -v -count=1 -args -stream 30s | grep -v '^===\|^PASS'

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist .cache
