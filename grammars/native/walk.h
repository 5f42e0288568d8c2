/* The inner loops of the mask engine: automata (dfa.c), walks over a vocabulary (trie.c), whole rows (slices.c). */
#ifndef LMPROG_WALK_H
#define LMPROG_WALK_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#define DEAD (-1)
#define UNKNOWN (-2)
#define MIXED (-3) /* several states */
#define ERROR (-4)
#define MOST_CLASSES 8

typedef struct {
    PyObject_HEAD
    int32_t *table;
    int32_t *exprs;  /* of each state */
    int32_t *by_class; /* of each state: where its classes lead, MIXED when unsure; UNKNOWN until asked */
    uint32_t *seen;  /* the last walk that ended in this state */
    int32_t *states; /* of each expression, or DEAD */
    uint32_t walks;
    int classes;     /* of code points: how many, and their graphs in the arena */
    int32_t graphs[MOST_CLASSES];
    Py_ssize_t size, capacity, known;
    PyObject *source;
} Dfa;

int32_t next_state(Dfa *self, int32_t state, int byte); /* the cell, filled if need be; UNKNOWN: a Python error is set */
int32_t class_target(Dfa *self, int32_t state, int class); /* where a class leads: DEAD, MIXED, a state, or ERROR */
int most_needed(Dfa *self, PyObject *states, int64_t *most); /* the greatest minlen; -1 with a Python error set */
int is_state(const Dfa *self, int32_t state);           /* 0 with a Python error set */

typedef struct {
    Dfa *dfa;
    int32_t *mask, *ends;
    PyObject *states;
} Walk;

int reached(Walk *w, int32_t state); /* notes the state, once a walk; -1 with a Python error set */

typedef struct {
    const char *data;
    int32_t length, id;
} Token;

/* The tokens of a list of (bytes or None) that are not empty, and not marked; sorted. NULL with a Python error set. */
Token *sorted_tokens(PyObject *list, const uint8_t *without, Py_ssize_t *count, Py_ssize_t *bytes, int *longest);
int32_t common(const Token *a, const Token *b); /* how many bytes they begin with alike */

typedef struct {
    int32_t skip;  /* next node that is not below this one */
    int32_t token; /* first token that ends here, or -1 */
    uint16_t depth;
    uint8_t byte;
} Branch;

typedef struct {
    PyObject_HEAD
    Branch *nodes;
    int32_t *same; /* the next token with the same bytes, or -1 */
    Py_ssize_t size, tokens;
    int depth;
} Trie;

Trie *trie_without(PyObject *list, const uint8_t *without);
int trie_follow(Trie *self, Walk *w, int32_t start); /* -1 with a Python error set */

extern PyTypeObject DfaType, TrieType, SlicesType;

#endif
