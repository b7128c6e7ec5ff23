/* A program in plain C11, linked against the shared library as any other host would be. */
#include "intarsia.h"

#include <stdio.h>
#include <string.h>

int main(void) {
    if (intarsia_abi_version() != INTARSIA_ABI_VERSION) {
        fprintf(stderr, "ABI version: header %u, library %u\n", (unsigned)INTARSIA_ABI_VERSION,
                (unsigned)intarsia_abi_version());
        return 1;
    }
    if (strlen(intarsia_header_hash()) != 64) {
        fprintf(stderr, "not a SHA-256: %s\n", intarsia_header_hash());
        return 1;
    }
    printf("intarsia %s, ABI %u, build %s\n", intarsia_version(), (unsigned)intarsia_abi_version(), intarsia_build_id());
    return 0;
}
