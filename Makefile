# Every target is one script; what it needs is in scripts/deps and is installed when it is missing.
# ARCH: amd64, arm64 or arm; this machine's own when it is not given.
ARCH ?=

.PHONY: build test bench-datastore lint verify notices package run stop clean

build:
	@scripts/build $(ARCH)

test:
	@scripts/test

bench-datastore:
	@scripts/bench-datastore

lint:
	@scripts/lint

verify:
	@scripts/verify

notices:
	@scripts/notices

package:
	@scripts/package $(ARCH)

run:
	@scripts/run

stop:
	@scripts/stop

clean:
	rm -rf bin build dist
