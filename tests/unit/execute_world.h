/* The world of the tests of execute: the hypervisor's double, a clock that only jumps, and a copy
 * of the sample host with two TPUs. */
#ifndef TESTS_UNIT_EXECUTE_WORLD_H
#define TESTS_UNIT_EXECUTE_WORLD_H

#include "tests/unit/double_virt.h"
#include "tests/unit/sample.h"

#include "engine/backend/backend.h"
#include "engine/run/run.h"
#include "engine/state/vm_state.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FRIGATE "00000000-0000-4000-8000-000000000001"
#define WINDOWS "00000000-0000-4000-8000-000000000002"
#define FIRST "0000:03:00.0"
#define SECOND "0000:04:00.0"
#define OTHER_XML "domain_xml " FRIGATE "\nlist\n"

/* --- the world */

struct jumping_clock {
    struct clock clock;
    int64_t now;
    char slept[4096]; /* each sleep in milliseconds */
    int64_t at;       /* when `then` is called, once */
    void (*then)(void);
};

static struct jumping_clock hours;
static struct double_virt *hypervisor;
static char directory[64], host_root[96];
static struct host_source host_source; /* a test replaces what it wants to see */
static struct domain told;             /* the VM as the hook told it */
static unsigned opened, refused_opens;
static int open_code;

static inline int64_t jump_now(struct clock *clock) {
    return ((struct jumping_clock *)clock)->now;
}

static inline void jump(struct clock *clock, int64_t milliseconds) {
    struct jumping_clock *jumping = (struct jumping_clock *)clock;
    size_t used = strlen(jumping->slept);
    assert_true(milliseconds > 0);
    snprintf(jumping->slept + used, sizeof jumping->slept - used, "%d ", (int)milliseconds);
    jumping->now += milliseconds;
    if (jumping->then && jumping->now >= jumping->at) {
        jumping->then();
        jumping->then = NULL;
    }
}

static inline int open_double(struct virt **virt, const char *uri, struct virt_error *error) {
    assert_null(uri);
    opened++;
    if (refused_opens) {
        refused_opens--;
        *virt = NULL;
        *error = (struct virt_error){.kind = VIRT_UNREACHABLE,
                                     .code = open_code,
                                     .failure.message = "no libvirt here",
                                     .failure.hint = "install it"};
        return -1;
    }
    *virt = double_virt_port(hypervisor);
    return 0;
}

static inline void shell(const char *format, const char *one, const char *two) {
    char command[512];
    snprintf(command, sizeof command, format, one, two);
    if (system(command) != 0) /* NOLINT(cert-env33-c): paths of this test */
        fail_msg("%s", command);
}

/* Takes a PCI device from the sample host, or puts it back. */
/* One line in a file of the host. */
static inline void put(const char *path, const char *text) {
    char whole[256];
    snprintf(whole, sizeof whole, "%s/%s", host_root, path);
    shell("mkdir -p $(dirname %s)%s", whole, "");
    FILE *out = fopen(whole, "we");
    assert_non_null(out);
    fprintf(out, "%s\n", text);
    fclose(out);
}

static inline const char *get(const char *path) {
    static char text[64];
    char whole[256];
    snprintf(whole, sizeof whole, "%s/%s", host_root, path);
    FILE *in = fopen(whole, "re");
    assert_non_null(in);
    assert_non_null(fgets(text, sizeof text, in));
    fclose(in);
    text[strcspn(text, "\n")] = '\0';
    return text;
}

static inline void set_present(const char *address, bool present) {
    char link[256], hidden[256];
    snprintf(link, sizeof link, "%s/sys/bus/pci/devices/%s", host_root, address);
    snprintf(hidden, sizeof hidden, "%s/%s", directory, address);
    assert_int_equal(present ? rename(hidden, link) : rename(link, hidden), 0);
}

/* What the host driver of a PCI device is in the copy, "" for none. */
static inline void set_driver(const char *address, const char *driver) {
    char link[256], target[128];
    snprintf(link, sizeof link, "%s/sys/bus/pci/devices/%s/driver", host_root, address);
    snprintf(target, sizeof target, "/sys/bus/pci/drivers/%s", driver);
    unlink(link);
    if (*driver)
        assert_int_equal(symlink(target, link), 0);
}

static inline const char *driver_of(const char *address) {
    static char target[128];
    char link[256];
    snprintf(link, sizeof link, "%s/sys/bus/pci/devices/%s/driver", host_root, address);
    ssize_t length = readlink(link, target, sizeof target - 1);
    target[length < 0 ? 0 : length] = '\0';
    return length < 0 ? "none" : strrchr(target, '/') + 1;
}

static inline int set_up(void **state) {
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/virt-rules-test-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(host_root, sizeof host_root, "%s/host", directory);
    host_source = source_sysfs(host_root);
    shell("cp -a tests/hosts/dual-tpu %s%s", host_root, "");
    /* each TPU in a group of its own */
    shell("cd %s/sys/devices && t=$(find . -type d -name %s) && ln -sfn 99 \"$t/iommu_group\"",
          host_root, SECOND);
    hypervisor = double_virt_create();
    double_virt_clock(hypervisor, &hours.clock);
    double_virt_add(hypervisor, FRIGATE, "frigate", "NVR");
    double_virt_add(hypervisor, WINDOWS, "windows", NULL);
    sample_domain(&told, double_virt_xml(hypervisor, FRIGATE));
    hours = (struct jumping_clock){.clock = {jump_now, jump}, .now = 5000};
    opened = refused_opens = 0;
    open_code = 0;
    return 0;
}

static inline int tear_down(void **state) {
    (void)state;
    double_virt_destroy(hypervisor);
    domain_finish(&told);
    shell("rm -rf %s%s", directory, "");
    return 0;
}

static inline const char *state_path(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/state%s", directory, name);
    return path;
}

static int program_limit_ms, boot_ms = -1;
static bool settled;
static const struct device *came;

static inline bool run_at(enum event_name name, const char *text) {
    struct sample_rules rules;
    struct event event = {.name = name, .domain = &told, .device = came, .settled = settled};
    sample_rules_init(&rules, text);
    struct log_writer *journal = log_write_open(state_path(""), false);
    assert_non_null(journal);
    char *state = memory_strdup(state_path(""));
    bool good = run_event(&(struct run_config){.program = &rules.program,
                                               .event = &event,
                                               .host_source = &host_source,
                                               .state = state,
                                               .log = journal,
                                               .clock = &hours.clock,
                                               .program_limit_ms = program_limit_ms,
                                               .boot_ms = boot_ms,
                                               .open_virt = open_double});
    log_write_close(journal);
    free(state);
    sample_rules_finish(&rules);
    return good;
}

/* `on vm frigate started ACTION` */
static inline bool run_of(const char *action) {
    char *text = memory_printf("on vm frigate started %s\n", action);
    bool good = run_at(EVENT_STARTED, text);
    free(text);
    return good;
}

/* --- the log */

static inline const char *field(struct json_object *line, const char *key) {
    struct json_object *value = NULL;
    assert_true(json_object_object_get_ex(line, key, &value));
    return value ? json_object_get_string(value) : "-";
}

/* Line `index` of the log, from 0, or NULL; the caller puts it. */
static inline struct json_object *log_line(size_t index) {
    char line[20000];
    FILE *in = fopen(state_path("/virt-rules.log"), "re");
    struct json_object *object = NULL;
    for (size_t i = 0; in && fgets(line, sizeof line, in); i++)
        if (i == index) {
            object = json_tokener_parse(line);
            assert_non_null(object);
        }
    if (in)
        fclose(in);
    return object;
}

/* Every line as "RESULT ACTION DEVICE". */
static inline const char *results(void) {
    static char text[4096];
    struct json_object *line;
    *text = 0;
    for (size_t i = 0; (line = log_line(i)); i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s %s %s\n", field(line, "result"),
                 field(line, "action"), field(line, "device"));
        json_object_put(line);
    }
    return text;
}

static inline void assert_message(size_t index, const char *part) {
    struct json_object *line = log_line(index);
    if (!line || !strstr(field(line, "message"), part))
        fail_msg("no \"%s\" in line %zu: %s", part, index,
                 line ? json_object_to_json_string(line) : "none");
    json_object_put(line);
}

#define ATTACHED(ADDRESS) "attached attach " ADDRESS " 1ac1:089a\n"
#define REFUSED(ADDRESS) "refused attach " ADDRESS " 1ac1:089a\n"
#define FAILED(ADDRESS) "failed attach " ADDRESS " 1ac1:089a\n"
#define ALREADY(ADDRESS) "already attach " ADDRESS " 1ac1:089a\n"

/* A device of the copied host, as it was noted. */
static inline bool note_taken(struct vm_state *vm_state, const char *address, const char *driver) {
    struct host host;
    sample_host(&host, host_root);
    const struct device *device = host_find(&host, BUS_PCI, address);
    assert_non_null(device);
    bool fresh = vm_state_add_unbound(vm_state, device, driver);
    host_finish(&host);
    return fresh;
}

/* Whether something of that VM is to go back to the host. */
static inline bool has_taken(const char *uuid) {
    struct vm_state vm_state;
    vm_state_load(&vm_state, state_path(""), uuid);
    bool has = vm_state.unbound_count > 0;
    vm_state_finish(&vm_state);
    return has;
}

static inline char *hostdev_of(const char *address) {
    struct device device = {SAMPLE_PCI("", 0x1ac1, 0x089a, 0)};
    device.address = (char *)address;
    return backend_xml(&backend_type_VFIO, &device, NULL, 0);
}

static inline void give(const char *uuid, const char *address) {
    char *xml = hostdev_of(address);
    double_virt_give(hypervisor, uuid, xml);
    free(xml);
}

/* Nothing happens when the VM does not have it. */
static inline void take(const char *uuid, const char *address) {
    struct device device = {SAMPLE_PCI("", 0x1ac1, 0x089a, 0)};
    struct domain domain;
    device.address = (char *)address;
    sample_domain(&domain, double_virt_xml(hypervisor, uuid));
    bool has = backend_hostdev_of(&domain, &device);
    domain_finish(&domain);
    if (!has)
        return;
    char *xml = hostdev_of(address);
    double_virt_take(hypervisor, uuid, xml);
    free(xml);
}

#endif
