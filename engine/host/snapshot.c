/*
 * What a record has of a host is a table of paths, `rows`: what has no row there stays out, and a
 * text stays out as far as its row's function does not write it. tests/unit/test_snapshot.c
 * compares it with what the readers of this directory read. Facts that are in no file have
 * functions of their own.
 */
#include "engine/host/snapshot.h"

#include "engine/host/anonymize.h"
#include "engine/host/architecture.h"
#include "engine/host/block_path.h"
#include "engine/host/device_files.h"
#include "engine/host/framebuffer.h"
#include "engine/host/host.h"
#include "engine/host/mounts.h"
#include "engine/host/names.h"
#include "engine/host/open_files.h"
#include "engine/host/process_unit.h"
#include "engine/host/routes.h"
#include "engine/host/snapshot_domains.h"
#include "engine/host/source_sysfs.h"
#include "engine/host/tree.h"
#include "engine/host/usage.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ifaddrs.h>
#include <net/route.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BYTES_SIZE = 256, /* of a configuration space, all but the extended capabilities */
    SOURCES_LIMIT = 16 * 1024 * 1024
};

struct recorder {
    struct tree from;
    struct host *host;
    int to;
    struct record *record;
    struct standins *standins;
    int error; /* errno of the first that could not be written */
    char *where;
};

/* A row of the table: DIRECTORY/NAME, or a fact that is in no file. */
struct row {
    /*
     * Lists, separated by blanks, of patterns as in fnmatch(3); "@" at the start of a part stands
     * for the name of the directory above it: "sda/@*" is a partition.
     */
    const char *directories, *names;
    void (*copy)(struct recorder *recorder, const struct row *row, const char *directory,
                 const char *name);
    /* What the record has of an attribute; NULL: nothing. The caller frees it. */
    char *(*filter)(struct recorder *recorder, char *text);
    /* Writes what the record has of a line of the file. */
    void (*write)(struct recorder *recorder, FILE *out, char *line);
    void (*finish)(struct recorder *recorder, FILE *out); /* what follows the lines */
    /* Instead of all these: records something that is not in a file of that name. */
    void (*record)(struct recorder *recorder);
};

static char *snapshot_join(const char *directory, const char *name) {
    return memory_printf("%s/%s", directory, name);
}

/* --- reading */

/* What is not there is no loss; what may not be read is. */
static void snapshot_count_failure(const struct recorder *recorder, int error) {
    if (error == EACCES || error == EPERM || error == EIO)
        recorder->record->skipped++;
}

static char *snapshot_read_text(const struct recorder *recorder, const char *path) {
    errno = 0;
    char *text = tree_read(&recorder->from, path);
    if (!text)
        snapshot_count_failure(recorder, errno);
    return text;
}

static bool snapshot_is_directory(const struct recorder *recorder, const char *path) {
    int fd = tree_directory(&recorder->from, path);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* --- writing; paths are those of the source, hidden on the way */

static void snapshot_fail(struct recorder *recorder, const char *path) {
    if (recorder->error)
        return;
    recorder->error = errno;
    recorder->where = memory_strdup(path);
}

/* Makes the directories of a hidden path up to its last slash, or all. */
static void snapshot_make_directories(struct recorder *recorder, const char *path, bool all) {
    char *copy = memory_strdup(path);
    for (char *end = copy; *end && !recorder->error; end++) {
        end += strcspn(end, "/");
        char kept = *end;
        if (!kept && !all)
            break;
        *end = '\0';
        if (*copy && mkdirat(recorder->to, copy, 0755) != 0 && errno != EEXIST)
            snapshot_fail(recorder, copy);
        *end = kept;
        if (!kept)
            break;
    }
    free(copy);
}

static void snapshot_put_directory(struct recorder *recorder, const char *path) {
    char *hidden = anonymize_path(recorder->standins, path);
    snapshot_make_directories(recorder, hidden, true);
    free(hidden);
}

static bool snapshot_write_all(int fd, const char *bytes, size_t size) {
    while (size) {
        ssize_t done = write(fd, bytes, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        bytes += done;
        size -= (size_t)done;
    }
    return true;
}

/* Of two ways to one file the first is enough. */
static void snapshot_put_bytes(struct recorder *recorder, const char *path, const char *bytes,
                               size_t size) {
    char *hidden = anonymize_path(recorder->standins, path);
    snapshot_make_directories(recorder, hidden, false);
    int fd = recorder->error ? -1
                             : openat(recorder->to, hidden,
                                      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    bool good = fd >= 0 ? snapshot_write_all(fd, bytes, size) : errno == EEXIST;
    if (fd >= 0)
        good &= close(fd) == 0;
    if (!good)
        snapshot_fail(recorder, hidden);
    recorder->record->files += fd >= 0;
    free(hidden);
}

static void snapshot_put_text(struct recorder *recorder, const char *path, const char *text) {
    snapshot_put_bytes(recorder, path, text, strlen(text));
}

static void snapshot_put_line(struct recorder *recorder, const char *directory, const char *name,
                              const char *text) {
    char *path = snapshot_join(directory, name), *line = memory_printf("%s\n", text);
    snapshot_put_text(recorder, path, line);
    free(line);
    free(path);
}

/* "../../devices/x" from the place of the link to the target, both below one root. */
static char *snapshot_relative(const char *link, const char *target) {
    size_t common = 0;
    for (size_t i = 0; link[i] && link[i] == target[i]; i++)
        if (link[i] == '/')
            common = i + 1;
    char *path = memory_strdup("");
    for (const char *up = link + common; (up = strchr(up, '/')); up++) {
        char *longer = memory_printf("../%s", path);
        free(path);
        path = longer;
    }
    char *whole = memory_printf("%s%s", path, target + common);
    free(path);
    return whole;
}

static void snapshot_put_raw_link(struct recorder *recorder, const char *hidden,
                                  const char *target) {
    snapshot_make_directories(recorder, hidden, false);
    if (recorder->error)
        return;
    if (symlinkat(target, recorder->to, hidden) == 0)
        recorder->record->files++;
    else if (errno != EEXIST)
        snapshot_fail(recorder, hidden);
}

static void snapshot_put_link(struct recorder *recorder, const char *path, const char *target) {
    char *link = anonymize_path(recorder->standins, path);
    char *end = anonymize_path(recorder->standins, target);
    char *text = snapshot_relative(link, end);
    snapshot_put_raw_link(recorder, link, text);
    free(text);
    free(end);
    free(link);
}

/* --- copying: functions of rows */

/* Links are resolved only in sysfs: "proc/self" is whoever reads it. */
static char *snapshot_place_of(const struct recorder *recorder, const char *directory) {
    return text_starts_with(directory, "sys") ? tree_resolve(&recorder->from, directory)
                                              : memory_strdup(directory);
}

/* A link, or the directory that some trees have in its place. */
static void snapshot_copy_link(struct recorder *recorder, const struct row *row,
                               const char *directory, const char *name) {
    char *path = snapshot_join(directory, name);
    char *parent = tree_resolve(&recorder->from, directory);
    char *own = parent ? snapshot_join(parent, name) : NULL;
    char *target = tree_resolve(&recorder->from, path);
    char *text = tree_link_name(&recorder->from, directory, name);
    (void)row;
    if (own && target && text)
        snapshot_put_link(recorder, own, target);
    else if (own && snapshot_is_directory(recorder, path))
        snapshot_put_directory(recorder, own);
    free(text);
    free(target);
    free(own);
    free(parent);
    free(path);
}

/* A directory, and the link that leads to it. */
static void snapshot_copy_entry(struct recorder *recorder, const struct row *row,
                                const char *directory, const char *name) {
    char *path = snapshot_join(directory, name);
    char *place =
        snapshot_is_directory(recorder, path) ? tree_resolve(&recorder->from, path) : NULL;
    if (place) {
        snapshot_put_directory(recorder, place);
        snapshot_copy_link(recorder, row, directory, name);
    }
    free(place);
    free(path);
}

static void snapshot_copy_attribute(struct recorder *recorder, const struct row *row,
                                    const char *directory, const char *name) {
    int fd = tree_directory(&recorder->from, directory);
    if (fd < 0)
        return;
    errno = 0;
    char *text = tree_directory_attribute(fd, name);
    if (!text)
        snapshot_count_failure(recorder, errno);
    char *kept = text ? row->filter(recorder, text) : NULL;
    char *place = kept ? snapshot_place_of(recorder, directory) : NULL;
    if (place)
        snapshot_put_line(recorder, place, name, kept);
    free(place);
    free(kept);
    free(text);
    close(fd);
}

/* A file of lines; nothing when the source has no such file. */
static void snapshot_copy_lines(struct recorder *recorder, const struct row *row,
                                const char *directory, const char *name) {
    char *path = snapshot_join(directory, name);
    char *text = snapshot_read_text(recorder, path), *rest = text, *kept = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&kept, &size);
    for (char *line; rest && (line = text_next_line(&rest));)
        row->write(recorder, out, line);
    if (row->finish)
        row->finish(recorder, out);
    memory_stream_close(out, &kept);
    if (text || size)
        snapshot_put_text(recorder, path, kept);
    free(kept);
    free(text);
    free(path);
}

static void snapshot_copy_bytes(struct recorder *recorder, const struct row *row,
                                const char *directory, const char *name) {
    char bytes[BYTES_SIZE], *place = snapshot_place_of(recorder, directory);
    int above = tree_directory(&recorder->from, directory);
    int fd = above < 0 ? -1 : openat(above, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    ssize_t size = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    (void)row;
    if (size < 0)
        snapshot_count_failure(recorder, errno);
    if (size > 0 && place) {
        char *path = snapshot_join(place, name);
        snapshot_put_bytes(recorder, path, bytes, (size_t)size);
        free(path);
    }
    if (fd >= 0)
        close(fd);
    if (above >= 0)
        close(above);
    free(place);
}

/* The page of a SCSI device's serial number: a header, whose last two bytes are the length. */
static void snapshot_copy_serial_page(struct recorder *recorder, const struct row *row,
                                      const char *directory, const char *name) {
    enum { HEADER = 4 };
    char *place = snapshot_place_of(recorder, directory);
    const char *address = place ? strrchr(place, '/') + 1 : "";
    const struct device *device = host_find(recorder->host, BUS_SCSI, address);
    char *serial =
        device && device->serial ? anonymize_serial(recorder->standins, device->serial) : NULL;
    (void)row;
    if (serial) {
        size_t length = strlen(serial);
        char *path = snapshot_join(place, name), *page = memory_zalloc(HEADER + length + 1);
        page[1] = (char)0x80;
        page[3] = (char)length;
        memcpy(page + HEADER, serial, length + 1);
        snapshot_put_bytes(recorder, path, page, HEADER + length);
        free(page);
        free(path);
    }
    free(serial);
    free(place);
}

/* A link to a unit that is not in the record. */
static void snapshot_copy_service(struct recorder *recorder, const struct row *row,
                                  const char *directory, const char *name) {
    char *path = snapshot_join(directory, name);
    char *service = tree_link_name(&recorder->from, directory, name);
    (void)row;
    if (service)
        snapshot_put_raw_link(recorder, path, service);
    free(service);
    free(path);
}

/* The entries of a file system are its disks, and others that say nothing of the host. */
static void snapshot_copy_file_system(struct recorder *recorder, const struct row *row,
                                      const char *directory, const char *name) {
    if (graph_find(&recorder->host->block, name))
        snapshot_copy_entry(recorder, row, directory, name);
}

static void snapshot_copy_pool(struct recorder *recorder, const struct row *row,
                               const char *directory, const char *name) {
    char *hidden = anonymize_words(recorder->standins, name);
    char *from = snapshot_join(directory, name), *to = snapshot_join(directory, hidden);
    (void)row;
    if (snapshot_is_directory(recorder, from))
        snapshot_put_directory(recorder, to);
    free(to);
    free(from);
    free(hidden);
}

/* --- functions of attributes */

/* For numbers, and words of the kernel's or of makers' own. */
static char *snapshot_keep(struct recorder *recorder, char *text) {
    (void)recorder;
    return memory_strdup(text);
}

/* A BAR's size and kind, without the place that the firmware gave it. */
static void snapshot_write_resource(struct recorder *recorder, FILE *out, char *line) {
    uint64_t field[3] = {0}; /* first, last, flags */
    char *end = line;

    (void)recorder;
    for (size_t i = 0; i < sizeof field / sizeof *field; i++)
        field[i] = strtoull(end, &end, 16);
    if (end == line)
        return;
    fprintf(out, "0x%016llx 0x%016llx 0x%016llx\n", 0ULL, (unsigned long long)(field[1] - field[0]),
            (unsigned long long)field[2]);
}

static char *snapshot_hide_serial(struct recorder *recorder, char *text) {
    return *text ? anonymize_serial(recorder->standins, text) : NULL;
}

static char *snapshot_hide_words(struct recorder *recorder, char *text) {
    return anonymize_words(recorder->standins, text);
}

static char *snapshot_hide_name(struct recorder *recorder, char *text) {
    return anonymize_name(recorder->standins, text);
}

/* The first line that begins with `key`, as a text of its own; NULL: there is none. */
static char *snapshot_line_of(const char *text, const char *key) {
    const char *line = text;
    while (line && !text_starts_with(line, key))
        line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL;
    return line ? memory_strndup(line, strcspn(line, "\n")) : NULL;
}

static char *snapshot_nvidia_minor(struct recorder *recorder, char *text) {
    (void)recorder;
    return snapshot_line_of(text, "Device Minor:");
}

static char *snapshot_interface_type(struct recorder *recorder, char *text) {
    (void)recorder;
    return snapshot_line_of(text, "DEVTYPE=");
}

/* Of a partition's name only whether ZFS gave it. */
static char *snapshot_partition_name(struct recorder *recorder, char *text) {
    static const char zfs[] = "PARTNAME=zfs-";
    char *line = snapshot_line_of(text, zfs);
    (void)recorder;
    if (line)
        line[strlen(zfs)] = '\0';
    return line;
}

/* "6.1.0" of "6.1.0-18-amd64": what somebody added may name them. */
static char *snapshot_release(struct recorder *recorder, char *text) {
    (void)recorder;
    return memory_strndup(text, strspn(text, "0123456789."));
}

/* The block device of a path below /dev; NULL: none, or a ZFS pool, whose name is not the kernel's.
 */
static const struct node *snapshot_find_block(const struct recorder *recorder, const char *path) {
    const struct node *node = block_path_find(&recorder->host->block, &recorder->from, path);
    return node && !node->is_pool ? node : NULL;
}

/* The kernel writes "cciss/c0d0" as "cciss!c0d0". */
static char *snapshot_device_name(const struct recorder *recorder, const struct node *block) {
    char *name = anonymize_name(recorder->standins, block->name);
    for (char *at = name; (at = strchr(at, '!'));)
        *at = '/';
    return name;
}

/* Of a loop device's file, or what zram writes to, only a block device that it is. */
static char *snapshot_lower_device(struct recorder *recorder, char *text) {
    const struct node *lower = snapshot_find_block(recorder, text);
    char *name = lower ? snapshot_device_name(recorder, lower) : NULL;
    char *path = name ? memory_printf("/dev/%s", name) : NULL;
    free(name);
    return path;
}

/*
 * The name of a link that udev made: maker, model and serial number between the bus in front and
 * the number of the interface, port or unit at the end are one secret.
 */
static char *snapshot_hide_link(const struct recorder *recorder, const char *path) {
    static const char *const ends[] = {
        "-if[0-9a-f][0-9a-f]*", "-event-*",      "-port[0-9]*", "-mouse", "-joystick",
        "-part[0-9]*",          "-[0-9]*:[0-9]*"};
    const char *slash = strrchr(path, '/'), *name = slash + 1, *start = strchr(name, '-');
    if (!strstr(path, "/by-id/") || !start)
        return anonymize_path(recorder->standins, path);
    const char *end = ++start;
    for (bool is_end = false; *end && !is_end; end += !is_end)
        for (size_t i = 0; i < sizeof ends / sizeof *ends && *end == '-'; i++)
            is_end |= fnmatch(ends[i], end, 0) == 0;
    char *secret = memory_strndup(start, (size_t)(end - start));
    char *hidden = anonymize_serial(recorder->standins, secret);
    char *whole = memory_printf("%.*s%s%s", (int)(start - path), path, hidden, end);
    free(hidden);
    free(secret);
    return whole;
}

/* Whether /dev tells which links of that kind are there: "disk/by-id/..." of dev/disk. */
static bool snapshot_has_links(const struct recorder *recorder, const char *link) {
    char *directory = memory_printf("dev/%.*s", (int)strcspn(link, "/"), link);
    bool has = !*recorder->from.root || tree_has(&recorder->from, directory);
    free(directory);
    return has;
}

/* The links of a record that /dev does not tell. */
static void snapshot_write_links(const struct recorder *recorder, FILE *out, const char *text) {
    char *copy = memory_strdup(text), *rest = copy;
    for (const char *line; (line = text_next_line(&rest));) {
        const char *link = line + strlen("S:");
        if (fnmatch("S:disk/by-id/*", line, 0) && fnmatch("S:serial/by-id/*", line, 0) &&
            fnmatch("S:input/by-id/*", line, 0) && fnmatch("S:*/by-path/*", line, 0))
            continue;
        if (snapshot_has_links(recorder, link))
            continue;
        char *hidden = snapshot_hide_link(recorder, link);
        fprintf(out, "S:%s\n", hidden);
        free(hidden);
    }
    free(copy);
}

static char *snapshot_udev_links(struct recorder *recorder, char *text) {
    char *kept = NULL;
    size_t size = 0;
    FILE *out = memory_stream(&kept, &size);
    snapshot_write_links(recorder, out, text);
    memory_stream_close(out, &kept);
    for (size_t length = strlen(kept); length && kept[length - 1] == '\n';)
        kept[--length] = '\0';
    if (*kept)
        return kept;
    free(kept);
    return NULL;
}

/* Of udev's record of a disk only whether it is of a ZFS pool, and of which; and its links. */
static char *snapshot_udev_record(struct recorder *recorder, char *text) {
    static const char member[] = "E:ID_FS_TYPE=zfs_member", key[] = "E:ID_FS_LABEL=";
    char *type = snapshot_line_of(text, "E:ID_FS_TYPE="), *label = snapshot_line_of(text, key);
    bool is_member = type && strcmp(type, member) == 0;
    char *hidden =
        is_member && label ? anonymize_words(recorder->standins, label + strlen(key)) : NULL;
    char *kept = hidden ? memory_printf("%s\n%s%s", member, key, hidden)
                        : memory_strdup(is_member ? member : "E:ID_FS_TYPE=other");
    if (!type) {
        free(kept);
        kept = NULL;
    }
    char *links = snapshot_udev_links(recorder, text);
    char *whole = links && kept ? memory_printf("%s\n%s", links, kept) : NULL;
    if (whole) {
        free(links);
        free(kept);
    }
    free(hidden);
    free(label);
    free(type);
    return whole ? whole : links ? links : kept;
}

/* --- functions of lines */

static void snapshot_write_name(struct recorder *recorder, FILE *out, const char *before,
                                const char *name, const char *after) {
    char *hidden = anonymize_name(recorder->standins, name);
    fprintf(out, "%s%s%s", before, hidden, after);
    free(hidden);
}

static void snapshot_write_framebuffer(struct recorder *recorder, FILE *out, char *line) {
    if (*line)
        snapshot_write_name(recorder, out, "", line, "\n");
}

/* Of the memory map which card a framebuffer is in, without addresses. */
static void snapshot_write_memory(struct recorder *recorder, FILE *out, char *line) {
    static const char separator[] = " : ";
    const char *name = strstr(line, separator);
    if (name && (framebuffer_is_memory(name + strlen(separator)) ||
                 host_find(recorder->host, BUS_PCI, name + strlen(separator))))
        fprintf(out, "%*s00000000-00000000%s\n", (int)strspn(line, " "), "", name);
}

static void snapshot_write_console(struct recorder *recorder, FILE *out, char *line) {
    if (text_starts_with(line, "tty") || text_starts_with(line, "hvc"))
        snapshot_write_name(recorder, out, "", line, "\n");
}

/* Of the keys the first 32, which tell a keyboard. */
static void snapshot_write_input(struct recorder *recorder, FILE *out, char *line) {
    static const char sysfs[] = "S: Sysfs=", keys[] = "B: KEY=";
    if (text_starts_with(line, sysfs)) {
        char *hidden = anonymize_path(recorder->standins, line + strlen(sysfs));
        fprintf(out, "%s%s\n", sysfs, hidden);
        free(hidden);
    } else if (text_starts_with(line, keys)) {
        enum { DIGITS = 8 };
        const char *blank = strrchr(line + strlen(keys), ' ');
        const char *last = blank ? blank + 1 : line + strlen(keys);
        if (strlen(last) > DIGITS)
            last = line + strlen(line) - DIGITS;
        fprintf(out, "%s%s\n", keys, last);
    }
}

/* "md0 : active raid1 sda1[0] sdb1[1](F)", or a line of Unraid's */
static void snapshot_write_array(struct recorder *recorder, FILE *out, char *line) {
    if (text_starts_with(line, "rdevName.") || text_starts_with(line, "diskName.") ||
        text_starts_with(line, "mdState="))
        fprintf(out, "%s\n", line);
    const char *name = text_next_field(&line), *field = name ? text_next_field(&line) : NULL;
    if (!field || strcmp(field, ":") != 0 || !text_starts_with(name, "md"))
        return;
    snapshot_write_name(recorder, out, "", name, " :");
    while ((field = text_next_field(&line)))
        snapshot_write_name(recorder, out, " ", field, "");
    putc('\n', out);
}

/* Documentation's own addresses (RFC 5737, RFC 3849) stand for the host's. */
static const char *snapshot_network_of(uint32_t address) {
    address = ntohl(address);
    return address == 0 ? "0.0.0.0" : address >> 16 == 0xA9FE ? "169.254.0.0" : "192.0.2.0";
}

static void snapshot_put_route(const struct recorder *recorder, FILE *out, const char *name,
                               uint32_t destination, uint32_t flags, uint32_t mask) {
    char *hidden = anonymize_name(recorder->standins, name);
    fprintf(out, "%s\t%08X\t00000000\t%04X\t0\t0\t0\t%08X\t0\t0\t0\n", hidden,
            (unsigned)inet_addr(snapshot_network_of(destination)), flags, mask);
    free(hidden);
}

static void snapshot_write_route(struct recorder *recorder, FILE *out, char *line) {
    char *fields[8];
    uint32_t destination = 0, flags = 0, mask = 0;
    size_t count = text_split_fields(line, fields, 8);
    if (count < 4 || !text_parse_hex(fields[1], UINT32_MAX, &destination) ||
        !text_parse_hex(fields[3], UINT32_MAX, &flags))
        return;
    if (count == 8)
        text_parse_hex(fields[7], UINT32_MAX, &mask);
    snapshot_put_route(recorder, out, fields[0], destination, flags, mask);
}

static bool snapshot_is_zero(const char *digits) {
    return digits[strspn(digits, "0")] == '\0';
}

/* Only default routes count. */
static void snapshot_write_route6(struct recorder *recorder, FILE *out, char *line) {
    char *fields[10];
    if (text_split_fields(line, fields, 10) < 10 || !snapshot_is_zero(fields[0]) ||
        !snapshot_is_zero(fields[1]))
        return;
    fprintf(out, "%032d 00 %032d 00 %032d 00000000 00000000 00000000 %s", 0, 0, 0, fields[8]);
    snapshot_write_name(recorder, out, " ", fields[9], "\n");
}

static void snapshot_write_address6(struct recorder *recorder, FILE *out, char *line) {
    char *fields[6];
    if (text_split_fields(line, fields, 6) < 6)
        return;
    fprintf(out, "20010db8%024d 00 40 %s 00", 0, fields[3]);
    snapshot_write_name(recorder, out, " ", fields[5], "\n");
}

static void snapshot_write_neighbour(struct recorder *recorder, FILE *out, char *line) {
    char *fields[6];
    if (text_split_fields(line, fields, 6) < 6)
        return;
    fprintf(out, "192.0.2.1 0x1 %s 00:00:00:00:00:00 *", fields[2]);
    snapshot_write_name(recorder, out, " ", fields[5], "\n");
}

static void snapshot_write_pppoe(struct recorder *recorder, FILE *out, char *line) {
    char *fields[3];
    if (text_split_fields(line, fields, 3) == 3)
        snapshot_write_name(recorder, out, "00000000 00:00:00:00:00:00 ", fields[2], "\n");
}

static void snapshot_write_packet(struct recorder *recorder, FILE *out, char *line) {
    char *fields[5];
    (void)recorder;
    if (text_split_fields(line, fields, 5) == 5)
        fprintf(out, "0 0 0 %s %s\n", fields[3], fields[4]);
}

/* --- mounts and swaps */

static char *snapshot_escape(const char *text) {
    char *escaped = memory_zalloc(4 * strlen(text) + 1), *end = escaped;
    for (; *text; text++)
        if (strchr(" \t\n\\#", *text))
            end += sprintf(end, "\\%03o", (unsigned char)*text);
        else
            *end++ = *text;
    return escaped;
}

static char *snapshot_hide_point(const struct recorder *recorder, const char *point) {
    char *plain = memory_strdup(point);
    mounts_unescape(plain);
    char *hidden = anonymize_words(recorder->standins, plain);
    char *escaped = snapshot_escape(hidden);
    free(hidden);
    free(plain);
    return escaped;
}

/* The block devices of a source, "/dev/sda1:/dev/sdb1", or a pool's name; NULL: neither. */
static char *snapshot_hide_source(const struct recorder *recorder, const char *source,
                                  const char *type) {
    char *plain = memory_strdup(source), *rest = plain, *hidden = NULL;
    mounts_unescape(plain);
    if (!strcmp(type, "zfs")) {
        plain[strcspn(plain, "/")] = '\0';
        hidden = anonymize_words(recorder->standins, plain);
        rest = NULL;
    }
    for (const char *path; rest && (path = strsep(&rest, ":"));) {
        const struct node *block = snapshot_find_block(recorder, path);
        char *name = block ? snapshot_device_name(recorder, block) : NULL;
        char *longer =
            name ? memory_printf("%s%s/dev/%s", hidden ? hidden : "", hidden ? ":" : "", name)
                 : hidden;
        if (name)
            free(hidden);
        free(name);
        hidden = longer;
    }
    free(plain);
    return hidden;
}

static void snapshot_write_swap(struct recorder *recorder, FILE *out, char *line) {
    const char *path = text_next_field(&line);
    char *source = path ? snapshot_hide_source(recorder, path, "swap") : NULL;
    char *file = path && !source && *path == '/' ? snapshot_hide_point(recorder, path) : NULL;
    if (source || file)
        fprintf(out, "%s %s 0 0 -2\n", source ? source : file, source ? "partition" : "file");
    free(file);
    free(source);
}

/* A kernel without swap has no such file. */
static void snapshot_record_swaps(struct recorder *recorder) {
    if (mounts_has_no_swap(&recorder->from))
        snapshot_put_text(recorder, "proc/swaps", "");
}

/* What is on none of the host's block devices stays out. */
static void snapshot_put_mount(const struct recorder *recorder, FILE *out,
                               const struct mount *mount, unsigned number) {
    char *source = snapshot_hide_source(recorder, mount->source, mount->type);
    char *point = snapshot_hide_point(recorder, mount->point);
    bool is_known = mount->number && !text_starts_with(mount->number, "0:") &&
                    block_path_find_number(&recorder->host->block, &recorder->from, mount->number);
    if ((source || is_known) && mount->number)
        fprintf(out, "%u 1 %s %s %s rw - %s %s rw\n", number, mount->number,
                strcmp(mount->root, "/") != 0 ? "/x" : "/", point, mount->type,
                source ? source : "none");
    else if (source)
        fprintf(out, "%s %s %s rw 0 0\n", source, point, mount->type);
    free(point);
    free(source);
}

static bool snapshot_copy_mounts(struct recorder *recorder, const char *path,
                                 bool (*split)(char *, struct mount *)) {
    char *text = snapshot_read_text(recorder, path), *rest = text, *kept = NULL;
    size_t size = 0;
    unsigned number = 20;
    FILE *out = memory_stream(&kept, &size);
    for (char *line; rest && (line = text_next_line(&rest));) {
        struct mount mount;
        if (split(line, &mount))
            snapshot_put_mount(recorder, out, &mount, number++);
    }
    memory_stream_close(out, &kept);
    if (text)
        snapshot_put_text(recorder, path, kept);
    free(kept);
    free(text);
    return text;
}

/* --- facts that are not in files */

/* One process for each namespace of a kind, the first that is read, with its mounts. */
static void snapshot_record_namespaces(struct recorder *recorder, const char *kind, bool mounts) {
    struct names processes = tree_list(&recorder->from, "proc");
    char *own = tree_link_name(&recorder->from, "proc/self", kind);
    char **seen = memory_zalloc((processes.count + 1) * sizeof *seen);
    size_t count = 0;
    if (own) {
        char *link = snapshot_join("proc/self", kind);
        snapshot_put_raw_link(recorder, link, own);
        free(link);
        seen[count++] = own;
    }
    for (size_t i = 0; i < processes.count; i++) {
        uint32_t id;
        size_t same = 0;
        char *home = snapshot_join("proc", processes.items[i]), *link = snapshot_join(home, kind);
        bool is_process = text_parse_decimal(processes.items[i], UINT32_MAX, &id);
        errno = 0;
        char *name = is_process ? tree_link_name(&recorder->from, home, kind) : NULL;
        if (is_process && !name && mounts)
            snapshot_count_failure(recorder, errno);
        while (name && same < count && strcmp(seen[same], name) != 0)
            same++;
        if (name && same == count) {
            char *info = snapshot_join(home, "mountinfo");
            if (mounts)
                snapshot_copy_mounts(recorder, info, mounts_split_mountinfo);
            snapshot_put_raw_link(recorder, link, name);
            free(info);
            seen[count++] = name;
        } else {
            free(name);
        }
        free(link);
        free(home);
    }
    for (size_t i = 0; i < count; i++)
        free(seen[i]);
    free(seen);
    tree_finish_names(&processes);
}

static void snapshot_record_mounts(struct recorder *recorder) {
    char *own = tree_link_name(&recorder->from, "proc/self", "ns/mnt");
    bool has_info = snapshot_copy_mounts(recorder, "proc/self/mountinfo", mounts_split_mountinfo);
    if (!own)
        snapshot_copy_mounts(recorder, "proc/1/mountinfo", mounts_split_mountinfo);
    if (!has_info || !own)
        snapshot_copy_mounts(recorder, "proc/mounts", mounts_split_mounts);
    snapshot_record_namespaces(recorder, "ns/mnt", true);
    free(own);
}

static void snapshot_record_network_namespaces(struct recorder *recorder) {
    snapshot_record_namespaces(recorder, "ns/net", false);
}

/* A file of texts with paths of disks, of which nothing else is kept. */
static void snapshot_copy_sources(struct recorder *recorder, const char *directory,
                                  const char *name, const char *separators, const char *before) {
    size_t size = 0, kept_size = 0;
    char *path = snapshot_join(directory, name), *kept = NULL;
    char *bytes = tree_load(&recorder->from, path, SOURCES_LIMIT, &size);
    FILE *out = memory_stream(&kept, &kept_size);
    for (size_t i = 0; i < size; i++)
        if (strchr(separators, bytes[i]))
            bytes[i] = '\0';
    for (size_t i = 0, length = 0; i < size; i += length + 1) {
        length = strlen(bytes + i);
        const char *source = strstr(bytes + i, "/dev/");
        const struct node *block = source ? snapshot_find_block(recorder, source) : NULL;
        char *device = block ? snapshot_device_name(recorder, block) : NULL;
        if (device)
            fprintf(out, "%s/dev/%s\n", before, device);
        free(device);
    }
    memory_stream_close(out, &kept);
    if (bytes)
        snapshot_put_text(recorder, path, kept);
    free(kept);
    free(bytes);
    free(path);
}

static void snapshot_copy_pool_cache(struct recorder *recorder, const struct row *row,
                                     const char *directory, const char *name) {
    (void)row;
    snapshot_copy_sources(recorder, directory, name, "", "");
}

/* Without a device of DRBD nothing reads its configuration. */
static void snapshot_copy_drbd(struct recorder *recorder, const struct row *row,
                               const char *directory, const char *name) {
    const struct node_list *blocks = &recorder->host->block.nodes;
    size_t i = 0;
    (void)row;
    while (i < blocks->count && !text_starts_with(blocks->items[i]->name, "drbd"))
        i++;
    if (i < blocks->count)
        snapshot_copy_sources(recorder, directory, name, " \t\n;", "disk ");
}

/* A route of another table than the main one. */
struct other_route {
    struct recorder *recorder;
    FILE *out;
};

static void snapshot_add_route(void *context, const char *interface, bool is_default) {
    const struct other_route *other = context;
    snapshot_put_route(other->recorder, other->out, interface,
                       is_default ? 0 : inet_addr("192.0.2.0"), RTF_UP,
                       is_default ? 0 : UINT32_MAX);
}

/* The running kernel tells its IPv4 addresses and what other tables have otherwise; in a tree a
 * route stands for each. */
static void snapshot_write_addresses(struct recorder *recorder, FILE *out) {
    struct ifaddrs *all = NULL;
    struct other_route other = {recorder, out};
    if (*recorder->from.root)
        return;
    routes_each(snapshot_add_route, &other);
    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
        struct sockaddr_in address;
        if (!one->ifa_addr || one->ifa_addr->sa_family != AF_INET)
            continue;
        memcpy(&address, one->ifa_addr, sizeof address);
        snapshot_put_route(recorder, out, one->ifa_name, address.sin_addr.s_addr, RTF_UP,
                           UINT32_MAX);
    }
    freeifaddrs(all);
}

/* Of what may be a class of many files, those that some process has open. */
static void snapshot_put_class_entry(struct recorder *recorder, const char *number) {
    char *link = memory_printf("sys/dev/char/%s", number);
    char *place = tree_has(&recorder->from, link) ? tree_resolve(&recorder->from, link) : NULL;
    char *class = place ? tree_link_name(&recorder->from, place, "subsystem") : NULL;
    if (class) {
        char *path = memory_printf("sys/class/%s/%s", class, strrchr(place, '/') + 1);
        snapshot_put_directory(recorder, place);
        snapshot_put_link(recorder, path, place);
        free(path);
    }
    free(class);
    free(place);
    free(link);
}

/* A tree has the files by their names only. Network interfaces have no file. */
static bool snapshot_copy_class_entries(void *context, const char *name) {
    struct recorder *recorder = context;
    struct names classes = tree_list(&recorder->from, "sys/class");
    const char *last = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    bool found = false;
    for (size_t i = 0; i < classes.count; i++) {
        char *class = snapshot_join("sys/class", classes.items[i]);
        char *path = snapshot_join(class, last);
        if (strcmp(classes.items[i], "net") != 0 && tree_has(&recorder->from, path)) {
            snapshot_copy_entry(recorder, NULL, class, last);
            if (snapshot_is_directory(recorder, path))
                snapshot_copy_link(recorder, NULL, path, "device");
            found = true;
        }
        free(path);
        free(class);
    }
    tree_finish_names(&classes);
    return found;
}

/* Of the control group the units: "system.slice/gdm.service", "user-1000.slice/session-2.scope". */
static void snapshot_put_group(struct recorder *recorder, const char *home) {
    char *group = process_unit_group(&recorder->from, home);
    char *hidden = group ? anonymize_words(recorder->standins, group) : NULL;
    char *line = hidden ? memory_printf("0::%s", hidden) : NULL;
    if (line)
        snapshot_put_line(recorder, home, "cgroup", line);
    free(line);
    free(hidden);
    free(group);
}

static void snapshot_open(void *context, const struct open_file *file) {
    struct recorder *recorder = context;
    char *home = snapshot_join("proc", file->process);
    char *name = anonymize_path(recorder->standins, file->name);
    char *target = snapshot_join("dev", name);
    char *link = memory_printf("%s/fd/%s", home, file->entry);
    snapshot_put_line(recorder, home, "comm", file->program);
    snapshot_put_group(recorder, home);
    snapshot_put_link(recorder, link, target);
    if (file->number && !file->is_block)
        snapshot_put_class_entry(recorder, file->number);
    else if (!file->number)
        snapshot_copy_class_entries(recorder, file->name);
    if (file->is_vm) { /* a qemu that is not libvirt's is another thing */
        char *pid = memory_printf("run/libvirt/qemu/%s.pid", file->process);
        snapshot_put_text(recorder, pid, file->process);
        free(pid);
    }
    free(link);
    free(target);
    free(name);
    free(home);
}

static void snapshot_record_open_files(struct recorder *recorder) {
    struct usage uses = {.host = recorder->host, .tree = &recorder->from};
    if (tree_has(&recorder->from, "proc"))
        snapshot_put_directory(recorder, "proc");
    if (tree_has(&recorder->from, "dev")) /* what is not found there is gone */
        snapshot_put_directory(recorder, "dev");
    open_files_each(&uses, snapshot_open, recorder);
}

static void snapshot_record_file(struct recorder *recorder, const struct device_file *file) {
    static const char *const classes[] = {
        [FILE_TTY] = "sys/class/tty", [FILE_BLOCK] = NULL, [FILE_EVENT] = "sys/class/input"};
    static const struct row number = {.filter = snapshot_keep};
    const char *class = classes[file->kind], *name = strrchr(file->path, '/') + 1;
    if (class) {
        char *path = snapshot_join(class, name);
        snapshot_copy_entry(recorder, NULL, class, name);
        snapshot_copy_attribute(recorder, &number, path, "dev");
        free(path);
    }
    for (size_t i = 0; i < file->link_count; i++) {
        if (!snapshot_has_links(recorder, file->links[i] + strlen("/dev/")))
            continue;
        char *hidden = snapshot_hide_link(recorder, file->links[i]);
        char *target = anonymize_path(recorder->standins, file->path);
        char *text = snapshot_relative(hidden, target);
        snapshot_put_raw_link(recorder, hidden + 1, text);
        free(text);
        free(target);
        free(hidden);
    }
}

/* The files of devices, with the links that lead to them; those of disks have rows. */
static void snapshot_record_device_files(struct recorder *recorder) {
    for (size_t i = 0; i < recorder->host->count; i++)
        for (size_t j = 0; j < recorder->host->devices[i].file_count; j++)
            snapshot_record_file(recorder, &recorder->host->devices[i].files[j]);
}

/* --- running VMs */

static char *snapshot_domain_block_name(void *context, const char *path) {
    const struct recorder *recorder = context;
    const struct node *block = snapshot_find_block(recorder, path);
    return block ? snapshot_device_name(recorder, block) : NULL;
}

static void snapshot_put_domain_text(void *context, const char *path, const char *text) {
    snapshot_put_text(context, path, text);
}

static void snapshot_miss_domain(void *context) {
    const struct recorder *recorder = context;
    recorder->record->skipped++;
}

static void snapshot_record_domains(struct recorder *recorder) {
    const struct domain_recorder domains = {.context = recorder,
                                            .from = &recorder->from,
                                            .standins = recorder->standins,
                                            .block_name = snapshot_domain_block_name,
                                            .put_class_entries = snapshot_copy_class_entries,
                                            .put_text = snapshot_put_domain_text,
                                            .miss = snapshot_miss_domain};
    snapshot_domains_record(&domains);
}

static void snapshot_record_names_of(struct recorder *recorder, enum bus bus, const char *path) {
    struct names_list *names = names_create(&recorder->from, recorder->host, bus);
    char *text = names_list(names);
    if (*text) /* else the reader's own list will do */
        snapshot_put_text(recorder, path, text);
    free(text);
    names_destroy(names);
}

static void snapshot_record_names(struct recorder *recorder) {
    snapshot_record_names_of(recorder, BUS_PCI, "usr/share/misc/pci.ids");
    snapshot_record_names_of(recorder, BUS_USB, "usr/share/misc/usb.ids");
}

/* A link to itself cannot be read either. */
static void snapshot_put_unreadable(struct recorder *recorder, const char *path) {
    static const char namespaces[] = "/ns/";
    const char *space = strstr(path, namespaces); /* links, which are read without following them */
    char *copy = memory_printf("%.*s", space ? (int)(space - path) + 3 : (int)strlen(path), path);
    char *hidden = anonymize_path(recorder->standins, copy);
    snapshot_put_raw_link(recorder, hidden, text_base_name(hidden));
    free(hidden);
    free(copy);
}

static void snapshot_record_faults(struct recorder *recorder) {
    const struct faults *faults = &recorder->host->faults;
    for (size_t i = 0; i < faults->count; i++)
        if (!tree_is_absence(faults->list[i].error))
            snapshot_put_unreadable(recorder, faults->list[i].path);
}

/* --- the table */

#define ENTRIES(DIRECTORIES, NAMES) COPIES(DIRECTORIES, NAMES, snapshot_copy_entry)
#define LINKS(DIRECTORIES, NAMES) COPIES(DIRECTORIES, NAMES, snapshot_copy_link)
/* The kernel has that file from Linux 6.1 on; of older ones other files tell, which are not copied.
 */
static void snapshot_record_architecture(struct recorder *recorder) {
    enum architecture architecture = architecture_of(recorder->from.root);
    if (architecture)
        snapshot_put_line(recorder, "proc/sys/kernel", "arch", architecture_name(architecture));
}

#define COPIES(DIRECTORIES, NAMES, COPY)                                                           \
    { .directories = (DIRECTORIES), .names = (NAMES), .copy = (COPY) }
#define ATTRIBUTES(DIRECTORIES, NAMES, FILTER)                                                     \
    {                                                                                              \
        .directories = (DIRECTORIES), .names = (NAMES), .copy = snapshot_copy_attribute,           \
        .filter = (FILTER)                                                                         \
    }
#define LINES(DIRECTORIES, NAMES, WRITE, FINISH)                                                   \
    {                                                                                              \
        .directories = (DIRECTORIES), .names = (NAMES), .copy = snapshot_copy_lines,               \
        .write = (WRITE), .finish = (FINISH)                                                       \
    }
#define FACT(RECORD)                                                                               \
    { .record = (RECORD) }

#define DISKS "sys/class/block/* sys/class/block/*/@* sys/block/* sys/block/*/@*"
#define SCSI_ADDRESS "[0-9]*:*:*:*"
#define INTERFACES "sys/bus/usb/devices/*:* sys/bus/usb/devices/*/@:*"

/* In this order: the first that meets a name chooses its stand-in, and a file is written once. */
static const struct row rows[] = {
    /* PCI, USB and SCSI */
    ENTRIES("sys/bus/pci sys/bus/usb sys/bus/scsi sys/bus/mdev", "devices"),
    ENTRIES("sys/bus/pci/devices", "*"),
    ATTRIBUTES(
        "sys/bus/pci/devices/*",
        "vendor device subsystem_vendor subsystem_device class numa_node boot_vga reset_method "
        "power_state sriov_numvfs sriov_totalvfs",
        snapshot_keep),
    LINES("sys/bus/pci/devices/*", "resource", snapshot_write_resource, NULL),
    COPIES("sys/bus/pci/devices/*", "config", snapshot_copy_bytes),
    LINKS("sys/bus/pci/devices/*", "driver iommu_group physfn virtfn*"),
    ENTRIES("sys/bus/pci/devices/*", "mdev_supported_types"),
    ENTRIES("sys/bus/pci/devices/*/mdev_supported_types", "*"),
    ATTRIBUTES("sys/bus/pci/devices/*/mdev_supported_types/*", "name available_instances",
               snapshot_keep),
    ENTRIES("sys/bus/usb/devices", "*"),
    ENTRIES("sys/bus/usb/devices/*", "@:*"),
    ATTRIBUTES("sys/bus/usb/devices/*",
               "idVendor idProduct busnum devnum speed bDeviceClass bDeviceSubClass "
               "bDeviceProtocol",
               snapshot_keep),
    /* The maker's words, which `product` of a rule needs; a number in them may be the device's. */
    ATTRIBUTES("sys/bus/usb/devices/*", "manufacturer product", snapshot_hide_name),
    COPIES("sys/bus/usb/devices/*", "descriptors", snapshot_copy_bytes),
    LINKS("sys/bus/usb/devices/[!u]*", "driver"),
    ATTRIBUTES(INTERFACES, "bInterfaceClass bInterfaceSubClass bInterfaceProtocol", snapshot_keep),
    LINKS(INTERFACES, "driver"),
    ATTRIBUTES("sys/bus/usb/devices/[!u]*", "serial", snapshot_hide_serial),
    ENTRIES("sys/bus/scsi/devices", SCSI_ADDRESS),
    ATTRIBUTES("sys/bus/scsi/devices/" SCSI_ADDRESS, "type", snapshot_keep),
    ATTRIBUTES("sys/bus/scsi/devices/" SCSI_ADDRESS, "vendor model", snapshot_hide_name),
    COPIES("sys/bus/scsi/devices/" SCSI_ADDRESS, "vpd_pg80", snapshot_copy_serial_page),
    LINKS("sys/bus/scsi/devices/" SCSI_ADDRESS, "driver"),
    ENTRIES("sys/kernel/iommu_groups", "*"),
    LINKS("sys/kernel/iommu_groups/*/devices", "*"),
    ATTRIBUTES("sys/kernel/iommu_groups/*", "reserved_regions", snapshot_keep),
    ATTRIBUTES("sys/module/vfio_pci/parameters", "disable_denylist", snapshot_keep),

    /* disks */
    ENTRIES("sys/class", "block nvme-subsystem"),
    ENTRIES("sys", "block"),
    ENTRIES("sys/class/block sys/block sys/class/nvme-subsystem", "*"),
    ENTRIES("sys/class/block/* sys/block/*", "@*"),
    ATTRIBUTES(DISKS, "dev size ro", snapshot_keep),
    ATTRIBUTES(DISKS, "uevent", snapshot_partition_name),
    ATTRIBUTES(DISKS, "dm/name", snapshot_hide_words),
    LINKS(DISKS, "device holders/* slaves/* bcache"),
    LINKS("sys/class/block/nvme*/.. sys/block/nvme*/.. sys/class/nvme-subsystem/*",
          "nvme[0-9] nvme[0-9][0-9] nvme[0-9][0-9][0-9]"),
    LINKS("sys/dev/block", "*"),
    ATTRIBUTES("sys/class/block/loop*", "loop/backing_file", snapshot_lower_device),
    ATTRIBUTES("sys/class/block/zram*", "backing_dev", snapshot_lower_device),
    LINES("proc", "mdstat", snapshot_write_array, NULL),
    LINKS("sys/fs/bcache/*", "cache* bdev*"),
    LINKS("sys/fs/btrfs/*/devices", "*"),
    COPIES("sys/fs/ext4 sys/fs/xfs sys/fs/f2fs", "*", snapshot_copy_file_system),
    ENTRIES("sys/module", "zfs"),
    ENTRIES("proc/spl/kstat", "zfs"),
    COPIES("proc/spl/kstat/zfs", "*", snapshot_copy_pool),
    FACT(snapshot_record_mounts),
    FACT(snapshot_record_swaps),
    LINES("proc", "swaps", snapshot_write_swap, NULL),
    COPIES("etc/zfs data/zfs", "zpool.cache", snapshot_copy_pool_cache),
    COPIES("etc", "drbd.conf drbd.d/*", snapshot_copy_drbd),
    ATTRIBUTES(UDEV_RECORDS, "b*", snapshot_udev_record),
    ATTRIBUTES(UDEV_RECORDS, "c*", snapshot_udev_links),

    /* the network */
    ENTRIES("sys/class", "net"),
    ENTRIES("sys/class/net", "*"),
    ATTRIBUTES("sys/class/net/*", "flags operstate ifindex", snapshot_keep),
    ATTRIBUTES("sys/class/net/*", "uevent", snapshot_interface_type),
    ENTRIES("sys/class/net/*", "bridge bonding"),
    ATTRIBUTES("sys/class/net/*", "bonding/slaves", snapshot_hide_name),
    LINKS("sys/class/net/*", "device master brif/* upper_* lower_*"),
    LINES("proc/net", "route", snapshot_write_route, snapshot_write_addresses),
    LINES("proc/net", "ipv6_route", snapshot_write_route6, NULL),
    LINES("proc/net", "if_inet6", snapshot_write_address6, NULL),
    LINES("proc/net", "arp", snapshot_write_neighbour, NULL),
    LINES("proc/net", "pppoe", snapshot_write_pppoe, NULL),
    LINES("proc/net", "packet", snapshot_write_packet, NULL),
    FACT(snapshot_record_network_namespaces),

    /* programs, the console, VMs */
    ENTRIES("run/libvirt", "qemu"),
    FACT(snapshot_record_device_files),
    FACT(snapshot_record_open_files),
    ATTRIBUTES("proc/driver/nvidia/gpus/*", "information", snapshot_nvidia_minor),
    ENTRIES("sys/class", "graphics vtconsole"),
    ENTRIES("sys/class/graphics sys/class/vtconsole", "*"),
    LINKS("sys/class/graphics/fb*", "device"),
    ATTRIBUTES("sys/class/vtconsole/*", "name bind", snapshot_keep),
    ENTRIES("sys/class", "drm"),
    ENTRIES("sys/class/drm", "card*-*"),
    ATTRIBUTES("sys/class/drm/card*-*", "status", snapshot_keep),
    LINES("proc", "fb", snapshot_write_framebuffer, NULL),
    ENTRIES("sys/bus/platform/devices", "*-framebuffer.*"),
    LINKS("sys/bus/platform/devices/*-framebuffer.*", "driver"),
    LINES("proc", "iomem", snapshot_write_memory, NULL),
    COPIES("etc/systemd/system", "display-manager.service", snapshot_copy_service),
    LINES("proc", "consoles", snapshot_write_console, NULL),
    LINES("proc/bus/input", "devices", snapshot_write_input, NULL),
    FACT(snapshot_record_domains),
    ENTRIES("sys/bus/mdev/devices", "*"),
    LINKS("sys/bus/mdev/devices/*", "mdev_type"),

    ATTRIBUTES("proc/sys/kernel", "osrelease", snapshot_release),
    FACT(snapshot_record_architecture),
    FACT(snapshot_record_names),
    FACT(snapshot_record_faults),
};

/* Copies all that the pattern, below the directory, matches. */
static void snapshot_copy_matches(struct recorder *recorder, const struct row *row,
                                  const char *directory, const char *pattern) {
    size_t length = strcspn(pattern, "/");
    const char *rest = pattern + length;
    char *part = *pattern == '@' ? memory_printf("%s%.*s", text_base_name(directory),
                                                 (int)length - 1, pattern + 1)
                                 : memory_strndup(pattern, length);
    bool has_wildcard = *pattern == '@' || strpbrk(part, "*?[");
    struct names names = has_wildcard ? tree_list(&recorder->from, directory) : (struct names){0};
    for (size_t i = 0; i < (has_wildcard ? names.count : 1); i++) {
        const char *name = has_wildcard ? names.items[i] : part;
        if (has_wildcard && fnmatch(part, name, 0) != 0)
            continue;
        if (*rest) {
            char *path = *directory ? snapshot_join(directory, name) : memory_strdup(name);
            snapshot_copy_matches(recorder, row, path, rest + 1);
            free(path);
        } else {
            row->copy(recorder, row, directory, name);
        }
    }
    tree_finish_names(&names);
    free(part);
}

static void snapshot_copy_row(struct recorder *recorder, const struct row *row) {
    char *directories = memory_strdup(row->directories), *rest = directories;
    for (const char *directory; (directory = text_next_field(&rest));) {
        char *names = memory_strdup(row->names), *left = names;
        for (const char *name; (name = text_next_field(&left));) {
            char *pattern = snapshot_join(directory, name);
            snapshot_copy_matches(recorder, row, "", pattern);
            free(pattern);
        }
        free(names);
    }
    free(directories);
}

static void snapshot_copy_rows(struct recorder *recorder) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].record)
            rows[i].record(recorder);
        else
            snapshot_copy_row(recorder, &rows[i]);
}

/* --- the whole */

/* The directory, new or empty; -1 with a message. */
static int snapshot_open_empty(const char *path, struct failure *failure) {
    if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        return failure_set(failure, "%s cannot be created: %s", path, strerror(errno));
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct tree here = {.root = "", .fd = AT_FDCWD};
    struct names names = tree_list(&here, path);
    if (fd < 0) {
        failure_set(failure, "%s cannot be opened: %s", path, strerror(errno));
    } else if (names.count) {
        failure_set(failure, "%s is not empty", path);
        failure_hint(failure, "name an empty directory, or one that does not exist yet");
        close(fd);
        fd = -1;
    }
    tree_finish_names(&names);
    return fd;
}

static void snapshot_finish(struct recorder *recorder) {
    free(recorder->where);
    anonymize_destroy(recorder->standins);
    tree_close(&recorder->from);
    close(recorder->to);
}

int snapshot_record(struct record *record, const char *root, const char *directory,
                    struct failure *failure) {
    const struct host_source source = source_sysfs(root);
    struct host host;
    struct faults faults = {0}; /* those of the host's own reading are recorded */
    *record = (struct record){0};
    if (source.load(&source, &host, failure) < 0)
        return -1;
    struct recorder recorder = {
        .to = snapshot_open_empty(directory, failure), .record = record, .host = &host};
    int status = recorder.to < 0 ? -1 : 0;
    if (status == 0 && !tree_open(&recorder.from, host.root)) {
        failure_set(failure, "cannot read the devices below %s: %s", host.root, strerror(errno));
        close(recorder.to);
        status = -1;
    }
    if (status < 0) {
        host_finish(&host);
        return -1;
    }
    recorder.from.faults = &faults;
    recorder.standins = anonymize_create();
    snapshot_copy_rows(&recorder);
    if (recorder.error) {
        status = failure_set(failure, "%s/%s cannot be written: %s", directory, recorder.where,
                             strerror(recorder.error));
    }
    snapshot_finish(&recorder);
    tree_finish_faults(&faults);
    host_finish(&host);
    return status;
}
