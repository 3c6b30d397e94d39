/* The guest of the VMs: a boot sector that says GUEST-UP on the first serial port and then, at every
 * timer tick, ejects each PCI device that qemu's ACPI hot-plug registers ask it to let go. */
PCI_SELECT = 0xcd0 /* which of the hot-plug buses the other registers speak of */
PCI_DOWN = 0xcc4   /* a bit a slot: removal asked for */
PCI_EJECT = 0xcc8  /* written: the slots given back */
COM1 = 0x3f8
BUSES = 32

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
    movw $PCI_EJECT, %dx
    outl %eax, %dx
nothing_asked:
    incl %ecx
    cmpl $BUSES, %ecx
    jb next_bus
    hlt
    jmp tick
greeting:
    .asciz "\r\nGUEST-UP\r\n"
    .org 510
    .word 0xaa55
