/* What is kept of a VM's life, on disk. */
#include "tests/unit/sample.h"

#include "engine/state/life.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#define UUID "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"

static char directory[64], path[128], error[256];

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

static void save(const struct life *life) {
    assert_int_equal(life_save(life, directory, UUID, error, sizeof error), 0);
}

/* Puts a text in the place of another in the file. */
static void change(const char *old, const char *fresh) {
    char text[1024] = "";
    FILE *file = fopen(path, "r+e");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    char *at = strstr(text, old);
    assert_non_null(at);
    char *changed = memory_printf("%.*s%s%s", (int)(at - text), text, fresh, at + strlen(old));
    rewind(file);
    assert_int_equal(ftruncate(fileno(file), 0), 0);
    fputs(changed, file);
    fclose(file);
    free(changed);
}

static void nothing_is_known_at_first(void **state) {
    (void)state;
    struct life life;
    assert_false(life_exists(directory, UUID));
    assert_false(life_load(&life, directory, UUID));
    assert_int_equal(life.id, -1);
    assert_false(life.restarted);
    assert_int_equal(life.taken_count, 0);
}

static void what_is_saved_is_read(void **state) {
    (void)state;
    struct stat file;
    struct life life = {.id = 7, .started = 123456789012, .restarted = true}, read;
    life_take(&life, "0000:03:00.0", "apex");
    life_take(&life, "0000:03:00.0", "again");
    life_take(&life, "0000:04:00.0", NULL);
    save(&life);
    life_finish(&life);
    assert_true(life_exists(directory, UUID));
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_true(life_load(&read, directory, UUID));
    assert_int_equal(read.id, 7);
    assert_true(read.started == 123456789012);
    assert_true(read.restarted);
    assert_int_equal(read.taken_count, 2);
    assert_string_equal(read.taken[0].address, "0000:03:00.0");
    assert_string_equal(read.taken[0].driver, "apex");
    assert_string_equal(read.taken[1].address, "0000:04:00.0");
    assert_null(read.taken[1].driver);
    life_give_back(&read, "0000:03:00.0");
    life_give_back(&read, "0000:09:00.0");
    assert_int_equal(read.taken_count, 1);
    assert_string_equal(read.taken[0].address, "0000:04:00.0");
    life_finish(&read);
}

static void what_a_person_took_out_is_of_one_life(void **state) {
    (void)state;
    struct life life = {.id = 7}, read;
    life_take(&life, "0000:03:00.0", "apex");
    life_dismiss(&life, "0000:04:00.0");
    life_dismiss(&life, "1-1.4");
    life_dismiss(&life, "1-1.4");
    assert_int_equal(life.dismissed_count, 2);
    save(&life);
    life_finish(&life);
    life_open(&read, directory, UUID, 7);
    assert_true(life_has_dismissed(&read, "0000:04:00.0"));
    assert_true(life_has_dismissed(&read, "1-1.4"));
    assert_false(life_has_dismissed(&read, "0000:03:00.0"));
    life_finish(&read);
    life_open(&read, directory, UUID, 8);
    assert_int_equal(read.id, 8);
    assert_int_equal(read.dismissed_count, 0);
    assert_int_equal(read.taken_count, 1);
    life_give_back(&read, "0000:03:00.0");
    save(&read);
    assert_false(life_exists(directory, UUID));
    life_finish(&read);
}

static void an_empty_life_is_no_file(void **state) {
    (void)state;
    struct life life = {.id = 7, .restarted = true};
    save(&life);
    assert_true(life_exists(directory, UUID));
    life.restarted = false;
    save(&life);
    assert_false(life_exists(directory, UUID));
    save(&life);
}

static void no_temporary_file_stays(void **state) {
    (void)state;
    struct life life = {.id = 7, .restarted = true};
    char folder[128];
    int found = 0;
    save(&life);
    snprintf(folder, sizeof folder, "%s/vms", directory);
    DIR *list = opendir(folder);
    assert_non_null(list);
    for (struct dirent *entry; (entry = readdir(list));)
        found += *entry->d_name != '.';
    closedir(list);
    assert_int_equal(found, 1);
}

static void another_boot_is_another_life(void **state) {
    (void)state;
    struct life life = {.id = 7, .restarted = true};
    save(&life);
    change("life ", "life 0");
    assert_false(life_load(&life, directory, UUID));
    assert_false(life.restarted);
}

static void broken_files_count_as_nothing(void **state) {
    (void)state;
    static const char *const texts[] = {
        "", "\n", "restarted\n", "life\n", "life x\nrestarted\n", "life x 1 y\nrestarted\n"};
    struct life life = {.id = 7, .restarted = true};
    save(&life);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        FILE *out = fopen(path, "we");
        assert_non_null(out);
        fputs(texts[i], out);
        fclose(out);
        assert_false(life_load(&life, directory, UUID));
        assert_false(life.restarted);
    }
}

static void a_place_that_cannot_be_written(void **state) {
    (void)state;
    struct life life = {.id = 7, .restarted = true};
    char file[128];
    snprintf(file, sizeof file, "%s/vms", directory);
    FILE *out = fopen(file, "we");
    assert_non_null(out);
    fclose(out);
    assert_int_equal(life_save(&life, directory, UUID, error, sizeof error), -1);
    assert_non_null(strstr(error, "vms/" UUID));
}

#define OTHER_UUID "11111111-1d52-d8f3-2516-782e98ab3fa0"

static void what_any_vm_has_taken_is_found(void **state) {
    (void)state;
    size_t count;
    char driver[64] = "x", *temporary = memory_printf("%s.new", path);
    struct life life = {.id = 7}, second = {.id = 8};
    assert_false(life_find_in_all(directory, "0000:03:00.0", driver, sizeof driver));
    assert_string_equal(driver, "x");
    assert_true(life_take(&life, "0000:03:00.0", "apex"));
    assert_false(life_take(&life, "0000:03:00.0", "other"));
    assert_string_equal(life_find_taken(&life, "0000:03:00.0")->driver, "apex");
    assert_null(life_find_taken(&life, "0000:03:00.1"));
    save(&life);
    assert_int_equal(rename(path, temporary), 0); /* of an engine that was killed */
    save(&life);
    life_take(&second, "0000:04:00.0", NULL);
    assert_int_equal(life_save(&second, directory, OTHER_UUID, error, sizeof error), 0);
    assert_true(life_find_in_all(directory, "0000:03:00.0", driver, sizeof driver));
    assert_string_equal(driver, "apex");
    assert_true(life_find_in_all(directory, "0000:04:00.0", driver, sizeof driver));
    assert_string_equal(driver, "");
    assert_false(life_find_in_all(directory, "0000:05:00.0", driver, sizeof driver));
    char **all = life_all(directory, &count);
    assert_int_equal(count, 2);
    assert_string_equal(all[0], OTHER_UUID);
    assert_string_equal(all[1], UUID);
    free(all[0]);
    free(all[1]);
    free((void *)all);
    free(temporary);
    life_finish(&life);
    life_finish(&second);
}

static void time_goes_on(void **state) {
    (void)state;
    assert_true(life_now() > 0);
    assert_true(life_now() == life_now());
}

static void what_a_killed_engine_left_goes_with_the_life(void **state) {
    (void)state;
    struct life life = {.id = 1, .restarted = true};
    char temporary[sizeof path + 8];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    save(&life);
    assert_int_equal(rename(path, temporary), 0);
    assert_true(life_exists(directory, UUID));
    assert_false(life_load(&life, directory, UUID));
    save(&life);
    assert_false(life_exists(directory, UUID));
    assert_int_not_equal(access(temporary, F_OK), 0);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_a_killed_engine_left_goes_with_the_life),
        TEST(nothing_is_known_at_first),
        TEST(what_is_saved_is_read),
        TEST(what_a_person_took_out_is_of_one_life),
        TEST(an_empty_life_is_no_file),
        TEST(no_temporary_file_stays),
        TEST(another_boot_is_another_life),
        TEST(broken_files_count_as_nothing),
        TEST(a_place_that_cannot_be_written),
        TEST(what_any_vm_has_taken_is_found),
        TEST(time_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
