/*
 * The bill of materials as a part of the program: SBOM_FILE, packed by gzip, is the section .sbom.
 * src/app/sbom.c prints it; "objcopy -O binary --only-section=.sbom" takes it out of a program that
 * is not to be run.
 */
__asm__(".section .sbom,\"a\"\n"
        ".globl sbom_packed\n.hidden sbom_packed\nsbom_packed:\n"
        ".incbin \"" SBOM_FILE "\"\n"
        ".Lend:\n"
        ".section .rodata\n.balign 8\n"
        ".globl sbom_packed_bytes\n.hidden sbom_packed_bytes\nsbom_packed_bytes:\n"
        ".quad .Lend - sbom_packed\n"
        ".text\n");
