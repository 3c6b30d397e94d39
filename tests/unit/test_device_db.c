/* The changes at one slot, and the file that keeps them. */
#include "tests/unit/sample.h"

#include "engine/state/device_db.h"
#include "engine/state/state_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOOT "6a9b0c5e-0000-4000-8000-1234567890ab"
#define PLACE "usb-1-1.4"

static const struct device before = {SAMPLE_USB("1-1.4", 0x1a6e, 0x089a, 1, 5)},
                           after = {SAMPLE_USB("1-1.4", 0x18d1, 0x9302, 1, 6)},
                           card = {SAMPLE_PCI("0000:03:00.0", 0x1ac1, 0x089a, 0x088000)};

/* The changes, as "-1a6e:089a(5) +18d1:9302(6)", which the slot then has. */
static const char *notify(struct device_slot *slot, bool removed, const struct device *device,
                          uint64_t number, const struct device *now) {
    static char text[128];
    struct uevent uevent;
    uevent_of(&uevent, device, removed, number);
    struct device_changes changes = device_db_compare(slot, &uevent, now);
    size_t used = 0;
    *text = '\0';
    for (size_t i = 0; i < changes.unplugged_count; i++)
        used += (size_t)sprintf(text + used, "-%04x(%u) ", changes.unplugged[i]->id.vendor,
                                changes.unplugged[i]->device_number);
    if (changes.plugged)
        sprintf(text + used, "+%04x(%u) ", changes.plugged->id.vendor,
                changes.plugged->device_number);
    device_db_update(slot, &uevent, &changes);
    uevent_finish(&uevent);
    return text;
}

#define ADDED(DEVICE, NUMBER, NOW) notify(&slot, false, DEVICE, NUMBER, NOW)
#define REMOVED(DEVICE, NUMBER, NOW) notify(&slot, true, DEVICE, NUMBER, NOW)

static void one_after_the_other(void **state) {
    (void)state;
    struct device_slot slot = {0};
    assert_string_equal(ADDED(&before, 10, &before), "+1a6e(5) ");
    assert_string_equal(REMOVED(&before, 11, NULL), "-1a6e(5) ");
    assert_string_equal(ADDED(&after, 12, &after), "+18d1(6) ");
    assert_string_equal(REMOVED(&after, 13, NULL), "-18d1(6) ");
    device_db_finish(&slot);
}

/* The one that waits looks when the other has come already. */
static void a_removal_sees_what_came(void **state) {
    (void)state;
    struct device_slot slot = {0};
    ADDED(&before, 10, &before);
    assert_string_equal(REMOVED(&before, 11, &after), "-1a6e(5) +18d1(6) ");
    assert_string_equal(ADDED(&after, 12, &after), "");
    device_db_finish(&slot);
}

static void the_order_of_hearing_does_not_matter(void **state) {
    (void)state;
    struct device_slot slot = {0};
    ADDED(&before, 10, &before);
    assert_string_equal(ADDED(&after, 12, &after), "-1a6e(5) +18d1(6) ");
    assert_string_equal(REMOVED(&before, 11, &after), "");
    device_db_finish(&slot);
}

static void a_device_that_was_there_before_any_event(void **state) {
    (void)state;
    struct device_slot slot = {0};
    assert_string_equal(ADDED(&after, 12, &after), "+18d1(6) ");
    assert_string_equal(REMOVED(&before, 11, &after), "-1a6e(5) ");
    assert_string_equal(REMOVED(&before, 11, &after), "");
    device_db_finish(&slot);
}

static void no_event_is_handled_twice(void **state) {
    (void)state;
    struct device_slot slot = {0};
    ADDED(&before, 10, &before);
    assert_string_equal(ADDED(&before, 10, &before), "");
    assert_string_equal(REMOVED(&before, 11, NULL), "-1a6e(5) ");
    assert_string_equal(REMOVED(&before, 11, NULL), "");
    assert_string_equal(ADDED(&before, 10, NULL), "");
    device_db_finish(&slot);
}

/* It was added and removed while another process waited: no VM was notified of the first, but a
 * VM's start may have found the device. */
static void added_and_removed_meanwhile(void **state) {
    (void)state;
    struct device_slot slot = {0};
    assert_string_equal(ADDED(&before, 10, NULL), "-1a6e(5) ");
    assert_string_equal(REMOVED(&before, 11, NULL), "");
    device_db_finish(&slot);
}

/* The remove event comes before the device leaves sysfs. */
static void a_device_that_lingers_has_gone(void **state) {
    (void)state;
    struct device_slot slot = {0};
    ADDED(&before, 10, &before);
    assert_string_equal(REMOVED(&before, 11, &before), "-1a6e(5) ");
    assert_false(slot.is_here);
    device_db_finish(&slot);
}

static void a_card_that_comes_back_is_new(void **state) {
    (void)state;
    struct device_slot slot = {0};
    assert_string_equal(ADDED(&card, 10, &card), "+1ac1(0) ");
    assert_string_equal(REMOVED(&card, 11, &card), "-1ac1(0) +1ac1(0) ");
    assert_string_equal(ADDED(&card, 12, &card), "");
    assert_string_equal(REMOVED(&card, 11, &card), "");
    assert_string_equal(REMOVED(&card, 13, NULL), "-1ac1(0) ");
    assert_string_equal(REMOVED(&card, 13, NULL), "");
    assert_string_equal(ADDED(&card, 14, &card), "+1ac1(0) ");
    assert_string_equal(REMOVED(&card, 15, NULL), "-1ac1(0) ");
    device_db_finish(&slot);
}

/* It came in between, and its event was merged with another's. */
static void a_card_goes_twice(void **state) {
    (void)state;
    struct device_slot slot = {0};
    assert_string_equal(REMOVED(&card, 11, NULL), "-1ac1(0) ");
    assert_string_equal(REMOVED(&card, 11, NULL), "");
    assert_string_equal(REMOVED(&card, 13, NULL), "-1ac1(0) ");
    device_db_finish(&slot);
}

static void an_event_by_hand_is_handled_again(void **state) {
    (void)state;
    struct device_slot slot = {0};
    ADDED(&before, 10, &before);
    assert_string_equal(ADDED(&before, 0, &before), "+1a6e(5) ");
    assert_string_equal(REMOVED(&before, 0, NULL), "-1a6e(5) ");
    assert_string_equal(REMOVED(&before, 0, NULL), "-1a6e(5) ");
    assert_false(slot.is_here);
    assert_int_equal(slot.seqnum, 10);
    device_db_finish(&slot);
}

/* --- the file */

static char directory[64];

static int set_up(void **state) {
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/virt-rules-test-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command); /* NOLINT(cert-env33-c): a path of this test */
}

static void assert_device(const struct device *seen, const struct device *wanted) {
    assert_true(device_is_same(seen, wanted));
    assert_int_equal(seen->class_code, wanted->class_code);
    assert_int_equal(seen->subsystem.vendor, wanted->subsystem.vendor);
    assert_int_equal(seen->subsystem.device, wanted->subsystem.device);
    assert_int_equal(seen->is_bridge, wanted->is_bridge);
    if (wanted->serial)
        assert_string_equal(seen->serial, wanted->serial);
    else
        assert_null(seen->serial);
    assert_non_null(seen->name);
}

static void assert_text(const char *seen, const char *wanted) {
    assert_string_equal(seen ? seen : "none", wanted ? wanted : "none");
}

static void assert_facts(const struct device *seen, const struct device *wanted) {
    assert_text(seen->manufacturer, wanted->manufacturer);
    assert_text(seen->product, wanted->product);
    assert_text(seen->driver, wanted->driver);
    assert_int_equal(seen->speed, wanted->speed);
    assert_int_equal(seen->unknown, wanted->unknown);
    assert_int_equal(seen->interface_count, wanted->interface_count);
    for (size_t i = 0; i < wanted->interface_count; i++) {
        assert_int_equal(seen->interfaces[i].class_code, wanted->interfaces[i].class_code);
        assert_text(seen->interfaces[i].driver, wanted->interfaces[i].driver);
    }
}

static struct device_interface interfaces[] = {{0x0e0100, SAMPLE_TEXT("uvcvideo")},
                                               {0x010100, NULL}};

static void it_is_kept(void **state) {
    (void)state;
    struct device stick = before, old = card;
    char path[128];
    struct stat status;
    stick.serial = SAMPLE_TEXT("My serial  7 ");
    stick.class_code = 0xff0102;
    stick.manufacturer = SAMPLE_TEXT(" end ");
    stick.product = SAMPLE_TEXT("gone-product x");
    stick.driver = SAMPLE_TEXT("uvcvideo");
    stick.interfaces = interfaces;
    stick.interface_count = 2;
    stick.speed = 480;
    stick.unknown = DEVICE_UNKNOWN_SERIAL;
    old.driver = SAMPLE_TEXT("vfio-pci");
    old.subsystem = (struct device_id){0x1ac1, 0x0001};
    old.is_bridge = true;
    struct device_slot slot = {.boot = SAMPLE_TEXT(BOOT),
                               .seqnum = UINT64_MAX,
                               .is_here = true,
                               .has_gone = true,
                               .here = stick,
                               .gone = old};
    assert_int_equal(device_db_write(&slot, directory, PLACE), 0);
    struct device_slot read;
    device_db_read(&read, directory, PLACE, BOOT);
    assert_true(read.seqnum == UINT64_MAX && read.is_here && read.has_gone);
    assert_device(&read.here, &stick);
    assert_device(&read.gone, &old);
    assert_facts(&read.here, &stick);
    assert_facts(&read.gone, &old);
    device_db_finish(&read);
    snprintf(path, sizeof path, "%s/devices/" PLACE, directory);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    snprintf(path, sizeof path, "%s/devices/." PLACE, directory);
    assert_int_equal(access(path, F_OK), -1);
}

static void put_file(const char *path, const char *text, size_t size) {
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

/* Of an older version, which did not keep what is unknown, and of a later one. */
static void files_of_other_versions(void **state) {
    (void)state;
    char path[128];
    struct device_slot read;
    struct state_text file = {0};
    snprintf(path, sizeof path, "%s/devices", directory);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/devices/" PLACE, directory);
    state_file_add_line(&file, "boot %s 7", BOOT);
    state_file_add_line(&file, "here usb 1-1.4 1a6e:089a 0000:0000 ff0000 1/5 0 A 1");
    struct state_text later = {memory_strndup(file.text, file.size), file.size};
    state_file_add_line(&file, "end");
    put_file(path, file.text, file.size);
    device_db_read(&read, directory, PLACE, BOOT);
    assert_true(read.is_here && !read.damaged);
    assert_string_equal(read.here.serial, "A 1");
    assert_int_equal(read.here.unknown, DEVICE_UNKNOWN_ALL & ~DEVICE_UNKNOWN_SERIAL);
    assert_true(!read.here.product && !read.here.speed && !read.here.interface_count);
    device_db_finish(&read);
    state_file_add_line(&later, "here-facts 0 12 more");
    state_file_add_line(&later, "here-colour red");
    state_file_add_line(&later, "here-product  B");
    state_file_add_line(&later, "end");
    put_file(path, later.text, later.size);
    device_db_read(&read, directory, PLACE, BOOT);
    assert_true(read.is_here && !read.damaged && !read.here.unknown && read.here.speed == 12);
    assert_string_equal(read.here.product, " B");
    device_db_finish(&read);
    free(file.text);
    free(later.text);
}

static void of_another_start_nothing_counts(void **state) {
    (void)state;
    struct device_slot slot = {.boot = SAMPLE_TEXT("another"),
                               .seqnum = 5,
                               .is_here = true,
                               .here = before},
                       read;
    assert_int_equal(device_db_write(&slot, directory, PLACE), 0);
    device_db_read(&read, directory, PLACE, BOOT);
    assert_true(!read.is_here && !read.seqnum);
    device_db_finish(&read);
    device_db_read(&read, directory, PLACE, "");
    assert_false(read.is_here);
    device_db_finish(&read);
    device_db_read(&read, directory, "usb-9-9", BOOT);
    assert_false(read.is_here);
    device_db_finish(&read);
}

static void without_a_name_of_the_start(void **state) {
    (void)state;
    struct device_slot slot = {.boot = SAMPLE_TEXT(""), .is_here = true, .here = before}, read;
    assert_int_equal(device_db_write(&slot, directory, PLACE), 0);
    device_db_read(&read, directory, PLACE, "");
    assert_true(read.is_here);
    device_db_finish(&read);
}

static void a_torn_file_is_none(void **state) {
    (void)state;
    static const char *const texts[] = {"", "boot", "boot " BOOT, "boot " BOOT " 7\nhere usb",
                                        "boot " BOOT " 7\nhere usb 1-1.4 1a6e:089a 0000:0000 0 1/"};
    char path[128];
    struct device_slot read;
    snprintf(path, sizeof path, "%s/devices", directory);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/devices/" PLACE, directory);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        FILE *out = fopen(path, "we");
        fputs(texts[i], out);
        fclose(out);
        device_db_read(&read, directory, PLACE, BOOT);
        assert_false(read.is_here);
        assert_true(read.damaged);
        device_db_finish(&read);
    }
}

/* Nothing is read that was not written. */
static void look_at_damaged(const struct device *here, const struct device *gone) {
    struct device_slot read;
    device_db_read(&read, directory, PLACE, BOOT);
    assert_true(read.damaged);
    if (read.is_here)
        assert_device(&read.here, here);
    if (read.has_gone)
        assert_device(&read.gone, gone);
    assert_int_equal(read.here.unknown, DEVICE_UNKNOWN_ALL);
    device_db_finish(&read);
}

static void any_byte_may_be_damaged(void **state) {
    (void)state;
    static const char fresh[] = {'\0', '\n', ' ', '0', '\xff'};
    struct device stick = before;
    stick.serial = SAMPLE_TEXT("My serial  7 ");
    stick.product = SAMPLE_TEXT("Stick");
    struct device_slot slot = {.boot = SAMPLE_TEXT(BOOT),
                               .seqnum = 7,
                               .is_here = true,
                               .has_gone = true,
                               .here = stick,
                               .gone = card};
    char path[128], text[1024] = "";
    snprintf(path, sizeof path, "%s/devices/" PLACE, directory);
    assert_int_equal(device_db_write(&slot, directory, PLACE), 0);
    FILE *in = fopen(path, "re");
    size_t size = fread(text, 1, sizeof text - 1, in);
    fclose(in);
    for (size_t at = 0; at < size; at++) {
        char was = text[at];
        for (int bit = 0; bit < 8; bit++) {
            text[at] = (char)(was ^ 1 << bit);
            put_file(path, text, size);
            look_at_damaged(&stick, &card);
        }
        for (size_t i = 0; i < sizeof fresh; i++) {
            text[at] = fresh[i];
            put_file(path, text, size);
            if (was != fresh[i])
                look_at_damaged(&stick, &card);
        }
        text[at] = was;
        put_file(path, text, at);
        look_at_damaged(&stick, &card);
    }
}

static void all_places(void **state) {
    (void)state;
    struct device_slot here = {.boot = SAMPLE_TEXT(BOOT), .is_here = true, .here = before},
                       gone = {.boot = SAMPLE_TEXT(BOOT), .has_gone = true, .gone = card};
    size_t count = 7;
    assert_null(device_db_all(directory, BOOT, &count));
    assert_int_equal(count, 0);
    assert_int_equal(device_db_write(&here, directory, PLACE), 0);
    assert_int_equal(device_db_write(&gone, directory, "pci-0000:03:00.0"), 0);
    struct device *all = device_db_all(directory, BOOT, &count);
    assert_int_equal(count, 1);
    assert_device(&all[0], &before);
    device_finish(&all[0]);
    free(all);
    assert_null(device_db_all(directory, "another", &count));
}

static void what_cannot_be_written(void **state) {
    (void)state;
    struct device_slot slot = {.boot = SAMPLE_TEXT(BOOT)};
    assert_int_equal(device_db_write(&slot, "/proc/nonexistent", PLACE), -1);
    char *place = device_db_slot(&card);
    assert_string_equal(place, "pci-0000:03:00.0");
    free(place);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_after_the_other),
        cmocka_unit_test(a_removal_sees_what_came),
        cmocka_unit_test(the_order_of_hearing_does_not_matter),
        cmocka_unit_test(a_device_that_was_there_before_any_event),
        cmocka_unit_test(no_event_is_handled_twice),
        cmocka_unit_test(added_and_removed_meanwhile),
        cmocka_unit_test(a_device_that_lingers_has_gone),
        cmocka_unit_test(a_card_that_comes_back_is_new),
        cmocka_unit_test(a_card_goes_twice),
        cmocka_unit_test(an_event_by_hand_is_handled_again),
        TEST(it_is_kept),
        TEST(files_of_other_versions),
        TEST(of_another_start_nothing_counts),
        TEST(without_a_name_of_the_start),
        TEST(a_torn_file_is_none),
        TEST(any_byte_may_be_damaged),
        TEST(all_places),
        TEST(what_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
