/* A test that cannot run here. */
#ifndef TESTS_UNIT_SKIP_H
#define TESTS_UNIT_SKIP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Ends the test; tests/run prints `why`. */
#define skip_because(why)                                                                          \
    do {                                                                                           \
        print_message("skipped: %s: %s\n", __func__, why);                                         \
        skip();                                                                                    \
    } while (0)

#endif
