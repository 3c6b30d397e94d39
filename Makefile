# virt-rules. `make help` lists the targets; all build output goes to build/.
# With its own PREFIX, everything is below that directory, except files that other programs look for elsewhere.
# With a shared PREFIX (/usr, /usr/local), the directories follow the Filesystem Hierarchy Standard.
PREFIX ?= /usr/local/libvirt
OWN := $(if $(filter /usr /usr/local,$(PREFIX)),,yes)
USR := $(filter /usr,$(PREFIX))
BINDIR ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec$(if $(OWN),,/virt-rules)
RULESDIR ?= /usr/local/libvirt/rules.d
STATEDIR ?= $(if $(OWN),$(PREFIX)/state,/var/lib/virt-rules)
DATADIR ?= $(if $(filter /usr/local/libvirt,$(PREFIX)),/usr/local,$(PREFIX))/share
MANDIR ?= $(DATADIR)/man
EXAMPLESDIR ?= $(if $(OWN),$(PREFIX),$(DATADIR)/doc/virt-rules)/examples
HOOKDIR ?= /etc/libvirt/hooks
UDEVDIR ?= $(if $(USR),/usr/lib,/etc)/udev/rules.d
UNITDIR ?= $(if $(USR),/usr/lib,/etc)/systemd/system
TMPFILESDIR ?= $(if $(USR),/usr/lib,/etc)/tmpfiles.d
# A link in a directory of PATH; empty if BINDIR is in PATH.
LINK ?= $(if $(filter /usr/local/libvirt,$(PREFIX)),/usr/local/bin/virt-rules)
DESTDIR ?=
VERSION := 0.1.0
# The kind of installation: make, archive (make dist) or deb. INSTALLER is the command that repairs it, as doctor
# prints it.
KIND := make
INSTALLER := make install

comma := ,
B := build$(if $(SANITIZE),/sanitize)
CFLAGS ?= -O2 -g
# A newer compiler or library may print new warnings; these must not break a user's build. CI and `make lint` set
# WERROR=1, which makes warnings errors.
WERROR ?=
WARNINGS := -Wall -Wextra $(if $(WERROR),-Werror) -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wwrite-strings
HARDENING := -fstack-protector-strong $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2)
SANITIZERS := $(if $(SANITIZE),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)

# On 32-bit systems: large inode numbers and files, and times after 2038.
WIDE := $(if $(filter 4,$(shell echo __SIZEOF_LONG__ | $(CC) $(CPPFLAGS) $(CFLAGS) -E -P -)),-D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64)
ALL_CPPFLAGS = -D_GNU_SOURCE $(WIDE) -DVERSION='"$(VERSION)"' -DBINDIR='"$(BINDIR)"' \
	-DRULESDIR='"$(RULESDIR)"' -DSTATEDIR='"$(STATEDIR)"' -DINSTALLER='"$(INSTALLER)"' -I. -I$(B) $(CPPFLAGS)
ALL_CFLAGS = -std=c11 $(WARNINGS) $(HARDENING) $(SANITIZERS) $(CFLAGS)
# expat and json-c are linked statically, so that the program runs on hosts without them.
LDLIBS = -l:libexpat.a -l:libjson-c.a -ldl

SOURCES := $(sort $(wildcard lexer/*.c parser/*.c engine/*.c engine/*/*.c))
GENERATED := $(B)/lexer/rules.lex.c $(B)/parser/rules.tab.c
OBJECTS := $(SOURCES:%.c=$(B)/%.o) $(GENERATED:.c=.o)
LIBRARY := $(filter-out $(B)/engine/main.o,$(OBJECTS))
TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c tests/hook/test_*.c))
TEST_HELPERS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/unit/double_*.c))

# One short line per file; V=1 prints the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $@)

all: $(B)/virt-rules $(B)/virt-rules-hook $(B)/virt-rules-plug $(B)/share/virt-rules.vim $(B)/share/completion.bash ## build the engine and the hook (the default)

# Everything that is compiled in: a change of a directory or a flag rebuilds.
CONFIG := $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS)
$(B)/config: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(CONFIG))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(CONFIG))' >$@
$(OBJECTS) $(TESTS) $(TEST_HELPERS) $(B)/virt-rules-hook $(B)/virt-rules-plug: $(B)/config

$(B)/virt-rules: $(OBJECTS)
	$(call say,LD)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(OBJECTS) $(LDLIBS)

# The hook runs at each start of a VM, and virt-rules-plug at each udev event: both are static and use only libc.
$(B)/virt-rules-hook $(B)/virt-rules-plug: $(B)/virt-rules-%: hook/%.c hook/launch.c hook/launch.h lexer/utf8.c lexer/utf8.h
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) $(if $(SANITIZE),,-static) -o $@ $(filter %.c,$^)

# Each word of the language is one row in lexer/words.def: lexer/words writes them to where no compiler can.
$(B)/lexer/rules.lex.c: lexer/rules.l lexer/words lexer/words.def
	@mkdir -p $(@D)
	$(call say,FLEX)
	$(Q)lexer/words $< >$(@:.c=.l)
	$(Q)flex -o $@ --header-file=$(@:.c=.h) $(@:.c=.l)

$(B)/share/virt-rules.vim: rules.d/virt-rules.vim
$(B)/share/completion.bash: engine/command/completion.bash
$(B)/share/%: lexer/words lexer/words.def
	@mkdir -p $(@D)
	$(call say,WORDS)
	$(Q)lexer/words $(filter-out lexer/%,$^) >$@

$(B)/parser/rules.tab.c: parser/rules.y
	@mkdir -p $(@D)
	$(call say,BISON)
	$(Q)bison $(if $(WERROR),-Werror) --no-lines -o $@ --defines=$(@:.c=.h) $<

$(OBJECTS) $(TESTS): | $(GENERATED)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/%.o: $(B)/%.c
	$(call say,CC)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -Wno-unused-function -Wno-unused-but-set-variable -MMD -MP -c -o $@ $<

$(B)/tests/%: tests/%.c $(LIBRARY) $(TEST_HELPERS)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CPPFLAGS) -Itests $(ALL_CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $< $(TEST_HELPERS) $(LIBRARY) -lcmocka $(LDLIBS)

-include $(OBJECTS:.o=.d) $(TESTS:=.d) $(TEST_HELPERS:.o=.d)

test: ## run every fast test (T=unit/test_match for one; SANITIZE=1 for ASan and UBSan)
	@tests/install-packages build test
	@$(MAKE) --no-print-directory run-tests

# The fault tests replace libvirt and preload libraries before libc. These have no sanitizers, because a preloaded
# library cannot have them.
FAKES := $(B)/tests/fake/libvirt.so.0 $(B)/tests/fake/killer.so $(B)/tests/fake/failer.so $(B)/tests/fake/virt-rules-hook
$(filter %.so %.so.0,$(FAKES)): tests/fake/world.c tests/fake/world.h tests/fake/killer.h $(B)/config
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CPPFLAGS) -std=c11 $(WARNINGS) $(CFLAGS) $(FAKE_FLAGS) -fPIC -shared -o $@ $(filter %.c,$^) -ldl
$(B)/tests/fake/libvirt.so.0: tests/fake/libvirt.c tests/fake/elements.h tests/fake/usb_ports.h
$(B)/tests/fake/libvirt.so.0: FAKE_FLAGS = -Wl,-soname,libvirt.so.0
$(B)/tests/fake/killer.so: tests/fake/killer.c
$(B)/tests/fake/killer.so: FAKE_FLAGS = -fvisibility=hidden
$(B)/tests/fake/failer.so: tests/fake/failer.c
$(B)/tests/fake/failer.so: FAKE_FLAGS = -fvisibility=hidden $(if $(SANITIZE),-DSANITIZED)
# The hook with a shared C library, so that a library can be preloaded.
$(B)/tests/fake/virt-rules-hook: hook/hook.c hook/launch.c hook/launch.h lexer/utf8.c lexer/utf8.h $(B)/config
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(filter %.c,$^)

compiled: all $(TESTS) $(FAKES)

run-tests: compiled
	@BUILD=$(B) tests/run $(T)

lab: ## real passthrough in an emulated PC, the core cases (ALL=1 for every case, T=case for one)
	@tests/install-packages build lab
	@$(MAKE) --no-print-directory all
	@tests/lab/lab $(T)

demo: ## show the main use, stage by stage, in the emulated PC
	@tests/install-packages build lab
	@$(MAKE) --no-print-directory all
	@tests/lab/lab --demo

lint: ## run compiler warnings, clang-format, clang-tidy, cppcheck, shellcheck, mandoc
	@tests/install-packages build test lint
	@$(MAKE) --no-print-directory $(if $(WERROR),,B=$(B)/lint) WERROR=1 compiled
	@$(MAKE) --no-print-directory $(GENERATED)
	@tests/lint -I. -I$(B)

# The programs of the benchmarks, and those that virt-rules is compared with. libvirt is the fake of tests/fake,
# except for one call.
BENCH := $(addprefix $(B)/bench/,nothing spawn call libvirt.so.0)
$(B)/bench/libvirt.so.0: tests/bench/libvirt.c tests/fake/libvirt.c tests/fake/world.c $(B)/config
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CPPFLAGS) -std=c11 $(WARNINGS) $(CFLAGS) -fPIC -DvirDomainAttachDeviceFlags=attach_in_full \
		-c -o $@.o tests/fake/libvirt.c
	$(Q)$(CC) $(ALL_CPPFLAGS) -std=c11 $(WARNINGS) $(CFLAGS) -fPIC -shared -Wl,-soname,libvirt.so.0 -o $@ $@.o \
		tests/bench/libvirt.c tests/fake/world.c -ldl
$(filter-out %.so.0,$(BENCH)): $(B)/bench/%: tests/bench/%.c $(B)/config
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CPPFLAGS) -std=c11 $(WARNINGS) $(CFLAGS) $(BENCH_FLAGS) -o $@ $<
$(B)/bench/nothing: BENCH_FLAGS = -static
$(B)/bench/spawn: BENCH_FLAGS = -pthread
$(B)/bench/call: BENCH_FLAGS = -ldl

bench: ## measure the speed and compare it, in 5 minutes (T=hook for one row; README=1 updates README.md)
	@tests/install-packages build bench
	@$(MAKE) --no-print-directory run-bench

run-bench: all $(BENCH)
	@BUILD=$(B) tests/bench/bench $(if $(README),--readme) $(T)

fuzz: ## fuzz every target for FUZZ_SECONDS (default 60) under ASan and UBSan
	@tests/install-packages build fuzz
	@tests/fuzz/fuzz $(or $(FUZZ_SECONDS),60) $(T)

golden: all ## write the golden files again; read the diff before you commit it
	@BUILD=$(B) tests/golden/run --write $(T)

# The variables of hook/layout.
PLACES = kind='$(KIND)' prefix='$(PREFIX)' bindir='$(BINDIR)' libexecdir='$(LIBEXECDIR)' \
	installerdir='$(if $(OWN),$(PREFIX),$(LIBEXECDIR))' rulesdir='$(RULESDIR)' statedir='$(STATEDIR)' \
	hookdir='$(HOOKDIR)' datadir='$(DATADIR)' mandir='$(MANDIR)' examples='$(EXAMPLESDIR)' \
	udevdir='$(UDEVDIR)' unitdir='$(UNITDIR)' tmpfilesdir='$(TMPFILESDIR)' link='$(LINK)'
# What `make install` puts together before it installs it: two at the same time need two directories.
IMAGE ?= $(B)/image
INSTALL_OPTIONS = --yes $(if $(DESTDIR),--destdir '$(DESTDIR)')

places: # for tests/hook
	@echo "$(PLACES)"

install: all ## install engine, hook, udev rule and unit; for a package, into DESTDIR
	@$(PLACES) hook/layout $(B) $(IMAGE)
	@sh $(IMAGE)/install.sh $(INSTALL_OPTIONS)

uninstall: ## remove what install installed; rules and log are kept
	@mkdir -p $(B)
	@$(PLACES) hook/layout >$(B)/install.sh
	@sh $(B)/install.sh --uninstall $(INSTALL_OPTIONS)

# A separate build with all directories given, so that none of `make install` applies. The programs contain no path
# of this machine, so that the same source gives the same bytes. Two at the same time need two directories OUT.
OUT ?= build
own_build = +@$(MAKE) --no-print-directory B=$(OUT)/$(1) KIND=$(1) SANITIZE= PREFIX=$(2) BINDIR=$(2)/bin \
	RULESDIR=/usr/local/libvirt/rules.d HOOKDIR=/etc/libvirt/hooks INSTALLER='$(3)' \
	CPPFLAGS= CFLAGS='-O2 -ffile-prefix-map="$(CURDIR)"=.' LDFLAGS='-s -Wl,--build-id=none' $(4)
# Everything is below one directory, which is kept over an update of the NAS.
ARCHIVE_DIR := /usr/local/libvirt
dist: ## make archives in build/: programs for hosts without a compiler, and the source
	@tests/install-packages build dist
	$(call own_build,archive,$(ARCHIVE_DIR),sudo sh $(ARCHIVE_DIR)/install.sh,pack-archive \
		LIBEXECDIR=$(ARCHIVE_DIR)/libexec STATEDIR=$(ARCHIVE_DIR)/state DATADIR=/usr/local/share \
		EXAMPLESDIR=$(ARCHIVE_DIR)/examples UDEVDIR=/etc/udev/rules.d UNITDIR=/etc/systemd/system \
		TMPFILESDIR=/etc/tmpfiles.d LINK=/usr/local/bin/virt-rules)
pack-archive: all
	@$(PLACES) hook/dist $(B) $(VERSION) $(OUT)

DEB_ARCH = $(shell dpkg --print-architecture)
deb: ## make a Debian package in build/, checked with lintian
	@tests/install-packages build deb
	$(call own_build,deb,/usr,dpkg -i virt-rules_$(VERSION)_$(DEB_ARCH).deb,pack-deb \
		LIBEXECDIR=/usr/libexec/virt-rules STATEDIR=/var/lib/virt-rules DATADIR=/usr/share MANDIR=/usr/share/man \
		EXAMPLESDIR=/usr/share/doc/virt-rules/examples UDEVDIR=/usr/lib/udev/rules.d \
		UNITDIR=/usr/lib/systemd/system TMPFILESDIR=/usr/lib/tmpfiles.d LINK= LDLIBS='-lexpat -ljson-c -ldl')
pack-deb: all
	@$(PLACES) hook/deb $(B) $(VERSION) $(OUT)

clean: ## remove build/
	rm -rf build

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' Makefile | expand -t 12

.PHONY: FORCE all test compiled run-tests lab demo lint bench run-bench fuzz golden places install uninstall dist pack-archive deb pack-deb clean help
.DELETE_ON_ERROR:
.SECONDARY:
