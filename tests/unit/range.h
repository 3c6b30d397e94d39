/* A number between two others, included: cmocka 2 has a new name for it, and warns of the old one.
 */
#ifndef TESTS_UNIT_RANGE_H
#define TESTS_UNIT_RANGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#ifndef assert_int_in_range
#define assert_int_in_range assert_in_range
#endif

#endif
