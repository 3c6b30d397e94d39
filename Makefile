# virt-rules. `make help` lists the targets; everything that is built goes to build/.
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
RULESDIR ?= /usr/local/libvirt/rules.d
STATEDIR ?= /var/lib/virt-rules
HOOKDIR ?= /etc/libvirt/hooks
DESTDIR ?=
VERSION := 0.1.0

comma := ,
B := build$(if $(SANITIZE),/sanitize)
CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wwrite-strings
HARDENING := -fstack-protector-strong $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2)
SANITIZERS := $(if $(SANITIZE),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)

ALL_CPPFLAGS = -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -DBINDIR='"$(BINDIR)"' \
	-DRULESDIR='"$(RULESDIR)"' -DSTATEDIR='"$(STATEDIR)"' -I. -I$(B) $(CPPFLAGS)
ALL_CFLAGS = -std=c11 $(WARNINGS) $(HARDENING) $(SANITIZERS) $(CFLAGS)
# expat and json-c go into the program, so that one binary serves hosts without them.
LDLIBS = -l:libexpat.a -l:libjson-c.a -ldl

SOURCES := $(sort $(wildcard lexer/*.c parser/*.c engine/*.c engine/*/*.c))
GENERATED := $(B)/lexer/rules.lex.c $(B)/parser/rules.tab.c
OBJECTS := $(SOURCES:%.c=$(B)/%.o) $(GENERATED:.c=.o)
LIBRARY := $(filter-out $(B)/engine/main.o,$(OBJECTS))
TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c tests/hook/test_*.c))
TEST_HELPERS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/unit/double_*.c))

# One short line a file; the whole commands with V=1.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $@)

all: $(B)/virt-rules $(B)/virt-rules-hook $(B)/virt-rules-plug ## build the engine and the hook (the default)

# What is compiled in: a change of a directory or a flag builds anew.
CONFIG := $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS)
$(B)/config: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(CONFIG))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(CONFIG))' >$@
$(OBJECTS) $(TESTS) $(TEST_HELPERS) $(B)/virt-rules-hook $(B)/virt-rules-plug: $(B)/config
FORCE:

$(B)/virt-rules: $(OBJECTS)
	$(call say,LD)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(OBJECTS) $(LDLIBS)

# The hook is on a VM's start path, its like on udev's: static, and nothing but libc in them.
$(B)/virt-rules-hook $(B)/virt-rules-plug: $(B)/virt-rules-%: hook/%.c hook/detach.c hook/detach.h
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) $(if $(SANITIZE),,-static) -o $@ $(filter %.c,$^)

$(B)/lexer/rules.lex.c: lexer/rules.l
	@mkdir -p $(@D)
	$(call say,FLEX)
	$(Q)flex -o $@ --header-file=$(@:.c=.h) $<

$(B)/parser/rules.tab.c: parser/rules.y
	@mkdir -p $(@D)
	$(call say,BISON)
	$(Q)bison -Werror --no-lines -o $@ --header=$(@:.c=.h) $<

$(OBJECTS) $(TESTS): | $(GENERATED)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/%.o: $(B)/%.c
	$(call say,CC)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -Wno-unused-function -MMD -MP -c -o $@ $<

$(B)/tests/%: tests/%.c $(LIBRARY) $(TEST_HELPERS)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CPPFLAGS) -Itests $(ALL_CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $< $(TEST_HELPERS) $(LIBRARY) -lcmocka $(LDLIBS)

-include $(OBJECTS:.o=.d) $(TESTS:=.d) $(TEST_HELPERS:.o=.d)

test: ## every fast test (T=unit/test_match for one; SANITIZE=1 under ASan and UBSan)
	@tests/install-packages build test
	@$(MAKE) --no-print-directory run-tests

# What the tests of faults put in place of libvirt, and before libc. Without sanitizers: a preloaded
# library cannot have them.
FAKES := $(B)/tests/fake/libvirt.so.0 $(B)/tests/fake/killer.so
$(FAKES): tests/fake/world.c tests/fake/world.h tests/fake/killer.h $(B)/config
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CPPFLAGS) -std=c11 $(WARNINGS) $(CFLAGS) $(FAKE_FLAGS) -fPIC -shared -o $@ $(filter %.c,$^) -ldl
$(B)/tests/fake/libvirt.so.0: tests/fake/libvirt.c
$(B)/tests/fake/libvirt.so.0: FAKE_FLAGS = -Wl,-soname,libvirt.so.0
$(B)/tests/fake/killer.so: tests/fake/killer.c
$(B)/tests/fake/killer.so: FAKE_FLAGS = -fvisibility=hidden

run-tests: all $(TESTS) $(FAKES)
	@BUILD=$(B) tests/run $(T)

lab: ## real passthrough in an emulated PC, every case (T=case for one)
	@tests/install-packages build lab
	@$(MAKE) --no-print-directory all
	@tests/lab/lab $(T)

demo: ## the main job, shown stage by stage in the emulated PC
	@tests/install-packages build lab
	@$(MAKE) --no-print-directory all
	@tests/lab/lab --demo

lint: ## clang-format, clang-tidy, cppcheck, shellcheck, mandoc
	@tests/install-packages build test lint
	@$(MAKE) --no-print-directory $(GENERATED)
	@tests/lint -I. -I$(B)

bench: ## time and memory of check, beside doas -C
	@tests/install-packages build bench
	@$(MAKE) --no-print-directory all
	@tests/bench/bench

fuzz: ## fuzz every target for FUZZ_SECONDS (default 60) under ASan and UBSan
	@tests/install-packages build fuzz
	@tests/fuzz/fuzz $(or $(FUZZ_SECONDS),60) $(T)

golden: all ## write the golden files anew; read the diff before you commit it
	@BUILD=$(B) tests/golden/run --write $(T)

install: all ## install into DESTDIR: engine, hook, example rules
	hook/install $(if $(DESTDIR),--destdir $(DESTDIR)) --bindir $(BINDIR) --mandir $(MANDIR) \
		--rulesdir $(RULESDIR) --hookdir $(HOOKDIR) $(B)

uninstall: ## take away what install put there; rules and log stay
	hook/install --remove $(if $(DESTDIR),--destdir $(DESTDIR)) --bindir $(BINDIR) --mandir $(MANDIR) \
		--rulesdir $(RULESDIR) --hookdir $(HOOKDIR) $(B)

# Everything below one directory of its own, which outlives an update of the NAS; no path of this
# machine in the programs, so that the same source gives the same bytes.
DIST_DIR := /usr/local/libvirt
dist: ## archives in build/: programs for hosts without a compiler, and the source
	@tests/install-packages build dist
	@$(MAKE) --no-print-directory B=build/dist SANITIZE= BINDIR=$(DIST_DIR)/bin RULESDIR=$(DIST_DIR)/rules.d \
		STATEDIR=$(DIST_DIR)/state CPPFLAGS= CFLAGS='-O2 -ffile-prefix-map="$(CURDIR)"=.' \
		LDFLAGS='-s -Wl,--build-id=none' all
	@hook/dist build/dist $(VERSION) build

clean: ## remove build/
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' Makefile | expand -t 12

.PHONY: all test run-tests lab demo lint bench fuzz golden install uninstall dist clean help
.DELETE_ON_ERROR:
.SECONDARY:
