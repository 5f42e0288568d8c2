/* Sequences of items that differ from each other (distinct.py).
 *
 * A node is (current, parameters, so_far); the parameters are a counted list: item, separator, low, high (-1: none),
 * offset of the counted list of shortest items, and the used items as TEXTs, ascending by their numbers. */
#include "arena.h"
#include <string.h>

enum { ITEM = 1, SEP, LOW, HIGH, WORDS, USED };

static Id param(Arena *A, Node n, int which) { return *LIST(A, n.b + which); }

static int32_t length_of(Arena *A, Id text) { return text == A->eps ? 0 : NODE(A, text).b; }

static Id make_unique(Arena *A, Id current, int32_t params, Id so_far) {
    if (current == A->empty || *LIST(A, params + HIGH) == 1) return current; /* the last one need not be remembered */
    return intern(A, (Node){.kind = UNIQUE, .a = current, .b = params, .c = so_far});
}

/* All items but the used ones, from the start. */
static Id fresh(Arena *A, int32_t params) {
    int32_t base = A->scratch.size;
    push(A, *LIST(A, params + ITEM));
    for (int32_t i = USED; i <= *LIST(A, params); i++) push(A, make_not(A, *LIST(A, params + i)));
    return make_unique(A, make_nary(A, AND, base), params, A->eps);
}

Id make_distinct(Arena *A, Id item, Id sep, int32_t low, int32_t high, int32_t words) {
    Id params[] = {item, sep, low, high, words};
    return fresh(A, make_list(A, params, 5));
}

static int32_t with_used(Arena *A, Node n) {
    int32_t base = A->scratch.size, count = *LIST(A, n.b), i = 1;
    for (; i < USED; i++) push(A, *LIST(A, n.b + i));
    Id *low = (Id *)A->scratch.items + base + LOW - 1, *high = low + 1;
    if (*low > 0) --*low;
    if (*high > 0) --*high;
    for (; i <= count && *LIST(A, n.b + i) < n.c; i++) push(A, *LIST(A, n.b + i));
    push(A, n.c);
    for (; i <= count; i++) push(A, *LIST(A, n.b + i));
    int32_t at = make_list(A, (Id *)A->scratch.items + base, count + 1);
    A->scratch.size = base;
    return at;
}

/* What may follow when the item ends here. */
static Id rest(Arena *A, Node n) {
    return make_cat(A, param(A, n, SEP), fresh(A, with_used(A, n)));
}

int nullable_unique(Arena *A, Node n) {
    return nullable(A, n.a) && (param(A, n, LOW) <= 1 || nullable(A, rest(A, n)));
}

/* Every byte of an item leads elsewhere, because it is remembered. */
Cuts cuts_unique(Arena *A, Node n) {
    Cuts out = {{0}};
    if (nullable(A, n.a)) out = cuts(A, rest(A, n));
    for (int low = 0, high, first; low < 256; low = high) {
        segment(A, n.a, low, &first, &high);
        for (int byte = low; byte < high && derive(A, n.a, low) != A->empty; byte++) cut_byte(&out, byte);
    }
    return out;
}

static Id longer(Arena *A, Id text, int byte) {
    int32_t length = length_of(A, text);
    uint8_t *to = grow(A, &A->bytes, length + 1, 1);
    if (length) memcpy(to, BYTES(A, NODE(A, text).a), (size_t)length);
    to[length] = (uint8_t)byte;
    A->bytes.size += length + 1;
    return make_text(A, A->bytes.size - length - 1, length + 1);
}

Id derive_unique(Arena *A, Node n, int byte) {
    int32_t base = A->scratch.size;
    Id inside = derive(A, n.a, byte);
    if (inside != A->empty) inside = make_unique(A, inside, n.b, longer(A, n.c, byte));
    push(A, inside);
    if (nullable(A, n.a)) push(A, derive(A, rest(A, n), byte));
    return make_nary(A, ALT, base);
}

static int is_used(Arena *A, int32_t params, Id text) {
    for (int32_t i = USED; i <= *LIST(A, params); i++)
        if (*LIST(A, params + i) == text) return 1;
    return 0;
}

static int begins_with(Arena *A, Id text, Id start) {
    int32_t length = length_of(A, start);
    return !length || (length_of(A, text) >= length &&
                       !memcmp(BYTES(A, NODE(A, text).a), BYTES(A, NODE(A, start).a), (size_t)length));
}

int64_t minlen_unique(Arena *A, Node n, int64_t (*of)(Arena *, Id)) {
    int32_t more = param(A, n, LOW) - 1, words = param(A, n, WORDS), among = 0;
    int64_t least = of(A, n.a), total = 0;
    if (more < 1 || least >= INF) return least;
    int64_t sep = of(A, param(A, n, SEP));
    if (sep > INF / more) return INF;
    total = more * sep;
    for (int32_t i = 1; i <= *LIST(A, words) && more >= 0; i++) {
        Id word = *LIST(A, words + i);
        if (is_used(A, n.b, word)) continue;
        if (more > 0) among |= begins_with(A, word, n.c);
        if (more-- > 0 || among) total += length_of(A, word);
    }
    total += among ? -length_of(A, n.c) : least;
    return total < INF ? total : INF;
}

static int texts_are_sound(Arena *A, int32_t at, int32_t count, Id below) {
    for (int32_t i = 0; i < count; i++) {
        Id text = *LIST(A, at + i);
        if (text < 0 || text >= below || (text != A->eps && NODE(A, text).kind != TEXT)) return 0;
    }
    return 1;
}

static int list_is_there(Arena *A, int32_t at) {
    return at >= 0 && at < A->lists.size && *LIST(A, at) >= 0 && *LIST(A, at) < A->lists.size - at;
}

/* Of a node that was stored: whether everything that it names is there and older. */
int unique_is_sound(Arena *A, const Node *n, Id id) {
    if (!list_is_there(A, n->b) || *LIST(A, n->b) < WORDS || !list_is_there(A, *LIST(A, n->b + WORDS))) return 0;
    int32_t words = *LIST(A, n->b + WORDS), low = *LIST(A, n->b + LOW), used = *LIST(A, n->b) - WORDS;
    Id named[] = {n->a, n->c, *LIST(A, n->b + ITEM), *LIST(A, n->b + SEP)};
    for (int i = 0; i < 4; i++)
        if (named[i] < 0 || named[i] >= id) return 0;
    return low >= 0 && (low < 2 || low <= *LIST(A, words)) && (n->c == A->eps || NODE(A, n->c).kind == TEXT) &&
           texts_are_sound(A, n->b + USED, used, id) && texts_are_sound(A, words + 1, *LIST(A, words), id);
}
