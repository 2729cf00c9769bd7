; Everything of the preprocessor that can be seen in bytes.
bits 64
%define plain 3
%define pair(a, b) a * 10 + b
%define outer(x) pair(x, plain)
%define text "abc"
db plain, pair(1, 2), outer(4), text
%define glue(a, b) a %+ b
value12 equ 77
db glue(value, 12), glue(1, 2)
%xdefine now plain
%define plain 9
db now, plain
%undef now
%assign n 5
%rep 3
db n
%assign n n * 2 - 1
%endrep
%rep 100
%if n > 100
%exitrep
%endif
%assign n n + 30
db n & 255
%endrep
%macro data 1-3 7, 8
%%start: db %1, %2, %3, %0, $ - %%start
%endmacro
data 1
data 1, 2
one: data 1, 2, 3
data {4}, {5}
%macro list 1-*
%rep %0
db %1
%rotate 1
%endrep
db %1
%endmacro
list 10, 20, 30
list 'x'
%macro rest 1+
db %1
%endmacro
rest 1, 2, 3
%macro cond 2
j%+1 %2
j%-1 %2
set%-1 al
%endmacro
here: cond z, here
cond ge, here
%macro choose 1
%ifidn %1, one
db 1
%elifidni %1, TWO
db 2
%elifnum %1
db 3
%elifstr %1
db 4
%elifempty %1
db 5
%else
db 6
%endif
%endmacro
choose one
choose two
choose 3
choose "s"
choose {}
choose [x]
%macro define_value 2
%1_value equ %2
%%x: mov eax, %1_value
mov ebx, %{1}_value
%endmacro
define_value first, 5
define_value second, 500
%macro nested 1
%macro inner_%1 1
db %1, %%1
%endmacro
%endmacro
%imacro FoLd 0
db 'f'
%endmacro
fold
FOLD
%idefine Case 6
db case, CASE
%ifdef plain
db 1
%endif
%ifndef nothing
db 2
%elifdef plain
db 3
%else
db 4
%endif
%ifmacro data 2
db 1
%endif
%ifnmacro data 9
db 2
%endif
%if 1
%if 0
db 0xee
%elif 2 > 1 && 3 == 3
db 0xdd
%else
db 0xcc
%endif
%else
%if 1
db 0xbb
%endif
%endif
%strlen length text
db length
%substr part text 2
%substr tail text 2, -1
%strcat both text, "de"
db part, tail, both
%defstr name some name
db name
%deftok token "plain"
db token
%push context
%define %$local 11
%$label: db %$local
dd %$label - $$
%pop
db __LINE__
%macro lines 0
db __LINE__
%endmacro
db 1, \
   2
%define indirect plain
%assign k 2
%define value2 33
db %[indirect], value%[k]
%macro has_label 0
%00: dd %00 - $$
%endmacro
mark: has_label
%define hash(x) #x
%define f(x) (x) + 1
db f(2), f((3)), f (4)
%macro swap 2
db %2, %1
%rotate 1
db %2, %1
%rotate -1
db %2, %1
%endmacro
swap 1, 2
%define a.b 5
db a.b
%line 100+1 other.asm
%macro opt 0
db 0
%endmacro
%macro opt 1
db %1
%endmacro
opt
opt 8
%macro range 3
db %{1:2}, %{-1:1}
%endmacro
range 1, 2, 3
%unmacro opt 1
db `%1 is no parameter here`, "nor is %define"
