/* The state file of a VM. */
#include "tests/unit/sample.h"

#include "engine/state/state_file.h"
#include "engine/state/vm_state.h"
#include "engine/system/file.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define UUID "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"

static char directory[64], path[128];
static struct failure failure;

static int set_up(void **state) {
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/virt-rules-test-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/vms/" UUID, directory);
    return 0;
}

static int tear_down(void **state) {
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command); /* NOLINT(cert-env33-c): a path of this test */
}

#define CORAL ((struct device_id){0x1ac1, 0x089a})

static struct device coral(const char *address) {
    return (struct device){.address = (char *)address, .id = CORAL, .iommu_group = 9};
}

static bool take(struct vm_state *vm_state, const char *address, const char *driver) {
    struct device device = coral(address);
    return vm_state_add_unbound(vm_state, &device, driver);
}

static bool found_in_all(const char *address, char driver[64]) {
    struct device device = coral(address);
    return vm_state_find_in_all(directory, &device, driver, 64);
}

static void save(const struct vm_state *vm_state) {
    assert_int_equal(vm_state_save(vm_state, directory, UUID, &failure), 0);
}

/* The file with a NUL behind it, until the next call. */
static char *read_whole(size_t *size) {
    static char whole[8192];
    FILE *in = fopen(path, "re");
    assert_non_null(in);
    *size = fread(whole, 1, sizeof whole - 1, in);
    whole[*size] = '\0';
    fclose(in);
    return whole;
}

static void write_whole(const char *text, size_t size) {
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

static void nothing_is_known_at_first(void **state) {
    (void)state;
    struct vm_state vm_state;
    assert_false(vm_state_exists(directory, UUID));
    assert_false(vm_state_load(&vm_state, directory, UUID));
    assert_int_equal(vm_state.id, -1);
    assert_false(vm_state.restarted);
    assert_int_equal(vm_state.unbound_count, 0);
}

static void what_is_saved_is_read(void **state) {
    (void)state;
    struct stat file;
    struct vm_state vm_state = {.id = 7, .started = 123456789012, .restarted = true}, read;
    take(&vm_state, "0000:03:00.0", "apex");
    take(&vm_state, "0000:03:00.0", "again");
    take(&vm_state, "0000:04:00.0", NULL);
    save(&vm_state);
    vm_state_finish(&vm_state);
    assert_true(vm_state_exists(directory, UUID));
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_true(vm_state_load(&read, directory, UUID));
    assert_int_equal(read.id, 7);
    assert_true(read.started == 123456789012);
    assert_true(read.restarted);
    assert_int_equal(read.unbound_count, 2);
    assert_string_equal(read.unbound[0].address, "0000:03:00.0");
    assert_string_equal(read.unbound[0].driver, "apex");
    assert_string_equal(read.unbound[1].address, "0000:04:00.0");
    assert_null(read.unbound[1].driver);
    vm_state_remove_unbound(&read, "0000:03:00.0");
    vm_state_remove_unbound(&read, "0000:09:00.0");
    assert_int_equal(read.unbound_count, 1);
    assert_string_equal(read.unbound[0].address, "0000:04:00.0");
    vm_state_finish(&read);
}

static const struct vf_config host_has = {"1e:62:7d:a6:0b:fc", 0, VF_TRUST_OFF},
                              vm_has = {"52:54:00:12:34:56", 10, VF_TRUST_ON};

static void check_vf(const struct vf_config *config, const struct vf_config *expected) {
    assert_string_equal(config->mac, expected->mac);
    assert_int_equal(config->vlan, expected->vlan);
    assert_int_equal(config->trust, expected->trust);
}

/* What the host had of a virtual function stays noted over the VM's end, until it has it again. */
static void settings_of_functions_are_kept(void **state) {
    (void)state;
    static const struct vf_config other = {"00:00:00:00:00:00", 4094, VF_TRUST_UNKNOWN};
    struct vm_state vm_state = {.id = 7}, read;
    struct device first = coral("0000:41:02.0"), second = coral("0000:41:02.1");
    second.iommu_group = -1;
    struct vf_config before = {.vlan = 1};
    vm_state_note_vf(&vm_state, &first, &host_has, &host_has);
    vm_state_note_vf(&vm_state, &first, &vm_has, &vm_has); /* the first `before` counts */
    vm_state_note_vf(&vm_state, &second, &other, &vm_has);
    assert_int_equal(vm_state.vf_count, 2);
    vm_state_end(&vm_state);
    save(&vm_state);
    vm_state_finish(&vm_state);
    assert_true(vm_state_open(&read, directory, UUID, &(struct vm_start){.id = 8, .seen = 50}));
    const struct vm_state_vf *found = vm_state_find_vf(&read, "0000:41:02.0");
    assert_non_null(found);
    assert_true(vm_state_device_is(&found->device, &first));
    check_vf(&found->before, &host_has);
    check_vf(&found->given, &vm_has);
    check_vf(&vm_state_find_vf(&read, "0000:41:02.1")->before, &other);
    assert_true(vm_state_find_vf_in_all(directory, &first, &before));
    check_vf(&before, &host_has);
    vm_state_remove_vf(&read, "0000:41:02.0");
    vm_state_remove_vf(&read, "0000:41:02.7");
    assert_int_equal(read.vf_count, 1);
    assert_null(vm_state_find_vf(&read, "0000:41:02.0"));
    save(&read);
    vm_state_finish(&read);
    assert_false(vm_state_find_vf_in_all(directory, &first, &before));
    /* Another function that has come to that address is not it. */
    second.id.device++;
    assert_false(vm_state_find_vf_in_all(directory, &second, &before));
}

/* What the host had of a setting stays noted over the VM's end, in the order of the changes. */
static void settings_of_the_host_are_kept(void **state) {
    (void)state;
    static const struct setting was[] = {
        {SETTING_FRAMEBUFFER, (char *)"sys/bus/platform/devices/efi-framebuffer.0",
         (char *)"efi-framebuffer"},
        {SETTING_RESET_METHOD, (char *)"sys/bus/pci/devices/0000:03:00.0/reset_method",
         (char *)"flr bus"},
        {SETTING_POWER, (char *)"sys/bus/usb/devices/1-1/power/control", (char *)"auto"},
    };
    struct vm_state vm_state = {.id = 7}, read;
    struct device card = coral("0000:03:00.0"), stick = {.bus = BUS_USB,
                                                         .address = (char *)"1-1",
                                                         .id = {0x10c4, 0xea60},
                                                         .iommu_group = -1};
    vm_state_note_setting(&vm_state, &card, &was[0], "?");
    vm_state_note_setting(&vm_state, &card, &was[0], ""); /* the first `before` counts */
    vm_state_note_setting(&vm_state, &card, &was[1], "bus");
    vm_state_note_setting(&vm_state, &stick, &was[2], "on");
    vm_state_end(&vm_state);
    save(&vm_state);
    vm_state_finish(&vm_state);
    assert_true(vm_state_open(&read, directory, UUID, &(struct vm_start){.id = 8, .seen = 50}));
    assert_int_equal(read.setting_count, 3);
    static const char *const given[] = {"", "bus", "on"};
    for (size_t i = 0; i < 3; i++) {
        const struct vm_state_setting *noted = &read.settings[i];
        assert_true(vm_state_device_is(&noted->device, i == 2 ? &stick : &card));
        assert_int_equal(noted->setting.kind, was[i].kind);
        assert_string_equal(noted->setting.path, was[i].path);
        assert_string_equal(noted->setting.value, was[i].value);
        assert_string_equal(noted->given, given[i]);
    }
    char *before = vm_state_find_setting_in_others(directory, "another", was[1].path);
    assert_string_equal(before, "flr bus");
    free(before);
    assert_null(vm_state_find_setting_in_others(directory, UUID, was[1].path));
    vm_state_remove_setting(&read, was[1].path);
    assert_int_equal(read.setting_count, 2);
    assert_null(vm_state_find_setting(&read, was[1].path));
    save(&read);
    vm_state_finish(&read);
    assert_null(vm_state_find_setting_in_others(directory, "another", was[1].path));
}

/* A new start of the VM, whose id is not known yet: an engine of the end before it does not change
 * its state. */
static void a_new_start_is_begun(void **state) {
    (void)state;
    static const struct setting was = {
        SETTING_POWER, (char *)"sys/bus/usb/devices/1-1/power/control", (char *)"auto"};
    struct vm_state vm_state = {.id = 7, .started = 20, .process = 19}, read;
    struct device card = coral("0000:03:00.0");
    vm_state_note_setting(&vm_state, &card, &was, "on");
    vm_state.restarted = true;
    vm_state_begin(&vm_state, &(struct vm_start){.id = -1, .seen = 50});
    assert_int_equal(vm_state.setting_count, 1);
    assert_false(vm_state.restarted);
    save(&vm_state);
    vm_state_finish(&vm_state);
    assert_true(vm_state_load(&read, directory, UUID));
    assert_int_equal(read.started, 50);
    assert_true(vm_state_is_same_start(&read, &(struct vm_start){.id = 8, .process = 51}));
    vm_state_finish(&read);
}

/* What has come to the address of a function that was noted is noted as new. */
static void another_function_is_noted_anew(void **state) {
    (void)state;
    struct vm_state vm_state = {.id = 7};
    struct device device = coral("0000:41:02.0");
    vm_state_note_vf(&vm_state, &device, &host_has, &vm_has);
    device.id.device++;
    vm_state_note_vf(&vm_state, &device, &vm_has, &vm_has);
    assert_int_equal(vm_state.vf_count, 1);
    check_vf(&vm_state.vfs[0].before, &vm_has);
    vm_state_finish(&vm_state);
}

static void what_a_person_took_out_is_of_one_life(void **state) {
    (void)state;
    struct vm_state vm_state = {.id = 7}, read;
    take(&vm_state, "0000:03:00.0", "apex");
    vm_state_dismiss(&vm_state, "0000:04:00.0", CORAL);
    vm_state_dismiss(&vm_state, "1-1.4", CORAL);
    vm_state_dismiss(&vm_state, "1-1.4", CORAL);
    assert_int_equal(vm_state.dismissed_count, 2);
    save(&vm_state);
    vm_state_finish(&vm_state);
    assert_true(vm_state_open(&read, directory, UUID, &(struct vm_start){.id = 7, .seen = 50}));
    assert_true(vm_state_has_dismissed(&read, "0000:04:00.0", CORAL));
    assert_true(vm_state_has_dismissed(&read, "1-1.4", CORAL));
    assert_false(vm_state_has_dismissed(&read, "0000:03:00.0", CORAL));
    vm_state_finish(&read);
    assert_true(vm_state_open(&read, directory, UUID, &(struct vm_start){.id = 8, .seen = 60}));
    assert_int_equal(read.id, 8);
    assert_int_equal(read.dismissed_count, 0);
    assert_int_equal(read.unbound_count, 1);
    vm_state_remove_unbound(&read, "0000:03:00.0");
    save(&read);
    assert_false(vm_state_exists(directory, UUID));
    vm_state_finish(&read);
}

static void parking_is_of_one_start(void **state) {
    (void)state;
    struct vm_state vm_state = {.id = 7, .process = 70}, read;
    struct device first = coral("0000:03:00.0"), stick = coral("1-1.4");
    const struct vm_start same = {.id = 7, .process = 70}, next = {.id = 7, .process = 71};
    stick.iommu_group = -1;
    assert_false(vm_state_is_parked(directory, UUID, &same));
    vm_state_park(&vm_state, "2026-11-29T08:33:03.123+00:00");
    vm_state_park(&vm_state, "2026-11-29T09:00:00.000+00:00"); /* it is parked already */
    save(&vm_state);
    assert_true(vm_state_exists(directory, UUID)); /* although nothing else is noted */
    vm_state_add_parked(&vm_state, &stick, "");
    vm_state_add_parked(&vm_state, &first, "apex");
    stick.id.device = 0x30; /* another one came to the port, and went out too */
    vm_state_add_parked(&vm_state, &stick, "usb");
    save(&vm_state);
    vm_state_finish(&vm_state);
    assert_true(vm_state_is_parked(directory, UUID, &same));
    assert_false(vm_state_is_parked(directory, UUID, &next));
    assert_true(vm_state_open(&read, directory, UUID, &same));
    assert_null(read.ignored);
    assert_string_equal(read.parked_since, "2026-11-29T08:33:03.123+00:00");
    assert_int_equal(read.parked_count, 2);
    assert_string_equal(read.parked[0].address, "0000:03:00.0");
    assert_string_equal(read.parked[0].driver, "apex");
    assert_int_equal(read.parked[0].iommu_group, 9);
    assert_string_equal(read.parked[1].address, "1-1.4");
    assert_int_equal(read.parked[1].id.device, 0x30);
    assert_int_equal(read.parked[1].iommu_group, -1);
    vm_state_finish(&read);
    assert_true(vm_state_open(&read, directory, UUID, &next)); /* its devices are not parked */
    assert_null(read.parked_since);
    assert_int_equal(read.parked_count, 0);
    vm_state_finish(&read);
    assert_true(vm_state_open(&read, directory, UUID, &same));
    assert_true(vm_state_begin_unpark(&read));
    assert_true(vm_state_begin_unpark(&read)); /* as one that was killed there left it */
    save(&read);
    vm_state_finish(&read);
    assert_false(vm_state_is_parked(directory, UUID, &same));
    assert_true(vm_state_open(&read, directory, UUID, &same));
    assert_true(read.unparking);
    assert_int_equal(read.parked_count, 2); /* its claim */
    vm_state_park(&read, "2026-11-29T10:00:00.000+00:00");
    assert_false(read.unparking);
    assert_true(vm_state_begin_unpark(&read));
    vm_state_end_unpark(&read);
    assert_false(vm_state_begin_unpark(&read));
    assert_int_equal(read.parked_count, 0);
    save(&read);
    assert_false(vm_state_exists(directory, UUID));
    vm_state_finish(&read);
}

static void an_ended_vm_is_not_parked(void **state) {
    (void)state;
    struct vm_state vm_state = {.id = 7};
    struct device first = coral("0000:03:00.0");
    vm_state_park(&vm_state, "T");
    vm_state_add_parked(&vm_state, &first, "apex");
    vm_state_end(&vm_state);
    assert_null(vm_state.parked_since);
    assert_int_equal(vm_state.parked_count, 0);
    vm_state_finish(&vm_state);
}

static void an_empty_life_is_no_file(void **state) {
    (void)state;
    struct vm_state vm_state = {.id = 7, .restarted = true};
    save(&vm_state);
    assert_true(vm_state_exists(directory, UUID));
    vm_state.restarted = false;
    save(&vm_state);
    assert_false(vm_state_exists(directory, UUID));
    save(&vm_state);
}

static void no_temporary_file_stays(void **state) {
    (void)state;
    struct vm_state vm_state = {.id = 7, .restarted = true};
    char folder[128];
    int found = 0;
    save(&vm_state);
    snprintf(folder, sizeof folder, "%s/vms", directory);
    DIR *list = opendir(folder);
    assert_non_null(list);
    for (struct dirent *entry; (entry = readdir(list));)
        found += *entry->d_name != '.';
    closedir(list);
    assert_int_equal(found, 1);
}

/* --- damage */

static struct vm_state sample(void) {
    struct vm_state vm_state = {.id = 7, .started = 100, .process = 90, .restarted = true};
    take(&vm_state, "0000:03:00.0", "apex");
    take(&vm_state, "0000:04:00.0", NULL);
    vm_state_dismiss(&vm_state, "1-1.4", CORAL);
    vm_state_note_result(&vm_state,
                         &(struct log_entry){.device = "0000:03:00.0 1ac1:089a",
                                             .action = "attach",
                                             .rule = "/r/a b.rules:1",
                                             .result = RESULT_FAILED,
                                             .message = "B\xc3\xbcro \"x\"\n\xff"},
                         "2026-11-22T10:18:07.214+01:00");
    return vm_state;
}

static bool is_noted(const struct vm_state *whole, const struct vm_state_device *device) {
    const struct vm_state_device *found = vm_state_find_unbound(whole, device->address);
    return found && found->id.vendor == device->id.vendor &&
           found->id.device == device->id.device && found->iommu_group == device->iommu_group &&
           !strcmp(found->driver ? found->driver : "", device->driver ? device->driver : "");
}

/* Whatever was done to the file: nothing is in what is read that was not written, and what was lost
 * is known to be lost. */
static void look_at_damaged(const struct vm_state *whole) {
    struct vm_state vm_state;
    bool found = vm_state_load(&vm_state, directory, UUID);
    for (size_t i = 0; i < vm_state.unbound_count; i++)
        assert_true(is_noted(whole, &vm_state.unbound[i]));
    for (size_t i = 0; i < vm_state.dismissed_count; i++)
        assert_true(
            vm_state_has_dismissed(whole, vm_state.dismissed[i].address, vm_state.dismissed[i].id));
    for (size_t i = 0; i < vm_state.result_count; i++)
        assert_string_equal(vm_state.results[i].message, whole->results[i].message);
    if (found)
        assert_int_equal(vm_state.id, whole->id);
    assert_true(vm_state.damaged);
    assert_non_null(vm_state.ignored);
    assert_null(strchr(vm_state.ignored, '\n'));
    vm_state_finish(&vm_state);
}

static void any_byte_may_be_damaged(void **state) {
    (void)state;
    struct vm_state vm_state = sample();
    size_t size;
    save(&vm_state);
    char *text = read_whole(&size);
    vm_state_finish(&vm_state);
    assert_true(vm_state_load(&vm_state, directory, UUID));
    assert_false(vm_state.damaged);
    assert_null(vm_state.ignored);
    for (size_t at = 0; at < size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            text[at] = (char)(text[at] ^ (1 << bit));
            write_whole(text, size);
            look_at_damaged(&vm_state);
            text[at] = (char)(text[at] ^ (1 << bit));
        }
        static const char fresh[] = {'\0', '\n', ' ', '0', '\xff'};
        for (size_t i = 0; i < sizeof fresh; i++) {
            char before = text[at];
            if (before == fresh[i])
                continue;
            text[at] = fresh[i];
            write_whole(text, size);
            look_at_damaged(&vm_state);
            text[at] = before;
        }
        write_whole(text, at);
        look_at_damaged(&vm_state);
        char *more = memory_printf("%.*s\n%s", (int)at, text, text + at);
        write_whole(more, size + 1);
        look_at_damaged(&vm_state);
        free(more);
    }
    vm_state_finish(&vm_state);
}

static void lines_that_are_taken_out_are_missed(void **state) {
    (void)state;
    struct vm_state vm_state = sample();
    size_t size;
    save(&vm_state);
    vm_state_finish(&vm_state);
    assert_true(vm_state_load(&vm_state, directory, UUID));
    char *text = read_whole(&size), *last = strstr(text, "end ");
    assert_non_null(last);
    write_whole(text, (size_t)(last - text));
    look_at_damaged(&vm_state);
    vm_state_finish(&vm_state);
}

static void damage_is_kept_in_mind(void **state) {
    (void)state;
    struct vm_state vm_state = sample();
    struct vm_start start = {.id = 7, .process = 90, .seen = 200};
    size_t size;
    vm_state.restarted = false;
    save(&vm_state);
    vm_state_finish(&vm_state);
    char *text = read_whole(&size);
    strstr(text, "taken")[7] ^= 1;
    write_whole(text, size);
    assert_true(vm_state_open(&vm_state, directory, UUID, &start));
    assert_true(vm_state_has_dismissed(&vm_state, "0000:09:00.0", CORAL));
    save(&vm_state);
    vm_state_finish(&vm_state);
    assert_true(vm_state_open(&vm_state, directory, UUID, &start));
    assert_true(vm_state.damaged);
    assert_null(vm_state.ignored); /* it was said */
    assert_int_equal(vm_state.unbound_count, 1);
    vm_state_end(&vm_state);
    assert_false(vm_state.damaged);
    vm_state_finish(&vm_state);
}

static void what_cannot_be_read_is_not_written_over(void **state) {
    (void)state;
    struct vm_state vm_state = sample();
    struct vm_start start = {.id = 7, .process = 90, .seen = 200};
    char *big = memory_zalloc(FILE_READ_LIMIT + 1);
    save(&vm_state);
    vm_state_finish(&vm_state);
    write_whole(big, FILE_READ_LIMIT + 1);
    free(big);
    assert_true(vm_state_open(&vm_state, directory, UUID, &start));
    assert_int_equal(vm_state.error, EFBIG);
    assert_non_null(strstr(vm_state.ignored, "cannot be read"));
    vm_state.restarted = true;
    assert_int_equal(vm_state_save(&vm_state, directory, UUID, &failure), -1);
    assert_non_null(strstr(failure.message, strerror(EFBIG)));
    struct vm_state fresh = {.id = 8, .restarted = true};
    assert_int_equal(vm_state_save(&fresh, directory, UUID, &failure), -1);
    vm_state_finish(&vm_state);
}

static void the_older_form_is_said(void **state) {
    (void)state;
    struct vm_state vm_state = {.id = 7, .restarted = true};
    save(&vm_state);
    static const char old[] = "life 11111111-2222 1 2\ntaken 0000:03:00.0 apex\n";
    write_whole(old, strlen(old));
    assert_false(vm_state_load(&vm_state, directory, UUID));
    assert_non_null(strstr(vm_state.ignored, "older version"));
    assert_int_equal(vm_state.unbound_count, 0);
    vm_state_finish(&vm_state);
}

/* --- which start of the VM */

static const struct vm_start STARTS[] = {
    {.id = 7, .seen = 100},                /* the file's */
    {.id = 7, .process = 90, .seen = 100}, /* the same, known better */
    {.id = -1, .seen = 100},
    {.id = 7, .seen = 300}, /* a later engine of it */
};

static void a_start_is_known_again(void **state) {
    (void)state;
    struct vm_state vm_state = {.id = 7, .started = 100};
    for (size_t i = 0; i < sizeof STARTS / sizeof *STARTS; i++) {
        assert_true(vm_state_is_same_start(&vm_state, &STARTS[i]));
        assert_false(vm_state_is_later_start(&vm_state, &STARTS[i]));
    }
    vm_state.process = 90;
    assert_true(vm_state_is_same_start(&vm_state, &STARTS[1]));
    assert_true(vm_state_is_same_start(&vm_state, &STARTS[0]));
}

static void starts_that_differ(void **state) {
    (void)state;
    static const struct {
        struct vm_start start;
        bool later; /* the file's start is later than that */
    } cases[] = {
        {{.id = 6, .seen = 50}, true},
        {{.id = 6, .seen = 100}, true}, /* at once: by the id */
        {{.id = 8, .seen = 100}, false},
        {{.id = 8, .seen = 150}, false},
        {{.id = 1, .seen = 150}, false}, /* the daemon counts from 1 again */
        {{.id = 90, .seen = 50}, true},
        {{.id = 7, .process = 40, .seen = 50}, true}, /* an id that is used again */
        {{.id = 7, .process = 140, .seen = 150}, false},
        {{.id = 7, .process = 40, .seen = 500}, true}, /* a late engine that asked late */
        {{.id = -1, .process = 40, .seen = 50}, true},
    };
    struct vm_state vm_state = {.id = 7, .started = 100, .process = 90, .restarted = true}, opened;
    take(&vm_state, "0000:03:00.0", "apex");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        save(&vm_state);
        assert_false(vm_state_is_same_start(&vm_state, &cases[i].start));
        assert_int_equal(vm_state_is_later_start(&vm_state, &cases[i].start), cases[i].later);
        assert_int_equal(vm_state_open(&opened, directory, UUID, &cases[i].start), !cases[i].later);
        assert_int_equal(opened.unbound_count, cases[i].later ? 0 : 1);
        assert_false(opened.restarted);
        vm_state_finish(&opened);
        unlink(path);
    }
    vm_state_finish(&vm_state);
}

static void a_later_start_is_not_written_over(void **state) {
    (void)state;
    struct vm_state later = {.id = 8, .started = 200, .restarted = true}, read;
    struct vm_state late = {.id = 7, .started = 100, .restarted = true};
    vm_state_dismiss(&later, "1-1.4", CORAL);
    save(&later);
    take(&late, "0000:03:00.0", "apex");
    save(&late);
    assert_true(vm_state_load(&read, directory, UUID));
    assert_int_equal(read.id, 8);
    assert_int_equal(read.dismissed_count, 1);
    assert_int_equal(read.unbound_count, 0);
    vm_state_finish(&read);
    vm_state_end(&late);
    vm_state_remove_unbound(&late, "0000:03:00.0");
    save(&late); /* empty: it would take the file away */
    assert_true(vm_state_exists(directory, UUID));
    vm_state_finish(&late);
    vm_state_finish(&later);
}

static void the_process_tells_one_start_from_the_next(void **state) {
    (void)state;
    char command[512];
    assert_int_equal(vm_state_process(directory, "frigate"), 0);
    snprintf(command, sizeof command,
             "mkdir -p %s/run/libvirt/qemu %s/proc/42 && echo 42 >%s/run/libvirt/qemu/frigate.pid",
             directory, directory, directory);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a path of this test */
    assert_int_equal(vm_state_process(directory, "frigate"), 0);
    snprintf(command, sizeof command,
             "echo '42 (qemu) x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20' "
             ">%s/proc/42/stat",
             directory);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a path of this test */
    assert_int_equal(vm_state_process(directory, "frigate"), 4711);
    assert_int_equal(vm_state_process(directory, "../qemu/frigate"), 0);
}

/* --- results */

static void log_of(struct vm_state *vm_state, enum result result, const char *message,
                   const char *time) {
    vm_state_note_result(vm_state,
                         &(struct log_entry){.action = "attach",
                                             .device = "0000:03:00.0 1ac1:089a",
                                             .result = result,
                                             .message = message},
                         time);
}

static void the_last_result_of_each_device(void **state) {
    (void)state;
    struct vm_state vm_state = {.id = 7}, read;
    log_of(&vm_state, RESULT_ATTACHED, "one", "1");
    vm_state_note_result(
        &vm_state, &(struct log_entry){.result = RESULT_FAILED, .message = "no libvirt"}, "2");
    log_of(&vm_state, RESULT_REFUSED, "two", "3");
    log_of(&vm_state, RESULT_FAILED, "three", "4");
    save(&vm_state);
    vm_state_finish(&vm_state);
    assert_true(vm_state_load(&read, directory, UUID));
    assert_int_equal(read.result_count, 2);
    assert_null(read.results[0].device);
    assert_string_equal(read.results[0].message, "no libvirt");
    const struct vm_state_result *last = &read.results[1];
    assert_string_equal(last->device, "0000:03:00.0 1ac1:089a");
    assert_string_equal(last->action, "attach");
    assert_null(last->rule);
    assert_int_equal(last->result, RESULT_FAILED);
    assert_string_equal(last->message, "three");
    assert_string_equal(last->time, "4");
    assert_string_equal(last->since, "3");
    assert_string_equal(last->attached, "1");
    log_of(&read, RESULT_DETACHED, "", "5");
    assert_null(read.results[1].attached);
    log_of(&read, RESULT_ALREADY, "", "6");
    log_of(&read, RESULT_ALREADY, "", "7");
    assert_string_equal(read.results[1].attached, "6");
    vm_state_finish(&read);
}

static void there_is_no_end_of_devices(void **state) {
    (void)state;
    struct vm_state vm_state = {.id = 7};
    for (int i = 0; i < 1000; i++) {
        char *device = memory_printf("1-%d 1ac1:089a", i);
        vm_state_note_result(
            &vm_state,
            &(struct log_entry){.device = device, .result = RESULT_ATTACHED, .message = ""}, "1");
        free(device);
    }
    assert_int_equal(vm_state.result_count, 256);
    assert_string_equal(vm_state.results[255].device, "1-999 1ac1:089a");
    assert_string_equal(vm_state.results[0].device, "1-744 1ac1:089a");
    vm_state_finish(&vm_state);
}

static void programs_are_no_device(void **state) {
    (void)state;
    static const struct {
        struct log_entry entry;
        bool is;
    } cases[] = {
        {{.action = "run", .device = "1-1 1ac1:089a", .result = RESULT_RAN}, false},
        {{.action = "run", .result = RESULT_FAILED}, false},
        {{.result = RESULT_RAN}, false},
        {{.rule = "a.rules", .result = RESULT_FAILED}, false},
        {{.result = RESULT_FAILED}, true},
        {{.result = RESULT_REFUSED}, true},
        {{.device = "1-1 1ac1:089a", .result = RESULT_DETACHED}, true},
        {{.action = "attach", .device = "1ac1:089a", .result = RESULT_ABSENT}, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(vm_state_is_result(&cases[i].entry), cases[i].is);
}

static void another_boot_is_another_life(void **state) {
    (void)state;
    struct vm_state vm_state = {.id = 7, .restarted = true};
    struct state_text file = {0};
    save(&vm_state);
    state_file_add_line(&file, "vm 0-1 7 0 0");
    state_file_add_line(&file, "restarted");
    state_file_add_line(&file, "end");
    write_whole(file.text, file.size);
    free(file.text);
    assert_false(vm_state_load(&vm_state, directory, UUID));
    assert_false(vm_state.restarted);
    assert_false(vm_state.damaged);
    assert_null(vm_state.ignored);
}

static void broken_files_count_as_nothing(void **state) {
    (void)state;
    static const char *const texts[] = {"", "\n", "restarted\n", "life x 1 y\nrestarted\n",
                                        "vm x 1 2 3\nrestarted\n"};
    struct vm_state vm_state = {.id = 7, .restarted = true};
    save(&vm_state);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_whole(texts[i], strlen(texts[i]));
        assert_false(vm_state_load(&vm_state, directory, UUID));
        assert_false(vm_state.restarted);
        assert_true(vm_state.damaged);
        assert_non_null(strstr(vm_state.ignored, "ignored"));
        vm_state_finish(&vm_state);
    }
}

static void a_place_that_cannot_be_written(void **state) {
    (void)state;
    struct vm_state vm_state = {.id = 7, .restarted = true};
    char file[128];
    snprintf(file, sizeof file, "%s/vms", directory);
    FILE *out = fopen(file, "we");
    assert_non_null(out);
    fclose(out);
    assert_int_equal(vm_state_save(&vm_state, directory, UUID, &failure), -1);
    assert_non_null(strstr(failure.message, "vms/" UUID));
}

#define OTHER_UUID "11111111-1d52-d8f3-2516-782e98ab3fa0"

static void what_any_vm_has_taken_is_found(void **state) {
    (void)state;
    size_t count;
    char driver[64] = "x", *temporary = memory_printf("%s.new", path);
    struct vm_state vm_state = {.id = 7}, second = {.id = 8};
    assert_false(found_in_all("0000:03:00.0", driver));
    assert_string_equal(driver, "x");
    assert_true(take(&vm_state, "0000:03:00.0", "apex"));
    assert_false(take(&vm_state, "0000:03:00.0", "other"));
    assert_string_equal(vm_state_find_unbound(&vm_state, "0000:03:00.0")->driver, "apex");
    assert_null(vm_state_find_unbound(&vm_state, "0000:03:00.1"));
    save(&vm_state);
    assert_int_equal(rename(path, temporary), 0); /* of an engine that was killed */
    save(&vm_state);
    take(&second, "0000:04:00.0", NULL);
    assert_int_equal(vm_state_save(&second, directory, OTHER_UUID, &failure), 0);
    assert_true(found_in_all("0000:03:00.0", driver));
    assert_string_equal(driver, "apex");
    assert_true(found_in_all("0000:04:00.0", driver));
    assert_string_equal(driver, "");
    assert_false(found_in_all("0000:05:00.0", driver));
    char **all = vm_state_all(directory, &count);
    assert_int_equal(count, 2);
    assert_string_equal(all[0], OTHER_UUID);
    assert_string_equal(all[1], UUID);
    free(all[0]);
    free(all[1]);
    free((void *)all);
    free(temporary);
    vm_state_finish(&vm_state);
    vm_state_finish(&second);
}

static void time_goes_on(void **state) {
    (void)state;
    assert_true(vm_state_now() > 0);
    assert_true(vm_state_now() == vm_state_now());
}

static void what_a_killed_engine_left_goes_with_the_life(void **state) {
    (void)state;
    struct vm_state vm_state = {.id = 1, .restarted = true};
    char temporary[sizeof path + 8];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    save(&vm_state);
    assert_int_equal(rename(path, temporary), 0);
    assert_true(vm_state_exists(directory, UUID));
    assert_false(vm_state_load(&vm_state, directory, UUID));
    save(&vm_state);
    assert_false(vm_state_exists(directory, UUID));
    assert_int_not_equal(access(temporary, F_OK), 0);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_a_killed_engine_left_goes_with_the_life),
        TEST(nothing_is_known_at_first),
        TEST(what_is_saved_is_read),
        TEST(settings_of_functions_are_kept),
        TEST(settings_of_the_host_are_kept),
        TEST(a_new_start_is_begun),
        TEST(another_function_is_noted_anew),
        TEST(what_a_person_took_out_is_of_one_life),
        TEST(parking_is_of_one_start),
        TEST(an_ended_vm_is_not_parked),
        TEST(an_empty_life_is_no_file),
        TEST(no_temporary_file_stays),
        TEST(another_boot_is_another_life),
        TEST(broken_files_count_as_nothing),
        TEST(a_place_that_cannot_be_written),
        TEST(what_any_vm_has_taken_is_found),
        TEST(time_goes_on),
        TEST(any_byte_may_be_damaged),
        TEST(lines_that_are_taken_out_are_missed),
        TEST(damage_is_kept_in_mind),
        TEST(what_cannot_be_read_is_not_written_over),
        TEST(the_older_form_is_said),
        TEST(a_start_is_known_again),
        TEST(starts_that_differ),
        TEST(a_later_start_is_not_written_over),
        TEST(the_process_tells_one_start_from_the_next),
        TEST(the_last_result_of_each_device),
        TEST(there_is_no_end_of_devices),
        TEST(programs_are_no_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
