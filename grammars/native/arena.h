/* Expressions over bytes as numbered, interned nodes in growing arrays: the C side of expr.py and derive.py.
 *
 * Everything is an index (`Id`), so arrays may move and nothing is freed before the arena is. Failures (memory, search
 * limits, depth) leave by longjmp to the entry point in module.c; nothing but the arena's own arrays and `Search`
 * blocks, which the arena owns as well, is allocated on the way. The Python files are the specification: read them
 * first; the tests compare both. */
#ifndef LMPROG_ARENA_H
#define LMPROG_ARENA_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <setjmp.h>
#include <stdint.h>

typedef int32_t Id;

#define NONE ((Id)-1)
#define UNSURE ((Id)-2)
#define INF ((int64_t)1 << 60)
#define SEARCH_LIMIT 200000 /* derivatives looked at before a conjunction counts as undecidable */
#define WORK_AHEAD 50000000 /* steps, a few dozen ns each, that an arena may take on top of WORK_PER_STATE for each state */
#define WORK_PER_STATE 4000
#define MAX_DEPTH 6000      /* levels of one recursion; a level takes less than 1 KB of stack */

/* The same numbers as expr.Kind. */
enum { EMPTY, LEAF, TEXT, CAT, ALT, REPEAT, AND, NOT, REF, HOLE, SPAN, UNIQUE, THEN };

typedef struct {
    uint8_t kind;
    int8_t nullable;   /* -1: not known yet */
    uint8_t has_cuts;
    uint8_t searching; /* a search for its minlen is under way */
    Id a, b, c;        /* LEAF dag; TEXT offset, length; CAT head, tail; ALT AND offset, count; REPEAT body, low, high;
                          NOT body; REF body; HOLE value, follow (a TEXT), positions (offset of a counted list);
                          SPAN low, high (of an interval of all suffix arrays, one behind the other), depth;
                          UNIQUE current, parameters (offset of a counted list, see distinct.c), so far (a TEXT);
                          THEN current, parameters (the same), so far; see then.c */
    int64_t minlen;    /* -1: not known yet */
} Node;

typedef struct { uint64_t word[4]; } Cuts; /* bit b: bytes b-1 and b may differ */

typedef struct {
    int32_t first, count, minlen;
    uint8_t final;
} Dag;

typedef struct {
    uint8_t low, high;
    int32_t child;
} Edge;

typedef struct { void *items; int32_t size, capacity; } Pool;

typedef struct {
    uint64_t key; /* node << 8 | byte, plus 1, or marked by bit 62 or 63; 0: free */
    Id value;
} Memo;

typedef struct {
    const uint8_t *text;
    const int32_t *order, *ends;  /* the starts of spans by what follows them; for each place the next end of spans */
    const int32_t *first, *last;  /* for each start in `order` the least and the greatest end of its spans */
    const uint8_t *stops;         /* of a corpus, in place of `ends`, `first` and `last`: a bit for each place, whether
                                     spans may end there; they end before the next byte 0xFF */
    Id base;                      /* where this one's suffixes begin among those of all */
    int32_t count, length;
    int parts;                    /* of `views`: 5, or 3 of a corpus */
    Py_buffer views[5];
} Index;

typedef struct Search Search;

typedef struct {
    PyObject_HEAD
    Pool nodes, cuts, bytes, lists, dags, edges, scratch, indexes, bounds;
    Id *interned;      /* open addressing over nodes */
    uint32_t interned_mask;
    Memo *memo;        /* derivatives */
    uint32_t memo_mask, memo_size;
    Search *searches;  /* stack of running searches */
    int64_t work; /* steps left */
    int depth;
    uint32_t round;    /* the last one of `lower`; `bounds` hold what was found in theirs */
    Id empty, eps, all;
    jmp_buf failed;
    const char *why;   /* NULL: out of memory, or a Python error is set */
    PyObject *on_lazy; /* called with a rule that has no body yet: defines it */
    PyObject *on_then; /* called with a number and a text: gives the expression that follows it */
} Arena;

#define NODE(A, id) (((Node *)(A)->nodes.items)[id])
#define LIST(A, at) (((Id *)(A)->lists.items) + (at))
#define BYTES(A, at) (((uint8_t *)(A)->bytes.items) + (at))
#define DAG(A, id) (((Dag *)(A)->dags.items)[id])
#define EDGE(A, at) (((Edge *)(A)->edges.items)[at])

_Noreturn void fail(Arena *A, const char *why);
static inline void tick(Arena *A) {
    if (--A->work < 0) fail(A, "the expression is too hard: its states grow without end in sight");
}
void *grow(Arena *A, Pool *pool, int32_t more, size_t item); /* room for `more` items: where they go */
void enter(Arena *A);
static inline void leave(Arena *A) { A->depth--; }

void rehash(Arena *A); /* double the table of interned nodes */
void arena_init(Arena *A);
void arena_free(Arena *A);
Id intern(Arena *A, Node n); /* the node, new or known */
Id make_leaf(Arena *A, Id dag);
Id make_text(Arena *A, int32_t offset, int32_t length); /* bytes that are in the pool */
Id make_cat(Arena *A, Id head, Id tail);
Id make_not(Arena *A, Id body);
Id make_repeat(Arena *A, Id body, int32_t low, int32_t high);
Id make_ref(Arena *A);
Id make_hole(Arena *A, Id value, Id follow, int32_t positions); /* positions: offset of a counted list */
void push(Arena *A, Id id);                                     /* onto the scratch stack */
Id make_nary(Arena *A, int kind, int32_t base);                 /* ALT or AND of scratch[base:], which is popped */
int32_t make_list(Arena *A, const Id *items, int32_t count);    /* a counted list */

int nullable(Arena *A, Id e);
Id body_of(Arena *A, Id ref);
PyObject *call_out(Arena *A, PyObject *python, int number, PyObject *text); /* Python code that uses the arena in turn */
Cuts cuts(Arena *A, Id e);
void cut_byte(Cuts *c, int byte);
Id derive(Arena *A, Id e, int byte);
Id derive_class(Arena *A, Id e, Id graph); /* what any code point of a graph leaves; UNSURE where they may differ */
void segment(Arena *A, Id e, int byte, int *low, int *high); /* the bytes [low, high) with one derivative */
int64_t minlen(Arena *A, Id e);
int64_t lower(Arena *A, Id e);
void search_drop(Arena *A); /* end the innermost search */

int index_is_sound(Index *index);
Id add_index(Arena *A, Index index);
int span_is_sound(const Arena *A, Id low, Id high);
Id make_span(Arena *A, Id low, Id high, Id depth);
Id derive_span(Arena *A, Node n, int byte);
Cuts cuts_span(Arena *A, Node n);
int next_in_span(const Arena *A, Node n, int least); /* the first byte from `least` on that may come next, or -1 */
int64_t minlen_span(Arena *A, Node n);
Id make_distinct(Arena *A, Id item, Id sep, int32_t low, int32_t high, int32_t words); /* words: a counted list */
Id derive_unique(Arena *A, Node n, int byte);
int nullable_unique(Arena *A, Node n);
Cuts cuts_unique(Arena *A, Node n);
int64_t minlen_unique(Arena *A, Node n, int64_t (*of)(Arena *, Id));
int unique_is_sound(Arena *A, const Node *n, Id id);
Id *memo(const Arena *A, uint64_t key); /* a remembered value, or NULL */
void remember(Arena *A, uint64_t key, Id value);

/* Of an expression: parts of it that do not depend on texts (then.c). */
typedef struct {
    Id through, stop; /* what is alive here is alive; `stop` leads to no end */
    Id but;           /* whatever is alive here as well needs a closer look */
    Id over;          /* what is dead here is dead */
    int64_t slack;    /* the true minlen may be so much more than in `through` or `stop` */
    uint8_t steady;   /* the shortest end does not depend on texts either */
    uint8_t depends;  /* whether there is anything to tell */
} Sketch;

Sketch sketch(Arena *A, Id e);
Id make_then(Arena *A, Id current, int32_t params, Id so_far);
int32_t then_params(Arena *A, int32_t number, int steady, const Id *parts); /* longest, closing, stop, over */
Id derive_then(Arena *A, Id e, int byte);
Cuts cuts_then(Arena *A, Id e);
int64_t minlen_then(Arena *A, Node n, int64_t (*of)(Arena *, Id));
PyObject *py_suffixes(PyObject *module, PyObject *args);

extern PyTypeObject ArenaType;
/* What bytes *low..*high-1 leave of e (NONE: nothing); -1 with a Python error set. */
int arena_expand(Arena *A, Id e, int byte, int *low, int *high, Id *after);
/* What the code points of a graph leave of e: NONE: nothing; UNSURE: not the same, or it is not plain to see. */
int arena_class(Arena *A, Id e, Id graph, Id *after);
int arena_minlen(Arena *A, Id e, int64_t *length);
int arena_has_graph(const Arena *A, int graph);

#endif
