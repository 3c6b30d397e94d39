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
# The kind of installation: make, archive (make dist), deb, rpm, pacman or apk. INSTALLER is the command that repairs
# it, as doctor prints it.
KIND := make
INSTALLER := make install

# As many jobs as there are processors, unless the caller says how many. Several targets of one call run one by one.
ifeq ($(MAKELEVEL)$(word 2,$(MAKECMDGOALS)),0)
MAKEFLAGS += $(shell case " $$MAKEFLAGS " in (*' -j'* | *' --jobs'*) ;; (*) echo "-j$$(nproc 2>/dev/null || echo 1)" ;; esac)
endif

comma := ,
IS_ROOT = $(filter 0,$(shell id -u))
B := build$(if $(SANITIZE),/sanitize)
CFLAGS ?= -O2 -g
# A newer compiler or library may print new warnings; these must not break a user's build. CI and `make lint` set
# WERROR=1, which makes warnings errors.
WERROR ?=
WARNINGS := -Wall -Wextra $(if $(WERROR),-Werror) -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wwrite-strings
HARDENING := -fstack-protector-strong $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2)
SANITIZERS := $(if $(SANITIZE),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)

# On 32-bit systems: large inode numbers and files, and times after 2038.
WIDE := $(if $(filter 4,$(shell echo __SIZEOF_LONG__ | $(CC) $(CPPFLAGS) $(CFLAGS) -E -P - 2>/dev/null)),-D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64)
ALL_CPPFLAGS = -D_GNU_SOURCE $(WIDE) -DVERSION='"$(VERSION)"' -DBINDIR='"$(BINDIR)"' \
	-DRULESDIR='"$(RULESDIR)"' -DSTATEDIR='"$(STATEDIR)"' -DEXAMPLESDIR='"$(EXAMPLESDIR)"' -DINSTALLER='"$(INSTALLER)"' -I. -I$(B) $(CPPFLAGS)
ALL_CFLAGS = -std=c11 $(WARNINGS) $(HARDENING) $(SANITIZERS) $(CFLAGS)
# expat and json-c are linked statically, so that the program runs on hosts without them.
LDLIBS = -l:libexpat.a -l:libjson-c.a -ldl

SOURCES := $(sort $(wildcard lexer/*.c parser/*.c engine/*.c engine/*/*.c))
GENERATED := $(B)/lexer/rules.lex.c $(B)/parser/rules.tab.c
OBJECTS := $(SOURCES:%.c=$(B)/%.o) $(GENERATED:.c=.o)
# hook/old_libc.c, for the archive of `make dist` alone.
OLD_LIBC :=
LIBRARY := $(filter-out $(B)/engine/main.o,$(OBJECTS))
TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c tests/hook/test_*.c))
TEST_HELPERS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/unit/double_*.c))

# One short line per file; V=1 prints the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $@)

PROGRAMS := $(addprefix $(B)/,virt-rules virt-rules-hook virt-rules-plug share/virt-rules.vim share/completion.bash)
all: $(B)/built ## build the engine and the hook (the default)
programs: $(PROGRAMS)

# Who calls make without a target has not installed it yet. The variables that were given have to be given again.
GIVEN = $(foreach name,PREFIX BINDIR LIBEXECDIR RULESDIR STATEDIR DATADIR MANDIR HOOKDIR UDEVDIR UNITDIR CC CFLAGS CPPFLAGS \
	LDFLAGS,$(if $(filter environment,$(origin $(name))),$(name)='$($(name))')) $(MAKEOVERRIDES)
$(B)/built: $(PROGRAMS)
	@touch $@
	@echo "built $<; next: $(if $(IS_ROOT),,sudo )make $(strip install $(GIVEN))"

# Everything that is compiled in: a change of a directory or a flag rebuilds. Before that, the packages that are missing
# are installed, unless PACKAGES is empty. No package manager is asked where everything is there.
CONFIG := $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS)
PACKAGES := build
$(B)/config: FORCE
	@mkdir -p $(@D)
	@{ command -v flex && command -v bison && printf '%s\n' '$(subst ','\'',$(CONFIG))' | cmp -s - $@; } >/dev/null || { \
		$(if $(PACKAGES),tests/can-build $@.try $(CONFIG) -- $(LDLIBS) || tests/install-packages $(PACKAGES) || exit 1;) \
		tests/can-build --tools $(CC) || exit 1; \
		printf '%s\n' '$(subst ','\'',$(CONFIG))' >$@; }
$(GENERATED): | $(B)/config
$(OBJECTS) $(OLD_LIBC) $(TESTS) $(TEST_HELPERS) $(B)/virt-rules-hook $(B)/virt-rules-plug: $(B)/config

$(B)/virt-rules: $(OBJECTS) $(OLD_LIBC)
	$(call say,LD)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(OBJECTS) $(OLD_LIBC) $(LDLIBS)

LAUNCH := $(foreach part,hook/launch engine/system/layout engine/system/conf lexer/utf8,$(part).c $(part).h) lexer/source.h
# The hook runs at each start of a VM, and virt-rules-plug at each udev event: both are static and use only libc. From
# 14 on, gcc's own library wants functions that an old C library has in libpthread.
$(B)/virt-rules-hook $(B)/virt-rules-plug: $(B)/virt-rules-%: hook/%.c $(LAUNCH) $(OLD_LIBC)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) $(if $(SANITIZE),,-static) -o $@ $(filter %.c,$^) $(OLD_LIBC) \
		$(if $(OLD_LIBC),-Wl$(comma)-u$(comma)__lll_lock_wait -Wl$(comma)--start-group -lpthread -lgcc_eh -lc -Wl$(comma)--end-group)

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

# The Debian release of `make test HOST=` and `make lab HOST=`. Some shells export HOST with the name of the machine, so
# only the command line counts.
HOST_IS_GIVEN := $(findstring command line,$(origin HOST))
test: $(if $(T),known-tests) ## run every fast test (T=unit/test_match for one; SANITIZE=1 for ASan and UBSan; KERNEL=4.4, HOST=trixie as there)
ifneq ($(HOST_IS_GIVEN),)
	@tests/install-packages release
	@tests/release/test '$(HOST)' $(filter-out HOST=%,$(MAKEOVERRIDES))
else
	@tests/install-packages build test dist
	$(if $(KERNEL),@$(MAKE) --no-print-directory $(OLD_KERNEL) && $(OLD_KERNEL) '$(KERNEL)' true)
	@$(MAKE) --no-print-directory compiled
	$(RUN_TESTS)
endif

# `$(error)` is one line; a command that fails, with the lines of make, is several.
known-tests:
	$(if $(shell tests/run --list $(T) 2>&1 >/dev/null),$(error $(shell tests/run --list $(T) 2>&1 >/dev/null)))
tests: # a directory has this name
	$(error there is no target 'tests': run 'make test')

# The fault tests replace libvirt and preload libraries before libc. These have no sanitizers, because a preloaded
# library cannot have them.
FAKES := $(B)/tests/fake/libvirt.so.0 $(B)/tests/fake/killer.so $(B)/tests/fake/failer.so $(B)/tests/fake/virt-rules-hook
$(filter %.so %.so.0,$(FAKES)): tests/fake/world.c tests/fake/world.h tests/fake/killer.h $(B)/config
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CPPFLAGS) -std=c11 $(WARNINGS) $(CFLAGS) $(FAKE_FLAGS) -fPIC -shared -o $@ $(filter %.c,$^) -ldl
$(B)/tests/fake/libvirt.so.0: tests/fake/libvirt.c tests/fake/elements.h tests/fake/language.h tests/fake/usb_ports.h
$(B)/tests/fake/libvirt.so.0: FAKE_FLAGS = -Wl,-soname,libvirt.so.0
$(B)/tests/fake/killer.so: tests/fake/killer.c
$(B)/tests/fake/killer.so: FAKE_FLAGS = -fvisibility=hidden
$(B)/tests/fake/failer.so: tests/fake/failer.c
$(B)/tests/fake/failer.so: FAKE_FLAGS = -fvisibility=hidden $(if $(SANITIZE),-DSANITIZED)
# The hook with a shared C library, so that a library can be preloaded.
$(B)/tests/fake/virt-rules-hook: hook/hook.c $(LAUNCH) $(B)/config
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(filter %.c,$^)

# Runs tests without the system calls that are newer than KERNEL: those which such a kernel can change.
OLD_KERNEL := $(B)/tests/kernel/old_kernel
KERNEL ?=
KERNEL_TESTS := kernel cli golden hook plug faults
$(OLD_KERNEL): tests/kernel/old_kernel.c $(B)/config
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CPPFLAGS) -std=c11 $(WARNINGS) $(CFLAGS) -o $@ $<

compiled: programs $(TESTS) $(FAKES) $(OLD_KERNEL)

RUN_TESTS = @BUILD=$(B) KERNEL='$(KERNEL)' $(if $(KERNEL),$(OLD_KERNEL) '$(KERNEL)') tests/run $(or $(T),$(if $(KERNEL),$(KERNEL_TESTS)))
run-tests: compiled $(if $(T),known-tests)
	$(RUN_TESTS)

LAB_HOST = $(if $(HOST_IS_GIVEN),--host $(HOST))
lab: ## real passthrough in an emulated PC, the core cases (ALL=1 for every case, T=case for one, HOST=trixie: of Debian 13)
	@tests/install-packages build lab
	@$(MAKE) --no-print-directory programs
	@tests/lab/lab $(LAB_HOST) $(T)

demo: ## show the main use, stage by stage, in the emulated PC
	@tests/install-packages build lab
	@$(MAKE) --no-print-directory programs
	@tests/lab/lab $(LAB_HOST) --demo

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

bench: ## measure the speed and compare it, in 5 minutes (T=hook for one row; README=1 updates tests/bench/README.md)
	@tests/install-packages build bench
	@$(MAKE) --no-print-directory run-bench

run-bench: programs $(BENCH)
	@BUILD=$(B) tests/bench/bench $(if $(README),--readme) $(T)

fuzz: ## fuzz every target for FUZZ_SECONDS (default 60) under ASan and UBSan
	@tests/install-packages build fuzz
	@tests/fuzz/fuzz $(or $(FUZZ_SECONDS),60) $(T)

golden: programs ## write the golden files again; read the diff before you commit it
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

install: programs ## install engine, hook, udev rule and unit; for a package, into DESTDIR
	@$(PLACES) hook/layout $(B) $(IMAGE)
	@sh $(IMAGE)/install.sh $(INSTALL_OPTIONS)

uninstall: ## remove what install installed; rules and log are kept
	@mkdir -p $(B)
	@$(PLACES) hook/layout >$(B)/install.sh
	@sh $(B)/install.sh --uninstall $(INSTALL_OPTIONS)

# A separate build with all directories given, so that none of `make install` applies. The programs contain no path
# of this machine, so that the same source gives the same bytes. Two at the same time need two directories OUT.
OUT ?= build
own_build = +@env -u CPATH -u C_INCLUDE_PATH -u LIBRARY_PATH $(MAKE) --no-print-directory B=$(OUT)/$(1) PACKAGES= \
	KIND=$(firstword $(subst -, ,$(1))) SANITIZE= PREFIX=$(2) BINDIR=$(2)/bin RULESDIR=/usr/local/libvirt/rules.d \
	HOOKDIR=/etc/libvirt/hooks INSTALLER='$(3)' CPPFLAGS= CFLAGS='-O2 -ffile-prefix-map="$(CURDIR)"=.' \
	LDFLAGS='-s -Wl,--build-id=none' $(4)

# The archive is compiled for an old C library, so that it runs on old hosts and new ones: hook/dist says which. Its
# headers and libraries are Debian 11's, in a sysroot for this machine's own gcc (hook/sysroot). gcc searches some
# directories of this machine before those of --sysroot, and those in LIBRARY_PATH and the like: so they are all
# named. It finds the shared libgcc only where /lib is a link, so that one is static.
ARCH = $(shell dpkg --print-architecture)
TRIPLE = $(or $(TRIPLE_$(ARCH)),$(error make dist is for ARCH=amd64 and ARCH=arm64, not for '$(ARCH)'))
TRIPLE_amd64 := x86_64-linux-gnu
TRIPLE_arm64 := aarch64-linux-gnu
IS_CROSS = $(filter-out $(shell uname -m),$(firstword $(subst -, ,$(TRIPLE))))
RELEASE := bullseye
SYSROOT = build/sysroot/$(RELEASE)-$(ARCH)-$(firstword $(shell sha256sum hook/sysroot))
DIST_GCC = $(if $(IS_CROSS),$(TRIPLE)-gcc,$(CC))
DIST_CC = $(DIST_GCC) -static-libgcc --sysroot=$(SYSROOT) -B$(SYSROOT)/usr/lib/$(TRIPLE)/ -nostdinc \
	-isystem $(shell $(DIST_GCC) -print-file-name=include) \
	-isystem $(SYSROOT)/usr/include/$(TRIPLE) -isystem $(SYSROOT)/usr/include
# Everything is below one directory, which is kept over an update of the NAS.
ARCHIVE_DIR := /usr/local/libvirt
dist: ## make archives in build/: programs for hosts without a compiler (ARCH=arm64 for those), and the source
	@tests/install-packages dist $(if $(IS_CROSS),$(ARCH))
	@hook/sysroot $(RELEASE) $(ARCH) $(SYSROOT)
	@$(MAKE) --no-print-directory build-archive
# In a make of its own, because DIST_CC asks gcc, which has just been installed.
build-archive:
	$(call own_build,archive-$(ARCH),$(ARCHIVE_DIR),sudo sh $(ARCHIVE_DIR)/install.sh,pack-archive \
		CC='$(DIST_CC)' OLD_LIBC=$(OUT)/archive-$(ARCH)/hook/old_libc.o \
		LIBEXECDIR=$(ARCHIVE_DIR)/libexec STATEDIR=$(ARCHIVE_DIR)/state DATADIR=/usr/local/share \
		EXAMPLESDIR=$(ARCHIVE_DIR)/examples UDEVDIR=/etc/udev/rules.d UNITDIR=/etc/systemd/system \
		TMPFILESDIR=/etc/tmpfiles.d LINK=/usr/local/bin/virt-rules)
pack-archive: programs
	@$(PLACES) sysroot=$(SYSROOT) hook/dist $(B) $(VERSION) $(OUT)

# The directories of a package.
FHS := LIBEXECDIR=/usr/libexec/virt-rules STATEDIR=/var/lib/virt-rules DATADIR=/usr/share MANDIR=/usr/share/man \
	EXAMPLESDIR=/usr/share/doc/virt-rules/examples UDEVDIR=/usr/lib/udev/rules.d UNITDIR=/usr/lib/systemd/system \
	TMPFILESDIR=/usr/lib/tmpfiles.d LINK=
DEB_ARCH = $(shell dpkg --print-architecture)
deb: ## make a Debian package in build/, checked with lintian
	@tests/install-packages build deb
	$(call own_build,deb,/usr,dpkg -i virt-rules_$(VERSION)_$(DEB_ARCH).deb,pack-deb \
		LDLIBS='-lexpat -ljson-c -ldl' $(FHS))
pack-deb: programs
	@$(PLACES) hook/deb $(B) $(VERSION) $(OUT)

# Fedora, RHEL, openSUSE. One package serves old releases and new ones: it is compiled as the archive is.
RPM_ARCH = $(firstword $(subst -, ,$(TRIPLE)))
rpm: ## make an RPM package in build/ (ARCH=arm64 for that processor)
	@tests/install-packages dist rpm $(if $(IS_CROSS),$(ARCH))
	@hook/sysroot $(RELEASE) $(ARCH) $(SYSROOT)
	@$(MAKE) --no-print-directory build-rpm
build-rpm:
	$(call own_build,rpm-$(ARCH),/usr,rpm --reinstall virt-rules-$(VERSION)-1.$(RPM_ARCH).rpm,pack-rpm \
		CC='$(DIST_CC)' OLD_LIBC=$(OUT)/rpm-$(ARCH)/hook/old_libc.o $(FHS))
pack-rpm: programs
	@$(PLACES) sysroot=$(SYSROOT) hook/rpm $(B) $(VERSION) $(OUT)

clean: ## remove build/
	rm -rf build

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' Makefile | expand -t 12

.PHONY: FORCE all programs test tests known-tests compiled run-tests lab demo lint bench run-bench fuzz golden places install uninstall dist build-archive pack-archive deb pack-deb rpm build-rpm pack-rpm clean help
# Before anything is built.
ifneq ($(filter install uninstall,$(MAKECMDGOALS)),)
ifeq ($(DESTDIR)$(IS_ROOT)$(findstring n,$(filter-out --%,$(firstword $(MAKEFLAGS)))),)
$(error this needs root: sudo make $(strip $(MAKECMDGOALS) $(GIVEN)))
endif
endif

# A use of T that nothing reads is a slip: `make T=golden` instead of `make test T=golden`. In the environment it is that
# of a make which runs a test that runs this one.
ifneq ($(findstring command line,$(origin T)),)
ifeq ($(filter-out all install,$(or $(MAKECMDGOALS),all)),)
$(error T=$(T) is for make test, lab, bench, fuzz and golden: run 'make test T=$(T)')
endif
endif

.DELETE_ON_ERROR:
.SECONDARY:
