; Precedence, bases, wrap-around and characters: everything becomes bytes.
bits 64
a: dq 1 + 2 * 3, (1 + 2) * 3, 7 / 2, -7 // 2, 7 % 4, -7 %% 4, 1 << 4 | 1, 6 & 3 ^ 1, ~0, !0, !5, -(-3), + 4
dq 0x1f, 1fh, $1f, 0h1f, 17o, 17q, 0o17, 0q17, 101b, 0b101, 101y, 9d, 0d9, 1_000, 0xffff_ffff
dq -1 / 2, 1 << 63, -1 >> 4, -16 >>> 2, 3 < 4, 4 < 3, -1 < 0, 1 && 0, 1 || 0, 1 ^^ 1, 2 = 2, 2 <> 2, 3 != 4
dq 'a', 'ab', "abcd", 'abcdefgh', `\n\t\x41\101\\`, 1 ? 2 : 3, 0 ? 2 : 3, 0xffffffffffffffff + 2
db 'text', "it's", `nul\0`, 0, 255, -128, 'a' + 1
dw 'ab', 'abc', 1, 65535, -32768
dd 'abcd', 1.5, -2.25, 0x12345678, 1.5e3
dq 1.5, -0.1, 3.141592653589793
b: dd b - a, $ - a, $ - $$, b - $
size equ b - a
twice equ size * 2
dd size, twice, forward, forward - 1
forward equ late + 1
late equ 41
times 3 db 1, 2
times 4 - 3 dw 9
times (8 - ($ - $$) % 8) % 8 db 0xee
