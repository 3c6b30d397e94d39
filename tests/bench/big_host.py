"""A host with any number of PCI functions, as a directory with sys/ and proc/: a host of tests/hosts/make with the
additional files that lspci reads."""
import importlib.machinery
import importlib.util
import os
import shutil

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = "/usr/share/misc/pci.ids"
CORAL = "1ac1:089a"
BUSES = 0xf0  # per domain; a bus has PORTS
PORTS = 3     # root ports, each with a card
# The kinds of cards: id, class, driver, number of functions.
CARDS = (("8086:1521", "020000", "igb", 4), ("144d:a80a", "010802", "nvme", 1), ("10de:2484", "030000", None, 2),
         ("8086:10fb", "020000", "ixgbe", 2), ("1000:0097", "010700", "mpt3sas", 1))


def load_make():
    loader = importlib.machinery.SourceFileLoader("hosts_make", os.path.join(HERE, "../hosts/make"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("hosts_make", loader))
    loader.exec_module(module)
    return module


class BigHost:
    def __init__(self, root, functions):
        self.host = load_make().Host(root)
        self.left, self.group, self.cards = functions, 0, 0
        self.list = []  # /proc/bus/pci/devices, which does not tell domains
        self.coral = "0000:00:1f.0"
        self.function(self.coral, CORAL, "088000", None)
        while self.left > 0:
            self.card()
        self.finish()

    def config(self, path, ident, class_code, header):
        """The header of the configuration space, which is all that lspci -vmm reads."""
        vendor, device = (int(word, 16) for word in ident.split(":"))
        head = vendor.to_bytes(2, "little") + device.to_bytes(2, "little") + bytes(4) + b"\x01"
        head += int(class_code, 16).to_bytes(3, "little") + bytes((0, 0, header))
        with open(os.path.join(self.host.root, path, "config"), "wb") as out:
            out.write(head.ljust(256, b"\0"))

    def function(self, address, ident, class_code, driver, below=None):
        self.host.pci(address, ident, class_code, driver, self.group, below, numa=0, reset="flr bus",
                      subsystem=ident)
        path = self.host.paths[address]
        self.config(path, ident, class_code, 1 if class_code == "060400" else 0)
        vendor, device = ident.upper().split(":")
        self.host.files(path, irq=16, revision="0x01", resource="\n".join(["0x0000000000000000 " * 2 + "0x0"] * 13),
                        modalias=f"pci:v0000{vendor}d0000{device}sv0000{vendor}sd0000{device}bc{class_code[:2]}"
                                 f"sc{class_code[2:4]}i{class_code[4:]}")
        place = int(address[5:7], 16) << 8 | int(address[8:10], 16) << 3 | int(address[11])
        self.list.append(f"{place:04x}\t{vendor}{device}\t10".lower() + "\t%16x" * 14 % ((0,) * 14) + f"\t{driver or ''}")
        self.left -= 1
        self.group += 1

    def card(self):
        ident, class_code, driver, functions = CARDS[self.cards % len(CARDS)]
        bus, port = self.cards // PORTS, self.cards % PORTS
        domain = f"{bus // BUSES:04x}"
        parent = f"{domain}:{bus % BUSES:02x}:{port + 1:02x}.0"
        self.function(parent, "8086:6f02", "060400", "pcieport")
        for number in range(min(functions, self.left)):
            address = f"{domain}:{bus % BUSES:02x}:{port + 8:02x}.{number}"
            self.function(address, ident, class_code, driver, parent)
            self.carry(address, ident)
        self.cards += 1

    def carry(self, address, ident):
        """Add the network interface or the disk that the kernel creates for it."""
        number = self.group
        if ident.startswith("8086:"):
            self.host.net(f"eth{number}", address)
        elif ident.startswith("144d:"):
            self.host.disk(f"nvme{number}n1", f"259:{number * 4}", address, f"nvme/nvme{number}", ("p1", "p2"))
            self.host.mount(f"259:{number * 4 + 1}", f"/srv/{number}", "ext4", f"/dev/nvme{number}n1p1")

    def finish(self):
        self.host.uplink(next((name for name in self.host.paths if name.startswith("eth")), "lo"))
        self.host.file("proc/bus/pci/devices", "\n".join(self.list))
        self.host.finish()
        if os.path.exists(NAMES):  # the full list, as on a real host
            shutil.copy(NAMES, os.path.join(self.host.root, "usr/share/misc/pci.ids"))
