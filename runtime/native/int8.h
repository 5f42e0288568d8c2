#include <stdint.h>

/* How a processor multiplies best: 0 portable C, 1 AVX2, 2 AVX-512 with VNNI. */
int int8_best(void);

/* A weight matrix [n, d] in int8, in groups of 16 rows: [n / 16][d / 2][16][2], the last group filled up with zeros.
   scales: float[n] (and so all others by row). */
typedef struct {
    const int8_t *weights;
    const float *scales, *bias; /* bias: NULL for none */
    int64_t n, d;
} Int8;

/* Rows of floats, rounded to multiples of a step of each row. */
typedef struct {
    int64_t rows;
    int32_t *x;   /* [d / 2, rows] pairs of 16 bits: x is about step times them */
    float *step;
    float *error; /* the norm of what rounding left */
    float *norm;
} Rounded;

/* Round rows of floats. Not finite: the step is not finite either. */
void int8_round(const float *x, int64_t rows, int64_t d, Rounded *out);

/* out [rows, n] = x w' + bias, for the groups [first, last). */
void int8_products(const Int8 *w, const Rounded *x, int64_t first, int64_t last, int level, float *out);

/* For the groups [first, last): an upper bound of each product, -inf where the row's mask [ceil(n / 32)] has a zero bit
   (masks: [rows, words], NULL for none), and lower [rows, 16], whose maximum in a row is its largest lower bound. errors, norms: [n] of the norms of
   what rounding left of each row of weights, and of the rounded row itself. */
void int8_screen(const Int8 *w, const float *errors, const float *norms, const Rounded *x, const uint32_t *masks,
                 int64_t words, int64_t first, int64_t last, int level, float *upper, float *lower);
