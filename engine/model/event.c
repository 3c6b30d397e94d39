#include "engine/model/event.h"

bool event_can_attach(enum event_name name) {
    return name == EVENT_STARTED || name == EVENT_RECONNECT || name == EVENT_PLUGGED ||
           name == EVENT_UNPLUGGED;
}
