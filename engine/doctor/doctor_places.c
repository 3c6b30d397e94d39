/* Checks of where this installation and libvirt are: which file, library and socket is used, and
 * why. */
#include "engine/doctor/doctor.h"

#include "engine/libvirt/libvirt_places.h"
#include "engine/rules/conf_check.h"
#include "engine/rules/rule_file.h"

#include <stdlib.h>
#include <string.h>

/* --- virt-rules.conf */

/* "uri, library", or "nothing"; the caller frees it. */
static char *doctor_places_settings(const struct conf *conf) {
    char *text = memory_strdup("");
    for (int i = 0; i < CONF_KEYS; i++)
        if (*conf->values[i])
            memory_append(&text, "%s%s", *text ? ", " : "", conf_key_name((enum conf_key)i));
    if (!*text)
        memory_append(&text, "nothing");
    return text;
}

void doctor_places_conf(struct doctor *doctor, struct doctor_findings *findings) {
    const struct layout *layout = doctor->layout;
    struct diagnostics diagnostics = {0};
    struct source source;
    if (!conf_check(&source, layout->file, &diagnostics)) {
        doctor_ok(findings, "there is no %s, so nothing is set", layout->file);
        return;
    }
    for (size_t i = 0; i < diagnostics.count; i++) {
        char *line = diagnostic_line(&diagnostics.list[i]);
        doctor_failed(findings, "%s", line);
        doctor_hint(findings, "%s", diagnostics.list[i].hint);
        free(line);
    }
    char *settings = doctor_places_settings(&layout->conf);
    doctor_ok(findings, "%s sets %s", layout->file, settings);
    free(settings);
    diagnostic_finish_list(&diagnostics);
    source_finish(&source);
}

/* --- the library */

static void doctor_places_list_libraries(const struct doctor *doctor,
                                         struct doctor_findings *findings) {
    struct libvirt_places places;
    libvirt_places_libraries(&places, &doctor->tree, doctor->layout);
    if (places.count)
        doctor_ok(findings, "%s: %s; not loaded: --sysroot is another host", places.list[0].name,
                  places.list[0].why);
    else
        doctor_unknown(findings, "the library is in none of the known directories of this "
                                 "tree; the host's loader may find it in another");
    libvirt_places_finish(&places);
}

/* For the library, or for its directory when that is what others may change. */
static void doctor_places_hint_trust(struct doctor_findings *findings, const char *library) {
    struct stat status;
    bool is_file = stat(library, &status) < 0 || !source_is_trusted(status.st_uid, status.st_mode);
    char *directory = rule_file_directory_of(library);
    char *hint = source_trust_hint("", is_file ? library : directory);
    doctor_hint(findings, "%s", hint);
    free(directory);
    free(hint);
}

/* Whether the library that the file sets is not the one in use, which is reported. */
static void doctor_places_judge_set(const struct doctor *doctor, const char *used,
                                    struct doctor_findings *findings) {
    bool is_trusted;
    char *set = libvirt_places_set_library(&doctor->tree, doctor->layout, &is_trusted);
    char *why = memory_printf("%s sets it", doctor->layout->file);
    if (set && !is_trusted) {
        doctor_failed(findings,
                      "%s, which %s sets, may be changed by users other than root, so it "
                      "is not loaded",
                      set, doctor->layout->file);
        doctor_places_hint_trust(findings, set);
    } else if (set && (!used || strcmp(used, why) != 0)) {
        doctor_failed(findings, "%s, which %s sets, does not load", set, doctor->layout->file);
        doctor_hint(findings,
                    "'ldd %s' says what it needs; name the file libvirt.so.0, with its "
                    "directory",
                    set);
    }
    free(why);
    free(set);
}

void doctor_places_library(struct doctor *doctor, struct doctor_findings *findings) {
    const struct libvirt_answer *answer = &doctor->libvirt;
    if (!answer->asked) {
        doctor_places_list_libraries(doctor, findings);
        return;
    }
    doctor_places_judge_set(doctor, answer->library_why, findings);
    if (answer->library)
        doctor_ok(findings, "%s: %s", answer->library, answer->library_why);
}

/* --- the socket */

void doctor_places_socket(struct doctor *doctor, struct doctor_findings *findings) {
    struct libvirt_places places;
    libvirt_places_uris(&places, &doctor->tree, doctor->layout);
    const struct libvirt_place *first = &places.list[0];
    if (conf_is_remote(first->name, strlen(first->name))) {
        doctor_failed(findings, "'%s' is the URI of another host: %s", first->name, first->why);
        doctor_hint(findings, CONF_LOCAL_HINT);
    } else if (!places.is_guess || (doctor->libvirt.asked && !doctor->libvirt.error)) {
        doctor_ok(findings, "%s: %s", first->name, first->why);
    } else if (!doctor->libvirt.asked) {
        doctor_unknown(findings, "no socket of libvirt is in this tree");
    } else {
        char *sockets = libvirt_places_sockets();
        doctor_warning(findings, "no socket of libvirt was found: looked for %s", sockets);
        free(sockets);
        doctor_hint(findings,
                    "start libvirt's daemon; if its socket is in another place, set uri "
                    "in %s",
                    doctor->layout->file);
    }
    libvirt_places_finish(&places);
}
