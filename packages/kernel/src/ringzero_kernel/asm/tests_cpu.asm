; tests_cpu.asm - stages of descriptors and exceptions.
;
; Room's rule: every vector that ring 0 can provoke is provoked, and the exception must be that one, with its error
; code, and leave the kernel able to go on. (#TS cannot be had in 64-bit mode without a broken TSS; #AC is ring 3's.)

; provoked vector, error - checks what the `catch` before it caught. clobbers: scratch
%macro provoked 2
        caught rbx
        cmp qword [rbx+thread.caught_vector], %1
        must e, "the exception is the expected one"
        cmp qword [rbx+thread.caught_error], %2
        must e, "its error code is right"
%endmacro

section .text
pads
; test_descriptors - GDT, TSS and IDT are the kernel's own.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: off
routine test_descriptors, "test_descriptors"
        push rbp
        mov rbp, rsp
        sub rsp, 16
        begin "gdt-loaded"
        mov ax, cs
        cmp ax, KERNEL_CS
        must e, "CS is the kernel's"
        mov ax, ss
        cmp ax, KERNEL_DS
        must e, "SS is the kernel's"
        sgdt [rsp]
        lea rax, [gdt]
        cmp rax, [rsp+2]
        must e, "GDTR points to the kernel's table"
        str ax
        cmp ax, TSS_SELECTOR
        must e, "TR names the TSS"
        passed

        begin "idt-loaded"
        sidt [rsp]
        lea rax, [idt]
        cmp rax, [rsp+2]
        must e, "IDTR points to the kernel's table"
        cmp word [rsp], 256*16-1
        must e, "it has 256 gates"
        catch .back
        int3
.back:
        provoked 3, 0
        passed

        begin "symbols-known"
        lea rdi, [panic+3]
        call symbol_lookup
        cmp rdx, 3
        must e, "the offset is right"
        mov rdi, rax
        lea rsi, [.panic_name]
        call string_equal
        must e, "the name is right"
        mov edi, 0x1234
        call symbol_lookup
        cmp byte [rax], '?'
        must e, "an address outside has no name"
        passed
        leave
        ret
section .rodata
.panic_name:    db "panic", 0
section .text

; test_exceptions - provokes each vector.
; in:       nothing
; out:      nothing
; clobbers: scratch
; interrupts: either
routine test_exceptions, "test_exceptions"
        push rbp
        mov rbp, rsp
        push rbx
        call test_traps
        call test_faults
        call test_selector_faults
        call test_page_fault
        call test_double_fault
        pop rbx
        pop rbp
        ret

; test_traps - #DB, NMI, #BP, #OF: what comes after an instruction.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: either
routine test_traps, "test_traps"
        begin "exception-db"
        catch .debugged
        xor edx, edx
        pushfq
        or dword [rsp], RFLAGS_TF
        popfq
        inc edx                 ; the trap comes after this one
        inc edx
.debugged:
        cmp edx, 1
        must e, "the trap comes after one instruction"
        provoked 1, 0
        pushfq
        pop rax
        test eax, RFLAGS_TF
        must z, "single-stepping has ended"
        passed

        begin "exception-nmi"
        mov rbx, [nmi_count]
        int 2
        inc rbx
        cmp [nmi_count], rbx
        must e, "it was counted once"
        lea rax, [fault_stacks+PAGE]
        mov rcx, [nmi_stack]
        sub rcx, rax
        cmp rcx, PAGE
        must b, "its handler ran on a stack of its own"
        passed

        begin "exception-bp"
        catch .broken
        int3
.broken:
        provoked 3, 0
        passed

        begin "exception-of"
        catch .overflowed
        int 4
.overflowed:
        provoked 4, 0
        passed
        ret

; test_faults - #DE, #UD, #NM, #GP.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: either
routine test_faults, "test_faults"
        begin "exception-de"
        catch .divided
        xor ecx, ecx
        xor edx, edx
        mov eax, 1
        div ecx
.divided:
        provoked 0, 0
        catch .too_large
        mov edx, 2              ; the quotient does not fit
        mov ecx, 1
        div ecx
.too_large:
        provoked 0, 0
        passed

        begin "exception-ud"
        catch .undefined
        ud2
.undefined:
        provoked 6, 0
        passed

        begin "exception-nm"
        mov rax, cr0
        or eax, CR0_MP + CR0_TS
        mov cr0, rax
        catch .unavailable
        fwait
.unavailable:
        clts
        provoked 7, 0
        passed

        begin "exception-gp"
        catch .protected
        mov rax, 0x8000000000000000     ; not canonical
        mov rax, [rax]
.protected:
        provoked 13, 0
        passed
        ret

; test_selector_faults - #NP, #SS, and #GP with a selector in the error code.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: either
routine test_selector_faults, "test_selector_faults"
        begin "exception-np"
        catch .absent
        mov eax, ABSENT_SELECTOR
        mov ds, eax
.absent:
        provoked 11, ABSENT_SELECTOR
        passed

        begin "exception-ss"
        catch .stack
        mov eax, ABSENT_SELECTOR
        mov ss, eax
.stack:
        provoked 12, ABSENT_SELECTOR
        passed

        begin "exception-gp-selector"
        catch .outside
        mov eax, 0x1000         ; beyond the end of the table
        mov es, eax
.outside:
        provoked 13, 0x1000
        catch .busy
        mov eax, TSS_SELECTOR   ; the TSS in use is marked busy
        ltr ax
.busy:
        provoked 13, TSS_SELECTOR
        passed
        ret

; test_page_fault - #PF: address and error code.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: either
routine test_page_fault, "test_page_fault"
        begin "exception-pf"
        catch .read
        mov rax, HEAP_BASE + HEAP_LIMIT + 0x123
        mov al, [rax]
.read:
        provoked 14, 0          ; not present, read, kernel
        mov rax, HEAP_BASE + HEAP_LIMIT + 0x123
        cmp [rbx+thread.caught_address], rax
        must e, "CR2 has the address"
        catch .written
        mov rax, HEAP_BASE + HEAP_LIMIT + 0x123
        mov [rax], al
.written:
        provoked 14, 2          ; not present, write, kernel
        passed
        ret

; test_double_fault - a stack that has run into its guard page: the fault cannot be pushed, and becomes #DF.
; in:       nothing
; out:      nothing
; clobbers: scratch, rbx
; interrupts: off
routine test_double_fault, "test_double_fault"
        begin "exception-df"
        mov rbx, rsp
        catch .doubled
        lea rsp, [boot_stack_guard+64]
        push rax
.doubled:
        cmp rsp, rbx
        must e, "the stack is back"
        provoked 8, 0
        passed
        ret
