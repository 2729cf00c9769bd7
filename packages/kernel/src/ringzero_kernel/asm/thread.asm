; thread.asm - threads: the table that names them, their birth and their end.
;
; Room's rule: a thread is in the table before it can run, and out of it only when nobody can wake it any more.
;
;   thread_table   [0] -> boot thread    [1] -> idle    [2] -> ...   [255]     index = TID, 0 = free
;
; TIDs are handed out going round, so that a TID is not reused at once.

section .bss
thread_table:   resq MAX_THREADS
threads_lock:   resd 1
threads_next:   resd 1          ; where the search for a free TID begins
threads_count:  resq 1
boot_thread:    resb thread_size

section .rodata
boot_name:      db "boot", 0
idle_name:      db "idle", 0

section .text
pads
; threads_early - makes the running code a thread: TID 0, like any other.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine threads_early, "threads_early"
        push rbp
        mov rbp, rsp
        lea rdi, [boot_thread]
        lea rsi, [boot_name]
        call thread_fill
        lea rdi, [boot_thread]
        mov dword [rdi+thread.state], STATE_RUNNING
        mov dword [rdi+thread.on_cpu], 1
        lea rax, [boot_stack_top]
        mov [rdi+thread.stack_top], rax
        mov [gs:processor.kernel_rsp], rax
        mov [gs:processor.current], rdi
        mov [thread_table], rdi
        inc qword [threads_count]
        inc dword [threads_next]
        pop rbp
        ret

; threads_init - makes the idle thread. Needs the heap.
; in:       nothing
; out:      zf clear if it worked
; clobbers: scratch
; interrupts: off
routine threads_init, "threads_init"
        push rbp
        mov rbp, rsp
        lea rdi, [idle_main]
        xor esi, esi
        lea rdx, [idle_name]
        call thread_create
        mov [gs:processor.idle], rax
        test rax, rax
        pop rbp
        ret

; thread_fill - the fields that every thread begins with.
; in:       rdi = structure, all zeroes; rsi = name
; out:      nothing
; clobbers: scratch
; interrupts: either
routine thread_fill, "thread_fill"
        push rbp
        mov rbp, rsp
        push rbx
        mov rbx, rdi
        mov qword [rbx+thread.wait_next], NO_WAITER
        mov eax, kernel_pml4 - KBASE
        mov [rbx+thread.cr3], rax
        mov ecx, [sched_quantum]
        mov [rbx+thread.quantum], ecx
        lea rdi, [rbx+thread.name]
        mov edx, 24
        call copy_name
        lea rdi, [rbx+thread.exited]
        call completion_init
        lea rdi, [rbx+thread.parking]
        call waitq_init
        pop rbx
        pop rbp
        ret

; thread_create - makes a thread that does not run yet.
; in:       rdi = function, rsi = argument, rdx = name
; out:      rax = thread, NEW, or 0 when memory or TIDs are short
; clobbers: scratch
; interrupts: either; from handlers too
routine thread_create, "thread_create"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        push r14
        mov r12, rdi
        mov r13, rsi
        mov r14, rdx
        mov edi, thread_size
        call kmalloc_zeroed
        test rax, rax
        jz .done
        mov rbx, rax
        mov [rbx+thread.function], r12
        mov [rbx+thread.argument], r13
        mov rdi, rbx
        mov rsi, r14
        call thread_fill
        mov rdi, rbx
        call tid_reserve
        test rax, rax
        js .no_tid
        mov rdi, rax
        call stack_alloc
        test rax, rax
        jz .no_stack
        mov [rbx+thread.stack_top], rax
        mov rdi, rbx
        call thread_first_frame
        mov rax, rbx
        jmp .done
.no_stack:
        mov rdi, [rbx+thread.tid]
        call tid_release
.no_tid:
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

; thread_first_frame - writes the stack that the first switch_to to a thread takes up.
; in:       rdi = thread with stack_top
; out:      thread.rsp
; clobbers: rax, rcx
; interrupts: either
routine thread_first_frame, "thread_first_frame"
        mov rax, [rdi+thread.stack_top]
        lea rcx, [kthread_entry]
        mov qword [rax-8], 0            ; the end of a back-trace: no caller
        mov [rax-16], rcx               ; switch_to's return address
        mov qword [rax-24], 0           ; rbp: the end of the chain of frames
        mov qword [rax-32], 0           ; rbx
        mov qword [rax-40], 0           ; r12
        mov qword [rax-48], 0           ; r13
        mov qword [rax-56], 0           ; r14
        mov qword [rax-64], 0           ; r15
        mov qword [rax-72], 2           ; rflags: IF off until kthread_entry switches it on
        sub rax, 72
        mov [rdi+thread.rsp], rax
        ret

; tid_reserve - gives a thread a TID and enters it in the table.
; in:       rdi = thread
; out:      rax = TID, or -EAGAIN when all are taken
; clobbers: rcx, rdx, rsi
; interrupts: either
routine tid_reserve, "tid_reserve"
        irq_save
        spin_lock threads_lock
        mov ecx, MAX_THREADS
        mov eax, [threads_next]
        lea rdx, [thread_table]
.next:
        cmp eax, MAX_THREADS
        jb .in_range
        xor eax, eax
.in_range:
        cmp qword [rdx+rax*8], 0
        je .found
        inc eax
        dec ecx
        jnz .next
        mov rax, -EAGAIN
        jmp .done
.found:
        mov [rdi+thread.tid], rax
%ifdef BUG_B13
        ; kthread_start enters it, too late
%else
        mov [rdx+rax*8], rdi
%endif
        lea ecx, [rax+1]
        mov [threads_next], ecx
        inc qword [threads_count]
.done:
        spin_unlock threads_lock
        irq_restore
        ret

; tid_release - takes a thread out of the table.
; in:       rdi = TID
; out:      nothing
; clobbers: rdx
; interrupts: either
routine tid_release, "tid_release"
%ifdef BUG_B19
        pushfq                  ; with interrupts on: a tick finds the table locked by the thread that it interrupted
%else
        irq_save
%endif
        spin_lock threads_lock
        lea rdx, [thread_table]
        mov qword [rdx+rdi*8], 0
        dec qword [threads_count]
        spin_unlock threads_lock
        irq_restore
        ret

; thread_free - gives back everything that a dead thread owned.
; in:       rdi = thread: DEAD or never started, in no queue, off every CPU
; out:      nothing
; clobbers: scratch
; interrupts: either
routine thread_free, "thread_free"
        push rbp
        mov rbp, rsp
        push rbx
        mov rbx, rdi
        mov rdi, [rbx+thread.tid]
        call stack_free
        mov rdi, [rbx+thread.tid]       ; only now may another thread get this TID, and with it the stack's place
        call tid_release
        mov rdi, rbx
        call kfree
        pop rbx
        pop rbp
        ret
