/* The one loop of sampling that would be several passes in numpy: exponentials of a float32 row, summed by blocks; and
   root-mean-square norms, for the same reason; the products of int8.c; and the hook of watch.c. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "int8.h"
#include "watch.h"

#define LANES 32 /* one word of a mask */
#define BLOCK 512

#ifdef __GNUC__
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

/* Loops are compiled twice, with and without AVX2: it is decided when they run. */
#if defined(__GNUC__) && defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,fma")))
static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#else
#define AVX2
static int has_avx2(void) { return 0; }
#endif

/* exp(x) = 2^k 2^f, k the nearest integer, 2^f a polynomial (coefficients of Cephes' expf). Below -87 it is 0; above
   88.7, and of NaN, infinity. */
INLINE float exponential(float x) {
    float z = x < 89.0f ? x : 89.0f;
    float y = z * 1.44269504f + 12582912.0f; /* 1.5 * 2^23 rounds to an integer and leaves it in the low bits */
    float k = y - 12582912.0f;
    float f = z - k * 0.693359375f + k * 2.12194440e-4f; /* log 2 in two parts */
    float p = 1.9875691500e-4f;
    p = p * f + 1.3981999507e-3f;
    p = p * f + 8.3334519073e-3f;
    p = p * f + 4.1665795894e-2f;
    p = p * f + 1.6666665459e-1f;
    p = p * f + 5.0000001201e-1f;
    p = p * (f * f) + (f + 1.0f);
    uint32_t bits;
    memcpy(&bits, &y, 4);
    bits = (bits << 23) + 0x3f800000u;
    float scale;
    memcpy(&scale, &bits, 4);
    return z < -87.0f ? 0.0f : p * scale;
}

/* n at most BLOCK. Loops of one kind, so that compilers use vectors; the block stays in the first cache. */
INLINE double block(const float *restrict x, int n, float t, int heated, const uint32_t *mask, float *restrict out) {
    float sums[LANES] = {0};
    double sum = 0;
    int i = 0;
    for (; i < n; i++) out[i] = exponential(heated ? x[i] / t : x[i]);
    for (int from = 0; mask && from < n; from += LANES) {
        uint32_t word = mask[from / LANES];
        if (word == UINT32_MAX) continue;
        if (n - from >= LANES)
            for (int l = 0; l < LANES; l++) out[from + l] = word >> l & 1 ? out[from + l] : 0.0f;
        else
            for (int l = 0; l < n - from; l++) out[from + l] = word >> l & 1 ? out[from + l] : 0.0f;
    }
    for (i = 0; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) sums[l] += out[i + l];
    for (; i < n; i++) sum += out[i];
    for (int l = 0; l < LANES; l++) sum += sums[l];
    return sum;
}

INLINE void rows(const float *x, Py_ssize_t n, float t, int heated, const uint32_t *mask, float *out, double *sums) {
    Py_ssize_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK) *sums++ = block(x + i, BLOCK, t, heated, mask ? mask + i / LANES : NULL, out + i);
    if (i < n) *sums = block(x + i, (int)(n - i), t, heated, mask ? mask + i / LANES : NULL, out + i);
}

INLINE void either(const float *x, Py_ssize_t n, float t, const uint32_t *mask, float *out, double *sums) {
    if (t == 1.0f)
        rows(x, n, t, 0, mask, out, sums);
    else
        rows(x, n, t, 1, mask, out, sums);
}

static void anywhere(const float *x, Py_ssize_t n, float t, const uint32_t *mask, float *out, double *sums) {
    either(x, n, t, mask, out, sums);
}

AVX2 static void with_avx2(const float *x, Py_ssize_t n, float t, const uint32_t *mask, float *out, double *sums) {
    either(x, n, t, mask, out, sums);
}

static PyObject *exponentials(PyObject *module, PyObject *args) {
    Py_buffer x, mask, out, sums;
    float t;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*fz*w*w*", &x, &t, &mask, &out, &sums)) return NULL;
    Py_ssize_t n = x.len / 4;
    if (out.len != x.len || sums.len / 8 != (n + BLOCK - 1) / BLOCK || (mask.buf && mask.len / 4 < (n + LANES - 1) / LANES))
        PyErr_SetString(PyExc_ValueError, "the buffers' sizes do not go together");
    else
        (has_avx2() ? with_avx2 : anywhere)(x.buf, n, t, mask.buf, out.buf, sums.buf);
    PyBuffer_Release(&x);
    if (mask.obj) PyBuffer_Release(&mask);
    PyBuffer_Release(&out);
    PyBuffer_Release(&sums);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

/* out = x / sqrt(mean of x^2 + epsilon) * gain, for rows of d. */
INLINE void norm_rows(const float *restrict x, int64_t rows, int64_t d, const float *restrict gain, double epsilon,
                      float *restrict out) {
    for (; rows > 0; rows--, x += d, out += d) {
        float sums[LANES] = {0};
        double sum = 0;
        int64_t i = 0;
        for (; i + LANES <= d; i += LANES)
            for (int l = 0; l < LANES; l++) sums[l] += x[i + l] * x[i + l];
        for (; i < d; i++) sum += x[i] * x[i];
        for (int l = 0; l < LANES; l++) sum += sums[l];
        float scale = (float)(1 / sqrt(sum / (double)d + epsilon));
        for (i = 0; i < d; i++) out[i] = x[i] * scale * gain[i];
    }
}

static void norm_anywhere(const float *x, int64_t rows, int64_t d, const float *gain, double epsilon, float *out) {
    norm_rows(x, rows, d, gain, epsilon, out);
}

AVX2 static void norm_with_avx2(const float *x, int64_t rows, int64_t d, const float *gain, double epsilon, float *out) {
    norm_rows(x, rows, d, gain, epsilon, out);
}

static PyObject *rms_norm(PyObject *module, PyObject *args) {
    Py_buffer x, gain, out;
    double epsilon;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*dw*", &x, &gain, &epsilon, &out)) return NULL;
    if (gain.len < 4 || x.len % gain.len || out.len != x.len)
        PyErr_SetString(PyExc_ValueError, "the buffers' sizes do not go together");
    else
        (has_avx2() ? norm_with_avx2 : norm_anywhere)(x.buf, x.len / gain.len, gain.len / 4, gain.buf, epsilon, out.buf);
    PyBuffer_Release(&x);
    PyBuffer_Release(&gain);
    PyBuffer_Release(&out);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

#define BUFFERS 9

static void release(Py_buffer *buffers) {
    for (int i = 0; i < BUFFERS; i++)
        if (buffers[i].obj) PyBuffer_Release(&buffers[i]);
}

/* Of one block of memory: the caller frees x.x. 0: no memory. */
static int rounded(const float *x, int64_t rows, int64_t d, Rounded *out) {
    out->rows = rows;
    out->x = malloc((size_t)rows * ((size_t)d / 2 * sizeof(int32_t) + 3 * sizeof(float)) + 1);
    if (!out->x) return 0;
    out->step = (float *)(out->x + rows * (d / 2));
    out->error = out->step + rows;
    out->norm = out->error + rows;
    int8_round(x, rows, d, out);
    return 1;
}

/* Whether x [rows, d] and the matrix go together. d is even. */
static int fitting(Py_buffer *x, const Int8 *w, Py_ssize_t weights, Py_ssize_t scales, Py_ssize_t bias) {
    int64_t groups = (w->n + 15) / 16;
    return w->d > 0 && w->d % 2 == 0 && x->len % (w->d * 4) == 0 && weights == groups * 16 * w->d && scales == w->n * 4 &&
           (!w->bias || bias == w->n * 4);
}

static PyObject *products(PyObject *module, PyObject *args) {
    Py_buffer b[BUFFERS] = {{0}};
    Int8 w;
    long long d, first, last;
    int level;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*z*w*LLLi", &b[0], &b[1], &b[2], &b[3], &b[4], &d, &first, &last, &level))
        return NULL;
    w = (Int8){b[1].buf, b[2].buf, b[3].buf, b[2].len / 4, d};
    int64_t rows = d > 0 ? b[0].len / (d * 4) : 0;
    Rounded x = {0};
    int fits = fitting(&b[0], &w, b[1].len, b[2].len, b[3].len) && b[4].len == rows * w.n * 4 && first >= 0 &&
               last <= (w.n + 15) / 16 && level <= int8_best();
    if (!fits)
        PyErr_SetString(PyExc_ValueError, "the buffers' sizes do not go together");
    else if (!rounded(b[0].buf, rows, d, &x))
        PyErr_NoMemory();
    else {
        Py_BEGIN_ALLOW_THREADS;
        int8_products(&w, &x, first, last, level, b[4].buf);
        Py_END_ALLOW_THREADS;
        free(x.x);
    }
    release(b);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

static PyObject *screen(PyObject *module, PyObject *args) {
    Py_buffer b[BUFFERS] = {{0}};
    Int8 w;
    long long d, first, last;
    int level;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*z*y*y*z*w*w*LLLi", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &b[6], &b[7], &b[8], &d,
                          &first, &last, &level))
        return NULL;
    w = (Int8){b[1].buf, b[2].buf, b[3].buf, b[2].len / 4, d};
    int64_t rows = d > 0 ? b[0].len / (d * 4) : 0, words = (w.n + 31) / 32;
    Rounded x = {0};
    int fits = fitting(&b[0], &w, b[1].len, b[2].len, b[3].len) && b[4].len == w.n * 4 && b[5].len == w.n * 4 &&
               (!b[6].buf || b[6].len == rows * words * 4) && b[7].len == rows * w.n * 4 && b[8].len == rows * 16 * 4 &&
               first >= 0 && last <= (w.n + 15) / 16 && level <= int8_best();
    if (!fits)
        PyErr_SetString(PyExc_ValueError, "the buffers' sizes do not go together");
    else if (!rounded(b[0].buf, rows, d, &x))
        PyErr_NoMemory();
    else {
        Py_BEGIN_ALLOW_THREADS;
        int8_screen(&w, b[4].buf, b[5].buf, &x, b[6].buf, words, first, last, level, b[7].buf, b[8].buf);
        Py_END_ALLOW_THREADS;
        free(x.x);
    }
    release(b);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"watch", watch, METH_VARARGS,
     "watch(modules, names, changes, near, look): see watch.c; ended by sys.setprofile(None)."},
    {"products", products, METH_VARARGS,
     "products(x, weights, scales, bias, out, d, first, last, level): see int8.h; of the groups [first, last)."},
    {"rms_norm", rms_norm, METH_VARARGS, "rms_norm(x, gain, epsilon, out): float32 rows as long as the gain."},
    {"screen", screen, METH_VARARGS,
     "screen(x, weights, scales, bias, errors, norms, masks, upper, lower, d, first, last, level): see int8.h."},
    {"exponentials", exponentials, METH_VARARGS,
     "exponentials(logits, temperature, mask, out, sums): float32 logits and out, float64 sums of each 512."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_native", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_AddIntConstant(module, "LEVEL", int8_best()) < 0) Py_CLEAR(module);
    return module;
}
