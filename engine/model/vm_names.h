/* What a person may have meant by a name that no VM has: the same words in every command. */
#ifndef ENGINE_VM_NAMES_H
#define ENGINE_VM_NAMES_H

#include "engine/model/domain.h"

/* The message; %s is the word. */
#define VM_NAMES_UNKNOWN "no VM has the UUID, name or title '%s'"

/* "did you mean 'frigate'?", or which VMs there are. The caller frees it. */
char *vm_names_hint(const char *word, const struct domain *list, size_t count);

#endif
