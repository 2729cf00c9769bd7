; wait_on.asm - sleeping on a word of memory until somebody who has changed it says so.
;
; Room's rule: the value is compared and the thread put to sleep under one lock, the bucket's, with interrupts off;
; wake_on takes the same lock. Whoever waits for a word to change does this, and nobody can come between:
;
;   waiter                                          waker
;     while the word is what it should not be:        change the word
;         wait_on(word, that value)                   wake_on(word, WAKE_ONE or WAKE_ALL)
;             cli, lock; differs -> -EAGAIN               cli, lock
;             else join, BLOCKED, unlock, schedule        take the word's waiters out, oldest first; unlock
;
; Either the waiter sees the new value, or the waker finds the waiter. A wake-up with nobody there leaves no trace.
;
;   address --(bits 2 to 5)--> wait_buckets[n]: waitq --> tid 7 ------> tid 3 ------> tid 9
;                                                         word A        word B        word A
;
; A bucket is a wait queue; words that share one are told apart by thread.wait_word. A word is named by one linear
; address of the kernel's; a program's own by the address of its frame in the direct map, so that programs may share it.

WAIT_BUCKETS    equ 16          ; a power of two
WAKE_ONE        equ 1
WAKE_ALL        equ 0x7fffffff

section .bss
wait_buckets:   resb WAIT_BUCKETS*waitq_size

section .text
pads
; wait_on_init - empty buckets.
; in:       nothing
; out:      nothing
; clobbers: rcx, rdi
; interrupts: either
routine wait_on_init, "wait_on_init"
        lea rdi, [wait_buckets]
        mov ecx, WAIT_BUCKETS
.next:
        call waitq_init
        add rdi, waitq_size
        dec ecx
        jnz .next
        ret

; wait_bucket - where the waiters of a word queue.
; in:       rdi = address of the word
; out:      rax = wait queue
; clobbers: rcx
; interrupts: either
routine wait_bucket, "wait_bucket"
        mov ecx, edi
        shr ecx, 2
        and ecx, WAIT_BUCKETS-1
        imul ecx, ecx, waitq_size
        lea rax, [wait_buckets]
        add rax, rcx
        ret

; wait_on - sleeps until wake_on, if a word has a value. Woken for nothing, it compares again.
; in:       rdi = address of a double word, esi = value
; out:      rax = 0 when wake_on has woken it, -EAGAIN when the word has another value
; clobbers: scratch
; interrupts: either; from threads only, holding no lock
routine wait_on, "wait_on"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        push r14
        mov r12, rdi
        mov r13d, esi
        mov rbx, [gs:processor.current]
        call wait_bucket
        mov r14, rax
%ifdef BUG_B23
        mov rax, -EAGAIN        ; compared outside the lock: who changes the word and wakes now, finds nobody
        cmp [r12], r13d
        jne .differs
%endif
        irq_save
        spin_lock r14+waitq.lock
.again:
%ifndef BUG_B23
        mov rax, -EAGAIN
        cmp [r12], r13d
        jne .done
%endif
        mov [rbx+thread.wait_word], r12
        mov rdi, r14
        call waitq_block
        xor eax, eax
        cmp [rbx+thread.wait_word], rax
        jne .again              ; wake_on would have cleared it
.done:
        mov qword [rbx+thread.wait_word], 0
        spin_unlock r14+waitq.lock
        irq_restore
%ifdef BUG_B23
.differs:
%endif
        pop r14
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret

; wake_on - wakes threads that wait on a word, those first that have waited longest.
; in:       rdi = address of the word, esi = how many at most: WAKE_ONE, WAKE_ALL or another number
; out:      rax = how many
; clobbers: scratch
; interrupts: either; from threads and handlers
routine wake_on, "wake_on"
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        push r14
        push r15
        mov r12, rdi
        mov r13d, esi
        xor r14d, r14d          ; woken
        call wait_bucket
        mov r15, rax
        global wake_on_bucket
wake_on_bucket:                 ; who looks on from outside sees here which queue is woken
        irq_save
        spin_lock r15+waitq.lock
        mov rbx, [r15+waitq.head]
.next:
        cmp rbx, NO_WAITER
        je .done
        cmp r14d, r13d
        jae .done
        lea rax, [thread_table]
        mov rsi, [rax+rbx*8]
        mov rbx, [rsi+thread.wait_next]
        cmp [rsi+thread.wait_word], r12
        jne .next
        mov qword [rsi+thread.wait_word], 0
        mov rdi, r15
        call waitq_unlink
        mov rdi, rsi
        call thread_wake
        inc r14d
        jmp .next
.done:
        spin_unlock r15+waitq.lock
        irq_restore
        mov eax, r14d
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret
