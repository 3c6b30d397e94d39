/* Any bytes as libvirt's XML of a domain. */
#include "engine/domain.h"

#include <stdlib.h>
#include <string.h>

static void expect(bool truth) {
    if (!truth)
        abort();
}

static void look_at(const struct domain *domain) {
    expect(domain->name && *domain->name);
    expect(!domain->title || *domain->title);
    expect(!domain->uuid || strlen(domain->uuid) == 36);
    expect(domain->guest.fixed_ports + domain->guest.spare_ports <= domain->guest.root_ports);
    expect(domain_is_called(domain, domain->name));
    expect(*domain_label(domain));
    for (size_t i = 0; i < domain->hostdev_count; i++)
        expect(memchr(domain->hostdevs[i].address, 0, sizeof domain->hostdevs[i].address) &&
               memchr(domain->hostdevs[i].alias, 0, sizeof domain->hostdevs[i].alias));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct domain domain;
    char error[256] = "";
    if (domain_parse(&domain, (const char *)data, size, error, sizeof error) == 0) {
        look_at(&domain);
        domain_finish(&domain);
    } else {
        expect(*error && !strchr(error, '\n'));
    }
    return 0;
}
