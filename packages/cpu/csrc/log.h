/* The log of what steps read and wrote, for Python: see cpu/engine/log.py, which says what stands in it. */
#ifndef RZ_LOG_H
#define RZ_LOG_H

#include "engine.h"

/* cdef: begin */
#define RZ_LOG_ACCESSES 0 /* reads, writes, devices, SYSTEM: in the order in which they happened */
#define RZ_LOG_WALKS 1    /* entries of page tables, each once, and accessed and dirty bits that were set */
#define RZ_LOG_WINDOWS 2  /* from which step on interrupts may come in */
#define RZ_LOGS 3

/* Begin a log that is empty, or end it. Cached translations are forgotten: from now on every access is a slow one. */
void rz_log_switch(rz_engine *e, int on);
void rz_log_add(rz_engine *e, uint64_t step, uint64_t what);
/* A walk has read an entry, or set bits in it (`kind`). */
void rz_log_walk(rz_engine *e, uint64_t step, uint64_t entry, uint64_t size, uint64_t kind);
void rz_log_window(rz_engine *e, uint64_t step, uint64_t value);
/* A microprogram begins: what its step has logged before, the instruction that faulted, stays. */
void rz_log_attempt(rz_engine *e);
/* Take back what an attempt of the instruction of this step has logged. */
void rz_log_drop(rz_engine *e, uint64_t step);
/* One of the lists and how long it is; good until the engine runs. NULL: there was no memory for all of it. */
const rz_record *rz_log_of(const rz_engine *e, int list, uint64_t *count);
/* cdef: end */

#endif
