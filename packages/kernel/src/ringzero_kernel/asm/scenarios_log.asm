; scenarios_log.asm - scenarios of the log: who may log, and when.
;
; Room's rule: as in scenarios.asm. Their lines begin with ~, for in which order they come is a question of time.

section .text
pads
; try_log_hook - a tick hook: logs.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine try_log_hook, "try_log_hook"
        say "~h"
        ret

; try_log_handler - the boot thread logs, and every tick's handler too.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_log_handler, "try_log_handler"
        lea rax, [try_log_hook]
        mov [tick_hook], rax
        say "~t"
        mov qword [tick_hook], 0
        passed
        ret

; try_logger - a thread: logs with interrupts off.
; in:       nothing
; out:      rax = 0
; clobbers: everything
; interrupts: on
routine try_logger, "try_logger"
        irq_save
        say "~o"
        irq_restore
        xor eax, eax
        ret

; try_log_irqs_off - the boot thread logs, and so does another, with interrupts off.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: on
routine try_log_irqs_off, "try_log_irqs_off"
        push rbx
        spawn try_logger, 0, "logger"
        mov rbx, rax
        say "~t"
        mov rdi, rbx
        call kthread_join
        test rax, rax
        must z, "both have logged"
        passed
        pop rbx
        ret
