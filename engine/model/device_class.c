#include "engine/model/device_class.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* A prefix of a class code: `bytes` of its three, from the front. */
struct class_row {
    uint32_t prefix;
    int bytes;
    const char *text;
};

/* The longest prefix first. */
static const struct class_row device_class_pci_rows[] = {
    {0x0c0320, 3, "USB 2 controller"},
    {0x0c0330, 3, "USB 3 controller"},
    {0x0c0340, 3, "USB4 host interface"},
    {0x0001, 2, "VGA compatible device"},
    {0x0100, 2, "SCSI storage controller"},
    {0x0101, 2, "IDE controller"},
    {0x0104, 2, "RAID controller"},
    {0x0106, 2, "SATA controller"},
    {0x0107, 2, "SAS controller"},
    {0x0108, 2, "NVMe controller"},
    {0x0200, 2, "Ethernet controller"},
    {0x0207, 2, "InfiniBand controller"},
    {0x0280, 2, "Network controller"},
    {0x0300, 2, "VGA display controller"},
    {0x0302, 2, "3D controller"},
    {0x0400, 2, "Video controller"},
    {0x0401, 2, "Audio controller"},
    {0x0403, 2, "Audio device"},
    {0x0500, 2, "RAM controller"},
    {0x0600, 2, "Host bridge"},
    {0x0601, 2, "ISA bridge"},
    {0x0604, 2, "PCI bridge"},
    {0x0607, 2, "CardBus bridge"},
    {0x0700, 2, "Serial controller"},
    {0x0703, 2, "Modem"},
    {0x0805, 2, "SD host controller"},
    {0x0806, 2, "IOMMU"},
    {0x0b40, 2, "Coprocessor"},
    {0x0c00, 2, "FireWire controller"},
    {0x0c03, 2, "USB controller"},
    {0x0c04, 2, "Fibre Channel controller"},
    {0x0c05, 2, "SMBus controller"},
    {0x0c06, 2, "InfiniBand controller"},
    {0x0d11, 2, "Bluetooth controller"},
    {0x00, 1, "Unclassified device"},
    {0x01, 1, "Mass storage controller"},
    {0x02, 1, "Network controller"},
    {0x03, 1, "Display controller"},
    {0x04, 1, "Multimedia controller"},
    {0x05, 1, "Memory controller"},
    {0x06, 1, "Bridge"},
    {0x07, 1, "Communication controller"},
    {0x08, 1, "System peripheral"},
    {0x09, 1, "Input device controller"},
    {0x0a, 1, "Docking station"},
    {0x0b, 1, "Processor"},
    {0x0c, 1, "Serial bus controller"},
    {0x0d, 1, "Wireless controller"},
    {0x0e, 1, "Intelligent controller"},
    {0x0f, 1, "Satellite communications controller"},
    {0x10, 1, "Encryption controller"},
    {0x11, 1, "Signal processing controller"},
    {0x12, 1, "Processing accelerator"},
    {0x13, 1, "Instrumentation device"},
    {0x40, 1, "Coprocessor"},
};

static const struct class_row device_class_usb_rows[] = {
    {0x030101, 3, "USB keyboard"},           {0x030102, 3, "USB mouse"},
    {0xe00101, 3, "USB Bluetooth adapter"},  {0x0202, 2, "USB modem or serial adapter"},
    {0x01, 1, "USB audio device"},           {0x02, 1, "USB communications device"},
    {0x03, 1, "USB input device"},           {0x05, 1, "USB physical device"},
    {0x06, 1, "USB camera or scanner"},      {0x07, 1, "USB printer"},
    {0x08, 1, "USB storage device"},         {0x09, 1, "USB hub"},
    {0x0a, 1, "USB communications device"},  {0x0b, 1, "USB smart card reader"},
    {0x0e, 1, "USB video device"},           {0x0f, 1, "USB health device"},
    {0x10, 1, "USB audio and video device"}, {0xe0, 1, "USB wireless adapter"},
};

/* What people call them. All rows count whose prefix fits. */
static const struct class_row device_class_pci_words[] = {
    {0x01, 1, "storage"},       {0x0104, 2, "raid"},          {0x0106, 2, "sata disk"},
    {0x0107, 2, "sas"},         {0x0108, 2, "nvme ssd disk"}, {0x02, 1, "nic network lan"},
    {0x0200, 2, "ethernet"},    {0x0280, 2, "wifi wlan"},     {0x03, 1, "gpu graphics display vga"},
    {0x0401, 2, "sound audio"}, {0x0403, 2, "sound audio"},   {0x0700, 2, "serial"},
    {0x0b40, 2, "accelerator"}, {0x0c03, 2, "usb"},           {0x0d11, 2, "bluetooth"},
    {0x12, 1, "accelerator"},
};

static const struct class_row device_class_usb_words[] = {
    {0x01, 1, "sound audio"},   {0x02, 1, "serial modem"},
    {0x030101, 3, "keyboard"},  {0x030102, 3, "mouse"},
    {0x03, 1, "input"},         {0x06, 1, "camera"},
    {0x07, 1, "printer"},       {0x08, 1, "storage disk stick"},
    {0x09, 1, "hub"},           {0x0e, 1, "video camera webcam"},
    {0xe00101, 3, "bluetooth"},
};

/* NULL: it is not in the table. */
static const char *device_class_find(const struct class_row *rows, size_t count, uint32_t class) {
    for (size_t i = 0; i < count; i++)
        if (class >> (24 - 8 * rows[i].bytes) == rows[i].prefix)
            return rows[i].text;
    return NULL;
}

static const char *device_class_pci(uint32_t class_code) {
    const char *text =
        device_class_find(device_class_pci_rows,
                          sizeof device_class_pci_rows / sizeof *device_class_pci_rows, class_code);
    return text ? text : "Device";
}

static const char *device_class_usb(uint32_t class_code) {
    return device_class_find(device_class_usb_rows,
                             sizeof device_class_usb_rows / sizeof *device_class_usb_rows,
                             class_code);
}

const char *device_class(const struct device *device) {
    if (device->bus == BUS_SCSI)
        return device_scsi_type_text(device->scsi_type);
    if (device->bus == BUS_PCI)
        return device_class_pci(device->class_code);
    const char *text = device_class_usb(device->class_code);
    for (size_t i = 0; !text && i < device->interface_count; i++)
        text = device_class_usb(device->interfaces[i].class_code);
    return text ? text : "USB device";
}

/* --- plain words */

enum { PCI_WORDS = sizeof device_class_pci_words / sizeof *device_class_pci_words };
enum { USB_WORDS = sizeof device_class_usb_words / sizeof *device_class_usb_words };

static bool device_class_row_has(const struct class_row *row, const char *word) {
    size_t length = strlen(word);
    for (const char *at = row->text; *at; at += *at == ' ') {
        size_t end = strcspn(at, " ");
        if (end == length && strncasecmp(at, word, length) == 0)
            return true;
        at += end;
    }
    return false;
}

static bool device_class_code_has(const struct class_row *rows, size_t count, uint32_t class,
                                  const char *word) {
    bool has = false;
    for (size_t i = 0; i < count && !has; i++)
        has = class >> (24 - 8 * rows[i].bytes) == rows[i].prefix &&
              device_class_row_has(&rows[i], word);
    return has;
}

bool device_class_is_word(const char *word) {
    bool is = !strcasecmp(word, "usb");
    for (size_t i = 0; i < PCI_WORDS && !is; i++)
        is = device_class_row_has(&device_class_pci_words[i], word);
    for (size_t i = 0; i < USB_WORDS && !is; i++)
        is = device_class_row_has(&device_class_usb_words[i], word);
    return is;
}

bool device_class_has_word(const struct device *device, const char *word) {
    if (device->bus == BUS_PCI)
        return device_class_code_has(device_class_pci_words, PCI_WORDS, device->class_code, word);
    if (device->bus == BUS_SCSI)
        return false;
    bool has = !strcasecmp(word, "usb") ||
               device_class_code_has(device_class_usb_words, USB_WORDS, device->class_code, word);
    for (size_t i = 0; i < device->interface_count && !has; i++)
        has = device_class_code_has(device_class_usb_words, USB_WORDS,
                                    device->interfaces[i].class_code, word);
    return has;
}
