/* Where libvirt's library and sockets are looked for, on copies of hosts. */
#include "engine/libvirt/elf.h"
#include "engine/libvirt/libvirt_places.h"
#include "lexer/memory.h"

#include <elf.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/test_places.XXXXXX";
static struct layout layout;
static struct libvirt_places places;

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...) {
    char command[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

static int clean(void **state) {
    (void)state;
    shell("rm -rf %s && mkdir -p %s", root, root);
    layout = (struct layout){.file = "/conf"};
    setenv("LIBVIRT_DEFAULT_URI", "other:///", 1);
    return 0;
}

static void put(const char *path, const char *text) {
    char *whole = memory_printf("%s%s", root, path);
    shell("mkdir -p $(dirname %s)", whole);
    FILE *out = fopen(whole, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    free(whole);
}

static void put_socket(const char *path) {
    char *whole = memory_printf("%s%s", root, path);
    shell("mkdir -p $(dirname %s)", whole);
    assert_int_equal(mknod(whole, S_IFSOCK | 0700, 0), 0);
    free(whole);
}

/* All that is found, "NAME (WHY)" a line. */
static void finds(void (*look)(struct libvirt_places *places, const struct tree *tree,
                               const struct layout *layout),
                  const char *wanted) {
    struct tree tree;
    char *text = memory_strdup("");
    assert_true(tree_open(&tree, root));
    look(&places, &tree, &layout);
    for (size_t i = 0; i < places.count; i++)
        memory_append(&text, "%s (%s)\n", places.list[i].name, places.list[i].why);
    assert_string_equal(text, wanted);
    libvirt_places_finish(&places);
    tree_close(&tree);
    free(text);
}

static void libraries(const char *wanted) {
    finds(libvirt_places_libraries, wanted);
}

static void uris(const char *wanted) {
    finds(libvirt_places_uris, wanted);
}

#define TRUENAS "qemu+unix:///system?socket=/run/truenas_libvirt/libvirt-sock"
#define GUESS "qemu:///system (it is the usual one; no socket of libvirt was found)\n"

static void a_host_without_libvirt(void **state) {
    (void)state;
    libraries("");
    uris(GUESS);
    put("/run/libvirt/libvirt-sock", "no socket");
    uris(GUESS);
}

static void usual_sockets(void **state) {
    (void)state;
    put_socket("/run/libvirt/virtqemud-sock");
    shell("mkdir %s/var && ln -s /run %s/var/run", root, root);
    uris("qemu:///system (/run/libvirt/virtqemud-sock, a socket of libvirt, is there)\n"
         "qemu+unix:///system?socket=/run/libvirt/virtqemud-sock "
         "(/run/libvirt/virtqemud-sock, a socket of libvirt, is there)\n");
}

static void a_var_run_of_its_own(void **state) {
    (void)state;
    put_socket("/var/run/libvirt/libvirt-sock");
    uris("qemu:///system (/var/run/libvirt/libvirt-sock, a socket of libvirt, is there)\n"
         "qemu+unix:///system?socket=/var/run/libvirt/libvirt-sock "
         "(/var/run/libvirt/libvirt-sock, a socket of libvirt, is there)\n");
}

static void sockets_of_other_hosts(void **state) {
    (void)state;
    put_socket("/run/truenas_libvirt/libvirt-sock");
    uris(TRUENAS " (/run/truenas_libvirt/libvirt-sock, a socket of TrueNAS, is there)\n");
    strcpy(layout.conf.values[CONF_URI], "mine:///");
    uris("mine:/// (/conf sets it)\n");
}

/* An unknown host: what the kernel says of who listens. */
static void sockets_that_daemons_listen_at(void **state) {
    (void)state;
    put_socket("/QVS/var/run/libvirt-sock");
    put_socket("/run/user/1000/libvirt/libvirt-sock");
    put_socket("/opt/x/virtqemud-sock-ro");
    put_socket("/opt/y/virtqemud-sock");
    put("/proc/net/unix",
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 17 "
        "/run/user/1000/libvirt/libvirt-sock\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 18 @/QVS/var/run/libvirt-sock\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 19 /gone/libvirt-sock\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 20\n"
        "0000000000000000: 00000003 00000000 00000000 0001 03 21 /opt/y/virtqemud-sock\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 22 /opt/x/virtqemud-sock-ro\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 23 /QVS/var/run/libvirt-sock\n");
    uris("qemu+unix:///system?socket=/QVS/var/run/libvirt-sock "
         "(a daemon of root's listens at /QVS/var/run/libvirt-sock)\n");
    put_socket("/run/libvirt/libvirt-sock"); /* known places come first */
    uris("qemu:///system (/run/libvirt/libvirt-sock, a socket of libvirt, is there)\n"
         "qemu+unix:///system?socket=/run/libvirt/libvirt-sock "
         "(/run/libvirt/libvirt-sock, a socket of libvirt, is there)\n");
}

static void the_environment_wins_on_the_host_itself(void **state) {
    struct tree tree;
    (void)state;
    assert_true(tree_open(&tree, ""));
    strcpy(layout.conf.values[CONF_URI], "mine:///");
    libvirt_places_uris(&places, &tree, &layout);
    assert_int_equal(places.count, 1);
    assert_string_equal(places.list[0].name, "other:///");
    assert_false(places.is_guess);
    libvirt_places_finish(&places);
    unsetenv("LIBVIRT_DEFAULT_URI");
    libvirt_places_uris(&places, &tree, &layout);
    assert_string_equal(places.list[0].name, "mine:///");
    libvirt_places_finish(&places);
    libvirt_places_libraries(&places, &tree, &layout);
    assert_string_equal(places.list[0].name, "libvirt.so.0");
    assert_string_equal(places.list[0].why, "the loader finds it");
    libvirt_places_finish(&places);
    tree_close(&tree);
}

static void libraries_of_hosts(void **state) {
    (void)state;
    put("/QVS/usr/lib/libvirt.so.0", "");
    put("/QVS/usr/lib64/libvirt.so.0", "");
    put("/var/packages/Virtualization/target/usr/local/lib/libvirt.so.0", "");
    put("/usr/local/lib/libvirt.so.0", "");
    libraries("/var/packages/Virtualization/target/usr/local/lib/libvirt.so.0 (a place of "
              "Synology)\n"
              "/QVS/usr/lib64/libvirt.so.0 (a place of QNAP)\n"
              "/QVS/usr/lib/libvirt.so.0 (a place of QNAP)\n"
              "/usr/local/lib/libvirt.so.0 (a place of a libvirt of its own build)\n");
}

static void a_library_that_is_set(void **state) {
    (void)state;
    strcpy(layout.conf.values[CONF_LIBRARY], "/opt/v/libvirt.so.0");
    put("/KVM/opt/lib/libvirt.so.0", "");
    libraries("/opt/v/libvirt.so.0 (/conf sets it)\n"
              "/KVM/opt/lib/libvirt.so.0 (a place of QNAP)\n");
    put("/opt/v/libvirt.so.0", "");
    strcpy(layout.conf.values[CONF_LIBRARY], "/opt/v");
    libraries("/opt/v/libvirt.so.0 (/conf sets it)\n"
              "/KVM/opt/lib/libvirt.so.0 (a place of QNAP)\n");
    strcpy(layout.conf.values[CONF_LIBRARY], "/KVM/opt/lib/libvirt.so.0");
    libraries("/KVM/opt/lib/libvirt.so.0 (/conf sets it)\n");
}

/* An unknown host: what the daemon has loaded. */
static void the_library_of_the_daemon(void **state) {
    static const char maps[] = "7f00-7f01 r-xp 00000000 08:01 11  /odd/lib/libc.so.6\n"
                               "7f01-7f02 r-xp 00000000 08:01 12  /odd/lib/libvirt-qemu.so.0\n"
                               "7f02-7f03 rw-p 00000000 00:00 0\n"
                               "7f03-7f04 r-xp 00000000 08:01 13  /odd/lib/libvirt.so.0.9000.0\n";
    (void)state;
    put("/proc/12/comm", "virsh\n");
    put("/proc/12/status", "Name:\tvirsh\nUid:\t0\t0\t0\t0\n");
    put("/proc/12/maps", maps);
    put("/proc/812/comm", "libvirtd\n");
    put("/proc/812/status", "Name:\tlibvirtd\nUid:\t1000\t0\t0\t0\n");
    put("/proc/812/maps", maps);
    libraries("");
    put("/odd/lib/libvirt.so.0.9000.0", "");
    libraries(""); /* a user's own daemon */
    put("/proc/812/status", "Name:\tlibvirtd\nUid:\t0\t0\t0\t0\n");
    libraries("/odd/lib/libvirt.so.0.9000.0 (the running daemon (process 812) has loaded it)\n");
    put("/proc/812/comm", "virtqemud\n");
    libraries("/odd/lib/libvirt.so.0.9000.0 (the running daemon (process 812) has loaded it)\n");
    put("/proc/812/maps", "7f03-7f04 r-xp 0 08:01 13  /odd/lib/libvirt.so.0.9000.0 (deleted)\n");
    libraries("");
}

static void says_where_it_looks(void **state) {
    (void)state;
    char *text = libvirt_places_sockets();
    assert_string_equal(text, "libvirt-sock and virtqemud-sock in /run/libvirt, /var/run/libvirt, "
                              "/run/truenas_libvirt");
    free(text);
}

/* --- what a library needs */

static void add_name(void *context, const char *name) {
    memory_append(context, "%s ", name);
}

static char *needed(const char *path) {
    char *text = memory_strdup("");
    elf_each_needed(path, add_name, &text);
    return text;
}

static void what_a_real_library_needs(void **state) {
    (void)state;
    shell("cd %s && echo 'int bar(void) { return 1; }' >bar.c && echo 'int foo;' >foo.c && "
          "${CC:-cc} -shared -fPIC -Wl,-soname,libfoo.so.1 -o libfoo.so.1 foo.c && "
          "${CC:-cc} -shared -fPIC -nodefaultlibs -Wl,--no-as-needed "
          "-Wl,-Ttext-segment=0x100000 -o libbar.so bar.c " /* so that addresses are not offsets */
          "./libfoo.so.1 -lm",
          root);
    char *file = memory_printf("%s/libbar.so", root), *text = needed(file);
    assert_string_equal(text, "libfoo.so.1 libm.so.6 ");
    free(text);
    free(file);
}

/* A file that is cut anywhere, or in which any byte is another: nothing is read outside of it. */
static void what_a_broken_library_needs(void **state) {
    char path[] = "/tmp/test_elf.XXXXXX", bytes[1 << 16];
    (void)state;
    shell("cd %s && echo 'int x;' >x.c && ${CC:-cc} -shared -fPIC -s -nodefaultlibs "
          "-Wl,--no-as-needed -o libx.so x.c -lm",
          root);
    char *file = memory_printf("%s/libx.so", root);
    FILE *in = fopen(file, "r");
    size_t size = fread(bytes, 1, sizeof bytes, in);
    assert_int_equal(fclose(in), 0);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (size_t cut = 0; cut < size; cut += cut < 1024 ? 1 : 97) {
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, bytes, cut, 0), cut);
        free(needed(path));
    }
    assert_int_equal(pwrite(fd, bytes, size, 0), size);
    for (size_t at = 0; at < 1024; at++) {
        assert_int_equal(pwrite(fd, "\xff", 1, (off_t)at), 1);
        free(needed(path));
        assert_int_equal(pwrite(fd, bytes + at, 1, (off_t)at), 1);
    }
    char *text = needed(path), *none = needed("/nowhere"), *directory = needed("/");
    assert_string_equal(text, "libm.so.6 ");
    assert_string_equal(none, "");
    assert_string_equal(directory, "");
    free(text), free(none), free(directory), free(file);
    close(fd);
    unlink(path);
}

/* A library of one page, so that a read beyond its end ends this test. */
struct image {
    union {
        struct {
            ElfW(Ehdr) header;
            ElfW(Phdr) load, dynamic;
            ElfW(Dyn) entries[3];
        };
        char bytes[4096];
    };
};

enum {
    IMAGE_NAMES = 4096 - 16, /* where its names are: "", and one that ends with the file */
    IMAGE_ADDRESS = 0x10000,
};

static struct image image_good(void) {
    const ElfW(Addr) address = IMAGE_ADDRESS + IMAGE_NAMES;
    struct image image = {
        .header = {.e_phoff = offsetof(struct image, load),
                   .e_phentsize = sizeof(ElfW(Phdr)),
                   .e_phnum = 2},
        .load = {.p_type = PT_LOAD, .p_vaddr = IMAGE_ADDRESS, .p_filesz = sizeof image},
        .dynamic = {.p_type = PT_DYNAMIC,
                    .p_offset = offsetof(struct image, entries),
                    .p_filesz = sizeof image.entries},
        .entries = {{.d_tag = DT_STRTAB, .d_un.d_ptr = address},
                    {.d_tag = DT_NEEDED, .d_un.d_val = 1},
                    {.d_tag = DT_NULL}},
    };
    memcpy(image.header.e_ident, ELFMAG, SELFMAG);
    image.header.e_ident[EI_CLASS] = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
    memcpy(image.bytes + IMAGE_NAMES, "\0libmeasure.so", 15);
    return image;
}

static void assert_needed_of(const struct image *image, size_t size, const char *wanted) {
    char path[] = "/tmp/test_elf.XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, image, size), size);
    close(fd);
    char *text = needed(path);
    unlink(path);
    assert_string_equal(text, wanted);
    free(text);
}

static void assert_needed(const struct image *image, const char *wanted) {
    assert_needed_of(image, sizeof *image, wanted);
}

/* Each part says that it goes on beyond the end of what there is. */
static void what_a_library_that_lies_needs(void **state) {
    struct image image = image_good();
    const uint64_t far = (uint64_t)1 << (sizeof(void *) == 8 ? 40 : 30);
    (void)state;
    assert_needed(&image, "libmeasure.so ");

    image.bytes[sizeof image - 1] = image.bytes[sizeof image - 2] = 'x'; /* no NUL follows */
    assert_needed(&image, "");
    image = image_good(), image.entries[1].d_un.d_val = 16; /* right behind the file */
    assert_needed(&image, "");
    image = image_good(), image.entries[1].d_un.d_val = far;
    assert_needed(&image, "");
    image = image_good(), image.entries[1].d_un.d_val = (ElfW(Xword)) - 1;
    assert_needed(&image, "");

    image = image_good(), image.load.p_offset = far;
    assert_needed(&image, "");
    image = image_good(), image.load.p_offset = sizeof image - IMAGE_NAMES;
    assert_needed(&image, "");
    image = image_good(), image.load.p_filesz = IMAGE_NAMES; /* the names follow it */
    assert_needed(&image, "");
    image.load.p_filesz++;
    assert_needed(&image, "libmeasure.so ");
    image = image_good(), image.load.p_vaddr = IMAGE_ADDRESS + IMAGE_NAMES + 1; /* they precede */
    assert_needed(&image, "");
    image.load.p_vaddr++, image.load.p_offset = IMAGE_NAMES + 2,
                          image.load.p_filesz = (ElfW(Xword)) - 1;
    assert_needed(&image, "");

    image = image_good(), image.dynamic.p_filesz = 2 * sizeof *image.entries - 1;
    assert_needed(&image, "");
    image.dynamic.p_filesz++;
    assert_needed(&image, "libmeasure.so ");
    image = image_good(), image.dynamic.p_offset = far;
    assert_needed(&image, "");
    image = image_good(), image.dynamic.p_offset = sizeof image - sizeof *image.entries + 1;
    assert_needed(&image, "");
    image = image_good(), image.load.p_offset = 0, image.dynamic.p_offset = 2048;
    image.entries[0].d_un.d_ptr = IMAGE_ADDRESS + 1024;
    memcpy(image.bytes + 2048, image.entries, sizeof image.entries);
    memcpy(image.bytes + 1024, image.bytes + IMAGE_NAMES, 16);
    assert_needed(&image, "libmeasure.so ");
    assert_needed_of(&image, 2048 + 2 * sizeof *image.entries - 1, ""); /* half an entry */
    image = image_good(), image.entries[2] = image.entries[1], image.entries[1].d_tag = DT_NULL;
    assert_needed(&image, ""); /* what follows the end is none */

    image = image_good(), image.header.e_phnum = 1;
    assert_needed(&image, "");
    image = image_good(), image.header.e_phoff = far;
    assert_needed(&image, "");
    image = image_good(), image.header.e_phentsize--;
    assert_needed(&image, "");
    image = image_good(), image.header.e_ident[EI_CLASS] ^= ELFCLASS32 ^ ELFCLASS64;
    assert_needed(&image, "");
    image = image_good(), *image.header.e_ident = 0;
    assert_needed(&image, "");
}

int main(void) {
    umask(022);
    assert_non_null(mkdtemp(root));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_host_without_libvirt, clean),
        cmocka_unit_test_setup(usual_sockets, clean),
        cmocka_unit_test_setup(a_var_run_of_its_own, clean),
        cmocka_unit_test_setup(sockets_of_other_hosts, clean),
        cmocka_unit_test_setup(sockets_that_daemons_listen_at, clean),
        cmocka_unit_test_setup(the_environment_wins_on_the_host_itself, clean),
        cmocka_unit_test_setup(libraries_of_hosts, clean),
        cmocka_unit_test_setup(a_library_that_is_set, clean),
        cmocka_unit_test_setup(the_library_of_the_daemon, clean),
        cmocka_unit_test(says_where_it_looks),
        cmocka_unit_test_setup(what_a_real_library_needs, clean),
        cmocka_unit_test_setup(what_a_broken_library_needs, clean),
        cmocka_unit_test(what_a_library_that_lies_needs),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    shell("rm -rf %s", root);
    return failed;
}
