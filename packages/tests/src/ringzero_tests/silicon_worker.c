/* The judge's bench: runs cases on the processor it was started on. Reached by silicon.py through a pair of pipes.
 *
 * The room's rule: once the bench is set up nothing of libc is called and FS is ours, because cases use FS and GS; the
 * only system calls left are read, write, exit and rt_sigreturn (seccomp strict mode kills a case that tries others).
 *
 * How a case runs: a signal handler on an alternate stack *is* the loop. Every case ends in a signal (its landing int3, a
 * fault, or the watchdog); the handler stores what the signal frame holds, compares memory, prepares the next case in
 * the same frame, and returns into it. One signal a case, and no stub that a case could trash.
 *
 * Stream in : u64 bytes of the batch, u32 cases, then per case
 *             u64 gpr[16], u64 flags, u64 address, u32 code bytes, u32 patches, u32 bits (64, 32 or 16),
 *             code, patches {u64 address, u32 n, bytes}
 * Stream out: u64 bytes, then per case
 *             u64 gpr[16], u64 flags, u64 rip, u64 cr2, u32 vector, u32 error, u32 runs, runs {u64 address, u32 n, bytes}
 * Before the first batch: u32 regions, then {u64 address, u64 bytes, u32 protection, u32 zero, contents}, and FS, GS bases.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

enum { MAX_REGIONS = 8, VECTOR_NONE = 0xff, VECTOR_HANG = 0xfe, USER_CS64 = 0x33, USER_CS32 = 0x23, LDT_CS16 = 7, USER_DS = 0x2b,
       BATCH_LIMIT = 64 << 20, REPLY_LIMIT = 256 << 20 };

struct region { uint64_t address, size; uint32_t protection; uint8_t *before, *live, *pristine; };

static struct region regions[MAX_REGIONS];
static uint32_t region_count;
static uint8_t *batch, *reply;
static const uint8_t *next_case;
static uint8_t *next_outcome;
static uint32_t cases_left;
static int running;
static uint64_t code_start, code_end;
static const uint8_t *patches_at;
static uint32_t patch_count;
static volatile uint64_t finished, finished_at_tick;
static greg_t bench_registers[NGREG];

static long raw3(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

static void leave(int status)
{
    raw3(SYS_exit, status, 0, 0);
    __builtin_unreachable();
}

static void copy(void *to, const void *from, uint64_t bytes)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

static void receive(void *buffer, uint64_t bytes)
{
    uint8_t *at = buffer;
    while (bytes) {
        long got = raw3(SYS_read, 0, (long)at, (long)bytes);
        if (got == -4)
            continue; /* EINTR */
        if (got <= 0)
            leave(got ? 3 : 0);
        at += got;
        bytes -= (uint64_t)got;
    }
}

static void send_all(const void *buffer, uint64_t bytes)
{
    const uint8_t *at = buffer;
    while (bytes) {
        long put = raw3(SYS_write, 1, (long)at, (long)bytes);
        if (put == -4)
            continue;
        if (put <= 0)
            leave(4);
        at += put;
        bytes -= (uint64_t)put;
    }
}

static uint64_t take64(void) { uint64_t v; copy(&v, next_case, 8); next_case += 8; return v; }
static uint32_t take32(void) { uint32_t v; copy(&v, next_case, 4); next_case += 4; return v; }
static void put64(uint64_t v) { copy(next_outcome, &v, 8); next_outcome += 8; }
static void put32(uint32_t v) { copy(next_outcome, &v, 4); next_outcome += 4; }

static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static struct region *region_at(uint64_t address)
{
    for (uint32_t i = 0; i < region_count; i++)
        if (address - regions[i].address < regions[i].size)
            return &regions[i];
    leave(5);
    return 0;
}

enum patching { APPLY, UNDO };

/* Patches go to both images; read-only regions are written through `live`, a second mapping of the same memory. */
static const uint8_t *patch(const uint8_t *from, uint64_t address, uint32_t bytes, enum patching what)
{
    struct region *r = region_at(address);
    uint64_t offset = address - r->address;
    if (bytes > r->size - offset)
        leave(6);
    copy(r->before + offset, what == APPLY ? from : r->pristine + offset, bytes);
    copy(r->live + offset, what == APPLY ? from : r->pristine + offset, bytes);
    return from + bytes;
}

static void patch_all(enum patching what)
{
    next_case = patch(patches_at, code_start, (uint32_t)(code_end - code_start), what);
    for (uint32_t left = patch_count; left--;) {
        uint64_t address = take64();
        uint32_t bytes = take32();
        next_case = patch(next_case, address, bytes, what);
    }
}

static void prepare(greg_t *g)
{
    for (int i = 0; i < 16; i++)
        g[order[i]] = (greg_t)take64();
    g[REG_EFL] = (greg_t)(take64() | 0x202);
    code_start = take64();
    code_end = code_start + take32();
    patch_count = take32();
    uint32_t bits = take32();
    uint64_t code_segment = bits == 32 ? USER_CS32 : bits == 16 ? LDT_CS16 : USER_CS64;
    g[REG_CSGSFS] = (greg_t)(((uint64_t)g[REG_CSGSFS] & ~0xffffull) | code_segment);
    patches_at = next_case;
    g[REG_RIP] = (greg_t)code_start;
    patch_all(APPLY);
}

static void put_run(const struct region *r, uint64_t at, uint64_t end)
{
    put64(r->address + at);
    put32((uint32_t)(end - at));
    copy(next_outcome, r->live + at, end - at);
    next_outcome += end - at;
    copy(r->live + at, r->before + at, end - at);
}

static int same_block(const struct region *r, uint64_t at)
{
    const uint64_t *a = (const uint64_t *)(r->before + at), *b = (const uint64_t *)(r->live + at);
    uint64_t difference = 0;
    for (int i = 0; i < 8; i++)
        difference |= a[i] ^ b[i];
    return !difference;
}

/* Write every run of changed bytes out, and put the bytes back. */
static uint32_t put_runs(const struct region *r)
{
    uint32_t runs = 0;
    uint64_t at = 0;
    while (at < r->size) {
        if (!(at & 63) && same_block(r, at)) {
            at += 64;
        } else if (r->before[at] == r->live[at]) {
            at++;
        } else {
            uint64_t end = at;
            while (end < r->size && r->before[end] != r->live[end])
                end++;
            put_run(r, at, end);
            at = end;
            runs++;
        }
    }
    return runs;
}

static void store(const greg_t *g, int hang)
{
    uint32_t vector = hang ? VECTOR_HANG : (uint32_t)g[REG_TRAPNO];
    uint64_t rip = (uint64_t)g[REG_RIP];
    if (vector == 3 && rip - 1 - code_start >= code_end - code_start) {
        vector = VECTOR_NONE; /* an int3 that the case did not bring along: it has landed */
        rip--;
    }
    for (int i = 0; i < 16; i++)
        put64((uint64_t)g[order[i]]);
    put64((uint64_t)g[REG_EFL]);
    put64(rip);
    put64(vector == 14 ? (uint64_t)g[REG_CR2] : 0);
    put32(vector);
    put32(vector == VECTOR_NONE || hang ? 0 : (uint32_t)g[REG_ERR]);
    uint8_t *count_at = next_outcome;
    uint32_t runs = 0;
    next_outcome += 4;
    for (uint32_t i = 0; i < region_count; i++)
        runs += put_runs(&regions[i]);
    copy(count_at, &runs, 4);
    const uint8_t *resume = next_case;
    patch_all(UNDO);
    next_case = resume;
}

__attribute__((used)) static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)info;
    ucontext_t *frame = context;
    greg_t *g = frame->uc_mcontext.gregs;
    int hang = number == SIGVTALRM;
    if (hang && (!running || finished != finished_at_tick)) {
        finished_at_tick = finished; /* the first tick that this case sees */
        return;
    }
    if (!running) {
        if (number != SIGTRAP)
            leave(7);
        copy(bench_registers, g, sizeof bench_registers);
        running = 1;
    } else {
        store(g, hang);
        finished++;
    }
    if (cases_left--) {
        prepare(g);
    } else {
        copy(g, bench_registers, sizeof bench_registers);
        running = 0;
    }
}

/* A case may leave AC set, and C makes unaligned accesses; NT and ID would outlive the case, since sigreturn takes
 * only some flags from its frame. */
__asm__(".text\nsignal_entry:\n pushfq\n andl $~0x244000, (%rsp)\n popfq\n jmp on_signal\n");
extern void signal_entry(int, siginfo_t *, void *);

static void catch_signals(void)
{
    static const int numbers[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGVTALRM};
    stack_t stack = {.ss_size = 1 << 18};
    stack.ss_sp = mmap(0, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaltstack(&stack, 0);
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
        action.sa_sigaction = signal_entry;
        sigfillset(&action.sa_mask);
        sigaction(numbers[i], &action, 0);
    }
    struct itimerval watchdog = {{0, 100000}, {0, 100000}};
    setitimer(ITIMER_VIRTUAL, &watchdog, 0);
}

static void *anonymous(uint64_t bytes)
{
    void *at = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        leave(8);
    return at;
}

static void set_up_regions(void)
{
    receive(&region_count, 4);
    if (region_count > MAX_REGIONS)
        leave(9);
    for (uint32_t i = 0; i < region_count; i++) {
        struct region *r = &regions[i];
        uint32_t protection[2];
        receive(&r->address, 8);
        receive(&r->size, 8);
        receive(protection, 8);
        r->pristine = anonymous(r->size);
        r->before = anonymous(r->size);
        receive(r->pristine, r->size);
        copy(r->before, r->pristine, r->size);
        int file = memfd_create("region", 0);
        if (file < 0 || ftruncate(file, (off_t)r->size))
            leave(10);
        void *seen = mmap((void *)r->address, r->size, (int)protection[0], MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE,
                          file, 0);
        r->live = mmap(0, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (seen != (void *)r->address || r->live == MAP_FAILED)
            leave(11);
        copy(r->live, r->pristine, r->size);
        close(file);
    }
}

static void run_batch(uint64_t bytes)
{
    if (bytes > BATCH_LIMIT)
        leave(13);
    receive(batch, bytes);
    next_case = batch;
    next_outcome = reply;
    cases_left = take32();
    if (cases_left)
        __asm__ volatile("int3" : : : "memory");
    uint64_t reply_bytes = (uint64_t)(next_outcome - reply);
    send_all(&reply_bytes, 8);
    send_all(reply, reply_bytes);
}

int main(void)
{
    uint64_t bases[2], bytes;
    batch = anonymous(BATCH_LIMIT);
    reply = anonymous(REPLY_LIMIT);
    set_up_regions();
    receive(bases, sizeof bases);
    catch_signals();
    __asm__ volatile("mov %0, %%ds\n mov %0, %%es" : : "r"(USER_DS)); /* 32-bit code needs them */
    /* entry 0: base 0, limit of 4 GiB in pages, code of 16 bits; where it may not be, its cases end in #GP */
    static uint32_t code16[4] = {0, 0, 0xfffff, 0x14};
    raw3(SYS_modify_ldt, 1, (long)code16, sizeof code16);
    raw3(SYS_arch_prctl, ARCH_SET_GS, (long)bases[1], 0);
    raw3(SYS_arch_prctl, ARCH_SET_FS, (long)bases[0], 0);
    if (raw3(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0))
        leave(12);
    for (;;) {
        receive(&bytes, 8);
        run_batch(bytes);
    }
}
