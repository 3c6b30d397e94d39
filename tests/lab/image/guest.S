/* The guest of the VMs: a boot sector that says GUEST-UP on the first serial port and then, at every timer tick, lets go
 * each PCI device that qemu asks it to: by the registers of ACPI's hot-plug, or, where q35 has none (before qemu 6.1), by
 * those of PCIe's in the root ports. */
PCI_SELECT = 0xcd0 /* which of the hot-plug buses the other registers speak of */
PCI_DOWN = 0xcc4   /* a bit a slot: removal asked for */
PCI_EJECT = 0xcc8  /* written: the slots given back */
COM1 = 0x3f8
BUSES = 32

CONFIG_ADDRESS = 0xcf8
CONFIG_DATA = 0xcfc
FIRST_FUNCTION = 0x80000800 /* 00:01.0, written to CONFIG_ADDRESS */
END_FUNCTION = 0x80002000   /* 00:04.0: libvirt puts the root ports before it */
CAPABILITIES = 0x34         /* the offset of the first one */
PCI_EXPRESS = 0x10          /* the one which has the slot's registers */
SLOT = 0x18                 /* the offset of control, 16 bits, and status, 16 bits */
IS_SLOT = 24                /* bits: of the capability itself */
BUTTON = 16                 /* of SLOT: something is asked for */
PRESENCE_CHANGED = 19       /* it is that a device has come */

    .code16
    .globl _start
_start:
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %ss
    movw $0x7c00, %sp
    movw $greeting, %si
    movw $COM1, %dx
greet:
    lodsb
    testb %al, %al
    jz ready
    outb %al, %dx
    jmp greet
ready:
    sti
tick:
    xorl %ecx, %ecx
next_bus:
    movl %ecx, %eax
    movw $PCI_SELECT, %dx
    outl %eax, %dx
    movw $PCI_DOWN, %dx
    inl %dx, %eax
    testl %eax, %eax
    jz nothing_asked
    cmpl $-1, %eax /* no such register */
    je pci_express
    movw $PCI_EJECT, %dx
    outl %eax, %dx
nothing_asked:
    incl %ecx
    cmpl $BUSES, %ecx
    jb next_bus
sleep:
    hlt
    jmp tick

pci_express:
    movl $FIRST_FUNCTION, %edi
next_function:
    movb $CAPABILITIES, %bl
    call read_config
    cmpl $-1, %eax /* no such function */
    je function_done
next_capability:
    testb %al, %al
    jz function_done
    movb %al, %bl
    call read_config
    cmpb $PCI_EXPRESS, %al
    je express
    movb %ah, %al /* the offset of the next one */
    jmp next_capability
express:
    btl $IS_SLOT, %eax
    jnc function_done
    addb $SLOT, %bl
    call read_config
    btl $BUTTON, %eax
    jnc function_done
    btl $PRESENCE_CHANGED, %eax
    jnc let_go
    andb $~7, %ah /* the slot's power on, and its light */
    orb $1, %ah
    jmp answer
let_go:
    orb $7, %ah /* both off: the device goes */
answer:
    outl %eax, %dx /* what is set in the status is cleared, as it is written */
function_done:
    addl $0x100, %edi
    cmpl $END_FUNCTION, %edi
    jb next_function
    jmp sleep

read_config: /* sets %eax to what the function %edi has at the offset %bl */
    movl %edi, %eax
    movb %bl, %al
    movw $CONFIG_ADDRESS, %dx
    outl %eax, %dx
    movw $CONFIG_DATA, %dx
    inl %dx, %eax
    ret

greeting:
    .asciz "\r\nGUEST-UP\r\n"
    .org 510
    .word 0xaa55
