; sysqueue.asm - the system's own work queue, for whoever needs no queue of his own.
;
; Room's rule: before system_workqueue_init every request is answered with a clear "no".

section .bss
system_wq:      resb workqueue_size
system_ready:   resq 1
%ifdef BUG_B26
system_lock:    resq 1          ; keeps system_wq from whoever else uses it
%endif

section .rodata
system_name:    db "events", 0

section .text
pads
; system_workqueue_init - opens the system work queue.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: either
routine system_workqueue_init, "system_workqueue_init"
        lea rdi, [system_wq]
        lea rsi, [system_name]
        call workqueue_init
        mov qword [system_ready], 1
        ret

; schedule_work - queues work on the system queue.
; in:       rdi = work
; out:      eax = 1 if it will run; 0 before system_workqueue_init, and as queue_work says
; clobbers: scratch
; interrupts: either; from threads and handlers
routine schedule_work, "schedule_work"
        xor eax, eax
        cmp [system_ready], rax
        je .done
        mov rsi, rdi
        lea rdi, [system_wq]
%ifdef BUG_B26
        irq_save
        spin_lock system_lock   ; a flush may sleep with it: work that schedules work spins for ever
        call queue_work
        spin_unlock system_lock
        irq_restore
        ret
%else
        jmp queue_work
%endif
.done:
        ret

; schedule_work_fn - makes a work item for a function and queues it on the system queue.
; in:       rdi = function, rsi = argument, rdx = name
; out:      rax = work, for work_wait and then kfree; 0 before system_workqueue_init or when memory is short
; clobbers: scratch
; interrupts: either; from threads and handlers
routine schedule_work_fn, "schedule_work_fn"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        push r14
        mov r12, rdi
        mov r13, rsi
        mov r14, rdx
        xor eax, eax
        cmp [system_ready], rax
        je .done
        mov edi, work_size
        call kmalloc
        test rax, rax
        jz .done
        mov rbx, rax
        mov rdi, rax
        mov rsi, r12
        mov rdx, r13
        mov rcx, r14
        call work_init
        mov rdi, rbx
        call schedule_work
        test eax, eax
        jz .refused
        mov rax, rbx
        jmp .done
.refused:
        mov rdi, rbx
        call kfree
        xor eax, eax
.done:
        pop r14
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret

; flush_system_workqueue - waits until everything queued on the system queue before this call has run.
; in:       nothing
; out:      rax = 0; -EDEADLK from work of the system queue
; clobbers: scratch
; interrupts: either; from threads only, holding no lock
routine flush_system_workqueue, "flush_system_workqueue"
        xor eax, eax
        cmp [system_ready], rax
        je .done
        lea rdi, [system_wq]
%ifdef BUG_B26
        spin_lock system_lock   ; held while the flush sleeps
        call flush_workqueue
        spin_unlock system_lock
        ret
%else
        jmp flush_workqueue
%endif
.done:
        ret
