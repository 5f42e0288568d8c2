/* Whole mask rows. Most tokens are plain text, and an automaton treats most plain text alike: inside a string every letter
 * leads to the same state, or to the next one of a counter. That is a `Chain`: states after 0, 1, 2, ... code points, the
 * letters that are alive along it, and at each state the letters that are odd, i.e. lead elsewhere. Tokens made of letters
 * that are alive are taken in bulk (`Base`), and the trie of the plain tokens is walked only where odd letters occur, to
 * put right what differs: the names of declared keys in a state that takes all others as well, for instance. Where an odd
 * letter leads to much (the blank before most words), the same is done again from there.
 * Tokens that are not plain (quotes, backslashes, controls, pieces of code points) have a trie of their own.
 *
 * Taking tokens in bulk is llguidance's idea (its slices are fixed regular expressions that must contain the whole
 * lexeme); chains follow from the state, and exceptions do not spoil them. */
#include "walk.h"
#include <stdlib.h>
#include <string.h>

#define LONGEST 16  /* code points of the longest token that counts as plain */
#define ASCII 95    /* 0x20..0x7E come first among the letters; kinds of code points beyond follow */
#define LETTERS (ASCII + MOST_CLASSES)
#define KEPT 128    /* bases */
#define HEAVY 4096  /* tokens to take out one by one, or nodes below an odd letter, that are too many */

typedef struct { uint64_t word[2]; } Letters;

static void put(Letters *set, int letter) { set->word[letter >> 6] |= (uint64_t)1 << (letter & 63); }
static int has(const Letters *set, int letter) { return set->word[letter >> 6] >> (letter & 63) & 1; }
static int within(const Letters *a, const Letters *b) { return !(a->word[0] & ~b->word[0]) && !(a->word[1] & ~b->word[1]); }
static int meets(const Letters *a, const Letters *b) { return (a->word[0] & b->word[0]) || (a->word[1] & b->word[1]); }

static Letters without(const Letters *a, const Letters *b) {
    return (Letters){{a->word[0] & ~b->word[0], a->word[1] & ~b->word[1]}};
}

static void unite(Letters *set, const Letters *more) {
    set->word[0] |= more->word[0];
    set->word[1] |= more->word[1];
}

typedef struct {
    Letters below; /* of the code points that end below this node */
    int32_t skip, token;
    uint32_t lengths; /* bit n: a token of n code points ends here or below */
    uint8_t depth, byte;
    uint8_t points, letter; /* code points up to here, and the last one; 0 within one */
} Node;

typedef struct {
    int32_t node;
    Letters alive, first;
    int length;
    int32_t *mask;
} Base;

typedef struct {
    PyObject_HEAD
    PyObject *tokens;          /* list of bytes or None */
    Py_buffer kinds;           /* int32 rows of first and last code point, letter: sorted, all beyond ASCII */
    Trie *rest;                /* the tokens that are not plain */
    Node *nodes;               /* the plain ones, in byte order, preorder */
    int32_t *same;             /* the next plain token with the same bytes, or -1 */
    int32_t weight[LETTERS];   /* tokens that start with the letter */
    Py_ssize_t size, count;
    int longest;               /* code points of the longest plain token */
    Base bases[KEPT];
    int oldest;
} Slices;

static void slices_dealloc(Slices *self) {
    Py_XDECREF(self->tokens);
    if (self->kinds.obj) PyBuffer_Release(&self->kinds);
    Py_XDECREF(self->rest);
    free(self->nodes);
    free(self->same);
    for (int i = 0; i < KEPT; i++) free(self->bases[i].mask);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* -- the vocabulary ------------------------------------------------------------------------------------------------ */

/* The number of bytes of the code point at s, 0 when it is none; *letter: which it is, -1 when it is not plain. */
static int code_point(const Slices *self, const uint8_t *s, Py_ssize_t left, int *letter) {
    *letter = s[0] < 0x20 || s[0] == '"' || s[0] == '\\' || s[0] >= 0x7F ? -1 : s[0] - 0x20;
    if (s[0] < 0x80) return 1;
    int size = s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF5 ? 4 : 0;
    if (!size || size > left) return 0;
    int32_t point = s[0] & (0x7F >> size);
    for (int k = 1; k < size; k++) {
        if (s[k] >> 6 != 2) return 0;
        point = point << 6 | (s[k] & 0x3F);
    }
    const int32_t(*kinds)[3] = self->kinds.buf;
    Py_ssize_t low = 0, high = self->kinds.len / (Py_ssize_t)sizeof *kinds;
    while (low < high) {
        Py_ssize_t middle = (low + high) / 2;
        if (kinds[middle][1] < point) low = middle + 1;
        else high = middle;
    }
    if (low * (Py_ssize_t)sizeof *kinds < self->kinds.len && kinds[low][0] <= point) *letter = ASCII + kinds[low][2];
    static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    return point < least[size] || point > 0x10FFFF || point >> 11 == 0x1B ? 0 : size;
}

/* Whether a token is plain. */
static int is_plain(const Slices *self, PyObject *token) {
    if (!PyBytes_Check(token)) return 0;
    const uint8_t *s = (const uint8_t *)PyBytes_AS_STRING(token);
    int points = 0;
    for (Py_ssize_t left = PyBytes_GET_SIZE(token); left; points++) {
        int letter, size = code_point(self, s, left, &letter);
        if (letter < 0 || !size || points == LONGEST) return 0;
        s += size;
        left -= size;
    }
    return points > 0;
}

/* The code point around byte `at` of a plain token: how many of its bytes are left, and which letter it is. */
static int bytes_left(const Slices *self, const Token *token, int32_t at, int *letter) {
    const uint8_t *data = (const uint8_t *)token->data;
    int32_t start = at;
    while (data[start] >> 6 == 2) start--;
    return start + code_point(self, data + start, token->length - start, letter) - at;
}

static void fill(Slices *self, const Token *tokens, Py_ssize_t count) {
    int32_t open[4 * LONGEST], points[4 * LONGEST + 1] = {0}; /* code points before each depth */
    int first = 0;
    Token last = {"", 0, 0};
    for (Py_ssize_t k = 0; k <= count; k++) {
        Token token = k < count ? tokens[k] : (Token){"", 0, 0};
        int32_t shared = common(&last, &token);
        for (int32_t d = last.length; d > shared; d--) {
            Node *done = &self->nodes[open[d - 1]];
            done->skip = (int32_t)self->size;
            if (d < 2) continue;
            Node *above = &self->nodes[open[d - 2]];
            unite(&above->below, &done->below);
            above->lengths |= done->lengths;
            if (done->points) put(&above->below, done->letter);
        }
        for (int32_t d = shared; d < token.length; d++) {
            int letter, ends = bytes_left(self, &token, d, &letter) == 1;
            open[d] = (int32_t)self->size;
            points[d + 1] = points[d] + ends;
            self->nodes[self->size++] = (Node){.token = -1, .depth = (uint8_t)d, .byte = (uint8_t)token.data[d],
                                               .letter = (uint8_t)(ends ? letter : 0),
                                               .points = (uint8_t)(ends ? points[d + 1] : 0)};
            if (ends && points[d + 1] == 1) first = letter;
        }
        if (k == count) return;
        Node *end = &self->nodes[open[token.length - 1]];
        self->same[token.id] = end->token;
        end->token = token.id;
        end->lengths |= (uint32_t)1 << end->points;
        if (end->points > self->longest) self->longest = end->points;
        self->weight[first]++;
        last = token;
    }
}

static int build(Slices *self, uint8_t *skip) {
    Py_ssize_t count = 0, bytes = 0;
    int longest = 0;
    for (Py_ssize_t i = 0; i < self->count; i++) skip[i] = (uint8_t)is_plain(self, PyList_GET_ITEM(self->tokens, i));
    self->rest = trie_without(self->tokens, skip);
    if (!self->rest) return -1;
    for (Py_ssize_t i = 0; i < self->count; i++) skip[i] = !skip[i];
    Token *tokens = sorted_tokens(self->tokens, skip, &count, &bytes, &longest);
    if (!tokens) return -1;
    self->nodes = malloc((size_t)(bytes + 1) * sizeof(Node));
    if (self->nodes) fill(self, tokens, count);
    free(tokens);
    if (!self->nodes) return -1;
    Node *fit = realloc(self->nodes, (size_t)(self->size + 1) * sizeof(Node));
    if (fit) self->nodes = fit;
    return 0;
}

static int slices_init(Slices *self, PyObject *args, PyObject *kwargs) {
    PyObject *list;
    (void)kwargs;
    if (self->tokens || !PyArg_ParseTuple(args, "O!y*", &PyList_Type, &list, &self->kinds)) return -1;
    self->tokens = Py_NewRef(list);
    self->count = PyList_GET_SIZE(list);
    uint8_t *skip = malloc((size_t)self->count + 1);
    self->same = malloc(((size_t)self->count + 1) * sizeof(int32_t));
    int failed = skip && self->same ? build(self, skip) : -1;
    free(skip);
    if (failed && !PyErr_Occurred()) PyErr_NoMemory();
    return failed;
}

/* -- chains -------------------------------------------------------------------------------------------------------- */

typedef struct {
    int length;                      /* the last state of the chain */
    int32_t states[LONGEST + 1];
    Letters alive;
    Letters first;                   /* the letters with which tokens start that are taken in bulk */
    Letters odd[LONGEST + 1];        /* letters that do not lead from states[k] to the next (alive) or to DEAD (others) */
    Letters later[LONGEST + 1];      /* odd at any later state */
} Chain;

/* Where each letter leads; -1 with a Python error set. */
static int targets(Dfa *dfa, int32_t state, int32_t *to) {
    int32_t all = dfa->classes ? class_target(dfa, state, 0) : MIXED;
    if (all == ERROR) return -1;
    for (int letter = 0; letter < LETTERS; letter++) {
        to[letter] = all;
        if (all != MIXED) continue;
        if (letter < ASCII) to[letter] = next_state(dfa, state, letter + 0x20);
        else if (letter - ASCII + 1 < dfa->classes) to[letter] = class_target(dfa, state, letter - ASCII + 1);
        if (to[letter] == UNKNOWN || to[letter] == ERROR) return -1;
    }
    return 0;
}

/* The state to which most letters, out of `of`, lead; DEAD when none does. */
static int32_t elected(const int32_t *to, const Letters *of) {
    int32_t states[LETTERS], votes[LETTERS], best = 0;
    int count = 0;
    for (int letter = 0; letter < LETTERS; letter++) {
        if (to[letter] < 0 || !has(of, letter)) continue;
        int i = count - 1;
        while (i >= 0 && states[i] != to[letter]) i--;
        if (i < 0) states[i = count++] = to[letter], votes[i] = 0;
        votes[i] += letter < ASCII ? 1 : 20;
    }
    for (int i = 1; i < count; i++)
        if (votes[i] > votes[best]) best = i;
    return count ? states[best] : DEAD;
}

static Letters leading_to(const int32_t *to, int32_t state) {
    Letters out = {{0}};
    for (int letter = 0; letter < LETTERS; letter++)
        if (to[letter] == state) put(&out, letter);
    return out;
}

static Letters odd_ones(const int32_t *to, const Letters *alive, int32_t next) {
    Letters out = {{0}};
    for (int letter = 0; letter < LETTERS; letter++)
        if (to[letter] != (has(alive, letter) ? next : DEAD)) put(&out, letter);
    return out;
}

/* The chain from a state, as far as tokens of at most `most` code points go. */
static int chain_from(const Slices *self, Dfa *dfa, int32_t start, int most, Chain *c) {
    static const Letters any = {{~(uint64_t)0, ~(uint64_t)0}};
    int32_t here[LETTERS], after[LETTERS];
    memset(c, 0, sizeof *c);
    c->states[0] = start;
    if (targets(dfa, start, here) < 0) return -1;
    int32_t next = elected(here, &any), then = DEAD;
    if (next == DEAD) {
        c->odd[0] = odd_ones(here, &c->alive, DEAD);
        return 0;
    }
    Letters dead = leading_to(here, DEAD);
    c->alive = leading_to(here, next);
    if (most > 1 && targets(dfa, next, after) < 0) return -1;
    if (most > 1) then = elected(after, &c->alive);
    if (then != DEAD) c->alive = leading_to(after, then);
    for (int k = 0; k < most; k++) {
        c->odd[k] = odd_ones(here, &c->alive, next);
        if (next == DEAD) break;
        c->states[c->length = k + 1] = next;
        if (next == c->states[k]) { /* and so on for ever */
            for (; c->length <= most; c->length++) c->states[c->length] = next, c->odd[c->length] = c->odd[k];
            c->length = most;
            break;
        }
        if (k + 1 == most) break;
        if (targets(dfa, next, here) < 0) return -1;
        next = elected(here, &c->alive);
    }
    for (int k = c->length; k--;) {
        c->later[k] = c->later[k + 1];
        unite(&c->later[k], &c->odd[k + 1]);
    }
    int32_t heavy = 0;
    for (int letter = 0; letter < LETTERS; letter++)
        if (has(&c->alive, letter) && has(&dead, letter)) heavy += self->weight[letter];
    c->first = heavy < HEAVY ? c->alive : without(&c->alive, &dead);
    return 0;
}

/* -- rows ---------------------------------------------------------------------------------------------------------- */

/* All tokens below a node (or all, below the root), and how far that is down the trie. */
typedef struct {
    int32_t node, from, to;
    int depth, points;
    int most; /* code points that tokens have below */
} Part;

static Part part_of(const Slices *self, int32_t node) {
    if (node < 0) return (Part){-1, 0, (int32_t)self->size, 0, 0, self->longest};
    const Node *top = &self->nodes[node];
    return (Part){node, node + 1, top->skip, top->depth + 1, top->points, 31 - __builtin_clz(top->lengths) - top->points};
}

static void mark(const Slices *self, int32_t *mask, int32_t token) {
    for (; token >= 0; token = self->same[token]) mask[token >> 5] |= (int32_t)(1u << (token & 31));
}

static void clear(const Slices *self, int32_t *mask, int32_t from, int32_t to) {
    for (; from < to; from++)
        for (int32_t token = self->nodes[from].token; token >= 0; token = self->same[token])
            mask[token >> 5] &= (int32_t)~(1u << (token & 31));
}

static int same_set(const Letters *a, const Letters *b) { return within(a, b) && within(b, a); }

/* Whether a token may go on with this node: its letter must be alive, and the first one be among the first. */
static int goes_on(const Chain *c, const Part *part, const Node *node) {
    if (!node->points) return meets(&node->below, &c->alive);
    return has(node->points == part->points + 1 ? &c->first : &c->alive, node->letter);
}

/* The mask of the tokens of a part that the chain tells; NULL without memory. */
static const int32_t *base(Slices *self, const Chain *c, const Part *part) {
    for (int i = 0; i < KEPT; i++) {
        const Base *b = &self->bases[i];
        if (b->mask && b->node == part->node && b->length == c->length && same_set(&b->alive, &c->alive) &&
            same_set(&b->first, &c->first))
            return b->mask;
    }
    Base *b = &self->bases[self->oldest];
    size_t bytes = (size_t)((self->count + 31) / 32) * sizeof(int32_t);
    if (!b->mask && !(b->mask = malloc(bytes))) return NULL;
    self->oldest = (self->oldest + 1) % KEPT;
    *b = (Base){part->node, c->alive, c->first, c->length, b->mask};
    memset(b->mask, 0, bytes);
    for (int32_t i = part->from; i < part->to;) {
        const Node *node = &self->nodes[i];
        if (goes_on(c, part, node) && node->points <= part->points + c->length) {
            mark(self, b->mask, node->token);
            i++;
        } else i = node->skip;
    }
    return b->mask;
}

static int fill_part(Slices *self, Walk *w, int32_t start, int32_t node);

/* Whether all tokens from this node on do as the chain says, whose k-th state its code point starts from. */
static int follows(const Chain *c, int k, const Node *node) {
    if (!node->points) return !meets(&node->below, &c->odd[k]) && !meets(&node->below, &c->later[k]);
    if (has(&c->odd[k], node->letter)) return 0;
    return !has(&c->alive, node->letter) || k == c->length || !meets(&node->below, &c->later[k]);
}

/* A node on the way down the trie. */
typedef struct {
    int32_t state; /* before the code point that is being read, as long as that may follow the chain */
    int32_t node;
    int on;        /* where on the chain the code point that is being read starts, or -1 */
    int inside;    /* all letters so far are alive, so a base may have set tokens below */
    int first;     /* the depth where the code point that is being read starts */
} Level;

/* The state behind the node at levels[depth]: UNKNOWN with a Python error set. */
static int32_t behind(const Slices *self, Dfa *dfa, const Level *levels, int depth) {
    int32_t state = levels[depth].state;
    for (int d = levels[depth].on < 0 ? depth : levels[depth].first; d <= depth && state >= 0; d++)
        state = next_state(dfa, state, self->nodes[levels[d].node].byte);
    return state;
}

/* Puts right what the chain does not tell. */
static int walk_odd(Slices *self, Walk *w, const Chain *c, const Part *part) {
    Level levels[4 * LONGEST + 1];
    levels[part->depth] = (Level){c->states[0], 0, 0, 1, part->depth};
    for (int32_t i = part->from; i < part->to;) {
        const Node *node = &self->nodes[i];
        Level *here = &levels[node->depth], *next = here + 1;
        here->node = i;
        if (here->on >= 0 && follows(c, here->on, node)) {
            i = node->skip;
            continue;
        }
        *next = *here;
        if (!node->points && here->on >= 0) { /* which letter it is, and where that leads, is seen further down */
            i++;
            continue;
        }
        if ((next->state = behind(self, w->dfa, levels, node->depth)) == UNKNOWN) return -1;
        if (node->points) next->inside = here->inside && goes_on(c, part, node);
        if (next->state == DEAD) {
            if (next->inside) clear(self, w->mask, i, node->skip);
            i = node->skip;
            continue;
        }
        i++;
        if (!node->points) continue;
        int points = node->points - part->points;
        next->first = node->depth + 1;
        next->on = next->inside && points <= c->length && next->state == c->states[points] ? points : -1;
        if (node->token >= 0) {
            mark(self, w->mask, node->token);
            if (reached(w, next->state) < 0) return -1;
        }
        if (next->on < 0 && node->skip - i > HEAVY) {
            if (next->inside) clear(self, w->mask, i, node->skip);
            if (fill_part(self, w, next->state, i - 1) < 0) return -1;
            i = node->skip;
        }
    }
    return 0;
}

/* Which of the `wanted` numbers of code points tokens of a part have that are made of letters that are never odd. */
static uint32_t surely_reached(const Slices *self, const Chain *c, const Part *part, uint32_t wanted) {
    Letters odd = c->later[0];
    unite(&odd, &c->odd[0]);
    Letters sure = without(&c->alive, &odd);
    uint32_t found = 0;
    for (int32_t i = part->from; i < part->to && wanted & ~found;) {
        const Node *node = &self->nodes[i];
        int goes = node->points ? has(&sure, node->letter) : meets(&node->below, &sure);
        if (!goes || !(node->lengths >> part->points & wanted & ~found)) {
            i = node->skip;
            continue;
        }
        if (node->token >= 0) found |= (uint32_t)1 << (node->points - part->points);
        i++;
    }
    return found & wanted;
}

/* Whether a token of n code points leads along the chain to its n-th state; -1 with a Python error set. */
static int is_reached(const Slices *self, const Walk *w, const Chain *c, const Part *part, int n) {
    int32_t at[4 * LONGEST + 1];
    at[part->depth] = c->states[0];
    for (int32_t i = part->from; i < part->to;) {
        const Node *node = &self->nodes[i];
        int32_t to = DEAD;
        if (goes_on(c, part, node) && node->lengths >> (part->points + n) & 1)
            to = next_state(w->dfa, at[node->depth], node->byte);
        if (to == UNKNOWN) return -1;
        at[node->depth + 1] = to;
        if (to >= 0 && node->token >= 0 && node->points - part->points == n && to == c->states[n]) return 1;
        i = to == DEAD ? node->skip : i + 1;
    }
    return 0;
}

/* Notes the states of the chain that tokens lead to. */
static int chain_reached(const Slices *self, Walk *w, const Chain *c, const Part *part) {
    uint32_t wanted = 0;
    for (int n = 1; n <= c->length; n++)
        if (w->dfa->seen[c->states[n]] != w->dfa->walks) wanted |= (uint32_t)1 << n;
    uint32_t found = surely_reached(self, c, part, wanted);
    for (int n = 1; n <= c->length; n++) {
        if (!(wanted >> n & 1) || w->dfa->seen[c->states[n]] == w->dfa->walks) continue;
        int is = found >> n & 1 ? 1 : is_reached(self, w, c, part, n);
        if (is < 0 || (is && reached(w, c->states[n]) < 0)) return -1;
    }
    return 0;
}

/* The plain tokens below a node, to which `start` belongs; their bits are clear before. */
static int fill_part(Slices *self, Walk *w, int32_t start, int32_t node) {
    Chain c;
    Part part = part_of(self, node);
    if (chain_from(self, w->dfa, start, part.most, &c) < 0) return -1;
    if (c.length) {
        const int32_t *bulk = base(self, &c, &part);
        if (!bulk) return PyErr_NoMemory(), -1;
        for (Py_ssize_t i = 0; i < (self->count + 31) / 32; i++) w->mask[i] |= bulk[i];
    }
    return walk_odd(self, w, &c, &part) < 0 || chain_reached(self, w, &c, &part) < 0 ? -1 : 0;
}

static int fill_row(Slices *self, Walk *w, int32_t start) {
    return trie_follow(self->rest, w, start) < 0 ? -1 : fill_part(self, w, start, -1);
}

/* The set bits as int32 bytes, None when they are more than `limit`. */
static PyObject *ids_of(const int32_t *mask, Py_ssize_t words, Py_ssize_t limit) {
    Py_ssize_t count = 0;
    for (Py_ssize_t i = 0; i < words && count <= limit; i++) count += __builtin_popcount((uint32_t)mask[i]);
    if (count > limit) return Py_NewRef(Py_None);
    PyObject *out = PyBytes_FromStringAndSize(NULL, count * (Py_ssize_t)sizeof(int32_t));
    int32_t *to = out ? (int32_t *)PyBytes_AS_STRING(out) : NULL;
    for (Py_ssize_t i = 0; out && i < words; i++)
        for (uint32_t bits = (uint32_t)mask[i]; bits; bits &= bits - 1) *to++ = (int32_t)(i * 32 + __builtin_ctz(bits));
    return out;
}

/* row(dfa, state, mask, limit) -> (ids or None, end states, the greatest minlen of these) */
static PyObject *slices_row(Slices *self, PyObject *args) {
    PyObject *dfa, *mask, *out = NULL, *ids = NULL;
    int start;
    Py_ssize_t limit, words = (self->count + 31) / 32;
    Py_buffer view;
    int64_t need = 0;
    if (!PyArg_ParseTuple(args, "O!iOn", &DfaType, &dfa, &start, &mask, &limit)) return NULL;
    if (!is_state((Dfa *)dfa, start) || PyObject_GetBuffer(mask, &view, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) < 0) return NULL;
    Walk w = {(Dfa *)dfa, view.buf, NULL, PyList_New(0)};
    w.dfa->walks++;
    if (view.len < words * (Py_ssize_t)sizeof(int32_t)) PyErr_SetString(PyExc_ValueError, "the buffer is too small");
    else if (w.states && !fill_row(self, &w, start) && !most_needed(w.dfa, w.states, &need) &&
             (ids = ids_of(w.mask, words, limit)))
        out = Py_BuildValue("(NOL)", ids, w.states, (long long)need);
    PyBuffer_Release(&view);
    Py_XDECREF(w.states);
    return out;
}

static PyMethodDef slices_methods[] = {
    {"row", (PyCFunction)slices_row, METH_VARARGS,
     "row(dfa, state, mask, limit) -> (ids, end states, need): sets the bits of the tokens that stay alive in int32 `mask`\n"
     "(all zero before); their ids as sorted int32 bytes, or None when there are more than `limit`; the states that they\n"
     "lead to; the most bytes that a shortest completion from one of these has"},
    {NULL, NULL, 0, NULL}};

PyTypeObject SlicesType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "lmprog.grammars._native.Slices",
    .tp_doc = "Slices(list of bytes or None by id, int32 rows of first and last code point beyond ASCII and its kind):\n"
              "a vocabulary laid out for whole mask rows",
    .tp_basicsize = sizeof(Slices),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)slices_init,
    .tp_dealloc = (destructor)slices_dealloc,
    .tp_methods = slices_methods,
};
