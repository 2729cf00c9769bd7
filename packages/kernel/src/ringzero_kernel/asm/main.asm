; main.asm - the order in which the kernel comes up.
;
; Room's rule: only calls. A part is brought up, then its stage checks it, before the next part may rely on it.

section .text
pads
; kernel_main - brings everything up, runs the stages, ends the machine.
; in:       nothing
; out:      does not return
; interrupts: off
routine kernel_main, "kernel_main"
        push rbp
        mov rbp, rsp
        call cpu_init
        call threads_early
        call serial_init
        call screen_init
        call test_boot
        call gdt_init
        call idt_init
        call test_descriptors
        call test_format
        call frames_init
        call paging_init
        call heap_init
        call stacks_init
        call test_protection
        call main_memory
        call pic_init
        call timer_init
        call wait_on_init
        call syscall_init
        call threads_init
        must nz, "there is memory for the idle thread"
        call user_init
        must nz, "there is memory for what programs share"
        call test_interrupts
        call serial_input_init
        mov rax, [config]
        lea rcx, [config_mains]
        call [rcx+rax*8]
        begin "all-passed"
        passed
        jmp exit_success

section .rodata
        align 8, db 0
config_mains:   dq main_stages, main_stress, main_work, main_scenarios

section .text
; main_memory - what is checked of memory; nothing for scenarios, whose way there is kept short.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine main_memory, "main_memory"
        cmp qword [config], CONFIG_TRY
        je .done
        push rbp
        mov rbp, rsp
        call test_frames
        call test_pages
        call test_heap
        pop rbp
.done:
        ret

; main_stages - config=boot-stages: everything.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine main_stages, "main_stages"
        push rbp
        mov rbp, rsp
        call test_exceptions
        call test_log_handler
        call test_log_threads
        call test_sched
        call test_softirq
        call test_wait
        call test_wait_on
        call test_serial
        call test_kthread_life
        call test_kthread_promises
        call test_workqueue
        call test_work_promises
        call test_system_queue
        call test_user
        pop rbp
        ret

; main_stress - config=kthread-stress: many threads, and the work queues with and after them.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine main_stress, "main_stress"
        push rbp
        mov rbp, rsp
        call test_kthread_life
        call test_stress
        call test_workqueue
        call test_stress_work
        call test_work_promises
        pop rbp
        ret

; main_work - config=workqueue: the work queues alone.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine main_work, "main_work"
        push rbp
        mov rbp, rsp
        call test_workqueue
        call test_work_promises
        call test_system_queue
        pop rbp
        ret
