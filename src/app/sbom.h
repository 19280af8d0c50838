/*
 * app/sbom.h - worker --sbom: the bill of materials of this program (CycloneDX 1.6, JSON).
 */
#ifndef APP_SBOM_H
#define APP_SBOM_H

#include "base/err.h"

/*
 * Unpacks the document that vendor/sbom.sh wrote for this build to standard output. Blocks. 0;
 * ERR_MEMORY; ERR_INPUT if it is damaged; ERR_CONFIG naming the error if the output takes no more.
 *
 * A weak name: NULL in a program that is linked without it. The stock binaries have it; a handler
 * has it if it is linked with -Wl,-u,rp__sbom_print.
 */
__attribute__((weak)) int sbom_print(struct err *err);

#endif
