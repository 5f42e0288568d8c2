#ifndef LMPROG_WALK_H
#define LMPROG_WALK_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>

extern PyTypeObject DfaType, TrieType;
PyObject *signatures(PyObject *module, PyObject *args);
PyObject *try_tokens(PyObject *module, PyObject *args);

#endif
