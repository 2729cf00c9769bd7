; kernel.asm - the whole kernel, in the order in which it is best read.
;
; Room's rule: this file holds no code. It fixes the order of the files, and with it the addresses of everything.
; Every file opens with what it keeps and with a drawing of its structures; every routine opens with what it does,
; its `in:`, `out:` and `clobbers:`, and whether it may be called with interrupts on.
;
; Calling convention, where a routine does not say otherwise:
;   arguments   rdi, rsi, rdx, rcx, r8, r9        result  rax
;   may change  rax, rcx, rdx, rsi, rdi, r8..r11, flags (`clobbers: scratch` means all of these)
;   preserved   rbx, rbp, r12..r15                direction flag clear
; A routine that does not return has no `clobbers:`; a thread's function may change every register.
; rbp chains the stack frames, so that a panic can print who called whom.

%include "layout.asm"           ; where everything stands in memory
%include "macros.asm"
%include "structs.asm"

%include "entry.asm"            ; 32-bit entry, first page tables, long mode
%include "main.asm"             ; kernel_main: brings the parts up, then runs the stages

%include "string.asm"           ; text
%include "cpu.asm"              ; the per-CPU structure
%include "serial.asm"
%include "screen.asm"
%include "log.asm"              ; one ring, two sinks
%include "format.asm"           ; kprintf
%include "bootinfo.asm"         ; PVH start info: memory map and command line

%include "gdt.asm"              ; the processor's tables
%include "idt.asm"
%include "isr.asm"              ; into the kernel and back
%include "exceptions.asm"
%include "panic.asm"

%include "frames.asm"           ; memory
%include "paging.asm"
%include "heap.asm"
%include "blocks.asm"
%include "stacks.asm"

%include "pic.asm"              ; interrupts and time
%include "softirq.asm"          ; what handlers leave for later
%include "timer.asm"
%include "rtc.asm"

%include "switch.asm"           ; threads
%include "sched.asm"
%include "wait.asm"
%include "wait_on.asm"          ; sleeping on a word of memory
%include "serial_input.asm"     ; interrupt, deferred work, a read that blocks
%include "thread.asm"
%include "kthread.asm"

%include "work.asm"             ; deferred work
%include "workqueue.asm"
%include "sysqueue.asm"

%include "syscall.asm"          ; ring 3
%include "syscall_wait.asm"     ; the calls that block
%include "space.asm"
%include "user.asm"
%include "program.asm"
%include "program_calls.asm"

%include "test.asm"             ; stages pass or fail here
%include "tests_boot.asm"
%include "tests_cpu.asm"
%include "tests_memory.asm"
%include "tests_interrupts.asm"
%include "tests_log.asm"
%include "tests_sched.asm"
%include "tests_preempt.asm"
%include "tests_quantum.asm"
%include "tests_softirq.asm"
%include "tests_wait.asm"
%include "tests_wait_on.asm"
%include "tests_serial.asm"
%include "tests_kthread.asm"
%include "tests_park.asm"
%include "tests_work.asm"
%include "tests_promises.asm"
%include "tests_waiters.asm"
%include "tests_destroy.asm"
%include "tests_sysqueue.asm"
%include "tests_user.asm"
%include "tests_calls.asm"
%include "tests_stress.asm"

%include "scenarios.asm"        ; what is explored: every placement of interrupts
%include "scenarios_sleep.asm"
%include "scenarios_log.asm"
%include "scenarios_work.asm"
%include "scenarios_queue.asm"
%include "scenarios_threads.asm"
%include "scenarios_sched.asm"
%include "scenarios_wait.asm"

%include "end.asm"              ; the ends of the sections: nothing may follow
