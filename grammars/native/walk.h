#ifndef LMPROG_WALK_H
#define LMPROG_WALK_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>

extern PyTypeObject DfaType, TrieType;
PyObject *plain_lengths(PyObject *module, PyObject *args);

#endif
