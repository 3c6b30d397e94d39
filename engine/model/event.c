#include "engine/model/event.h"

bool event_can_attach(enum event_name name) {
    return name < EVENT_COUNT && !scanner_why_no_attach(name);
}
