# make demo   the main job on real DHCP clients, in namespaces of its own
# make test   everything CI runs
# Both install what they need with apt and want root.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
export CGO_ENABLED := 0
export BERTH_CI ?= 1
# How much longer than on a quiet machine a test waits for what must happen.
export BERTH_SLOW ?= 4

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
CACHE := $(CURDIR)/.cache
LINT := $(CACHE)/bin/golangci-lint
LINT_VERSION := v2.15.0
# Inputs of each fuzz target, or a time such as 1m; at the end of a time go test
# now and then fails with nothing but "context deadline exceeded".
FUZZTIME ?= 30000x

.PHONY: all build install demo test deps lint generate generate-check modules unit race kernel fuzz cross bench clean

all: build

build:
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/berthd ./cmd/berth ./cmd/berth-controller

PREFIX ?= /usr
install: build
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/sbin bin/berthd bin/berth-controller
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin bin/berth
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system packaging/systemd/berthd.service packaging/systemd/berth-controller.service
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/sysusers.d packaging/sysusers/berth-controller.conf
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)/etc/berth/nics.d
	bin/berth man $(DESTDIR)$(PREFIX)/share/man/man1
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 packaging/man/berthd.8
	bin/berth completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/berth
	install -m 644 -t $(DESTDIR)/etc/berth packaging/etc/berth/*.example
	install -D -m 644 -t $(DESTDIR)/etc/berth/resources packaging/etc/berth/resources/*.yaml
	install -D -m 644 -t $(DESTDIR)/etc/berth/policies packaging/etc/berth/policies/*.yaml
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/share/berth/nimbus packaging/nimbus/*.sh
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/share/berth/ganeti packaging/ganeti/*

demo: deps build
	go run ./demo -bin bin

test: deps modules generate-check lint build race kernel fuzz cross
	@echo "all of it passed"

deps:
	test/deps.sh

modules:
	go mod verify
	go mod tidy -diff

# The committed kernel object is what its source compiles to.
generate:
	go generate ./...

generate-check: generate
	git diff --exit-code --stat -- '*.o' '*_bpfel.go' '*reasons.h'

$(LINT):
	mkdir -p $(CACHE)/bin
	GOBIN=$(CACHE)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

lint: $(LINT)
	$(LINT) run ./...
	$(LINT) fmt --diff ./...

# Layers 1 and 2: values, golden text and seeds of the fuzz targets.
unit:
	go test ./internal/... ./cmd/...

# The same and the kernel tests of the rooms, with the race detector. What judges
# frames by the million, and kills by the dozen, is in datapath: with the detector
# fewer of them.
DATAPATH := ./internal/datapath
race:
	CGO_ENABLED=1 go test -race -timeout 20m $$(go list ./internal/... ./cmd/... | grep -v '/internal/datapath$$')
	CGO_ENABLED=1 go test -race -timeout 20m $(DATAPATH) -frames 100000 -dialogues 50000 -kills 10
	go test -timeout 20m $(DATAPATH) -run 'TestKernelFuzz|TestAnswersOfGuests|TestKilledAnywhere'

# Layers 3 and 4: wires, real clients, a guest, the built binaries. One package at
# a time: each is many processes.
kernel:
	go test -timeout 60m -p 1 ./test/...

fuzz:
	test/fuzz.sh $(FUZZTIME)

cross:
	GOARCH=arm64 go build -o /dev/null ./cmd/berthd
	GOARCH=arm64 go build -o /dev/null ./cmd/berth
	GOARCH=arm64 go build -o /dev/null ./cmd/berth-controller

bench: build
	bench/run.sh

clean:
	rm -rf bin $(CACHE)
