/* Interned nodes and their smart constructors (expr.py). */
#include "arena.h"
#include <stdlib.h>
#include <string.h>

_Noreturn void fail(Arena *A, const char *why) {
    A->why = why;
    longjmp(A->failed, 1);
}

void enter(Arena *A) {
    tick(A);
    if (++A->depth > MAX_DEPTH) fail(A, "the expression is nested too deeply");
}

void *grow(Arena *A, Pool *pool, int32_t more, size_t item) {
    if (more > pool->capacity - pool->size) {
        int64_t want = (int64_t)pool->capacity * 2 > pool->size + (int64_t)more ? (int64_t)pool->capacity * 2
                                                                                : pool->size + (int64_t)more + 64;
        void *items = want > INT32_MAX ? NULL : realloc(pool->items, (size_t)want * item);
        if (!items) fail(A, NULL);
        pool->items = items;
        pool->capacity = (int32_t)want;
    }
    return (char *)pool->items + (size_t)pool->size * item;
}

static uint64_t mix(uint64_t h, uint64_t x) {
    h = (h ^ x) * 0x9E3779B97F4A7C15u;
    return h ^ (h >> 29);
}

static uint64_t mix_list(Arena *A, uint64_t h, int32_t at) {
    for (int32_t i = 0; i <= *LIST(A, at); i++) h = mix(h, (uint64_t)*LIST(A, at + i));
    return h;
}

static uint64_t hash(Arena *A, const Node *n) {
    uint64_t h = mix(n->kind, 0x51);
    if (n->kind == TEXT) {
        for (int32_t i = 0; i < n->b; i++) h = mix(h, *BYTES(A, n->a + i));
        return h;
    }
    if (n->kind == ALT || n->kind == AND) {
        for (int32_t i = 0; i < n->b; i++) h = mix(h, (uint64_t)*LIST(A, n->a + i));
        return h;
    }
    h = mix(h, (uint64_t)n->a);
    if (n->kind == UNIQUE || n->kind == THEN) return mix_list(A, mix(h, (uint64_t)n->c), n->b);
    h = mix(h, (uint64_t)n->b);
    return n->kind == HOLE ? mix_list(A, h, n->c) : mix(h, (uint64_t)n->c);
}

static int same_list(Arena *A, int32_t x, int32_t y) {
    const Id *p = LIST(A, x), *q = LIST(A, y);
    return *p == *q && !memcmp(p, q, (size_t)(*p + 1) * sizeof(Id));
}

static int same(Arena *A, const Node *x, const Node *y) {
    if (x->kind != y->kind) return 0;
    if (x->kind == TEXT) return x->b == y->b && !memcmp(BYTES(A, x->a), BYTES(A, y->a), (size_t)x->b);
    if (x->kind == ALT || x->kind == AND)
        return x->b == y->b && !memcmp(LIST(A, x->a), LIST(A, y->a), (size_t)x->b * sizeof(Id));
    if (x->a != y->a) return 0;
    if (x->kind == UNIQUE || x->kind == THEN) return x->c == y->c && same_list(A, x->b, y->b);
    return x->b == y->b && (x->kind == HOLE ? same_list(A, x->c, y->c) : x->c == y->c);
}

void rehash(Arena *A) {
    uint32_t mask = A->interned_mask * 2 + 1;
    Id *table = malloc(((size_t)mask + 1) * sizeof(Id));
    if (!table) fail(A, NULL);
    for (uint32_t i = 0; i <= mask; i++) table[i] = NONE;
    for (Id id = 0; id < A->nodes.size; id++) {
        if (NODE(A, id).kind == REF) continue;
        uint32_t at = (uint32_t)hash(A, &NODE(A, id)) & mask;
        while (table[at] != NONE) at = (at + 1) & mask;
        table[at] = id;
    }
    free(A->interned);
    A->interned = table;
    A->interned_mask = mask;
}

static Id add(Arena *A, Node n) {
    Node *to = grow(A, &A->nodes, 1, sizeof(Node));
    grow(A, &A->cuts, 1, sizeof(Cuts));
    n.nullable = -1;
    n.minlen = -1;
    *to = n;
    A->cuts.size++;
    return A->nodes.size++;
}

Id intern(Arena *A, Node n) {
    if ((uint32_t)A->nodes.size >= A->interned_mask - A->interned_mask / 4) rehash(A);
    uint32_t at = (uint32_t)hash(A, &n) & A->interned_mask;
    while (A->interned[at] != NONE) {
        if (same(A, &NODE(A, A->interned[at]), &n)) return A->interned[at];
        at = (at + 1) & A->interned_mask;
    }
    return A->interned[at] = add(A, n);
}

Id make_leaf(Arena *A, Id dag) { return dag == NONE ? A->empty : intern(A, (Node){.kind = LEAF, .a = dag}); }

Id make_text(Arena *A, int32_t offset, int32_t length) {
    return length ? intern(A, (Node){.kind = TEXT, .a = offset, .b = length}) : A->eps;
}

/* x{a,b} x{c,d} as x{a+c,b+d}; NONE when the numbers get too large. */
static Id join_repeats(Arena *A, Node x, Node y) {
    int64_t low = (int64_t)x.b + y.b, high = x.c < 0 || y.c < 0 ? -1 : (int64_t)x.c + y.c;
    return low > INT32_MAX || high > INT32_MAX ? NONE : make_repeat(A, x.a, (int32_t)low, (int32_t)high);
}

Id make_cat(Arena *A, Id head, Id tail) {
    if (head == A->empty || tail == A->empty) return A->empty;
    if (head == A->eps) return tail;
    if (tail == A->eps) return head;
    if (NODE(A, head).kind == CAT) { /* keep concatenations right-nested */
        enter(A);
        tail = make_cat(A, NODE(A, head).b, tail);
        head = NODE(A, head).a;
        leave(A);
    }
    Id next = NODE(A, tail).kind == CAT ? NODE(A, tail).a : tail;
    if (NODE(A, head).kind == REPEAT && NODE(A, next).kind == REPEAT && NODE(A, head).a == NODE(A, next).a) {
        Id joined = join_repeats(A, NODE(A, head), NODE(A, next));
        if (joined != NONE) return next == tail ? joined : make_cat(A, joined, NODE(A, tail).b);
    }
    return intern(A, (Node){.kind = CAT, .a = head, .b = tail});
}

Id make_not(Arena *A, Id body) {
    if (NODE(A, body).kind == NOT) return NODE(A, body).a;
    return intern(A, (Node){.kind = NOT, .a = body});
}

/* Whether the counts of (x{b,c}){low,high} are an interval. */
static int leaves_no_gap(Node n, int32_t low, int32_t high) {
    return n.b <= 1 || low == high || (low > 0 && (n.c < 0 || (int64_t)low * (n.c - n.b) >= n.b - 1));
}

Id make_repeat(Arena *A, Id body, int32_t low, int32_t high) {
    if (high == 0 || body == A->eps) return A->eps;
    if (body == A->empty) return low == 0 ? A->eps : A->empty;
    if (low == 1 && high == 1) return body;
    Node n = NODE(A, body);
    if (n.kind == REPEAT && leaves_no_gap(n, low, high)) {
        int64_t least = (int64_t)n.b * low, most = n.c < 0 || high < 0 ? -1 : (int64_t)n.c * high;
        if (least <= INT32_MAX && most <= INT32_MAX) return make_repeat(A, n.a, (int32_t)least, (int32_t)most);
    }
    return intern(A, (Node){.kind = REPEAT, .a = body, .b = low, .c = high});
}

Id make_ref(Arena *A) { return add(A, (Node){.kind = REF, .a = NONE}); }

Id make_hole(Arena *A, Id value, Id follow, int32_t positions) {
    if (value == A->empty && *LIST(A, positions) == 0) return A->empty;
    return intern(A, (Node){.kind = HOLE, .a = value, .b = follow, .c = positions});
}

int32_t make_list(Arena *A, const Id *items, int32_t count) {
    Id *to = grow(A, &A->lists, count + 1, sizeof(Id));
    to[0] = count;
    memcpy(to + 1, items, (size_t)count * sizeof(Id));
    A->lists.size += count + 1;
    return A->lists.size - count - 1;
}

void push(Arena *A, Id id) {
    tick(A);
    *(Id *)grow(A, &A->scratch, 1, sizeof(Id)) = id;
    A->scratch.size++;
}

static int ascending(const void *x, const void *y) {
    Id a = *(const Id *)x, b = *(const Id *)y;
    return (a > b) - (a < b);
}

#define SCRATCH(A) ((Id *)(A)->scratch.items)

/* Replaces scratch[base:] by the members, flattened, without neutral ones, sorted, once each. Absorbing found: 1. */
static int normalise(Arena *A, int kind, int32_t base, Id neutral, Id absorbing) {
    int32_t count = A->scratch.size;
    for (int32_t i = base; i < count; i++) {
        Id id = SCRATCH(A)[i];
        Node n = NODE(A, id);
        if (n.kind != kind) push(A, id);
        else for (int32_t k = 0; k < n.b; k++) push(A, *LIST(A, n.a + k));
    }
    Id *all = SCRATCH(A);
    qsort(all + count, (size_t)(A->scratch.size - count), sizeof(Id), ascending);
    int32_t to = base;
    for (int32_t i = count; i < A->scratch.size; i++) {
        if (all[i] == absorbing) return 1;
        if (all[i] != neutral && (to == base || all[to - 1] != all[i])) all[to++] = all[i];
    }
    A->scratch.size = to;
    return 0;
}

static int contradiction(Arena *A, int32_t base) {
    for (int32_t i = base; i < A->scratch.size; i++) {
        Node n = NODE(A, SCRATCH(A)[i]);
        if (n.kind == NOT && bsearch(&n.a, SCRATCH(A) + base, (size_t)(A->scratch.size - base), sizeof(Id), ascending))
            return 1;
    }
    return 0;
}

typedef struct { Id head, tail; } Pair;

static int by_head(const void *x, const void *y) {
    const Pair *a = x, *b = y;
    return a->head == b->head ? ascending(&a->tail, &b->tail) : ascending(&a->head, &b->head);
}

/* The concatenations among scratch[base:] as pairs behind them, sorted; returns how many have the head of another. */
static int32_t shared_heads(Arena *A, int32_t base) {
    int32_t end = A->scratch.size, shared = 0;
    for (int32_t i = base; i < end; i++) {
        Node n = NODE(A, SCRATCH(A)[i]);
        if (n.kind != CAT) continue;
        push(A, n.a);
        push(A, n.b);
    }
    int32_t count = (A->scratch.size - end) / 2;
    Pair *pairs = (Pair *)(SCRATCH(A) + end);
    if (count > 1) qsort(pairs, (size_t)count, sizeof(Pair), by_head);
    for (int32_t i = 1; i < count; i++) shared += pairs[i].head == pairs[i - 1].head;
    return shared;
}

/* Alternatives x y and x z among scratch[base:] become x (y | z): see expr.py. */
static void factor(Arena *A, int32_t base) {
    int32_t end = A->scratch.size, to = base;
    if (A->depth > MAX_DEPTH / 2 || !shared_heads(A, base)) {
        A->scratch.size = end;
        return;
    }
    int32_t top = A->scratch.size;
    for (int32_t i = base; i < end; i++)
        if (NODE(A, SCRATCH(A)[i]).kind != CAT) SCRATCH(A)[to++] = SCRATCH(A)[i];
    enter(A);
    for (int32_t i = end; i < top;) {
        Id head = SCRATCH(A)[i];
        for (; i < top && SCRATCH(A)[i] == head; i += 2) push(A, SCRATCH(A)[i + 1]);
        Id joined = make_cat(A, head, make_nary(A, ALT, top));
        SCRATCH(A)[to++] = joined;
    }
    leave(A);
    A->scratch.size = to;
    qsort(SCRATCH(A) + base, (size_t)(to - base), sizeof(Id), ascending);
}

typedef struct { Id body, tail, low, high; } Counted; /* x{low,high} tail, without a bound: high = INT32_MAX */

static int by_count(const void *x, const void *y) {
    const Id *a = x, *b = y;
    for (int i = 0; i < 3; i++)
        if (a[i] != b[i]) return ascending(a + i, b + i);
    return 0;
}

static int as_counted(Arena *A, Id id, Counted *out) {
    Node n = NODE(A, id), head = n.kind == CAT ? NODE(A, n.a) : n;
    *out = (Counted){head.a, n.kind == CAT ? n.b : A->eps, head.b, head.c < 0 ? INT32_MAX : head.c};
    return head.kind == REPEAT;
}

/* Alternatives x{a,b} y and x{c,d} y among scratch[base:] become one where the counts overlap: see expr.py. */
static void unite_counts(Arena *A, int32_t base) {
    int32_t end = A->scratch.size, to = base, before = 0;
    Counted c;
    for (int32_t i = base; i < end; i++)
        if (as_counted(A, SCRATCH(A)[i], &c))
            for (int k = 0; k < 4; k++) push(A, ((Id *)&c)[k]);
    int32_t count = (A->scratch.size - end) / 4;
    Counted *all = (Counted *)(SCRATCH(A) + end);
    if (count > 1) qsort(all, (size_t)count, sizeof(Counted), by_count);
    for (int32_t i = 1; i < count; i++) {
        Counted *last = &all[before], next = all[i];
        if (next.body == last->body && next.tail == last->tail && next.low - 1 <= last->high)
            last->high = next.high > last->high ? next.high : last->high;
        else all[++before] = next;
    }
    A->scratch.size = end;
    if (count < 2 || before + 1 == count) return;
    for (int32_t i = base; i < end; i++)
        if (!as_counted(A, SCRATCH(A)[i], &c)) SCRATCH(A)[to++] = SCRATCH(A)[i];
    A->scratch.size = end + 4 * count; /* what follows uses the stack */
    for (int32_t i = 0; i <= before; i++) {
        c = ((Counted *)(SCRATCH(A) + end))[i];
        Id joined = make_cat(A, make_repeat(A, c.body, c.low, c.high == INT32_MAX ? -1 : c.high), c.tail);
        SCRATCH(A)[to++] = joined;
    }
    A->scratch.size = to;
    qsort(SCRATCH(A) + base, (size_t)(to - base), sizeof(Id), ascending);
}

Id make_nary(Arena *A, int kind, int32_t base) {
    Id neutral = kind == ALT ? A->empty : A->all, absorbing = kind == ALT ? A->all : A->empty, out;
    int32_t count = A->scratch.size - base;
    int absorbed = count != 1 && normalise(A, kind, base, neutral, absorbing);
    if (kind == ALT && !absorbed) {
        factor(A, base);
        unite_counts(A, base);
    }
    if (absorbed) out = absorbing;
    else if ((count = A->scratch.size - base) < 2) out = count ? SCRATCH(A)[base] : neutral;
    else if (kind == AND && contradiction(A, base)) out = A->empty;
    else {
        int32_t at = A->lists.size, before = A->nodes.size;
        Id *to = grow(A, &A->lists, count, sizeof(Id));
        memcpy(to, SCRATCH(A) + base, (size_t)count * sizeof(Id));
        A->lists.size += count;
        out = intern(A, (Node){.kind = (uint8_t)kind, .a = at, .b = count});
        if (A->nodes.size == before) A->lists.size = at; /* known: the list is not needed */
    }
    A->scratch.size = base;
    return out;
}

void arena_init(Arena *A) {
    A->work = WORK_AHEAD;
    A->interned_mask = 1023;
    A->interned = malloc(1024 * sizeof(Id));
    A->memo_mask = 4095;
    A->memo = calloc(4096, sizeof(Memo));
    if (!A->interned || !A->memo) fail(A, NULL);
    for (int i = 0; i < 1024; i++) A->interned[i] = NONE;
    *(Dag *)grow(A, &A->dags, 1, sizeof(Dag)) = (Dag){.final = 1};
    A->dags.size++;
    A->empty = intern(A, (Node){.kind = EMPTY});
    A->eps = make_leaf(A, 0);
    A->all = make_not(A, A->empty);
}

void arena_free(Arena *A) {
    for (int32_t i = 0; i < A->indexes.size; i++)
        for (int k = 0; k < ((Index *)A->indexes.items)[i].parts; k++)
            PyBuffer_Release(&((Index *)A->indexes.items)[i].views[k]);
    Pool *pools[] = {&A->indexes, &A->nodes, &A->cuts, &A->bytes, &A->lists, &A->dags, &A->edges, &A->scratch, &A->bounds};
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) free(pools[i]->items);
    free(A->interned);
    free(A->memo);
}
