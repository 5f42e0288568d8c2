/* Shortest completions (derive.py): compositional, and A* over derivatives for conjunctions and complements. */
#include "arena.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    int64_t bound;
    int32_t tick, cost;
    Id e;
    int16_t from;  /* the first byte that has not been looked at */
    uint8_t exact; /* `bound` is the whole length of a completion through e */
} Entry;

typedef struct {
    Id e, parent; /* e == NONE: free */
    int32_t cost;
    uint8_t done;
} Seen;

struct Search {
    Search *below;
    Id start;
    Entry *queue;
    int32_t queued, capacity, tick, looked;
    Seen *seen;
    uint32_t mask, count;
};

static int64_t sum(int64_t a, int64_t b) { return a + b < INF ? a + b : INF; }

static int64_t times(int64_t n, int64_t length) {
    if (!n) return 0;
    return length >= INF || length > INF / n ? INF : n * length;
}

static int64_t compose(Arena *A, Id e, int64_t (*of)(Arena *, Id)) {
    Node n = NODE(A, e);
    int64_t least = INF, x;
    switch (n.kind) {
    case EMPTY: return INF;
    case LEAF: return DAG(A, n.a).minlen;
    case TEXT: return n.b;
    case CAT: {
        int64_t total = of(A, n.a);
        for (; total < INF && NODE(A, n.b).kind == CAT && NODE(A, n.b).minlen < 0; n = NODE(A, n.b))
            total = sum(total, of(A, NODE(A, n.b).a));
        return sum(total, of(A, n.b));
    }
    case ALT:
        for (int32_t i = 0; i < n.b; i++)
            if ((x = of(A, *LIST(A, n.a + i))) < least) least = x;
        return least;
    case REPEAT: return times(n.b, n.b ? of(A, n.a) : 0);
    case SPAN: return minlen_span(A, n);
    case UNIQUE: return minlen_unique(A, n, of);
    case THEN: return minlen_then(A, n, of);
    case HOLE: {
        if (nullable(A, e)) return 0;
        least = of(A, n.a);
        for (int32_t i = 1; i <= *LIST(A, n.c); i++)
            if ((x = NODE(A, n.b).b - *LIST(A, n.c + i)) < least) least = x;
        return least;
    }
    default: return INF; /* REF: given with the node */
    }
}

typedef struct {
    int64_t least;
    uint32_t round;
} Bound;

static Bound *bound_of(Arena *A, Id e) {
    if (e >= A->bounds.size) {
        int32_t more = A->nodes.size - A->bounds.size;
        memset(grow(A, &A->bounds, more, sizeof(Bound)), 0, (size_t)more * sizeof(Bound));
        A->bounds.size += more;
    }
    return &((Bound *)A->bounds.items)[e];
}

/* `lower` within one round: every part once, as it may be reached on exponentially many ways. */
static int64_t lower_once(Arena *A, Id e) {
    Node n = NODE(A, e);
    if (n.minlen >= 0) return n.minlen;
    if (n.kind == NOT) return 0;
    if (bound_of(A, e)->round == A->round) return bound_of(A, e)->least;
    enter(A);
    int64_t most = 0, x;
    if (n.kind != AND) most = compose(A, e, lower_once);
    else
        for (int32_t i = 0; i < n.b; i++)
            if ((x = lower_once(A, *LIST(A, n.a + i))) > most) most = x;
    leave(A);
    *bound_of(A, e) = (Bound){most, A->round};
    return most;
}

int64_t lower(Arena *A, Id e) {
    A->round++;
    return lower_once(A, e);
}

static void swap(Entry *a, Entry *b) {
    Entry t = *a;
    *a = *b;
    *b = t;
}

static int before(const Entry *a, const Entry *b) {
    return a->bound < b->bound || (a->bound == b->bound && a->tick > b->tick); /* ties: the latest, depth first */
}

static void enqueue(Arena *A, Search *s, int64_t bound, int32_t cost, Id e, int from, int exact) {
    if (s->queued == s->capacity) {
        int32_t capacity = s->capacity ? s->capacity * 2 : 64;
        Entry *queue = realloc(s->queue, (size_t)capacity * sizeof(Entry));
        if (!queue) fail(A, NULL);
        s->queue = queue;
        s->capacity = capacity;
    }
    int32_t i = s->queued++;
    s->queue[i] = (Entry){bound, s->tick++, cost, e, (int16_t)from, (uint8_t)exact};
    for (; i && before(&s->queue[i], &s->queue[(i - 1) / 2]); i = (i - 1) / 2) swap(&s->queue[i], &s->queue[(i - 1) / 2]);
}

static Entry dequeue(Search *s) {
    Entry top = s->queue[0];
    s->queue[0] = s->queue[--s->queued];
    for (int32_t i = 0;;) {
        int32_t best = i;
        for (int32_t k = 2 * i + 1; k <= 2 * i + 2; k++)
            if (k < s->queued && before(&s->queue[k], &s->queue[best])) best = k;
        if (best == i) return top;
        swap(&s->queue[i], &s->queue[best]);
        i = best;
    }
}

static Seen *find(Seen *table, uint32_t mask, Id e) {
    uint32_t at = ((uint32_t)e * 2654435769u) & mask;
    while (table[at].e != NONE && table[at].e != e) at = (at + 1) & mask;
    return &table[at];
}

/* The entry of e, made with an infinite cost if need be. */
static Seen *seen(Arena *A, Search *s, Id e) {
    tick(A);
    if (!s->seen || s->count * 2 > s->mask) {
        uint32_t mask = s->seen ? s->mask * 2 + 1 : 127;
        Seen *table = malloc(((size_t)mask + 1) * sizeof(Seen));
        if (!table) fail(A, NULL);
        for (uint32_t i = 0; i <= mask; i++) table[i].e = NONE;
        for (uint32_t i = 0; s->seen && i <= s->mask; i++)
            if (s->seen[i].e != NONE) *find(table, mask, s->seen[i].e) = s->seen[i];
        free(s->seen);
        s->seen = table;
        s->mask = mask;
    }
    Seen *entry = find(s->seen, s->mask, e);
    if (entry->e == NONE) {
        *entry = (Seen){e, NONE, INT32_MAX, 0};
        s->count++;
    }
    return entry;
}

/* Every state on the shortest path now knows its own distance. */
static void settle(Arena *A, Search *s, Id end, int64_t total) {
    for (Id e = end; e != NONE;) {
        Seen *entry = find(s->seen, s->mask, e);
        NODE(A, e).minlen = total - entry->cost;
        e = entry->parent;
    }
}

/* The successors of a state, up to the first that is as near as can be; the others wait behind it. */
static void expand(Arena *A, Search *s, Entry top) {
    Id e = top.e;
    int32_t cost = top.cost;
    for (int low = top.from, high; low < 256; low = high) {
        int first;
        segment(A, e, low, &first, &high);
        Id after = derive(A, e, low);
        if (after == A->empty) continue;
        int64_t rest = lower(A, after);
        Seen *entry = seen(A, s, after);
        if (rest >= INF || entry->cost <= cost + 1) continue;
        entry->cost = cost + 1;
        entry->parent = e;
        entry->done = 0; /* `lower` sharpens as minima become known, so a state may come again at a lower cost */
        int64_t bound = sum(cost + 1, rest);
        int enough = bound <= top.bound && high < 256;
        if (enough) enqueue(A, s, top.bound, cost, e, high, 0);
        enqueue(A, s, bound, cost + 1, after, 0, 0);
        if (enough) return;
    }
}

static int64_t best_first(Arena *A, Search *s) {
    seen(A, s, s->start)->cost = 0;
    enqueue(A, s, lower(A, s->start), 0, s->start, 0, 0);
    while (s->queued) {
        Entry top = dequeue(s);
        if (top.bound >= INF) break;
        if (top.exact) {
            settle(A, s, top.e, top.bound);
            return top.bound;
        }
        Seen *entry = seen(A, s, top.e);
        if ((entry->done && !top.from) || entry->cost < top.cost) continue;
        entry->done = 1;
        if (!top.from && ++s->looked > SEARCH_LIMIT) fail(A, "cannot decide whether an intersection or complement accepts anything");
        Node n = NODE(A, top.e);
        if (nullable(A, top.e)) enqueue(A, s, top.cost, top.cost, top.e, 0, 1);
        else if (top.e != s->start && (n.minlen >= 0 || (n.kind != AND && n.kind != NOT)))
            enqueue(A, s, sum(top.cost, minlen(A, top.e)), top.cost, top.e, 0, 1);
        else expand(A, s, top);
    }
    for (uint32_t i = 0; i <= s->mask; i++) /* nothing that was looked at leads anywhere */
        if (s->seen[i].e != NONE && s->seen[i].done) NODE(A, s->seen[i].e).minlen = INF;
    return INF;
}

void search_drop(Arena *A) {
    Search *s = A->searches;
    A->searches = s->below;
    NODE(A, s->start).searching = 0;
    free(s->queue);
    free(s->seen);
    free(s);
}

static int64_t search(Arena *A, Id e) {
    if (NODE(A, e).searching) fail(A, "recursion through an intersection or a complement cannot be decided");
    Search *s = calloc(1, sizeof(Search));
    if (!s) fail(A, NULL);
    s->start = e;
    s->below = A->searches;
    A->searches = s;
    NODE(A, e).searching = 1;
    int64_t found = best_first(A, s);
    search_drop(A);
    return found;
}

int64_t minlen(Arena *A, Id e) {
    Node n = NODE(A, e);
    if (n.minlen < 0) {
        enter(A);
        n.minlen = n.kind == AND || n.kind == NOT ? search(A, e) : compose(A, e, minlen);
        leave(A);
        NODE(A, e).minlen = n.minlen;
    }
    return n.minlen;
}
