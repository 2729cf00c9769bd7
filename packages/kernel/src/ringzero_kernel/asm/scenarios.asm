; scenarios.asm - config=scenarios: small tests for an explorer that places interrupts everywhere.
;
; Room's rule: a scenario is one thing, done by two to four threads in a few thousand steps. It begins with nobody
; alive but the boot and the idle thread, and with interrupts on; it holds for *every* placement of interrupts; and it
; never waits for time by spinning: it sleeps, yields or waits, for then a machine whose timer is silent goes on too.
;
;   scenarios --> | name, 32 bytes | routine | name | routine | ... | scenarios_end
;                                      |
;   scenario_start, then the routine: threads are made, things happen, `passed`; what is left is cleared away
;
; An explorer starts at scenario_start and ends at stage_passed; only=NAME takes it there by the shortest way. What a
; scenario clears away behind `passed` is not explored.

struc scenario
.name           resb OPTION_SIZE
.main           resq 1          ; in: nothing, out: nothing, clobbers: scratch, interrupts: on
endstruc

; scenario "name", routine - one row of the table
%macro scenario 2
%%row:  db %1
        times OPTION_SIZE-($-%%row) db 0
        dq %2
%endmacro

section .rodata
        align 8, db 0
scenarios:
        scenario "try-completion", try_completion
        scenario "try-sleep", try_sleep
        scenario "try-log-handler", try_log_handler
        scenario "try-log-irqs-off", try_log_irqs_off
        scenario "try-work-requeue", try_work_requeue
        scenario "try-wq-park", try_wq_park
        scenario "try-wq-destroy", try_wq_destroy
        scenario "try-spawn", try_spawn
        scenario "try-exit", try_exit
        scenario "try-stop", try_stop
        scenario "try-spin", try_spin
        scenario "try-woken", try_woken
        scenario "try-yield", try_yield
        scenario "try-free", try_free
        scenario "try-registers", try_registers
        scenario "try-ticks", try_ticks
        scenario "try-wq-close", try_wq_close
        scenario "try-system-chain", try_system_chain
        scenario "try-wq-handler", try_wq_handler
        scenario "try-wait-on", try_wait_on
        scenario "try-serial-read", try_serial_read
        scenario "try-user-read", try_user_read
scenarios_end:

section .text
pads
; main_scenarios - config=scenarios: the one that only= names, or all in order.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine main_scenarios, "main_scenarios"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        call user_prepare       ; so that a program is short to start
        lea rbx, [scenarios]
        xor r12d, r12d          ; how many were run
.next:
        cmp byte [scenario_only], 0
        je .run
        lea rdi, [rbx+scenario.name]
        lea rsi, [scenario_only]
        call string_equal
        jne .other
.run:
        mov rdi, rbx
        call scenario_run
        inc r12d
.other:
        add rbx, scenario_size
        lea rax, [scenarios_end]
        cmp rbx, rax
        jb .next
        lea rax, [scenario_only]
        mov [test_name], rax
        test r12d, r12d
        must nz, "there is a scenario of that name"
        pop r12
        pop rbx
        pop rbp
        ret

; scenario_run - runs one scenario.
; in:       rdi = its row
; out:      returns when it has passed
; clobbers: scratch
; interrupts: on
routine scenario_run, "scenario_run"
        push rbp
        mov rbp, rsp
        push rbx
        mov rbx, rdi
        mov [test_name], rdi
        cmp qword [threads_count], 2
        must e, "nobody is alive but the boot and the idle thread"
        mov qword [trace_length], 0
        global scenario_start
scenario_start:
        call [rbx+scenario.main]
        pop rbx
        pop rbp
        ret
