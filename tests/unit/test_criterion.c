/* What two conditions say together. */
#include "front.h"
#include "parser/criterion.h"

enum { EXCLUDES = 1, IMPLIES = 2, FOLLOWS = 4 }; /* FOLLOWS: the other implies the one */

static void test_pairs(void **state) {
    (void)state;
    static const struct {
        const char *one, *other;
        unsigned answers;
    } rows[] = {
        {"pci", "usb", EXCLUDES},
        {"pci", "scsi", EXCLUDES},
        {"not pci", "usb", FOLLOWS},
        {"not pci", "not usb", 0},
        {"not pci", "scsi", FOLLOWS},
        {"not scsi", "pci", FOLLOWS},
        {"not scsi", "class 03", FOLLOWS},
        {"not scsi", "serial \"a\"", 0},
        {"not pci", "serial \"a\"", FOLLOWS},
        {"usb", "serial \"a\"", 0},
        {"pci", "serial \"a\"", EXCLUDES},
        {"scsi", "class 03", EXCLUDES},
        {"scsi", "1ac1:089a", EXCLUDES},
        {"scsi", "scsi \"3:0:0:0\"", FOLLOWS},
        {"usb", "scsi \"3:0:0:0\"", EXCLUDES},
        {"scsi \"3:0:0:0\"", "scsi \"3:0:0:1\"", EXCLUDES},
        {"scsi \"3:0:0:0\"", "not scsi \"3:0:0:0\"", EXCLUDES},
        {"scsi \"3:0:0:0\"", "product \"x\"", 0},
        {"pci", "vf of 8086:1572", FOLLOWS},
        {"usb", "vf of 8086:1572", EXCLUDES},
        {"scsi", "vf of 8086:1572", EXCLUDES},
        {"class 02", "vf of 8086:1572", 0},
        {"vf 3 of 8086:1572", "vf 4 of 8086:1572", EXCLUDES},
        {"vf 3 of 8086:1572", "vf of 8086:1572", IMPLIES},
        {"vf 3 of 8086:1572", "vf of 8086:*", IMPLIES},
        {"vf of 8086:1572 at 41:00.0", "vf of 8086:1572", IMPLIES},
        {"vf of at 41:00.0", "vf of at 41:00.1", EXCLUDES},
        {"vf of 8086:1572", "vf of at 41:00.1", 0},
        {"vf of class 02", "vf of class 0200 at 41:00.1", FOLLOWS},
        {"vf of 8086:1572", "not vf of 8086:*", EXCLUDES},
        {"vf of 8086:1572", "not vf 3 of 8086:1572", 0},
        {"vf 4 of 8086:1572", "not vf 3 of 8086:1572", IMPLIES},
        {"not pci", "port 1-1", FOLLOWS},
        {"pci", "port 1-1", EXCLUDES},
        {"usb", "interface 03", FOLLOWS},
        {"usb", "1ac1:089a", 0},
        {"not usb", "at 03:00.0", FOLLOWS},
        {"pci", "at 03:00.0", FOLLOWS},
        {"not at 03:00.0", "at 03:00.0", EXCLUDES},
        {"not at 03:00.*", "at 03:00.0", EXCLUDES},
        {"not at 03:00.0", "at 03:00.*", 0},
        {"at 03:00.0", "not at 04:00.0", IMPLIES},
        {"class 0301", "not class 03", EXCLUDES},
        {"class 03", "not class 0301", 0},
        {"not class 03", "not class 0301", IMPLIES},
        {"class 03", "class 0301", FOLLOWS},
        {"class 03", "class 02", EXCLUDES},
        {"class 02", "not class 03", IMPLIES},
        {"interface 03", "interface 02", 0},
        {"interface 0301", "interface 03", IMPLIES},
        {"interface 0301", "not interface 03", EXCLUDES},
        {"10de:*", "10de:1eb8", FOLLOWS},
        {"10de:*", "not 10de:1eb8", 0},
        {"10de:1eb8", "not 10de:*", EXCLUDES},
        {"port 1-1.*", "port 1-1.4", FOLLOWS},
        {"port 1-1.*", "port 1-2", EXCLUDES},
        {"port 1-1.*", "port ?-1.2", 0},
        {"port 1-1.*", "port [23]-1.2", EXCLUDES},
        {"port 1-1.4", "not port 1-1.*", EXCLUDES},
        {"below port 1-1", "port 1-1", EXCLUDES},
        {"below port 1-1", "port 1-1.4", FOLLOWS},
        {"below port 1-1", "port 1-1.4.2", FOLLOWS},
        {"below port 1-1", "port 1-10", EXCLUDES},
        {"below port 1-1", "port 1-1.*", IMPLIES | FOLLOWS},
        {"below port 1-1", "port 1-*", IMPLIES},
        {"below port 1-1", "port 1-1?*", 0},
        {"below port 1-1", "port 2-*", EXCLUDES},
        {"below port 1-1", "below port 1-1.4", FOLLOWS},
        {"below port 1-1", "below port 1-1", IMPLIES | FOLLOWS},
        {"below port 1-1", "below port 1-10", EXCLUDES},
        {"below port 1-1.4", "port 1-1.*", IMPLIES},
        {"not below port 1-1", "port 1-1.4", EXCLUDES},
        {"not below port 1-1", "port 1-1", FOLLOWS},
        {"serial \"a\"", "serial \"b\"", EXCLUDES},
        {"serial \"ab\"", "serial like \"a*\"", IMPLIES},
        {"serial \"ab\"", "serial like \"b*\"", EXCLUDES},
        {"serial like \"a*\"", "serial like \"b*\"", EXCLUDES},
        {"serial like \"a*\"", "serial like \"*b\"", 0},
        {"serial \"a*\"", "serial like \"a*\"", IMPLIES},
        {"product \"a\"", "manufacturer \"b\"", 0},
        {"product \"a\"", "not product \"a\"", EXCLUDES},
        {"product \"a\"", "usb", 0},
        {"driver a", "driver b", 0},
        {"driver a", "not driver a", EXCLUDES},
        {"driver a", "usb", 0},
        {"driver a", "scsi", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct front front;
        char *text = memory_printf("device a is %s %s", rows[i].one, rows[i].other);
        front_parse(&front, text);
        assert_int_equal(front.diagnostics.count, 0);
        const struct criterion *one = front.syntax.definitions->device, *other = one->next;
        unsigned answers = (criterion_excludes(one, other) ? EXCLUDES : 0) |
                           (criterion_implies(one, other) ? IMPLIES : 0) |
                           (criterion_implies(other, one) ? FOLLOWS : 0);
        if (answers != rows[i].answers)
            fail_msg("%s: %u, not %u", text, answers, rows[i].answers);
        assert_int_equal(criterion_excludes(other, one), criterion_excludes(one, other));
        free(text);
        front_finish(&front);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pairs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
