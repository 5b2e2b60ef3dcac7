# The commands of this repository. CONTRIBUTING.md says what each does.

CONTEXT ?=
B ?=
# Built first, with cargo's progress; the alias itself is quiet.
XTASK = cargo build --package xtask && cargo xtask

.PHONY: demo demo-down test test-full bench generate

demo:
	@$(XTASK) demo $(if $(CONTEXT),--context "$(CONTEXT)")

demo-down:
	@$(XTASK) demo-down

test:
	@$(XTASK) test

test-full:
	@$(XTASK) test --full

bench:
	@$(XTASK) bench $(B)

generate:
	@$(XTASK) generate
