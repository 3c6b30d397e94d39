/*
 * The host as a picture, SVG 1.1: IOMMU groups as boxes with a card for each device, in one column
 * or two, and the VMs between them with a line to each device that they have or get by a rule. It
 * needs no other file. Whatever font a viewer has, texts stay in their cards: they are cut where a
 * usual font ends, and clipped.
 */
#include "engine/command/devices_view.h"

#include "engine/model/device_class.h"
#include "engine/rules/match.h"
#include "lexer/memory.h"
#include "lexer/text.h"

#include <stdlib.h>
#include <string.h>

/* All in pixels. */
enum {
    MARGIN = 24,
    HEAD = 98, /* title and legend */
    CARD_WIDTH = 430,
    CARD_HEIGHT = 46,
    CARD_GAP = 8,
    BOX_PAD = 12,
    BOX_HEAD = 28,
    BOX_GAP = 16,
    BOX_WIDTH = CARD_WIDTH + 2 * BOX_PAD,
    VM_WIDTH = 230,
    VM_HEAD = 34,
    VM_LINE = 20,
    VM_GAP = 24,
    LANE = 110,        /* between a column and the VMs, for the lines */
    ONE_COLUMN = 7,    /* as many cards fit below each other on a screen */
    NAME_COLUMNS = 48, /* of a card's text, at 8.5 pixels */
    PLACE_COLUMNS = 62,
    VM_COLUMNS = 27,
};

struct picture_box {
    char *title;
    enum bus bus;
    size_t key; /* the group, or the row of the controller; SIZE_MAX: none */
    size_t *rows;
    size_t count;
    int x, y, height;
};

struct picture_link {
    size_t row;
    bool has; /* the VM has it; else it gets it by a rule */
};

struct picture_vm {
    char *name;
    struct picture_link *links;
    size_t count;
    int x, y, height;
};

struct picture {
    FILE *out;
    const struct devices_view *view;
    struct picture_box *boxes;
    size_t box_count;
    struct picture_vm *vms;
    size_t vm_count;
    int *card_x, *card_y; /* for each row; x 0: it has no card */
    int width, height;
    bool has_two_columns;
};

/* --- what is shown */

/* The controller that a USB or SCSI device is connected to. */
static size_t devices_svg_controller(const struct inventory *inventory, size_t row) {
    size_t steps = 0;
    while (row != SIZE_MAX && inventory->rows[row].device->bus != BUS_PCI &&
           steps++ <= inventory->count)
        row = inventory->rows[row].above;
    return row;
}

static char *devices_svg_box_title(const struct inventory *inventory, enum bus bus, size_t key) {
    if (bus == BUS_PCI)
        return key == SIZE_MAX ? memory_strdup("no IOMMU group")
                               : memory_printf("IOMMU group %zu", key);
    return key == SIZE_MAX ? memory_strdup(device_bus(bus)->label)
                           : memory_printf("%s at %s", device_bus(bus)->label,
                                           inventory->rows[key].device->address);
}

static void devices_svg_add_card(struct picture *picture, size_t row) {
    const struct inventory *inventory = picture->view->inventory;
    const struct device *device = inventory->rows[row].device;
    size_t key = device->bus != BUS_PCI    ? devices_svg_controller(inventory, row)
                 : device->iommu_group < 0 ? SIZE_MAX
                                           : (size_t)device->iommu_group;
    size_t i = 0;
    while (i < picture->box_count &&
           (picture->boxes[i].bus != device->bus || picture->boxes[i].key != key))
        i++;
    if (i == picture->box_count) {
        picture->boxes = memory_grow(picture->boxes, i, sizeof *picture->boxes);
        picture->boxes[picture->box_count++] =
            (struct picture_box){.title = devices_svg_box_title(inventory, device->bus, key),
                                 .bus = device->bus,
                                 .key = key};
    }
    struct picture_box *box = &picture->boxes[i];
    box->rows = memory_grow(box->rows, box->count, sizeof *box->rows);
    box->rows[box->count++] = row;
}

static void devices_svg_collect_cards(struct picture *picture) {
    const struct inventory *inventory = picture->view->inventory;
    const struct inventory_row **order = inventory_order(inventory);
    for (size_t i = 0; i < inventory->count; i++) {
        size_t row = (size_t)(order[i] - inventory->rows);
        if (picture->view->shown[row] &&
            (picture->view->has_words || order[i]->state != INVENTORY_INTERNAL))
            devices_svg_add_card(picture, row);
    }
    free((void *)order);
}

static void devices_svg_link(struct picture *picture, const char *name, size_t row, bool has) {
    size_t i = 0;
    while (i < picture->vm_count && strcmp(picture->vms[i].name, name) != 0)
        i++;
    if (i == picture->vm_count) {
        picture->vms = memory_grow(picture->vms, i, sizeof *picture->vms);
        picture->vms[picture->vm_count++] = (struct picture_vm){.name = memory_strdup(name)};
    }
    struct picture_vm *vm = &picture->vms[i];
    for (size_t j = 0; j < vm->count; j++)
        if (vm->links[j].row == row)
            return;
    vm->links = memory_grow(vm->links, vm->count, sizeof *vm->links);
    vm->links[vm->count++] = (struct picture_link){row, has};
}

/* A running VM that the word of a rule is for, else the word. */
static void devices_svg_link_word(struct picture *picture, const struct word *word, size_t row) {
    const struct inventory *inventory = picture->view->inventory;
    bool is_running = false;
    if (word->kind == WORD_ANY) {
        devices_svg_link(picture, "any VM", row, false);
        return;
    }
    for (size_t i = 0; i < inventory->vm_count; i++)
        if (match_vm(word, &inventory->vms[i])) {
            devices_svg_link(picture, domain_label(&inventory->vms[i]), row, false);
            is_running = true;
        }
    if (!is_running)
        devices_svg_link(picture, word->text, row, false);
}

static void devices_svg_collect_vms(struct picture *picture) {
    const struct inventory *inventory = picture->view->inventory;
    for (size_t i = 0; i < picture->box_count; i++)
        for (size_t j = 0; j < picture->boxes[i].count; j++) {
            const struct inventory_row *row = &inventory->rows[picture->boxes[i].rows[j]];
            if (row->held)
                devices_svg_link(picture, domain_label(row->held->vm), picture->boxes[i].rows[j],
                                 true);
            for (size_t k = 0; k < row->rule_count; k++)
                for (const struct word *word = row->rules[k].can ? row->rules[k].rule->vms : NULL;
                     word; word = word->next)
                    devices_svg_link_word(picture, word, picture->boxes[i].rows[j]);
        }
}

/* --- where it is */

static int devices_svg_box_height(const struct picture_box *box) {
    return BOX_HEAD + (int)box->count * (CARD_HEIGHT + CARD_GAP) - CARD_GAP + BOX_PAD;
}

static void devices_svg_place_box(struct picture *picture, struct picture_box *box, int x, int *y) {
    box->x = x;
    box->y = *y;
    box->height = devices_svg_box_height(box);
    for (size_t i = 0; i < box->count; i++) {
        picture->card_x[box->rows[i]] = x + BOX_PAD;
        picture->card_y[box->rows[i]] = *y + BOX_HEAD + (int)i * (CARD_HEIGHT + CARD_GAP);
    }
    *y += box->height + BOX_GAP;
}

static void devices_svg_place(struct picture *picture) {
    int total = 0, vms = -VM_GAP, y[2] = {HEAD, HEAD};
    size_t cards = 0;
    for (size_t i = 0; i < picture->box_count; i++) {
        total += devices_svg_box_height(&picture->boxes[i]) + BOX_GAP;
        cards += picture->boxes[i].count;
    }
    picture->has_two_columns = cards > ONE_COLUMN && picture->box_count > 1;
    int vm_x = MARGIN + BOX_WIDTH + LANE;
    int right = picture->vm_count ? vm_x + VM_WIDTH + LANE : MARGIN + BOX_WIDTH + BOX_GAP;
    bool is_right = false;
    for (size_t i = 0; i < picture->box_count; i++) {
        int height = devices_svg_box_height(&picture->boxes[i]);
        /* a column ends where its middle box would begin in its second half */
        is_right |= picture->has_two_columns && i > 0 && y[0] - HEAD + height / 2 > total / 2;
        devices_svg_place_box(picture, &picture->boxes[i], is_right ? right : MARGIN, &y[is_right]);
    }
    for (size_t i = 0; i < picture->vm_count; i++) {
        picture->vms[i].height = VM_HEAD + (int)picture->vms[i].count * VM_LINE + 8;
        vms += picture->vms[i].height + VM_GAP;
    }
    int bottom = y[0] > y[1] ? y[0] : y[1];
    int vm_y = HEAD + (bottom - BOX_GAP - HEAD > vms ? (bottom - BOX_GAP - HEAD - vms) / 2 : 0);
    for (size_t i = 0; i < picture->vm_count; i++) {
        picture->vms[i].x = vm_x;
        picture->vms[i].y = vm_y;
        vm_y += picture->vms[i].height + VM_GAP;
    }
    picture->height = (bottom > vm_y ? bottom : vm_y) + MARGIN;
    picture->width = MARGIN + (picture->has_two_columns ? right + BOX_WIDTH
                               : picture->vm_count      ? vm_x + VM_WIDTH
                                                        : MARGIN + BOX_WIDTH + BOX_GAP);
}

/* --- text */

/* Characters that XML does not allow become '?'. */
static void devices_svg_escape(FILE *out, const char *text) {
    for (; *text; text++) {
        if (!strncmp(text, "\xEF\xBF\xBE", 3) || !strncmp(text, "\xEF\xBF\xBF", 3)) {
            putc('?', out);
            text += 2;
        } else if (strchr("&<>\"'", *text)) {
            fprintf(out, "&#%d;", *text);
        } else {
            putc(*text, out);
        }
    }
}

/* At most so many columns; a text that is longer ends with an ellipsis. */
static void devices_svg_text(FILE *out, const char *text, size_t columns) {
    char *clean = NULL;
    size_t size = 0;
    FILE *stream = memory_stream(&clean, &size);
    text_print_string(stream, text);
    memory_stream_close(stream, &clean);
    size_t length = strlen(clean);
    if (columns && text_width(clean, length) > columns) {
        while (length && text_width(clean, length) > columns - 1)
            do
                length--;
            while (length && ((unsigned char)clean[length] & 0xC0) == 0x80);
        char *cut = memory_strndup(clean, length);
        devices_svg_escape(out, cut);
        fputs("…", out);
        free(cut);
    } else {
        devices_svg_escape(out, clean);
    }
    free(clean);
}

/* --- drawing */

static const char *const devices_svg_colours[] = {[INVENTORY_FREE] = "#2e9e5b",
                                                  [INVENTORY_IN_USE] = "#d08a1d",
                                                  [INVENTORY_REFUSED] = "#c2453d",
                                                  [INVENTORY_INTERNAL] = "#9aa3ad"};
static const char devices_svg_vm_colour[] = "#2f6fdb";

static void devices_svg_legend(const struct picture *picture) {
    static const struct {
        enum inventory_state state;
        const char *text;
        int width;
    } entries[] = {{INVENTORY_FREE, "can be assigned", 130},
                   {INVENTORY_IN_USE, "in use", 80},
                   {INVENTORY_REFUSED, "cannot be assigned", 150}};
    int x = MARGIN;
    FILE *out = picture->out;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        fprintf(out,
                "<rect x='%d' y='52' width='12' height='12' rx='3' fill='%s'/>"
                "<text x='%d' y='62' class='small'>%s</text>\n",
                x, devices_svg_colours[entries[i].state], x + 18, entries[i].text);
        x += entries[i].width;
    }
    if (!picture->vm_count)
        return;
    fprintf(out,
            "<path d='M%d 76h24' class='has'/><text x='%d' y='80' class='small'>the VM has "
            "it</text><path d='M%d 76h24' class='gets'/><text x='%d' y='80' class='small'>a rule "
            "attaches it</text>\n",
            MARGIN, MARGIN + 32, MARGIN + 130, MARGIN + 162);
}

static void devices_svg_head(const struct picture *picture) {
    FILE *out = picture->out;
    fprintf(out,
            "<?xml version='1.0' encoding='UTF-8'?>\n"
            "<svg xmlns='http://www.w3.org/2000/svg' version='1.1' width='%d' height='%d' "
            "viewBox='0 0 %d %d' font-family='system-ui, Helvetica, Arial, sans-serif'>\n"
            "<title>Devices of the host and its VMs</title>\n"
            "<style>"
            "text{fill:#1d2733}.title{font-size:20px;font-weight:600}"
            ".name{font-size:13px;font-weight:600}.small{font-size:11.5px;fill:#566370}"
            ".group{font-size:12px;font-weight:600;fill:#566370}"
            ".vm{font-size:15px;font-weight:600;fill:#fff}"
            ".has,.gets{fill:none;stroke:%s;stroke-width:2}.gets{stroke-dasharray:5 4}"
            "</style>\n"
            "<defs><clipPath id='card'><rect width='%d' height='%d'/></clipPath>"
            "<clipPath id='machine'><rect width='%d' height='%d'/></clipPath></defs>\n"
            "<rect width='100%%' height='100%%' fill='#f4f6f8'/>\n"
            "<text x='%d' y='38' class='title'>Devices of the host</text>\n",
            picture->width, picture->height, picture->width, picture->height, devices_svg_vm_colour,
            CARD_WIDTH - 8, CARD_HEIGHT, VM_WIDTH - 8, picture->height, MARGIN);
    devices_svg_legend(picture);
}

/* "0000:05:00.0 · 8086:10fb · eth2 · the host mounts / from it". The caller frees it. */
static char *devices_svg_place_text(const struct inventory_row *row) {
    const struct device *device = row->device;
    char *interfaces = inventory_interfaces_text(row);
    char *text = memory_strdup(device->address);
    if (device->bus != BUS_SCSI)
        memory_append(&text, " · %04x:%04x", device->id.vendor, device->id.device);
    if (interfaces)
        memory_append(&text, " · %s", interfaces);
    if (row->state == INVENTORY_FREE)
        memory_append(&text, " · %s", device_class(device));
    else if (row->suggested.verdict.message)
        memory_append(&text, " · %s", row->suggested.verdict.message);
    free(interfaces);
    return text;
}

static void devices_svg_card(const struct picture *picture, size_t row) {
    const struct inventory_row *one = &picture->view->inventory->rows[row];
    FILE *out = picture->out;
    char *place = devices_svg_place_text(one);
    fprintf(out,
            "<g transform='translate(%d %d)'><rect width='%d' height='%d' rx='6' fill='#fff' "
            "stroke='#d5dbe1'/><rect width='6' height='%d' rx='3' fill='%s'/><title>",
            picture->card_x[row], picture->card_y[row], CARD_WIDTH, CARD_HEIGHT, CARD_HEIGHT,
            one->held ? devices_svg_vm_colour : devices_svg_colours[one->state]);
    devices_svg_text(out, one->device->name, 0);
    fputs("\n", out);
    devices_svg_text(out,
                     one->suggested.text ? one->suggested.text : one->suggested.verdict.message, 0);
    fputs("</title><g clip-path='url(#card)'><text x='18' y='19' class='name'>", out);
    devices_svg_text(out, one->device->name, NAME_COLUMNS);
    fputs("</text><text x='18' y='36' class='small'>", out);
    devices_svg_text(out, place, PLACE_COLUMNS);
    fputs("</text></g></g>\n", out);
    free(place);
}

static void devices_svg_box(const struct picture *picture, const struct picture_box *box) {
    fprintf(picture->out,
            "<rect x='%d' y='%d' width='%d' height='%d' rx='10' fill='#e9edf1' "
            "stroke='#cfd6dd'/><text x='%d' y='%d' class='group'>",
            box->x, box->y, BOX_WIDTH, box->height, box->x + BOX_PAD + 2, box->y + 19);
    devices_svg_text(picture->out, box->title, NAME_COLUMNS);
    fputs("</text>\n", picture->out);
    for (size_t i = 0; i < box->count; i++)
        devices_svg_card(picture, box->rows[i]);
}

static void devices_svg_line(const struct picture *picture, const struct picture_vm *vm, size_t i) {
    size_t row = vm->links[i].row;
    bool is_left = picture->card_x[row] < vm->x;
    int x1 = picture->card_x[row] + (is_left ? CARD_WIDTH : 0);
    int y1 = picture->card_y[row] + CARD_HEIGHT / 2;
    int x2 = vm->x + (is_left ? 0 : VM_WIDTH), y2 = vm->y + VM_HEAD + (int)i * VM_LINE + 10;
    int bend = (x2 - x1) / 2;
    fprintf(picture->out, "<path d='M%d %dC%d %d %d %d %d %d' class='%s'/>\n", x1, y1, x1 + bend,
            y1, x2 - bend, y2, x2, y2, vm->links[i].has ? "has" : "gets");
}

static void devices_svg_vm(const struct picture *picture, const struct picture_vm *vm) {
    FILE *out = picture->out;
    fprintf(out,
            "<g transform='translate(%d %d)'><rect width='%d' height='%d' rx='10' fill='%s'/>"
            "<rect x='4' y='%d' width='%d' height='%d' rx='7' fill='#fff'/>"
            "<g clip-path='url(#machine)'><text x='14' y='20' class='vm'>",
            vm->x, vm->y, VM_WIDTH, vm->height, devices_svg_vm_colour, VM_HEAD - 6, VM_WIDTH - 8,
            vm->height - VM_HEAD + 2);
    devices_svg_text(out, vm->name, VM_COLUMNS - 3);
    fputs("</text>", out);
    for (size_t i = 0; i < vm->count; i++) {
        const struct device *device = picture->view->inventory->rows[vm->links[i].row].device;
        fprintf(out, "<text x='14' y='%d' class='small'>", VM_HEAD + (int)i * VM_LINE + 14);
        char *text = memory_printf("%s %s", device->address, device->name);
        devices_svg_text(out, text, VM_COLUMNS + 3);
        fputs("</text>", out);
        free(text);
    }
    fputs("</g></g>\n", out);
}

static void devices_svg_finish(struct picture *picture) {
    for (size_t i = 0; i < picture->box_count; i++) {
        free(picture->boxes[i].title);
        free(picture->boxes[i].rows);
    }
    for (size_t i = 0; i < picture->vm_count; i++) {
        free(picture->vms[i].name);
        free(picture->vms[i].links);
    }
    free(picture->boxes);
    free(picture->vms);
    free(picture->card_x);
    free(picture->card_y);
}

void devices_svg(FILE *out, const struct devices_view *view) {
    size_t count = view->inventory->count + 1;
    struct picture picture = {.out = out,
                              .view = view,
                              .card_x = memory_zalloc(count * sizeof(int)),
                              .card_y = memory_zalloc(count * sizeof(int))};
    devices_svg_collect_cards(&picture);
    devices_svg_collect_vms(&picture);
    devices_svg_place(&picture);
    devices_svg_head(&picture);
    for (size_t i = 0; i < picture.box_count; i++)
        devices_svg_box(&picture, &picture.boxes[i]);
    for (size_t i = 0; i < picture.vm_count; i++)
        for (size_t j = 0; j < picture.vms[i].count; j++)
            devices_svg_line(&picture, &picture.vms[i], j);
    for (size_t i = 0; i < picture.vm_count; i++)
        devices_svg_vm(&picture, &picture.vms[i]);
    fputs("</svg>\n", out);
    devices_svg_finish(&picture);
}
