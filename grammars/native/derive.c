/* Nullability, byte classes and derivatives (derive.py). */
#include "arena.h"
#include <string.h>
#include <stdlib.h>

static int compute_nullable(Arena *A, Id e) {
    Node n = NODE(A, e);
    switch (n.kind) {
    case LEAF: return DAG(A, n.a).final;
    case CAT: return nullable(A, n.a) && nullable(A, n.b);
    case ALT:
        for (int32_t i = 0; i < n.b; i++)
            if (nullable(A, *LIST(A, n.a + i))) return 1;
        return 0;
    case AND:
        for (int32_t i = 0; i < n.b; i++)
            if (!nullable(A, *LIST(A, n.a + i))) return 0;
        return 1;
    case REPEAT: return n.b == 0 || nullable(A, n.a);
    case NOT: return !nullable(A, n.a);
    case SPAN: return minlen(A, e) == 0;
    case UNIQUE: return nullable_unique(A, n);
    case HOLE: {
        Id *positions = LIST(A, n.c);
        if (nullable(A, n.a) || (n.a == A->empty && positions[0] == 1)) return 1;
        positions = LIST(A, n.c);
        return positions[0] > 0 && positions[positions[0]] == NODE(A, n.b).b;
    }
    default: return 0;
    }
}

int nullable(Arena *A, Id e) {
    if (NODE(A, e).nullable < 0) {
        enter(A);
        int found = compute_nullable(A, e);
        leave(A);
        NODE(A, e).nullable = (int8_t)found;
    }
    return NODE(A, e).nullable;
}

PyObject *call_out(Arena *A, PyObject *python, int number, PyObject *text) {
    jmp_buf outer;
    memcpy(&outer, &A->failed, sizeof(outer));
    PyObject *done = python ? PyObject_CallFunction(python, text ? "iO" : "i", number, text) : NULL;
    memcpy(&A->failed, &outer, sizeof(outer));
    if (!done) fail(A, python ? NULL : "a rule is used but never defined");
    return done;
}

/* The body of a rule; a lazy one is written now. */
Id body_of(Arena *A, Id ref) {
    if (NODE(A, ref).a != NONE) return NODE(A, ref).a;
    Py_DECREF(call_out(A, A->on_lazy, ref, NULL));
    if (NODE(A, ref).a == NONE) fail(A, "a rule is used but never defined");
    return NODE(A, ref).a;
}

static void cut(Cuts *c, int byte) {
    if (byte < 256) c->word[byte >> 6] |= (uint64_t)1 << (byte & 63);
}

void cut_byte(Cuts *c, int byte) {
    cut(c, byte);
    cut(c, byte + 1);
}

static void unite(Cuts *c, Cuts other) {
    for (int i = 0; i < 4; i++) c->word[i] |= other.word[i];
}

static Cuts compute_cuts(Arena *A, Id e) {
    Node n = NODE(A, e);
    Cuts out = {{0}};
    switch (n.kind) {
    case LEAF:
        for (int32_t i = 0; i < DAG(A, n.a).count; i++) {
            Edge edge = EDGE(A, DAG(A, n.a).first + i);
            cut(&out, edge.low);
            cut(&out, edge.high + 1);
        }
        break;
    case TEXT: cut_byte(&out, *BYTES(A, n.a)); break;
    case CAT:
        for (;; n = NODE(A, n.b)) {
            unite(&out, cuts(A, n.a));
            if (!nullable(A, n.a)) break;
            if (NODE(A, n.b).kind != CAT) {
                unite(&out, cuts(A, n.b));
                break;
            }
        }
        break;
    case ALT:
    case AND:
        for (int32_t i = 0; i < n.b; i++) unite(&out, cuts(A, *LIST(A, n.a + i)));
        break;
    case REPEAT:
    case NOT: return cuts(A, n.a);
    case REF: return cuts(A, body_of(A, e));
    case SPAN: return cuts_span(A, n);
    case UNIQUE: return cuts_unique(A, n);
    case THEN: return cuts_then(A, e);
    case HOLE: {
        Node follow = NODE(A, n.b);
        out = cuts(A, n.a);
        cut_byte(&out, *BYTES(A, follow.a));
        for (int32_t i = 1; i <= *LIST(A, n.c); i++)
            if (*LIST(A, n.c + i) < follow.b) cut_byte(&out, *BYTES(A, follow.a + *LIST(A, n.c + i)));
        break;
    }
    default: break;
    }
    return out;
}

Cuts cuts(Arena *A, Id e) {
    if (!NODE(A, e).has_cuts) {
        enter(A);
        Cuts found = compute_cuts(A, e);
        leave(A);
        ((Cuts *)A->cuts.items)[e] = found;
        NODE(A, e).has_cuts = 1;
    }
    return ((Cuts *)A->cuts.items)[e];
}

static int is_cut(const Cuts *c, int byte) { return c->word[byte >> 6] >> (byte & 63) & 1; }

void segment(Arena *A, Id e, int byte, int *low, int *high) {
    Cuts c = cuts(A, e);
    for (*low = byte; *low > 0 && !is_cut(&c, *low);) --*low;
    for (*high = byte + 1; *high < 256 && !is_cut(&c, *high);) ++*high;
}

static Id step(Arena *A, Id dag, int byte) {
    Dag d = DAG(A, dag);
    for (int32_t i = 0; i < d.count; i++) {
        Edge edge = EDGE(A, d.first + i);
        if (edge.low <= byte && byte <= edge.high) return edge.child;
    }
    return NONE;
}

static Id derive_cat(Arena *A, Id e, int byte) {
    int32_t base = A->scratch.size;
    while (NODE(A, e).kind == CAT) {
        Id head = NODE(A, e).a, tail = NODE(A, e).b;
        push(A, make_cat(A, derive(A, head, byte), tail));
        if (!nullable(A, head)) return make_nary(A, ALT, base);
        e = tail;
    }
    push(A, derive(A, e, byte));
    return make_nary(A, ALT, base);
}

static Id derive_hole(Arena *A, Node n, int byte) {
    Node follow = NODE(A, n.b);
    int32_t base = A->scratch.size, count = *LIST(A, n.c);
    for (int32_t i = nullable(A, n.a) ? 0 : 1; i <= count; i++) { /* ascending; index 0 stands for position 0 */
        int32_t position = i ? *LIST(A, n.c + i) : 0;
        if (position < follow.b && *BYTES(A, follow.a + position) == byte) push(A, position + 1);
    }
    Id *moved = (Id *)A->scratch.items + base;
    int32_t many = A->scratch.size - base;
    if (many && moved[many - 1] == follow.b) {
        A->scratch.size = base;
        return make_hole(A, A->empty, n.b, make_list(A, &follow.b, 1));
    }
    Id after = derive(A, n.a, byte);
    if (minlen(A, after) >= INF) after = A->empty;
    int32_t positions = make_list(A, (Id *)A->scratch.items + base, many);
    A->scratch.size = base;
    return make_hole(A, after, n.b, positions);
}

static Id compute_derivative(Arena *A, Id e, int byte) {
    Node n = NODE(A, e);
    int32_t base = A->scratch.size;
    switch (n.kind) {
    case ALT:
    case AND:
        for (int32_t i = 0; i < n.b; i++) push(A, derive(A, *LIST(A, n.a + i), byte));
        return make_nary(A, n.kind, base);
    case NOT: return make_not(A, derive(A, n.a, byte));
    case REPEAT: {
        int32_t low = nullable(A, n.a) || n.b == 0 ? 0 : n.b - 1;
        Id fewer = make_repeat(A, n.a, low, n.c > 0 ? n.c - 1 : -1);
        return make_cat(A, derive(A, n.a, byte), fewer);
    }
    case REF: return derive(A, body_of(A, e), byte);
    case SPAN: return derive_span(A, n, byte);
    case UNIQUE: return derive_unique(A, n, byte);
    case THEN: return derive_then(A, e, byte);
    default: return derive_hole(A, n, byte);
    }
}

/* Where `key` is or belongs among the memos. */
static uint32_t place(const Arena *A, uint64_t key) {
    uint32_t at = (uint32_t)((key * 0x9E3779B97F4A7C15u) >> 32) & A->memo_mask;
    while (A->memo[at].key && A->memo[at].key != key) at = (at + 1) & A->memo_mask;
    return at;
}

Id *memo(const Arena *A, uint64_t key) {
    Memo *found = &A->memo[place(A, key)];
    return found->key ? &found->value : NULL;
}

void remember(Arena *A, uint64_t key, Id value) {
    if (A->memo_size * 2 > A->memo_mask) {
        uint32_t mask = A->memo_mask * 2 + 1;
        Memo *table = calloc((size_t)mask + 1, sizeof(Memo));
        if (!table) fail(A, NULL);
        for (uint32_t i = 0; i <= A->memo_mask; i++) {
            if (!A->memo[i].key) continue;
            uint32_t at = (uint32_t)((A->memo[i].key * 0x9E3779B97F4A7C15u) >> 32) & mask;
            while (table[at].key) at = (at + 1) & mask;
            table[at] = A->memo[i];
        }
        free(A->memo);
        A->memo = table;
        A->memo_mask = mask;
    }
    A->memo[place(A, key)] = (Memo){key, value};
    A->memo_size++;
}

static Id derive_memo(Arena *A, Id e, int byte) {
    int low, high;
    segment(A, e, byte, &low, &high);
    uint64_t key = ((uint64_t)e << 8 | (uint64_t)low) + 1;
    uint32_t at = place(A, key);
    if (A->memo[at].key) return A->memo[at].value;
    Id found = compute_derivative(A, e, low);
    remember(A, key, found);
    return found;
}

Id derive(Arena *A, Id e, int byte) {
    Node n = NODE(A, e);
    Id out;
    switch (n.kind) {
    case EMPTY: return e;
    case LEAF: return make_leaf(A, step(A, n.a, byte));
    case TEXT: return *BYTES(A, n.a) == byte ? make_text(A, n.a + 1, n.b - 1) : A->empty;
    default:
        enter(A);
        out = n.kind == CAT ? derive_cat(A, e, byte) : derive_memo(A, e, byte);
        leave(A);
        return out;
    }
}

/* -- by a whole class of code points: as by a byte, as long as all of them leave the same -------------------------- */

/* Folds into *to where the words of `graph` lead in `dag` (NONE: nowhere); 0 where they part. *to is UNSURE at first. */
static int fold(Arena *A, Id dag, Id graph, Id *to) {
    Dag words = DAG(A, graph);
    if (!words.count || dag == NONE) {
        if (*to == UNSURE) *to = dag;
        return *to == dag;
    }
    for (int32_t i = 0; i < words.count; i++) {
        Edge edge = EDGE(A, words.first + i);
        Dag own = DAG(A, dag);
        int low = edge.low;
        for (int32_t k = 0; k <= own.count && low <= edge.high; k++) { /* the pieces of the edge, and the gaps between */
            Edge other = k < own.count ? EDGE(A, own.first + k) : (Edge){255, 255, NONE};
            if (k < own.count && other.high < low) continue;
            int gap = k < own.count ? other.low : 256;
            if (gap > low && !fold(A, NONE, edge.child, to)) return 0;
            if (gap <= edge.high && !fold(A, other.child, edge.child, to)) return 0;
            low = k < own.count ? other.high + 1 : 256;
        }
    }
    return 1;
}

/* Whether the graph has the code point that the bytes start with; -1 when they start with none, or end too early. */
static int starts_with(Arena *A, Id graph, const uint8_t *bytes, int32_t length) {
    int32_t i = 0;
    for (Id at = graph; DAG(A, at).count; i++) {
        if (i == length) return -1;
        if ((at = step(A, at, bytes[i])) == NONE) return bytes[0] >> 6 == 2 ? -1 : 0;
    }
    return 1;
}

static int is_ascii_free(Arena *A, Id graph) { return EDGE(A, DAG(A, graph).first).low >= 0x80; }

/* Code points beyond ASCII within a hole that ASCII ends. */
static Id hole_class(Arena *A, Node n, Id graph) {
    Node follow = NODE(A, n.b);
    if (!is_ascii_free(A, graph) || *BYTES(A, follow.a) >= 0x80) return UNSURE;
    for (int32_t i = 1; i <= *LIST(A, n.c); i++) {
        int32_t position = *LIST(A, n.c + i);
        if (position < follow.b && *BYTES(A, follow.a + position) >= 0x80) return UNSURE;
    }
    Id after = derive_class(A, n.a, graph);
    if (after == UNSURE) return UNSURE;
    if (minlen(A, after) >= INF) after = A->empty;
    return make_hole(A, after, n.b, make_list(A, NULL, 0));
}

static Id nary_class(Arena *A, Node n, Id graph) {
    int32_t base = A->scratch.size;
    Id absorbing = n.kind == ALT ? A->all : A->empty, unsure = NONE;
    for (int32_t i = 0; i < n.b; i++) {
        Id part = derive_class(A, *LIST(A, n.a + i), graph);
        if (part == absorbing) {
            A->scratch.size = base;
            return absorbing;
        }
        if (part == UNSURE) unsure = UNSURE;
        else push(A, part);
    }
    if (unsure != UNSURE) return make_nary(A, n.kind, base);
    A->scratch.size = base;
    return UNSURE;
}

static Id cat_class(Arena *A, Id e, Id graph) {
    int32_t base = A->scratch.size;
    for (;;) {
        int cat = NODE(A, e).kind == CAT;
        Id head = cat ? NODE(A, e).a : e, after = derive_class(A, head, graph);
        if (after == UNSURE) {
            A->scratch.size = base;
            return UNSURE;
        }
        push(A, cat ? make_cat(A, after, NODE(A, e).b) : after);
        if (!cat || !nullable(A, head)) return make_nary(A, ALT, base);
        e = NODE(A, e).b;
    }
}

static Id repeat_class(Arena *A, Node n, Id graph) {
    Id after = derive_class(A, n.a, graph);
    if (after == UNSURE) return UNSURE;
    int32_t low = nullable(A, n.a) || n.b == 0 ? 0 : n.b - 1;
    return make_cat(A, after, make_repeat(A, n.a, low, n.c > 0 ? n.c - 1 : -1));
}

static Id span_class(Arena *A, Node n, Id graph) {
    int byte = is_ascii_free(A, graph) ? 0x7F : EDGE(A, DAG(A, graph).first).low - 1;
    while ((byte = next_in_span(A, n, byte + 1)) >= 0) {
        uint8_t first = (uint8_t)byte;
        if (starts_with(A, graph, &first, 1)) return UNSURE;
    }
    return A->empty;
}

static Id compute_class(Arena *A, Id e, Id graph) {
    Node n = NODE(A, e);
    Id to = UNSURE;
    switch (n.kind) {
    case LEAF: return fold(A, n.a, graph, &to) ? make_leaf(A, to) : UNSURE;
    case CAT: return cat_class(A, e, graph);
    case ALT:
    case AND: return nary_class(A, n, graph);
    case NOT: return (to = derive_class(A, n.a, graph)) == UNSURE ? UNSURE : make_not(A, to);
    case REPEAT: return repeat_class(A, n, graph);
    case REF: return derive_class(A, body_of(A, e), graph);
    case HOLE: return hole_class(A, n, graph);
    case SPAN: return span_class(A, n, graph);
    default: return UNSURE; /* UNIQUE, THEN */
    }
}

Id derive_class(Arena *A, Id e, Id graph) {
    Node n = NODE(A, e);
    if (n.kind == EMPTY) return e;
    if (n.kind == TEXT) return starts_with(A, graph, BYTES(A, n.a), n.b) ? UNSURE : A->empty;
    uint64_t key = ((uint64_t)1 << 63 | (uint64_t)graph << 32 | (uint64_t)e) + 1;
    uint32_t at = place(A, key);
    if (A->memo[at].key) return A->memo[at].value;
    enter(A);
    Id found = compute_class(A, e, graph);
    leave(A);
    remember(A, key, found);
    return found;
}
