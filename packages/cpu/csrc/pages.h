/* Memory and its snapshots: finding the written pages, and putting them back, in one call each.
 *
 * The same rule stands in Python, in machine/memory.py and machine/pages.py; a test holds the two together. */
#ifndef RZ_PAGES_H
#define RZ_PAGES_H

#include <stdint.h>

/* cdef: begin */
/* `ram`: `pages` pages. A byte for each page: its `flags`, whether it is `unsaved` (may differ from the snapshot that
 * memory came from), whether it is `unhashed`; and `content`: the address of what that snapshot holds, 0 if not known. */
typedef struct {
    uint8_t *ram, *flags, *unsaved, *unhashed;
    uint64_t *content;
    uint64_t pages;
    /* Answers. `numbers` has room for `pages`: in front `changed` of them, at its end `missing`. */
    uint32_t *numbers;
    uint64_t changed; /* rz_collect: pages written; rz_put_back: pages of code or tables that it changed */
    uint64_t missing; /* pages that are still unsaved because their content is not known */
    uint64_t dirty;   /* pages that became CLEAN */
} rz_pages;

/* Mark the pages without CLEAN as clean, unsaved and unhashed; `numbers` are theirs, ascending. */
void rz_collect(rz_pages *p);
/* The same, and make every unsaved page equal to its `content`. Returns how many were written. */
uint64_t rz_put_back(rz_pages *p);
/* cdef: end */

#endif
