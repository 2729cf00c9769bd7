/* Footprints: which bytes some steps read and wrote, and whether another step conflicts with them.
 *
 * The same rules stand in Python, in machine/footprint.py; a test holds the two together. */
#ifndef RZ_FOOTPRINT_H
#define RZ_FOOTPRINT_H

#include "engine.h"

/* cdef: begin */
typedef struct rz_footprint rz_footprint;

/* Records of a run: accesses and walks, each by ascending step. */
typedef struct {
    const rz_record *accesses, *walks;
    uint64_t count, walk_count;
} rz_path;

#define RZ_TOUCHED_READS 0  /* bytes read before the footprint itself wrote them */
#define RZ_TOUCHED_WRITES 1
#define RZ_TOUCHED_WALKED 2 /* of entries of page tables that walks read */
#define RZ_TOUCHED_MARKED 3 /* … of those whose accessed or dirty bit they set */
#define RZ_TOUCHED 4

rz_footprint *rz_footprint_new(void);
void rz_footprint_free(rz_footprint *f);
/* Add the accesses of the steps in [from, to), and what was walked before `to`. 0, or RZ_BAD_SPACE: no memory. */
int rz_footprint_add(rz_footprint *f, const rz_path *path, uint64_t from, uint64_t to);
/* The first step in [from, to) that conflicts with the footprint, or ~0. Two writes of one physical byte in
 * [dead_from, dead_to) are no conflict. */
uint64_t rz_first_conflict(const rz_footprint *f, const rz_path *path, uint64_t from, uint64_t to, uint64_t dead_from,
                           uint64_t dead_to);
/* The first step in [from, to) that reads one of the physical bytes [first, end) and does not write it too, or ~0: what
 * a byte that is only counted up is never read by. */
uint64_t rz_first_read(const rz_path *path, uint64_t from, uint64_t to, uint64_t first, uint64_t end);
/* Bit n: device n. */
uint64_t rz_footprint_devices(const rz_footprint *f);
int rz_footprint_system(const rz_footprint *f);
/* The number of the nth page in the footprint, or ~0, and a set of its bytes, one of RZ_TOUCHED. */
uint64_t rz_footprint_page(const rz_footprint *f, uint64_t n, int which, uint64_t bits[64]);
/* cdef: end */

int rz_footprint_walked(rz_footprint *f, uint64_t address, uint64_t size);

#endif
