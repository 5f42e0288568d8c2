/* Products of float rows with int8 weights. The floats are rounded to 16 bits, so that sums are integers: exact, the
   same in any order, and two to four times as fast as in floats, besides that only a quarter of the memory is read.

   A vector holds 16 rows of weights and two places of each, so that a pair of integers of x is multiplied with all of
   them and no sum is ever taken across a vector. The steps of x are so large that no sum overflows. */
#include "int8.h"

#include <math.h>
#include <string.h>

#define GROUP 16
#define MOST 16 /* rows of x at once */

#ifdef __GNUC__
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

/* sums [rows, 16] of one group; x: pairs of some rows, those of the next pair `all` further. */
typedef void Tile(const int8_t *w, int64_t pairs, const int32_t *x, int64_t all, int rows, int32_t *sums);

static void tile_anywhere(const int8_t *w, int64_t pairs, const int32_t *x, int64_t all, int rows, int32_t *sums) {
    memset(sums, 0, (size_t)rows * GROUP * sizeof(int32_t));
    for (int64_t p = 0; p < pairs; p++, w += 2 * GROUP)
        for (int r = 0; r < rows; r++) {
            int32_t low = (int16_t)x[p * all + r], high = x[p * all + r] >> 16;
            for (int v = 0; v < GROUP; v++) sums[r * GROUP + v] += w[2 * v] * low + w[2 * v + 1] * high;
        }
}

#if defined(__GNUC__) && defined(__x86_64__)
#include <immintrin.h>
#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define AVX2 __attribute__((target("avx2")))

/* `rows` rows at once, each with `split` sums, so that there are enough of them to keep the units busy. */
VNNI INLINE void some_vnni(const int8_t *w, int64_t pairs, const int32_t *x, int64_t all, const int rows, const int split,
                           int32_t *sums) {
    __m512i sum[MOST];
    int64_t p = 0;
    for (int i = 0; i < rows * split; i++) sum[i] = _mm512_setzero_si512();
    for (; p + split <= pairs; p += split)
        for (int s = 0; s < split; s++) {
            __m512i v = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)(w + (p + s) * 2 * GROUP)));
            for (int r = 0; r < rows; r++)
                sum[r * split + s] = _mm512_dpwssd_epi32(sum[r * split + s], v, _mm512_set1_epi32(x[(p + s) * all + r]));
        }
    for (; p < pairs; p++) {
        __m512i v = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)(w + p * 2 * GROUP)));
        for (int r = 0; r < rows; r++)
            sum[r * split] = _mm512_dpwssd_epi32(sum[r * split], v, _mm512_set1_epi32(x[p * all + r]));
    }
    for (int r = 0; r < rows; r++) {
        __m512i total = sum[r * split];
        for (int s = 1; s < split; s++) total = _mm512_add_epi32(total, sum[r * split + s]);
        _mm512_storeu_si512(sums + r * GROUP, total);
    }
}

VNNI static void tile_vnni(const int8_t *w, int64_t pairs, const int32_t *x, int64_t all, int rows, int32_t *sums) {
    int r = 0;
    for (; r + 16 <= rows; r += 16) some_vnni(w, pairs, x + r, all, 16, 1, sums + r * GROUP);
    for (; r + 8 <= rows; r += 8) some_vnni(w, pairs, x + r, all, 8, 2, sums + r * GROUP);
    for (; r + 4 <= rows; r += 4) some_vnni(w, pairs, x + r, all, 4, 4, sums + r * GROUP);
    for (; r + 2 <= rows; r += 2) some_vnni(w, pairs, x + r, all, 2, 8, sums + r * GROUP);
    for (; r < rows; r++) some_vnni(w, pairs, x + r, all, 1, 8, sums + r * GROUP);
}

AVX2 INLINE void some_avx2(const int8_t *w, int64_t pairs, const int32_t *x, int64_t all, const int rows, int32_t *sums) {
    __m256i low[4], high[4];
    for (int r = 0; r < rows; r++) low[r] = high[r] = _mm256_setzero_si256();
    for (int64_t p = 0; p < pairs; p++) {
        __m256i a = _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)(w + p * 2 * GROUP)));
        __m256i b = _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)(w + p * 2 * GROUP + GROUP)));
        for (int r = 0; r < rows; r++) {
            __m256i y = _mm256_set1_epi32(x[p * all + r]);
            low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(a, y));
            high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(b, y));
        }
    }
    for (int r = 0; r < rows; r++) {
        _mm256_storeu_si256((void *)(sums + r * GROUP), low[r]);
        _mm256_storeu_si256((void *)(sums + r * GROUP + 8), high[r]);
    }
}

AVX2 static void tile_avx2(const int8_t *w, int64_t pairs, const int32_t *x, int64_t all, int rows, int32_t *sums) {
    int r = 0;
    for (; r + 4 <= rows; r += 4) some_avx2(w, pairs, x + r, all, 4, sums + r * GROUP);
    for (; r + 2 <= rows; r += 2) some_avx2(w, pairs, x + r, all, 2, sums + r * GROUP);
    for (; r < rows; r++) some_avx2(w, pairs, x + r, all, 1, sums + r * GROUP);
}

int int8_best(void) {
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return 2;
    return __builtin_cpu_supports("avx2") ? 1 : 0;
}

static Tile *tile_for(int level) { return level == 2 ? tile_vnni : level == 1 ? tile_avx2 : tile_anywhere; }
#else
int int8_best(void) { return 0; }

static Tile *tile_for(int level) {
    (void)level;
    return tile_anywhere;
}
#endif

INLINE void place(Rounded *out, int64_t r, int64_t i, int16_t k) {
    memcpy((char *)(out->x + i / 2 * out->rows + r) + i % 2 * 2, &k, 2);
}

void int8_round(const float *x, int64_t rows, int64_t d, Rounded *out) {
    for (int64_t r = 0; r < rows; r++, x += d) {
        float largest = 0;
        double norm = 0, error = 0, size = 0;
        for (int64_t i = 0; i < d; i++) {
            largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
            norm += (double)x[i] * x[i];
            size += fabsf(x[i]);
        }
        /* 127 (size / step + d / 2), which no sum exceeds, must not exceed 2^31 */
        float step = (float)fmax(largest / 32767.0, 127.001 * size / (2147483647.0 - 64.0 * (double)d));
        if (!(norm < 1e300) || step < 1e-38f) { /* nothing to see, or nothing to say */
            for (int64_t i = 0; i < d; i++) place(out, r, i, 0);
            out->step[r] = norm < 1e300 ? 0 : NAN;
            out->norm[r] = out->error[r] = (float)sqrt(norm);
            continue;
        }
        float per = 1 / step;
        for (int64_t i = 0; i < d; i++) {
            float near = x[i] * per + 12582912.0f; /* 1.5 * 2^23 rounds to an integer and leaves it in the low bits */
            int32_t bits;
            memcpy(&bits, &near, 4);
            int16_t k = (int16_t)bits;
            place(out, r, i, k);
            float left = x[i] - (float)k * step;
            error += left * left;
        }
        out->step[r] = step;
        out->norm[r] = (float)sqrt(norm);
        out->error[r] = (float)sqrt(error);
    }
}

INLINE float about(const Int8 *w, const Rounded *x, int64_t r, int64_t v, int32_t sum) {
    return (float)sum * (x->step[r] * w->scales[v]) + (w->bias ? w->bias[v] : 0);
}

/* Bounds of one row of x for the `lanes` rows of weights from `at` on; `best`: its largest lower bounds, by lane. */
typedef void Bounds(const Int8 *w, const float *errors, const float *norms, const Rounded *x, uint32_t word, int64_t r,
                    int64_t at, int lanes, const int32_t *sums, float *best, float *upper);

static void bounds_anywhere(const Int8 *w, const float *errors, const float *norms, const Rounded *x, uint32_t word, int64_t r,
                            int64_t at, int lanes, const int32_t *sums, float *best, float *upper) {
    float norm = x->norm[r], error = x->error[r] + 1e-5f * norm; /* 1e-5: for what float32 makes of real numbers */
    for (int v = 0; v < lanes; v++) {
        float near = about(w, x, r, at + v, sums[v]);
        float slack = errors[at + v] * norm + (norms[at + v] + errors[at + v]) * error + 1e-6f * fabsf(near);
        int may = word >> v & 1;
        upper[v] = may ? near + slack : -INFINITY;
        best[v] = may && near - slack > best[v] ? near - slack : best[v];
    }
}

#if defined(__GNUC__) && defined(__x86_64__)
VNNI static void bounds_vnni(const Int8 *w, const float *errors, const float *norms, const Rounded *x, uint32_t word, int64_t r,
                             int64_t at, int lanes, const int32_t *sums, float *best, float *upper) {
    if (lanes < GROUP) {
        bounds_anywhere(w, errors, norms, x, word, r, at, lanes, sums, best, upper);
        return;
    }
    float norm = x->norm[r], error = x->error[r] + 1e-5f * norm;
    __m512i sum = _mm512_loadu_si512(sums);
    __m512 bias = w->bias ? _mm512_loadu_ps(w->bias + at) : _mm512_setzero_ps(), off = _mm512_loadu_ps(errors + at);
    __m512 worth = _mm512_mul_ps(_mm512_set1_ps(x->step[r]), _mm512_loadu_ps(w->scales + at));
    __m512 near = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), worth, bias);
    __m512 slack = _mm512_mul_ps(_mm512_abs_ps(near), _mm512_set1_ps(1e-6f));
    slack = _mm512_fmadd_ps(_mm512_add_ps(_mm512_loadu_ps(norms + at), off), _mm512_set1_ps(error), slack);
    slack = _mm512_fmadd_ps(off, _mm512_set1_ps(norm), slack);
    __mmask16 may = (__mmask16)word;
    _mm512_storeu_ps(upper, _mm512_mask_add_ps(_mm512_set1_ps(-INFINITY), may, near, slack));
    __m512 most = _mm512_loadu_ps(best);
    _mm512_storeu_ps(best, _mm512_mask_max_ps(most, may, most, _mm512_sub_ps(near, slack)));
}

static Bounds *bounds_for(int level) { return level == 2 ? bounds_vnni : bounds_anywhere; }
#else
static Bounds *bounds_for(int level) {
    (void)level;
    return bounds_anywhere;
}
#endif

void int8_products(const Int8 *w, const Rounded *x, int64_t first, int64_t last, int level, float *out) {
    int32_t sums[MOST * GROUP];
    Tile *tile = tile_for(level);
    for (int64_t g = first; g < last; g++)
        for (int64_t r = 0; r < x->rows; r += MOST) {
            int some = x->rows - r < MOST ? (int)(x->rows - r) : MOST;
            int64_t at = g * GROUP, lanes = w->n - at < GROUP ? w->n - at : GROUP;
            tile(w->weights + at * w->d, w->d / 2, x->x + r, x->rows, some, sums);
            for (int i = 0; i < some; i++)
                for (int64_t v = 0; v < lanes; v++)
                    out[(r + i) * w->n + at + v] = about(w, x, r + i, at + v, sums[i * GROUP + v]);
        }
}

void int8_screen(const Int8 *w, const float *errors, const float *norms, const Rounded *x, const uint32_t *masks,
                 int64_t words, int64_t first, int64_t last, int level, float *upper, float *lower) {
    int32_t sums[MOST * GROUP];
    Tile *tile = tile_for(level);
    Bounds *bounds = bounds_for(level);
    for (int64_t i = 0; i < x->rows * GROUP; i++) lower[i] = x->step[i / GROUP] >= 0 ? -INFINITY : NAN;
    for (int64_t g = first; g < last; g++)
        for (int64_t r = 0; r < x->rows; r += MOST) {
            int some = x->rows - r < MOST ? (int)(x->rows - r) : MOST;
            int64_t at = g * GROUP;
            int lanes = w->n - at < GROUP ? (int)(w->n - at) : GROUP;
            tile(w->weights + at * w->d, w->d / 2, x->x + r, x->rows, some, sums);
            for (int64_t row = r; row < r + some; row++) {
                uint32_t word = masks ? masks[row * words + at / 32] >> at % 32 : UINT32_MAX;
                bounds(w, errors, norms, x, word, row, at, lanes, sums + (row - r) * GROUP, lower + row * GROUP,
                       upper + row * w->n + at);
            }
        }
}
