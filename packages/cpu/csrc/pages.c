/* Memory and its snapshots. No number in here comes from a guest: pages are counted by whoever made the buffers. */
#include "pages.h"
#include "core.h"

#define EVERY 0x0101010101010101ULL /* RZ_CLEAN, or a mark, of eight pages */

/* The first page from `i` on that is not clean, or that has a mark, if there are any; else `pages`. */
static uint64_t next_page(const rz_pages *p, const uint8_t *marks, uint64_t i)
{
    while (i < p->pages) {
        uint64_t flags = 0, marked = 0;
        if (i % 8 == 0 && i + 8 <= p->pages) {
            memcpy(&flags, p->flags + i, 8);
            if (marks)
                memcpy(&marked, marks + i, 8);
            if (!((~flags & EVERY * RZ_CLEAN) | marked)) {
                i += 8;
                continue;
            }
        }
        if (!(p->flags[i] & RZ_CLEAN) || (marks && marks[i]))
            break;
        i++;
    }
    return i;
}

static void note_dirty(rz_pages *p, uint64_t i)
{
    if (p->flags[i] & RZ_CLEAN)
        return;
    p->flags[i] |= RZ_CLEAN;
    p->unsaved[i] = 1;
    p->dirty++;
}

void rz_collect(rz_pages *p)
{
    p->changed = p->missing = p->dirty = 0;
    for (uint64_t i = next_page(p, NULL, 0); i < p->pages; i = next_page(p, NULL, i + 1)) {
        note_dirty(p, i);
        p->unhashed[i] = 1;
        p->numbers[p->changed++] = (uint32_t)i;
    }
}

uint64_t rz_put_back(rz_pages *p)
{
    uint64_t written = 0;
    p->changed = p->missing = p->dirty = 0;
    for (uint64_t i = next_page(p, p->unsaved, 0); i < p->pages; i = next_page(p, p->unsaved, i + 1)) {
        const uint8_t *content = (const uint8_t *)(uintptr_t)p->content[i];
        uint8_t *page = p->ram + i * RZ_PAGE;
        note_dirty(p, i);
        p->unhashed[i] = 1;
        if (!content) {
            p->numbers[p->pages - ++p->missing] = (uint32_t)i;
            continue;
        }
        if (p->flags[i] & (RZ_CODE | RZ_TABLE) && memcmp(page, content, RZ_PAGE))
            p->numbers[p->changed++] = (uint32_t)i;
        memcpy(page, content, RZ_PAGE);
        p->unsaved[i] = 0;
        written++;
    }
    return written;
}
