/* Native decoders over a buffer, as a C program would use them: each returns how many instructions it took. Built once
 * for each peer that is installed (see native_decoders.py). */
#include <stddef.h>
#include <stdint.h>

#ifdef PEER_ZYDIS
#include <Zydis/Zydis.h>

size_t decode(const uint8_t *code, size_t size, int operands)
{
    ZydisDecoder decoder;
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand found[ZYDIS_MAX_OPERAND_COUNT];
    ZydisDecoderContext context;
    size_t count = 0;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    while (size) {
        ZyanStatus status = operands ? ZydisDecoderDecodeFull(&decoder, code, size, &instruction, found)
                                     : ZydisDecoderDecodeInstruction(&decoder, &context, code, size, &instruction);
        size_t length = ZYAN_SUCCESS(status) ? instruction.length : 1;
        code += length;
        size -= length;
        count++;
    }
    return count;
}
#endif

#ifdef PEER_CAPSTONE
#include <capstone/capstone.h>

size_t decode(const uint8_t *code, size_t size, int operands)
{
    csh handle;
    cs_insn *instruction;
    uint64_t address = 0;
    size_t count = 0;
    if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
        return 0;
    cs_option(handle, CS_OPT_DETAIL, operands ? CS_OPT_ON : CS_OPT_OFF);
    instruction = cs_malloc(handle);
    while (size) {
        if (!cs_disasm_iter(handle, &code, &size, &address, instruction)) {
            code++;
            size--;
        }
        count++;
    }
    cs_free(instruction, 1);
    cs_close(&handle);
    return count;
}
#endif
