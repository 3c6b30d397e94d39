/* Calls that have not returned, on disk. */
#include "tests/unit/sample.h"

#include "engine/state/pending.h"

#include <sys/stat.h>
#include <unistd.h>

#define UUID "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"

static char directory[64], path[128];

static int set_up(void **state) {
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/virt-rules-test-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/vms/" UUID ".call", directory);
    return 0;
}

static int tear_down(void **state) {
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command); /* NOLINT(cert-env33-c): a path of this test */
}

static void a_call_is_there_until_it_ends(void **state) {
    (void)state;
    size_t count;
    assert_false(pending_exists(directory, UUID));
    pending_begin(directory, UUID, "attach", "0000:03:00.0", 0);
    pending_begin(directory, UUID, "reset", "", 0);
    struct pending_call *calls = pending_load(directory, UUID, &count);
    assert_int_equal(count, 2);
    assert_string_equal(calls[0].verb, "attach");
    assert_string_equal(calls[0].device, "0000:03:00.0");
    assert_string_equal(calls[1].device, "-");
    assert_int_equal(calls[0].process, getpid());
    assert_true(pending_is_running(&calls[0]));
    free(calls);
    pending_end(directory, UUID, "0000:03:00.0");
    pending_end(directory, UUID, "-");
    assert_false(pending_exists(directory, UUID));
}

static void put_file(const char *text, size_t size) {
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

static void look_at_damaged(void) {
    size_t count;
    struct pending_call *calls = pending_load(directory, UUID, &count);
    assert_true(count < 2);
    if (count)
        assert_true(!strcmp(calls[0].device, "0000:03:00.0") || !strcmp(calls[0].device, "1-1.4"));
    free(calls);
    free(pending_text(directory, UUID));
}

static void any_byte_may_be_damaged(void **state) {
    (void)state;
    static const char fresh[] = {'\0', '\n', ' ', '0', '\xff'};
    char text[1024] = "";
    pending_begin(directory, UUID, "attach", "0000:03:00.0", 0);
    pending_begin(directory, UUID, "detach", "1-1.4", 0);
    FILE *in = fopen(path, "re");
    assert_non_null(in);
    size_t size = fread(text, 1, sizeof text - 1, in);
    fclose(in);
    for (size_t at = 0; at < size; at++) {
        char was = text[at];
        for (int bit = 0; bit < 8; bit++) {
            text[at] = (char)(was ^ 1 << bit);
            put_file(text, size);
            look_at_damaged();
        }
        for (size_t i = 0; i < sizeof fresh; i++) {
            text[at] = fresh[i];
            put_file(text, size);
            if (was != fresh[i])
                look_at_damaged();
        }
        text[at] = was;
        put_file(text, at);
        look_at_damaged();
    }
}

static void damage_is_told(void **state) {
    (void)state;
    assert_null(pending_ignored(directory, UUID));
    pending_begin(directory, UUID, "attach", "0000:03:00.0", 0);
    assert_null(pending_ignored(directory, UUID));
    put_file("call of nobody 00000000\n", 24);
    char *text = pending_ignored(directory, UUID);
    assert_non_null(text);
    assert_non_null(strstr(text, ".call is damaged: 1 of its lines ignored"));
    free(text);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("elsewhere", path), 0);
    text = pending_ignored(directory, UUID);
    assert_non_null(text);
    assert_non_null(strstr(text, ".call cannot be read: "));
    free(text);
}

/* With no space for a new file, an unbind that the kernel is at is kept, another call is not. */
static void an_unbind_is_not_lost(void **state) {
    (void)state;
    size_t count;
    char temporary[160];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    pending_begin(directory, UUID, "unbind", "0000:03:00.0", 0);
    assert_int_equal(mkdir(temporary, 0700), 0);
    pending_begin(directory, UUID, "attach", "0000:04:00.0", 0);
    struct pending_call *calls = pending_load(directory, UUID, &count);
    assert_int_equal(count, 1);
    assert_string_equal(calls[0].verb, "unbind");
    free(calls);
    pending_forget(directory, UUID, "0000:03:00.0");
    assert_int_equal(access(path, F_OK), -1);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_call_is_there_until_it_ends),
        TEST(any_byte_may_be_damaged),
        TEST(damage_is_told),
        TEST(an_unbind_is_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
